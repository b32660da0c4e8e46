//! One node.

use crate::lab::LabError;
use crate::lab::servers::RedisServer;

/// One server and where it stands.
pub(super) struct Node {
    pub(super) server: RedisServer,
    pub(super) id: String,
    pub(super) bus_port: u16,
    /// The shard it belongs to; the n-th began with the n-th part of the slots.
    pub(super) shard: usize,
    pub(super) is_alive: bool,
}

impl Node {
    pub(super) async fn run(&self, words: &[&str]) -> Result<(), LabError> {
        self.server.command(words).await.map(drop)
    }

    pub(super) async fn text(&self, words: &[&str]) -> Result<String, LabError> {
        let mut connection = self.server.connect().await?;
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        command
            .query_async(&mut connection)
            .await
            .map_err(LabError::redis(words.join(" ")))
    }

    pub(super) async fn meet(&self, other: &Node) -> Result<(), LabError> {
        let (port, bus) = (other.server.port().to_string(), other.bus_port.to_string());
        self.run(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
            .await
    }
}
