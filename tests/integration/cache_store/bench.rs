//! A server with a writer on it, and a fence that holds.

use std::time::Duration;

use auditor::lab::servers::RedisServer;
use auditor::model::identity::Pinned;
use auditor::model::time::Micros;
use auditor::store::redis::{Fence, PerNode, Write, WriteReply, Writer};
use bytes::Bytes;
use redis::Value;

use super::{plain_server, reader, run, spec};

pub(super) const FAR: &[u8] = b"4102444800123";
pub(super) const FAR_MILLIS: i64 = 4_102_444_800_123;

pub(super) struct Bench {
    pub(super) server: RedisServer,
    pub(super) writer: Writer,
    pub(super) fence: Fence,
}

impl Bench {
    pub(super) async fn start() -> Self {
        Self::on(plain_server().await).await
    }

    pub(super) async fn on(server: RedisServer) -> Self {
        let pinned = pinned(&server).await;
        let writer = Writer::connect(&spec(server.port()), &pinned)
            .await
            .unwrap();
        let fence = Fence {
            min_replicas: PerNode::all(0),
            deadline: PerNode::all(Micros::now().plus(Duration::from_secs(60))),
        };
        Self {
            server,
            writer,
            fence,
        }
    }

    /// From now on the writer takes `history` for the pinned one.
    pub(super) async fn pin(&mut self, history: &str) {
        let mut pinned = pinned(&self.server).await;
        pinned.nodes[0].identity.replication_id = history.to_owned();
        self.writer.repin(&pinned);
    }

    pub(super) async fn apply(&mut self, write: Write) -> WriteReply {
        let mut replies = self.writer.apply(&self.fence, &[write]).await;
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    pub(super) async fn is_refused(&mut self, write: Write, word: &str) {
        match self.apply(write).await {
            WriteReply::Refused(reason) if reason.starts_with(word) => {}
            reply => panic!("refused by {word} was expected, not {reply:?}"),
        }
    }

    pub(super) async fn run(&self, name: &str, arguments: &[&[u8]]) -> Value {
        run(&self.server, name, arguments).await
    }

    pub(super) async fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.run("GET", &[key]).await {
            Value::BulkString(bytes) => Some(bytes),
            Value::Nil => None,
            other => panic!("GET answered {other:?}"),
        }
    }
}

pub(super) async fn pinned(server: &RedisServer) -> Pinned {
    Pinned::of(&reader(server).await.facts_of_all().await.unwrap())
}

pub(super) fn b(bytes: &'static [u8]) -> Bytes {
    Bytes::from_static(bytes)
}

pub(super) fn replace(key: &[u8], judged: &'static [u8], new: &'static [u8]) -> Write {
    Write::ReplaceString {
        key: key.to_vec(),
        judged: b(judged),
        new: b(new),
    }
}
