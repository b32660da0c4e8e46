//! What is known of a write whose answer never came, and that it is never sent twice.

use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::wait;
use auditor::model::time::Micros;
use auditor::store::redis::{Fence, PerNode, RedisError, Write, WriteReply, Writer};
use redis::Value;

use super::bench::{Bench, b, pinned};
use super::{LIMIT, plain_server, reader, run, spec};

fn add_one(key: &[u8]) -> Write {
    Write::AddToString {
        key: key.to_vec(),
        judged: b(b"41"),
        gap: 1,
    }
}

#[tokio::test]
async fn a_write_whose_reply_was_lost_is_unknown_and_happened_once() {
    let server = plain_server().await;
    let pinned = pinned(&server).await;
    let proxy = Proxy::start(server.port()).await.unwrap();
    let mut writer = Writer::connect(&spec(proxy.port()), &pinned).await.unwrap();
    let fence = Fence {
        min_replicas: PerNode::all(0),
        deadline: PerNode::all(Micros::now().plus(LIMIT)),
    };
    let keys: Vec<Vec<u8>> = (0..100).map(|i| format!("n:{i}").into_bytes()).collect();
    for key in &keys {
        run(&server, "SET", &[key, b"41"]).await;
    }
    run(&server, "CONFIG", &[b"RESETSTAT"]).await;

    proxy.set_mode(Mode::DropReplies);
    let writes: Vec<Write> = keys.iter().map(|key| add_one(key)).collect();
    let dropped = async {
        wait::until("the last counter was raised", LIMIT, async || {
            run(&server, "GET", &[&keys[99]]).await == Value::BulkString(b"42".to_vec())
                && proxy.dropped_reply_bytes() > 0
        })
        .await
        .unwrap();
        proxy.set_mode(Mode::Pass);
        proxy.cut_connections();
    };
    let (replies, ()) = tokio::join!(writer.apply(&fence, &writes), dropped);
    assert_eq!(replies.len(), writes.len());
    assert!(
        replies
            .iter()
            .all(|reply| matches!(reply, WriteReply::Unknown(_))),
        "{replies:?}"
    );

    let again = writer.apply(&fence, &writes[..1]).await;
    assert!(
        matches!(again[0], WriteReply::Unknown(_)),
        "it does not reconnect: {again:?}"
    );
    assert!(matches!(
        writer.wait(&PerNode::all(0), LIMIT).await,
        Err(RedisError::Unreachable(_))
    ));
    assert_eq!(proxy.connections(), 1);
    for key in &keys {
        assert_eq!(
            run(&server, "GET", &[key]).await,
            Value::BulkString(b"42".to_vec())
        );
    }
    let Value::BulkString(stats) = run(&server, "INFO", &[b"commandstats"]).await else {
        panic!("INFO gives text")
    };
    let stats = String::from_utf8(stats).unwrap();
    assert!(stats.contains("cmdstat_incrby:calls=100,"), "{stats}");
}

#[tokio::test]
async fn a_killed_server_leaves_writes_unknown_and_reads_unreachable() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"n", b"41"]).await;
    let redis = reader(&bench.server).await;
    bench.server.pause().await.unwrap();
    let Bench {
        server,
        writer,
        fence,
    } = &mut bench;
    let writes = [add_one(b"n"), add_one(b"n")];
    let killed = async { server.kill().unwrap() };
    let (replies, ()) = tokio::join!(writer.apply(fence, &writes), killed);
    assert!(
        replies
            .iter()
            .all(|reply| matches!(reply, WriteReply::Unknown(_))),
        "{replies:?}"
    );
    assert_eq!(replies.len(), 2);
    assert!(matches!(
        writer.time().await,
        Err(RedisError::Unreachable(_))
    ));
    let error = redis.read_strings(&[b"n".to_vec()]).await.unwrap_err();
    assert!(
        matches!(&error, RedisError::Unreachable(said) if said.contains("127.0.0.1")),
        "{error}"
    );

    bench.server.restart().await.unwrap();
    let error = redis.time_of(b"n").await.unwrap_err();
    assert!(
        matches!(error, RedisError::Unreachable(_)),
        "it does not reconnect: {error}"
    );
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_unreachable_and_the_connection_stays_in_step() {
    let server = plain_server().await;
    run(&server, "SET", &[b"a", b"1"]).await;
    run(&server, "SET", &[b"b", b"2"]).await;
    let limit = std::time::Duration::from_millis(200);
    let redis = auditor::store::redis::Redis::connect(&spec(server.port()), limit)
        .await
        .unwrap();
    server.pause().await.unwrap();
    let error = redis.read_strings(&[b"a".to_vec()]).await.unwrap_err();
    assert!(matches!(error, RedisError::Unreachable(_)), "{error}");
    server.resume().unwrap();
    wait::until("the server answers again", LIMIT, async || {
        redis.time_of(b"n").await.is_ok()
    })
    .await
    .unwrap();
    let got = redis.read_strings(&[b"b".to_vec()]).await.unwrap();
    assert_eq!(
        got,
        [Some(b(b"2"))],
        "the late answer is not taken for this one"
    );
}
