//! Commands to whichever node answers for their keys.

use std::collections::BTreeMap;

use super::cluster::RedisCluster;
use crate::lab::LabError;
use crate::lab::servers::RedisServer;

impl RedisCluster {
    /// One command at whichever node answers for its key, words as they are; redirections are followed.
    pub async fn run<T: redis::FromRedisValue>(&self, words: &[&str]) -> Result<T, LabError> {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        let key = match words[0] {
            "XINFO" | "XGROUP" | "OBJECT" => words[2],
            _ => words[1],
        };
        self.send(key, &command).await
    }

    /// The same of a command and its key.
    pub async fn send<T: redis::FromRedisValue>(
        &self,
        key: &str,
        command: &redis::Cmd,
    ) -> Result<T, LabError> {
        let mut port = self
            .master(self.shard_of(key))
            .await
            .map(RedisServer::port)?;
        let mut is_asking = false;
        for _ in 0..8 {
            let mut connection = self.connect(port).await?;
            let mut pipeline = redis::pipe();
            if is_asking {
                pipeline.cmd("ASKING").ignore();
            }
            let answer: redis::RedisResult<(T,)> = pipeline
                .add_command(command.clone())
                .query_async(&mut connection)
                .await;
            let fault = match answer {
                Ok((answer,)) => return Ok(answer),
                Err(fault) => fault,
            };
            let text = fault.to_string();
            // A lone error and that of a pipeline spell it differently; the address is in both.
            let target = text.split("127.0.0.1:").nth(1).and_then(|rest| {
                let end = rest
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(rest.len());
                rest[..end].parse().ok()
            });
            match target {
                Some(target) => {
                    is_asking = text.to_uppercase().contains("ASK");
                    port = target;
                }
                None => {
                    return Err(LabError::redis(format!("send to the Cluster for {key}"))(
                        fault,
                    ));
                }
            }
        }
        Err(LabError::Unfit(format!(
            "the Cluster sends {key} in a circle"
        )))
    }

    /// Every key with its type and content, by the masters' own word.
    pub async fn snapshot(&self) -> Result<BTreeMap<String, String>, LabError> {
        let mut all = BTreeMap::new();
        for shard in 0..self.options.masters {
            let mut connection = self.master(shard).await?.connect().await?;
            let keys: Vec<Vec<u8>> = redis::cmd("KEYS")
                .arg("*")
                .query_async(&mut connection)
                .await
                .map_err(LabError::redis("list keys"))?;
            for key in keys {
                let content: redis::Value = redis::cmd("DUMP")
                    .arg(&key)
                    .query_async(&mut connection)
                    .await
                    .map_err(LabError::redis("dump a key"))?;
                all.insert(key.escape_ascii().to_string(), format!("{content:?}"));
            }
        }
        Ok(all)
    }
}
