//! The connection that beats: besides `Writer` the only one that writes, and nothing but the three keys of a checkpoint.

use std::sync::LazyLock;
use std::time::Duration;

use ::redis::{Cmd, Script, Value};
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};

use super::evidence::Evidence;
use super::keys::CheckpointKeys;
use super::read;
use crate::job::{Endpoint, RedisSpec};
use crate::model::heartbeat::{FoundBeat, Heartbeat};
use crate::model::node::NodeFacts;
use crate::model::slots::SlotSet;
use crate::model::time::Micros;
use crate::store::redis::connect::{self, Link};
use crate::store::redis::discovery::{Master, open_living_masters, open_masters};
use crate::store::redis::error::{self, RedisError};
use crate::store::redis::{info, reply, writer};

/// A beat is one small script: a server that takes this long is down or blocked, and the next beat tries again.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);

/// What a user lacks who may not run the script, or a command in it.
const GRANTS: &str = "grant the sampling user EVAL, EVALSHA, INFO, TIME, GET, SET, XADD and XREVRANGE on the keys of \
    [checkpoint] prefix";

static BEAT: LazyLock<Named> = LazyLock::new(|| Named::of(include_str!("../lua/checkpoint.lua")));
static KEEP_COPY: LazyLock<Named> =
    LazyLock::new(|| Named::of(include_str!("../lua/keep_copy.lua")));

/// A connection to one master. It never reconnects, and nothing it sends is sent twice.
pub struct Sampler {
    link: Link,
    facts: NodeFacts,
    keys: CheckpointKeys,
}

/// What one beat found and what the server said of itself in the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeatAnswer {
    pub standing: Standing,
    /// `found` is what lay under the key before.
    pub said: Evidence,
}

/// What the heartbeat that was found is to the history that found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There was none.
    None,
    /// Of the same process and history.
    Same,
    /// Of another one. It lies in the evidence.
    Other,
    /// No heartbeat of a known form. Its bytes lie in the evidence.
    Unknown,
    /// Another master's, which came here with a slot.
    Foreign,
}

/// What became of a copy of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Written,
    /// Somebody wrote it meanwhile: read it again.
    Changed,
}

impl Sampler {
    /// Connects to every master that `spec` means now, each with its own keys behind `prefix`. A replica is
    /// `TopologyChanged`.
    pub async fn connect_all(spec: &RedisSpec, prefix: &str) -> Result<Vec<Self>, RedisError> {
        if let Endpoint::Cluster { nodes } = &spec.endpoint {
            return Self::connect_cluster(spec, nodes, prefix).await;
        }
        let link = connect::open(spec, RESPONSE_LIMIT).await?;
        let facts = info::facts(&link).await.map_err(granted)?;
        if facts.is_cluster {
            return Err(RedisError::Refused(format!(
                "{0} is a node of a Redis Cluster; write redis-cluster://{0} as [redis] url",
                link.address
            )));
        }
        if !facts.identity.is_master {
            return Err(RedisError::TopologyChanged(format!(
                "{} is a replica, and a heartbeat needs the master; name it in [redis] url, or reach it through Sentinel",
                link.address
            )));
        }
        let keys = CheckpointKeys::alone(prefix);
        Ok(vec![Self { link, facts, keys }])
    }

    /// The same of those masters of a Cluster that can be reached, and why the others cannot: one that is dead must not
    /// keep the others from being beaten through. Outside of a Cluster there is one, or an error.
    pub async fn connect_living(
        spec: &RedisSpec,
        prefix: &str,
    ) -> Result<(Vec<Self>, Vec<RedisError>), RedisError> {
        let Endpoint::Cluster { nodes } = &spec.endpoint else {
            return Ok((Self::connect_all(spec, prefix).await?, Vec::new()));
        };
        let (found, mut missing) = open_living_masters(spec, nodes, RESPONSE_LIMIT).await?;
        let opened = found.into_iter().map(|master| Self::of(master, prefix));
        let mut masters = Vec::new();
        for opened in join_all(opened).await {
            match opened {
                Ok(master) => masters.extend(master),
                Err(error) => missing.push(error),
            }
        }
        Ok((masters, missing))
    }

    /// The masters of a Cluster that have slots; the others hold no keys.
    async fn connect_cluster(
        spec: &RedisSpec,
        nodes: &[(String, u16)],
        prefix: &str,
    ) -> Result<Vec<Self>, RedisError> {
        let masters = open_masters(spec, nodes, RESPONSE_LIMIT).await?;
        let asked = masters.into_iter().map(|master| Self::of(master, prefix));
        let masters = try_join_all(asked).await?;
        Ok(masters.into_iter().flatten().collect())
    }

    /// `None`: a master without slots.
    async fn of(master: Master, prefix: &str) -> Result<Option<Self>, RedisError> {
        let mut facts = info::facts(&master.link).await.map_err(granted)?;
        facts.slots = master.slots;
        let keys = CheckpointKeys::of(prefix, &facts);
        Ok(keys.map(|keys| Self {
            link: master.link,
            facts,
            keys,
        }))
    }

    /// What the node said of itself when the connection was opened.
    pub fn facts(&self) -> &NodeFacts {
        &self.facts
    }

    pub fn keys(&self) -> &CheckpointKeys {
        &self.keys
    }

    pub fn address(&self) -> &str {
        &self.link.address
    }

    /// The keys it answers for.
    pub fn slots(&self) -> &SlotSet {
        &self.facts.slots
    }

    /// One beat. `others` are the replication ids of all other masters; `evidence_max` bounds the evidence. After an
    /// error that is no refusal it is not known whether it was written; the next beat is right in both cases.
    pub async fn beat(
        &self,
        others: &[String],
        evidence_max: u32,
    ) -> Result<BeatAnswer, RedisError> {
        let keys: [&[u8]; 2] = [&self.keys.heartbeat, &self.keys.evidence];
        let mut arguments = vec![evidence_max.to_string().into_bytes()];
        arguments.extend(others.iter().map(|id| id.clone().into_bytes()));
        let answer = self.call(&BEAT, &keys, &arguments).await?;
        let fields = reply::optional_array(answer).and_then(|fields| {
            let texts: Option<Vec<Vec<u8>>> = fields.into_iter().map(reply::bytes).collect();
            <[Vec<u8>; 9]>::try_from(texts?).ok()
        });
        fields
            .and_then(beat_answer)
            .ok_or_else(|| RedisError::unexpected(&self.link.address, "the beat's script"))
    }

    /// The latest `limit` entries of the evidence, oldest first.
    pub async fn evidence(&self, limit: usize) -> Result<Vec<Evidence>, RedisError> {
        read::evidence(&self.link, &self.keys.evidence, limit).await
    }

    /// The bytes of the state's copy.
    pub async fn state_copy(&self) -> Result<Option<Bytes>, RedisError> {
        let found = read::value(&self.link, &self.keys.state).await?;
        Ok(found.map(Bytes::from))
    }

    /// Puts `new` in the place of the copy that was read as `old`.
    pub async fn keep_copy(&self, old: Option<&[u8]>, new: &[u8]) -> Result<Kept, RedisError> {
        let arguments = [old.unwrap_or_default().to_vec(), new.to_vec()];
        let answer = self
            .call(&KEEP_COPY, &[&self.keys.state], &arguments)
            .await?;
        match answer {
            Value::Int(1) => Ok(Kept::Written),
            Value::Int(0) => Ok(Kept::Changed),
            _ => Err(RedisError::unexpected(
                &self.link.address,
                "the script that keeps the state's copy",
            )),
        }
    }

    async fn call(
        &self,
        script: &Named,
        keys: &[&[u8]],
        arguments: &[Vec<u8>],
    ) -> Result<Value, RedisError> {
        let by_digest = command("EVALSHA", &script.digest, keys, arguments);
        let answer = match self.sent(&by_digest).await? {
            // Nothing ran, so sending it again, with its text, is no second time.
            answer if writer::is_no_script(&answer) => {
                let by_text = command("EVAL", script.text, keys, arguments);
                self.sent(&by_text).await?
            }
            answer => answer,
        };
        match answer {
            Value::ServerError(error) if writer::is_about_rights(error.details()) => {
                let said = error::spoken("NOPERM", error.details());
                Err(RedisError::Refused(format!(
                    "{}: {said} ({GRANTS})",
                    self.link.address
                )))
            }
            Value::ServerError(error) if reply::is_wrong_type(&error) => {
                Err(RedisError::Refused(format!(
                    "{}: one of the keys {} holds something of another type, so it is somebody else's; choose another \
                     [checkpoint] prefix",
                    self.link.address,
                    shown(keys)
                )))
            }
            Value::BulkString(said) if said.starts_with(b"FENCED ") => {
                Err(RedisError::TopologyChanged(format!(
                    "{}: {}",
                    self.link.address,
                    String::from_utf8_lossy(&said[b"FENCED ".len()..])
                )))
            }
            answer => reply::accepted(&self.link.address, answer).map_err(granted),
        }
    }

    /// One request; an error reply stays a value.
    async fn sent(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = self.link.connection.clone();
        let sent = connection.send_packed_command(command).await;
        sent.map_err(|error| RedisError::from_client(&self.link.address, &error))
    }
}

impl BeatAnswer {
    /// The heartbeat that lies under the key now.
    pub fn beat(&self) -> Heartbeat {
        Heartbeat {
            beat_at: self.said.server_time,
            run_id: self.said.run_id.clone(),
            replication_id: self.said.replication_id.clone(),
            offset: self.said.offset,
        }
    }
}

/// A script by its text and by the digest that names it on the server.
struct Named {
    text: &'static str,
    digest: String,
}

impl Named {
    fn of(text: &'static str) -> Self {
        let digest = Script::new(text).get_hash().to_owned();
        Self { text, digest }
    }
}

fn command(name: &str, script: &str, keys: &[&[u8]], arguments: &[Vec<u8>]) -> Cmd {
    let mut command = ::redis::cmd(name);
    command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
    command
}

/// `lua/checkpoint.lua` lists the fields.
fn beat_answer(fields: [Vec<u8>; 9]) -> Option<BeatAnswer> {
    let [what, found, texts @ ..] = fields;
    let standing = match what.as_slice() {
        b"NONE" => Standing::None,
        b"SAME" => Standing::Same,
        b"OTHER" => Standing::Other,
        b"UNKNOWN" => Standing::Unknown,
        b"FOREIGN" => Standing::Foreign,
        _ => return None,
    };
    let texts = texts.map(|text| String::from_utf8(text).ok());
    let [
        run_id,
        replication_id,
        offset,
        second_id,
        second_offset,
        uptime,
        micros,
    ] = texts;
    let said = Evidence {
        found: FoundBeat::of((standing != Standing::None).then_some(found)),
        run_id: run_id?,
        replication_id: replication_id?,
        offset: offset?.parse().ok()?,
        replication_id2: second_id?,
        second_offset: second_offset?.parse().unwrap_or(-1),
        uptime_seconds: uptime?.parse().unwrap_or_default(),
        server_time: Micros(micros?.parse().ok()?),
    };
    Some(BeatAnswer { standing, said })
}

fn shown(keys: &[&[u8]]) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| key.escape_ascii().to_string())
        .collect();
    keys.join(" and ")
}

/// The same error; one about rights says which are needed.
fn granted(error: RedisError) -> RedisError {
    match error {
        RedisError::Refused(said) => RedisError::Refused(format!("{said} ({GRANTS})")),
        error => error,
    }
}
