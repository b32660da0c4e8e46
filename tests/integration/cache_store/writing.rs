//! The fence, and every script that writes something other than a hash.

use std::time::Duration;

use auditor::lab::servers::{RedisOptions, RedisServer};
use auditor::lab::wait;
use auditor::model::identity::NodeIdentity;
use auditor::model::observation::KeyExpiry;
use auditor::model::time::Micros;
use auditor::store::redis::{Fence, RedisError, Write, WriteReply, Writer};
use bytes::Bytes;
use redis::Value;

use super::{LIMIT, plain_server, reader, run, spec};

pub(super) const FAR: &[u8] = b"4102444800123";
const FAR_MILLIS: i64 = 4_102_444_800_123;

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
        let identity = identity(&server).await;
        let writer = Writer::connect(&spec(server.port()), &identity)
            .await
            .unwrap();
        let fence = Fence {
            replication_id: identity.replication_id,
            min_replicas: 0,
            deadline: Micros::now().plus(Duration::from_secs(60)),
        };
        Self {
            server,
            writer,
            fence,
        }
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

pub(super) async fn identity(server: &RedisServer) -> NodeIdentity {
    reader(server).await.facts().await.unwrap().identity
}

pub(super) fn b(bytes: &'static [u8]) -> Bytes {
    Bytes::from_static(bytes)
}

fn replace(key: &[u8], judged: &'static [u8], new: &'static [u8]) -> Write {
    Write::ReplaceString {
        key: key.to_vec(),
        judged: b(judged),
        new: b(new),
    }
}

#[tokio::test]
async fn a_string_is_replaced_only_as_judged_and_keeps_its_expiry() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old", b"PXAT", FAR]).await;
    assert_eq!(
        bench.apply(replace(b"k", b"old", b"new")).await,
        WriteReply::Applied
    );
    assert_eq!(bench.get(b"k").await.unwrap(), b"new");
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"k"]).await,
        Value::Int(FAR_MILLIS)
    );

    assert_eq!(
        bench.apply(replace(b"k", b"old", b"newer")).await,
        WriteReply::Changed
    );
    assert_eq!(bench.get(b"k").await.unwrap(), b"new");
    assert_eq!(
        bench.apply(replace(b"gone", b"", b"new")).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.get(b"gone").await,
        None,
        "an absent string is not an empty one"
    );
    bench.run("RPUSH", &[b"list", b"x"]).await;
    bench
        .is_refused(replace(b"list", b"old", b"new"), "WRONGTYPE")
        .await;
    assert_eq!(
        bench.run("TYPE", &[b"list"]).await,
        Value::SimpleString("list".into())
    );
}

#[tokio::test]
async fn bytes_pass_through_unharmed() {
    let mut bench = Bench::start().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let reversed: Vec<u8> = (0..=255).rev().collect();
    bench.run("SET", &[&every_byte, &every_byte]).await;
    let write = Write::ReplaceString {
        key: every_byte.clone(),
        judged: Bytes::from(every_byte.clone()),
        new: Bytes::from(reversed.clone()),
    };
    assert_eq!(bench.apply(write).await, WriteReply::Applied);
    assert_eq!(bench.get(&every_byte).await.unwrap(), reversed);

    bench.run("SET", &[b"empty", b""]).await;
    assert_eq!(
        bench.apply(replace(b"empty", b"", b"x")).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(replace(b"empty", b"x", b"")).await,
        WriteReply::Applied
    );
    assert_eq!(bench.get(b"empty").await.unwrap(), b"");
}

#[tokio::test]
async fn a_string_is_created_only_where_nothing_is() {
    let mut bench = Bench::start().await;
    let create = |key: &[u8], ttl_millis| Write::CreateString {
        key: key.to_vec(),
        new: b("v".as_bytes()),
        ttl_millis,
    };
    assert_eq!(
        bench.apply(create(b"lasting", None)).await,
        WriteReply::Applied
    );
    assert_eq!(bench.run("PTTL", &[b"lasting"]).await, Value::Int(-1));
    assert_eq!(
        bench.apply(create(b"ending", Some(100_000))).await,
        WriteReply::Applied
    );
    let Value::Int(left) = bench.run("PTTL", &[b"ending"]).await else {
        panic!("PTTL gives a number")
    };
    assert!((1..=100_000).contains(&left), "{left}");
    assert_eq!(
        bench.apply(create(b"ending", None)).await,
        WriteReply::Changed
    );
    bench.run("SADD", &[b"set", b"x"]).await;
    assert_eq!(bench.apply(create(b"set", None)).await, WriteReply::Changed);
    bench
        .is_refused(create(b"never", Some(0)), "a time to live")
        .await;
    assert_eq!(bench.get(b"never").await, None);
}

#[tokio::test]
async fn a_string_is_deleted_or_added_to_only_as_judged() {
    let mut bench = Bench::start().await;
    let delete = |judged: &'static [u8]| Write::DeleteString {
        key: b"k".to_vec(),
        judged: b(judged),
    };
    bench.run("SET", &[b"k", b"v"]).await;
    assert_eq!(bench.apply(delete(b"other")).await, WriteReply::Changed);
    assert_eq!(bench.apply(delete(b"v")).await, WriteReply::Applied);
    assert_eq!(bench.apply(delete(b"v")).await, WriteReply::Changed);

    let add = |judged: &'static [u8], gap| Write::AddToString {
        key: b"n".to_vec(),
        judged: b(judged),
        gap,
    };
    bench
        .run("SET", &[b"n", b"9007199254740993", b"PXAT", FAR])
        .await;
    assert_eq!(
        bench.apply(add(b"9007199254740992", 1)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench
            .apply(add(b"9007199254740993", 9_007_199_254_740_995))
            .await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.get(b"n").await.unwrap(),
        b"18014398509481988",
        "exact past 2^53"
    );
    assert_eq!(
        bench.apply(add(b"18014398509481988", i64::MIN)).await,
        WriteReply::Applied
    );
    assert_eq!(bench.get(b"n").await.unwrap(), b"-9205357638345293820");
    bench
        .is_refused(add(b"-9205357638345293820", i64::MIN), "ERR")
        .await;
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"n"]).await,
        Value::Int(FAR_MILLIS)
    );
    assert_eq!(bench.apply(add(b"gone", 1)).await, WriteReply::Changed);
}

#[tokio::test]
async fn scores_and_members_are_written_only_as_judged() {
    let mut bench = Bench::start().await;
    bench.run("ZADD", &[b"z", b"0.1", b"m"]).await;
    bench.run("PEXPIREAT", &[b"z", FAR]).await;
    let set = |member: &[u8], judged: Option<&'static [u8]>, new: &'static [u8]| Write::SetScore {
        key: b"z".to_vec(),
        member: member.to_vec(),
        judged: judged.map(b),
        new: b(new),
    };
    let score = "0.10000000000000001".as_bytes();
    assert_eq!(
        bench.apply(set(b"m", None, b"2")).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.apply(set(b"m", Some(b"0.1"), b"2")).await,
        WriteReply::Changed,
        "as ZSCORE prints it"
    );
    assert_eq!(
        bench.apply(set(b"m", Some(score), b"1732150000123")).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(set(b"n\xff", None, b"-inf")).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(set(b"o", Some(b"1"), b"2")).await,
        WriteReply::Changed
    );
    bench.is_refused(set(b"o", None, b"ten"), "ERR").await;
    assert_eq!(
        bench.run("ZSCORE", &[b"z", b"m"]).await,
        Value::BulkString(b"1732150000123".to_vec())
    );
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"z"]).await,
        Value::Int(FAR_MILLIS)
    );

    let remove = |judged: &'static [u8]| Write::RemoveScore {
        key: b"z".to_vec(),
        member: b"m".to_vec(),
        judged: b(judged),
    };
    assert_eq!(bench.apply(remove(b"1")).await, WriteReply::Changed);
    assert_eq!(
        bench.apply(remove(b"1732150000123")).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(remove(b"1732150000123")).await,
        WriteReply::Changed
    );

    let member = |present| Write::SetMember {
        key: b"s".to_vec(),
        member: b"m\x00".to_vec(),
        present,
    };
    assert_eq!(bench.apply(member(false)).await, WriteReply::Changed);
    assert_eq!(bench.apply(member(true)).await, WriteReply::Applied);
    assert_eq!(bench.apply(member(true)).await, WriteReply::Changed);
    assert_eq!(
        bench.run("SISMEMBER", &[b"s", b"m\x00"]).await,
        Value::Int(1)
    );
    assert_eq!(bench.apply(member(false)).await, WriteReply::Applied);
}

#[tokio::test]
async fn an_expiry_is_set_only_where_none_is() {
    let mut bench = Bench::start().await;
    let expire = |key: &[u8], judged: Option<&'static [u8]>| Write::SetExpiry {
        key: key.to_vec(),
        judged: judged.map(b),
        ttl_millis: 100_000,
    };
    bench.run("SET", &[b"k", b"v"]).await;
    bench.run("SADD", &[b"s", b"m"]).await;
    assert_eq!(
        bench.apply(expire(b"k", Some(b"w"))).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.apply(expire(b"k", Some(b"v"))).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(expire(b"k", Some(b"v"))).await,
        WriteReply::Changed,
        "it has one now"
    );
    assert_eq!(bench.apply(expire(b"s", None)).await, WriteReply::Applied);
    assert_eq!(
        bench.apply(expire(b"gone", None)).await,
        WriteReply::Changed
    );
    let persist = Write::Persist { key: b"k".to_vec() };
    assert_eq!(bench.apply(persist.clone()).await, WriteReply::Applied);
    assert_eq!(bench.run("PTTL", &[b"k"]).await, Value::Int(-1));
    assert_eq!(bench.apply(persist).await, WriteReply::Changed);
}

#[tokio::test]
async fn a_string_is_put_back_with_its_expiry_unless_that_has_passed() {
    let mut bench = Bench::start().await;
    let restore =
        |judged: Option<&'static [u8]>, old: Option<&'static [u8]>, expiry| Write::RestoreString {
            key: b"k".to_vec(),
            judged: judged.map(b),
            old: old.map(b),
            expiry,
        };
    let at = KeyExpiry::AtMillis(FAR_MILLIS);
    assert_eq!(
        bench.apply(restore(Some(b"x"), Some(b"old"), at)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench
            .apply(restore(None, Some(b"old"), KeyExpiry::AtMillis(1)))
            .await,
        WriteReply::Changed
    );
    assert_eq!(bench.get(b"k").await, None);
    assert_eq!(
        bench.apply(restore(None, Some(b""), at)).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"k"]).await,
        Value::Int(FAR_MILLIS)
    );
    assert_eq!(
        bench.apply(restore(None, Some(b"old"), at)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench
            .apply(restore(Some(b""), Some(b"2"), KeyExpiry::Unread))
            .await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"k"]).await,
        Value::Int(FAR_MILLIS)
    );
    assert_eq!(
        bench
            .apply(restore(Some(b"2"), Some(b"3"), KeyExpiry::Never))
            .await,
        WriteReply::Applied
    );
    assert_eq!(bench.run("PTTL", &[b"k"]).await, Value::Int(-1));
    assert_eq!(bench.get(b"k").await.unwrap(), b"3");
    assert_eq!(
        bench.apply(restore(Some(b"2"), None, at)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.apply(restore(Some(b"3"), None, at)).await,
        WriteReply::Applied
    );
    assert_eq!(bench.get(b"k").await, None);
}

#[tokio::test]
async fn another_history_or_role_is_fenced() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old"]).await;
    let right = std::mem::replace(&mut bench.fence.replication_id, "0".repeat(40));
    let reply = bench.apply(replace(b"k", b"old", b"new")).await;
    assert!(
        matches!(&reply, WriteReply::Fenced(reason) if reason.contains("replication id")),
        "{reply:?}"
    );

    bench.fence.replication_id = right;
    let other = plain_server().await;
    let port = other.port().to_string();
    bench
        .server
        .command(&["REPLICAOF", "127.0.0.1", &port])
        .await
        .unwrap();
    let reply = bench.apply(replace(b"k", b"old", b"new")).await;
    assert!(
        matches!(&reply, WriteReply::Fenced(reason) if reason.contains("no master")),
        "{reply:?}"
    );
}

#[tokio::test]
async fn too_few_fresh_replicas_are_fenced() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old"]).await;
    bench.fence.min_replicas = 1;
    let reply = bench.apply(replace(b"k", b"old", b"new")).await;
    assert!(
        matches!(&reply, WriteReply::Fenced(reason) if reason.contains("0 of 1")),
        "{reply:?}"
    );

    let options = RedisOptions {
        replica_of: Some(bench.server.port()),
        ..RedisOptions::default()
    };
    let replica = RedisServer::start(options).await.unwrap();
    bench.server.wait_for_replicas(1).await.unwrap();
    // The first replica a master ever gets begins a new history.
    bench.fence.replication_id = identity(&bench.server).await.replication_id;
    assert_eq!(
        bench.apply(replace(b"k", b"old", b"new")).await,
        WriteReply::Applied
    );
    assert_eq!(bench.writer.wait(1, LIMIT).await.unwrap(), 1);

    replica.pause().await.unwrap();
    assert_eq!(
        bench.apply(replace(b"k", b"new", b"newer")).await,
        WriteReply::Applied,
        "not yet noticed"
    );
    assert_eq!(
        bench
            .writer
            .wait(1, Duration::from_millis(50))
            .await
            .unwrap(),
        0
    );
    let redis = reader(&bench.server).await;
    wait::until(
        "the master counts the replica's silence",
        Duration::from_secs(30),
        async || {
            redis
                .facts()
                .await
                .is_ok_and(|facts| facts.replicas_online.iter().all(|r| r.lag_seconds > 10))
        },
    )
    .await
    .unwrap();
    bench.fence.deadline = Micros::now().plus(Duration::from_secs(60));
    let reply = bench.apply(replace(b"k", b"newer", b"newest")).await;
    assert!(
        matches!(&reply, WriteReply::Fenced(reason) if reason.contains("0 of 1")),
        "{reply:?}"
    );
    assert_eq!(bench.get(b"k").await.unwrap(), b"newer");
}

#[tokio::test]
async fn a_script_that_reaches_a_stalled_server_too_late_writes_nothing() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old"]).await;
    bench.fence.deadline = bench
        .writer
        .time()
        .await
        .unwrap()
        .plus(Duration::from_millis(300));
    bench.server.pause().await.unwrap();
    let Bench {
        server,
        writer,
        fence,
    } = &mut bench;
    let write = [replace(b"k", b"old", b"new")];
    let resumed = async {
        let deadline = fence.deadline;
        wait::until("the deadline has passed", LIMIT, async || {
            Micros::now() > deadline
        })
        .await
        .unwrap();
        server.resume().unwrap();
    };
    let (replies, ()) = tokio::join!(writer.apply(fence, &write), resumed);
    assert_eq!(replies, [WriteReply::Late]);
    assert_eq!(bench.get(b"k").await.unwrap(), b"old");

    bench.fence.deadline = bench
        .writer
        .time()
        .await
        .unwrap()
        .plus(Duration::from_secs(60));
    assert_eq!(
        bench.apply(replace(b"k", b"old", b"new")).await,
        WriteReply::Applied,
        "the connection lives on"
    );
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_again_once() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"n", b"1"]).await;
    bench.run("SCRIPT", &[b"FLUSH"]).await;
    let writes = [
        Write::AddToString {
            key: b"n".to_vec(),
            judged: b("1".as_bytes()),
            gap: 1,
        },
        replace(b"gone", b"x", b"y"),
    ];
    let replies = bench.writer.apply(&bench.fence, &writes).await;
    assert_eq!(replies, [WriteReply::Applied, WriteReply::Changed]);
    assert_eq!(bench.get(b"n").await.unwrap(), b"2");
}

#[tokio::test]
async fn a_full_server_refuses_and_says_so() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old"]).await;
    bench.run("CONFIG", &[b"SET", b"maxmemory", b"1"]).await;
    bench.is_refused(replace(b"k", b"old", b"new"), "OOM").await;
    bench.run("CONFIG", &[b"SET", b"maxmemory", b"0"]).await;
    bench
        .run("CONFIG", &[b"SET", b"min-replicas-to-write", b"1"])
        .await;
    bench
        .is_refused(replace(b"k", b"old", b"new"), "NOREPLICAS")
        .await;
    assert_eq!(bench.get(b"k").await.unwrap(), b"old");
}

#[tokio::test]
async fn a_writer_is_given_only_for_the_pinned_node() {
    let server = plain_server().await;
    let pinned = identity(&server).await;
    let connect =
        async |pinned: &NodeIdentity| Writer::connect(&spec(server.port()), pinned).await.err();
    assert!(connect(&pinned).await.is_none());
    for other in [
        NodeIdentity {
            run_id: "x".into(),
            ..pinned.clone()
        },
        NodeIdentity {
            replication_id: "x".into(),
            ..pinned.clone()
        },
        NodeIdentity {
            is_master: false,
            ..pinned.clone()
        },
    ] {
        let error = connect(&other).await.unwrap();
        assert!(matches!(error, RedisError::TopologyChanged(_)), "{error}");
    }
    server.restart().await.unwrap();
    assert!(matches!(
        connect(&pinned).await,
        Some(RedisError::TopologyChanged(_))
    ));
}
