//! Finding the node, logging in, and what is asked of it.

use auditor::job::{Endpoint, RedisSpec, TlsFiles};
use auditor::lab::servers::{RedisOptions, RedisServer};
use auditor::lab::wait;
use auditor::model::check::{Locator, ValueKind};
use auditor::model::identity::Pinned;
use auditor::model::secret::Secret;
use auditor::store::redis::{Redis, RedisError, Write, WriteReply, Writer};

use super::bench::{Bench, b, pinned};
use super::{
    LIMIT, hash_field, key, mapping, member, plain_server, reader, run, server_with, spec,
    spec_of_user,
};

const READ_ONLY: &str = "user reader on >pw ~* -@all +@read +@connection +info +time +role";

pub(super) async fn refusal(spec: &RedisSpec) -> String {
    match Redis::connect(spec, LIMIT).await.map(|_| ()) {
        Err(RedisError::Refused(said)) => said,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

pub(super) async fn replica_of(master: &RedisServer) -> RedisServer {
    let options = RedisOptions {
        replica_of: Some(master.port()),
        ..RedisOptions::default()
    };
    let replica = RedisServer::start(options).await.unwrap();
    master.wait_for_replicas(1).await.unwrap();
    replica
}

async fn locked(lines: &[&str]) -> RedisServer {
    let options = RedisOptions {
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        password: Some("hush".into()),
        ..RedisOptions::default()
    };
    RedisServer::start(options).await.unwrap()
}

#[tokio::test]
async fn facts_tell_who_it_is() {
    let master = plain_server().await;
    let replica = replica_of(&master).await;
    let redis = reader(&master).await;
    let facts = redis.facts().await.unwrap();
    assert_eq!(facts.address, format!("127.0.0.1:{}", master.port()));
    assert_eq!(
        Some(&facts.identity.run_id),
        master.info("run_id").await.unwrap().as_ref()
    );
    assert_eq!(
        Some(&facts.identity.replication_id),
        master.info("master_replid").await.unwrap().as_ref()
    );
    assert_eq!(
        Some(&facts.version),
        master
            .info(&format!("{}_version", facts.server))
            .await
            .unwrap()
            .as_ref()
    );
    assert!(["redis", "valkey"].contains(&facts.server.as_str()));
    assert_eq!(facts.eviction_policy.as_deref(), Some("noeviction"));
    assert!(facts.identity.is_master && !facts.is_cluster);
    let [known] = facts.replicas_online.as_slice() else {
        panic!("one replica is online: {facts:?}")
    };
    assert_eq!(known.address, format!("127.0.0.1:{}", replica.port()));
    assert!(known.lag_seconds <= 10);
    assert!((redis.time_of(b"k").await.unwrap().0 - facts.time.0).abs() < 10_000_000);

    let follower = reader(&replica).await;
    // Valkey counts a replica as online a moment before it has taken over the history.
    wait::until("the replica took over the history", LIMIT, async || {
        let other = follower.facts().await.unwrap().identity;
        other.replication_id == facts.identity.replication_id
    })
    .await
    .unwrap();
    let other = follower.facts().await.unwrap();
    assert!(!other.identity.is_master);
    let error = Writer::connect(&spec(replica.port()), &Pinned::of(&[other]))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, RedisError::TopologyChanged(_)),
        "a replica is never written: {error}"
    );
}

#[tokio::test]
async fn a_user_who_may_only_read_can_read_everything() {
    let server = server_with(&[READ_ONLY]).await;
    run(&server, "SET", &[b"s", b"1"]).await;
    run(&server, "HSET", &[b"h", b"f", b"1"]).await;
    run(&server, "ACL", &[b"LOG", b"RESET"]).await;
    let login = spec_of_user(server.port(), "reader", "pw");
    let redis = Redis::connect(&login, LIMIT).await.unwrap();
    let fields = [hash_field("f"), hash_field("g")];
    for (mapping, subjects) in [
        (
            mapping(ValueKind::Json, None, &[Locator::Whole]),
            ["s", "h", "none"].map(key),
        ),
        (
            mapping(ValueKind::Hash, None, &fields),
            ["s", "h", "none"].map(key),
        ),
        (
            mapping(ValueKind::Hash, Some("{id}"), &[Locator::Whole]),
            ["s", "h", "none"].map(|k| member(k, "g")),
        ),
        (
            mapping(ValueKind::Zset, Some("{id}"), &[Locator::Score]),
            ["s", "h", "none"].map(|k| member(k, "g")),
        ),
        (
            mapping(ValueKind::Set, Some("{id}"), &[]),
            ["s", "h", "none"].map(|k| member(k, "g")),
        ),
    ] {
        assert_eq!(
            redis.read(&mapping, &subjects, true).await.unwrap().len(),
            3
        );
        if mapping.check.value != ValueKind::Json {
            redis.scan_members(&mapping, b"h", 0).await.unwrap();
        }
    }
    redis.facts().await.unwrap();
    redis.time_of(b"k").await.unwrap();
    redis
        .scan_keys(&mut redis.walk_keys(None), b"*")
        .await
        .unwrap();
    redis.types(&[b"s".to_vec()]).await.unwrap();
    redis.whole_hashes(&[b"h".to_vec()]).await.unwrap();
    redis.read_strings(&[b"s".to_vec()]).await.unwrap();
    let denied = run(&server, "ACL", &[b"LOG"]).await;
    assert_eq!(
        denied,
        redis::Value::Array(Vec::new()),
        "nothing else was even tried"
    );

    let pinned = pinned(&server).await;
    let mut writer = Writer::connect(&login, &pinned).await.unwrap();
    let bench = Bench::on(server).await;
    let write = Write::DeleteString {
        key: b"s".to_vec(),
        judged: b(b"1"),
    };
    let replies = writer.apply(&bench.fence, &[write]).await;
    assert!(
        matches!(&replies[0], WriteReply::Refused(said) if said.starts_with("NOPERM")),
        "{replies:?}"
    );
}

#[tokio::test]
async fn a_user_who_may_run_scripts_but_not_write_is_refused() {
    let user = format!("{} +eval +evalsha", READ_ONLY.replace("reader", "half"));
    let mut bench = Bench::on(server_with(&[&user]).await).await;
    run(&bench.server, "SET", &[b"s", b"1"]).await;
    let pinned = pinned(&bench.server).await;
    let login = spec_of_user(bench.server.port(), "half", "pw");
    bench.writer = Writer::connect(&login, &pinned).await.unwrap();
    let replies = bench
        .writer
        .apply(
            &bench.fence,
            &[Write::DeleteString {
                key: b"s".to_vec(),
                judged: b(b"1"),
            }],
        )
        .await;
    assert!(matches!(&replies[0], WriteReply::Refused(_)), "{replies:?}");
    run(&bench.server, "HSET", &[b"h", b"a", b"1"]).await;
    run(&bench.server, "ACL", &[b"SETUSER", b"half", b"+hset"]).await;
    let write = Write::SetHashFields {
        key: b"h".to_vec(),
        judged: vec![(b(b"a"), Some(b(b"1")))],
        fields: vec![(b(b"b"), Some(b(b"2"))), (b(b"a"), None)],
    };
    let replies = bench.writer.apply(&bench.fence, &[write]).await;
    assert!(
        matches!(&replies[0], WriteReply::Refused(said) if said.starts_with("NOPERM")),
        "{replies:?}"
    );
    assert_eq!(
        bench.run("HLEN", &[b"h"]).await,
        redis::Value::Int(1),
        "not half of it either"
    );
    assert_eq!(bench.get(b"s").await.unwrap(), b"1");
}

#[tokio::test]
async fn a_wrong_login_is_refused_without_repeating_it() {
    let server = locked(&[READ_ONLY]).await;
    for wrong in [
        spec_of_user(server.port(), "reader", "guess-me"),
        spec_of_user(server.port(), "nobody", "guess-me"),
    ] {
        let said = refusal(&wrong).await;
        assert!(
            said.contains("password") && !said.contains("guess-me"),
            "{said}"
        );
    }
    assert!(refusal(&spec(server.port())).await.contains("NOAUTH"));
    let right = RedisSpec {
        password: Some(Secret::new("hush")),
        ..spec(server.port())
    };
    Redis::connect(&right, LIMIT)
        .await
        .unwrap()
        .facts()
        .await
        .unwrap();
}

#[tokio::test]
async fn databases_sockets_and_dead_ports() {
    let server = plain_server().await;
    run(&server, "SET", &[b"a", b"zero"]).await;
    let third = RedisSpec {
        database: 3,
        ..spec(server.port())
    };
    let redis = Redis::connect(&third, LIMIT).await.unwrap();
    assert_eq!(redis.read_strings(&[b"a".to_vec()]).await.unwrap(), [None]);
    let said = refusal(&RedisSpec {
        database: 99,
        ..spec(server.port())
    })
    .await;
    assert!(said.contains("DB index"), "{said}");

    let socket = RedisSpec {
        endpoint: Endpoint::Unix(server.socket()),
        ..spec(0)
    };
    let redis = Redis::connect(&socket, LIMIT).await.unwrap();
    assert_eq!(
        redis.read_strings(&[b"a".to_vec()]).await.unwrap(),
        [Some(b(b"zero"))]
    );
    assert_eq!(
        redis.facts().await.unwrap().address,
        server.socket().display().to_string()
    );

    let port = server.port();
    server.kill().unwrap();
    let error = Redis::connect(&spec(port), LIMIT)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(&error, RedisError::Unreachable(said) if said.contains(&port.to_string())),
        "{error}"
    );
}

#[tokio::test]
async fn tls_trusts_only_the_given_authority_and_shows_its_own_certificate() {
    let options = RedisOptions {
        tls: true,
        password: Some("hush".into()),
        ..RedisOptions::default()
    };
    let server = RedisServer::start(options).await.unwrap();
    let certificates = server.certificates().unwrap();
    let with = |tls_files| RedisSpec {
        tls: true,
        tls_files,
        password: Some(Secret::new("hush")),
        ..spec(server.port())
    };
    let authority = TlsFiles {
        ca: Some(certificates.authority()),
        ..TlsFiles::default()
    };
    let redis = Redis::connect(&with(authority.clone()), LIMIT)
        .await
        .unwrap();
    assert!(redis.facts().await.unwrap().identity.is_master);

    assert!(refusal(&with(TlsFiles::default())).await.contains("TLS"));
    let missing = TlsFiles {
        ca: Some("/no/such/ca.pem".into()),
        ..TlsFiles::default()
    };
    assert!(refusal(&with(missing)).await.contains("/no/such/ca.pem"));
    let half = TlsFiles {
        cert: Some(certificates.certificate()),
        ..authority.clone()
    };
    assert!(refusal(&with(half)).await.contains("tls_key"));

    server
        .command(&["CONFIG", "SET", "tls-auth-clients", "yes"])
        .await
        .unwrap();
    let mutual = TlsFiles {
        cert: Some(certificates.certificate()),
        key: Some(certificates.key()),
        ..authority.clone()
    };
    Redis::connect(&with(mutual), LIMIT)
        .await
        .unwrap()
        .facts()
        .await
        .unwrap();
    assert!(Redis::connect(&with(authority), LIMIT).await.is_err());
}
