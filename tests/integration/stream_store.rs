//! Streams on every server that answers as Redis does: what is read, and each step of a settlement.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auditor::job::{Endpoint, RedisSpec, TlsFiles};
use auditor::lab::servers::{RedisFlavor, RedisOptions, RedisProgram, RedisServer};
use auditor::lab::wait;
use auditor::model::identity::Pinned;
use auditor::model::secret::Secret;
use auditor::model::stream::{ConsumerFacts, Entry, IdRange, PendingRow, StreamFacts, StreamId};
use auditor::model::time::Micros;
use auditor::store::redis::{Fence, Held, PerNode, Redis, Settlement, WriteReply, Writer};
use bytes::Bytes;
use redis::Value;
use redis::aio::MultiplexedConnection;

mod groups;
mod messages;
mod moves;
mod reading;
mod refusals;

const LIMIT: Duration = Duration::from_secs(20);
/// The stream and the group of every test.
const S: &[u8] = b"s";
const G: &[u8] = b"g";
/// The last digit of two numbers that a double cannot tell apart.
const HUGE: u64 = u64::MAX - 1;

/// A server with a reader, a writer and a test's own connection on it.
struct Stand {
    flavor: RedisFlavor,
    server: RedisServer,
    own: MultiplexedConnection,
    redis: Redis,
    writer: Writer,
    fence: Fence,
}

/// Runs a test on every server that is there. A failure's output names the server.
async fn on_each(test: impl AsyncFn(Stand)) {
    let tested = AtomicUsize::new(0);
    for program in RedisProgram::present().unwrap() {
        eprintln!("on {}", program.version);
        test(Stand::start(&program).await).await;
        tested.fetch_add(1, Ordering::Relaxed);
    }
    assert_ne!(tested.into_inner(), 0);
}

impl Stand {
    async fn start(program: &RedisProgram) -> Self {
        let options = RedisOptions {
            program: Some(program.path.clone()),
            ..RedisOptions::default()
        };
        Self::on(program.flavor, RedisServer::start(options).await.unwrap()).await
    }

    async fn on(flavor: RedisFlavor, server: RedisServer) -> Self {
        let redis = Redis::connect(&spec(server.port()), LIMIT).await.unwrap();
        let pinned = Pinned::of(&redis.facts_of_all().await.unwrap());
        let writer = Writer::connect(&spec(server.port()), &pinned).await;
        Self {
            flavor,
            own: server.connect().await.unwrap(),
            writer: writer.unwrap(),
            fence: Fence {
                min_replicas: PerNode::all(0),
                deadline: PerNode::all(Micros::now().plus(Duration::from_secs(300))),
            },
            server,
            redis,
        }
    }

    async fn pinned(&self) -> Pinned {
        Pinned::of(&self.redis.facts_of_all().await.unwrap())
    }

    /// One command, its words parted by spaces; an error is a failure of the test.
    async fn run(&self, words: &str) -> Value {
        self.run_bytes(&words.split(' ').map(str::as_bytes).collect::<Vec<_>>())
            .await
    }

    async fn run_bytes(&self, words: &[&[u8]]) -> Value {
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        command.query_async(&mut self.own.clone()).await.unwrap()
    }

    /// A stream with a group at its beginning and the entries `1-1` to `COUNT-1`, each `f` = its number.
    async fn fill(&self, count: u64) {
        self.run("XGROUP CREATE s g 0 MKSTREAM").await;
        for number in 1..=count {
            self.run(&format!("XADD s {number}-1 f {number}")).await;
        }
    }

    /// The next entries go to `consumer`.
    async fn deliver(&self, consumer: &str, count: u64) {
        self.run(&format!(
            "XREADGROUP GROUP g {consumer} COUNT {count} STREAMS s >"
        ))
        .await;
    }

    async fn settle(&mut self, step: Settlement) -> WriteReply {
        let mut replies = self.writer.settle(&self.fence, &[step]).await;
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    /// Nothing was written, and the judged thing is no longer there.
    async fn is_changed(&mut self, step: Settlement) {
        let before = self.changes().await;
        assert_eq!(self.settle(step).await, WriteReply::Changed);
        assert_eq!(self.changes().await, before, "something was written");
    }

    /// Nothing was written, for a reason that has `words` in it.
    async fn is_refused(&mut self, step: Settlement, words: &str) {
        let before = self.changes().await;
        match self.settle(step).await {
            WriteReply::Refused(reason) if reason.contains(words) => {}
            reply => panic!("refused with {words:?} was expected, not {reply:?}"),
        }
        assert_eq!(self.changes().await, before, "something was written");
    }

    /// The server's own count of changes.
    async fn changes(&self) -> String {
        let field = "rdb_changes_since_last_save";
        self.server.info(field).await.unwrap().unwrap()
    }

    async fn facts(&self) -> StreamFacts {
        let state = self.redis.stream_state(S).await.unwrap();
        state.facts().unwrap().clone()
    }

    async fn cursor(&self) -> StreamId {
        self.facts().await.group(G).unwrap().last_delivered
    }

    async fn entries(&self, key: &[u8]) -> Vec<Entry> {
        let entries = self.redis.entries(key, IdRange::ALL, 10_000).await;
        entries.unwrap()
    }

    async fn pending(&self) -> Vec<PendingRow> {
        let rows = self.redis.pending(S, G, IdRange::ALL, 10_000).await;
        rows.unwrap().unwrap()
    }

    async fn pending_row(&self, id: StreamId) -> Option<PendingRow> {
        let rows = self.redis.pending_by_id(S, G, &[id]).await.unwrap();
        rows.unwrap().remove(0)
    }

    async fn consumer(&self, name: &str) -> ConsumerFacts {
        let listed = self.redis.consumers(S, G).await.unwrap().unwrap();
        let found = listed
            .into_iter()
            .find(|facts| facts.name == name.as_bytes());
        found.unwrap()
    }

    /// The message as it is now, whatever its owner does.
    async fn held(&self, id: StreamId) -> Held {
        let row = self.pending_row(id).await.unwrap();
        Held {
            id,
            consumer: row.consumer,
            deliveries: row.deliveries,
            idle_millis: row.idle_millis,
            owner_idle_min_millis: None,
        }
    }

    /// Waits until the consumer has done nothing for so many milliseconds.
    async fn rest(&self, consumer: &str, millis: u64) {
        wait::until("the consumer has rested", LIMIT, async || {
            self.consumer(consumer).await.idle_millis >= millis
        })
        .await
        .unwrap();
    }
}

fn spec(port: u16) -> RedisSpec {
    RedisSpec {
        endpoint: Endpoint::Tcp {
            host: "127.0.0.1".into(),
            port,
        },
        user: None,
        password: None,
        database: 0,
        tls: false,
        tls_files: TlsFiles::default(),
        sentinel_user: None,
        sentinel_password: None,
    }
}

fn spec_of_user(port: u16, user: &str) -> RedisSpec {
    RedisSpec {
        user: Some(user.into()),
        password: Some(Secret::new("secret")),
        ..spec(port)
    }
}

fn id(millis: u64) -> StreamId {
    StreamId::new(millis, 1)
}

fn fields(pairs: &[(&'static str, &'static str)]) -> Vec<(Bytes, Bytes)> {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    pairs
        .iter()
        .map(|(name, value)| (bytes(name), bytes(value)))
        .collect()
}

fn ack(held: Held) -> Settlement {
    Settlement::Ack {
        key: S.to_vec(),
        group: G.to_vec(),
        held,
        is_trimmed: false,
    }
}
