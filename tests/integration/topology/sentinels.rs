//! Sentinels with logins, certificates and names of their own, and Sentinels that are wrong.

use std::time::Duration;

use auditor::job::{Endpoint, RedisSpec};
use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::{Flavor, RedisOptions, RedisServer, SentinelGroup, SentinelOptions};
use auditor::store::redis::{Redis, RedisError, read_topology};

use super::{ANSWER_LIMIT, by_sentinels, local, node, server};
use crate::support::{Run, World};

const NAMES: &str = r#"
[[cache]]
name = "name"
key = "user:{id}:name"
value = "string"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "name" }]
order = "source-first"
repair = "overwrite"
"#;

const REPAIR: [&str; 5] = ["repair", "job.toml", "--full", "--yes", "--accept-control"];

/// One user whose cached name is old, on a master and a replica of their own, watched by Sentinels.
struct Watched {
    world: World,
    master: RedisServer,
    _replica: RedisServer,
    group: SentinelGroup,
}

impl Watched {
    async fn start(redis: RedisOptions, sentinels: SentinelOptions) -> Self {
        let mut world = World::start(Flavor::MariaDb).await;
        world
            .sql(
                "CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40), updated_at DATETIME(6) NOT NULL);
                 INSERT INTO users VALUES (1, 'new', '2026-01-01')",
            )
            .await;
        let master = RedisServer::start(redis.clone()).await.unwrap();
        let shared = RedisOptions {
            replica_of: Some(master.port()),
            certificates: master.certificates().cloned(),
            ..redis
        };
        let replica = RedisServer::start(shared).await.unwrap();
        master.wait_for_replicas(1).await.unwrap();
        master
            .command(&["SET", "user:1:name", "old"])
            .await
            .unwrap();
        let options = SentinelOptions {
            certificates: master.certificates().cloned(),
            ..sentinels
        };
        let group = SentinelGroup::start_with(master.port(), "mymaster", options)
            .await
            .unwrap();
        group.wait_until_ready(1).await.unwrap();
        Self {
            world,
            master,
            _replica: replica,
            group,
        }
    }

    /// Runs a repair whose job has `settings` in `[redis]`.
    fn repair(&self, settings: &str) -> Run {
        let path = self.world.job(NAMES);
        let text = std::fs::read_to_string(&path).unwrap();
        let url = "url = \"${REDIS_URL}\"";
        std::fs::write(&path, text.replace(url, &format!("{url}\n{settings}"))).unwrap();
        let mut command = self.world.command(&REPAIR);
        command.env("REDIS_URL", self.group.url());
        Run::of(command.output().unwrap(), self.world.folder.path())
    }

    #[track_caller]
    fn is_repaired(&self, run: Run) {
        let run = run.expect(0);
        let report = run.report();
        assert_eq!(
            report.lines(),
            ["value-mismatch user:1:name confirmed applied"]
        );
        let after = &report.run["topology_after"]["inventory"];
        let sentinels = after["sentinels"].as_array().unwrap();
        assert!(
            sentinels.iter().all(|s| s["unreachable"].is_null()),
            "{after}"
        );
        let nodes = after["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 2, "{after}");
        assert!(nodes.iter().all(|n| n["unreachable"].is_null()), "{after}");
    }
}

#[tokio::test]
async fn sentinels_and_nodes_have_passwords_of_their_own() {
    let redis = RedisOptions {
        password: Some("of-the-data".into()),
        ..RedisOptions::default()
    };
    let sentinels = SentinelOptions {
        password: Some("of-the-sentinels".into()),
        node_password: Some("of-the-data".into()),
        ..SentinelOptions::default()
    };
    let watched = Watched::start(redis, sentinels).await;
    let data = "password = \"of-the-data\"";
    let none = watched.repair(data).expect(3);
    assert!(none.stderr.contains("NOAUTH"), "{}", none.stderr);
    let wrong = watched.repair(&format!("{data}\nsentinel_password = \"of-the-data\""));
    let wrong = wrong.expect(3);
    assert!(
        wrong.stderr.contains("user name or password is wrong"),
        "{}",
        wrong.stderr
    );
    let secrets = ["of-the-data", "of-the-sentinels"];
    for run in [&none, &wrong] {
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(
            secrets.iter().all(|secret| !said.contains(secret)),
            "{said}"
        );
    }
    let right = format!("{data}\nsentinel_password = \"of-the-sentinels\"");
    watched.is_repaired(watched.repair(&right));
}

#[tokio::test]
async fn a_user_of_the_sentinels_needs_three_questions_only() {
    let rights = "user looker on >looking -@all +auth +ping +sentinel|master +sentinel|replicas \
                  +sentinel|get-master-addr-by-name";
    let sentinels = SentinelOptions {
        lines: vec![rights.to_owned()],
        ..SentinelOptions::default()
    };
    let watched = Watched::start(RedisOptions::default(), sentinels).await;
    let login = "sentinel_user = \"looker\"\nsentinel_password = \"looking\"";
    watched.is_repaired(watched.repair(login));
}

#[tokio::test]
async fn certificates_of_a_private_authority_do_for_sentinels_and_nodes() {
    let redis = RedisOptions {
        tls: true,
        ..RedisOptions::default()
    };
    let watched = Watched::start(redis, SentinelOptions::default()).await;
    let trusted = watched.master.certificates().unwrap().authority();
    let run = watched.repair(&format!("tls_ca = \"{}\"", trusted.display()));
    watched.is_repaired(run);
    let distrusted = watched.repair("").expect(3);
    assert!(
        distrusted.stderr.contains("TLS failed"),
        "{}",
        distrusted.stderr
    );
}

#[tokio::test]
async fn sentinels_that_say_names_are_understood() {
    let redis = RedisOptions {
        lines: vec!["replica-announce-ip localhost".into()],
        ..RedisOptions::default()
    };
    let sentinels = SentinelOptions {
        host_name: Some("localhost".into()),
        ..SentinelOptions::default()
    };
    let watched = Watched::start(redis, sentinels).await;
    let run = watched.repair("");
    let report = run.report();
    let named = &report.run["topology_after"]["inventory"]["nodes"][0]["address"];
    assert_eq!(*named, format!("localhost:{}", watched.master.port()));
    watched.is_repaired(run);
}

/// The old master is cut off and goes on, and one Sentinel sees no more than it.
#[tokio::test]
async fn a_sentinel_that_missed_the_failover_does_not_count() {
    let master = server(None, &[]).await;
    let proxy = Proxy::start(master.port()).await.unwrap();
    let replica = server(Some(proxy.port()), &[]).await;
    master.wait_for_replicas(1).await.unwrap();
    let group = SentinelGroup::start(proxy.port(), "mymaster")
        .await
        .unwrap();
    group.wait_until_ready(1).await.unwrap();
    proxy.set_mode(Mode::BlackHole);
    let promoted = group.wait_for_new_master(proxy.port()).await.unwrap();
    assert_eq!(promoted, replica.port());
    let alone = SentinelOptions {
        count: Some(1),
        ..SentinelOptions::default()
    };
    let stale = SentinelGroup::start_with(master.port(), "mymaster", alone)
        .await
        .unwrap();
    let mut spec = by_sentinels(&group);
    let Endpoint::Sentinel { nodes, .. } = &mut spec.endpoint else {
        unreachable!("it was made of Sentinels")
    };
    nodes.truncate(1);
    nodes.insert(0, ("127.0.0.1".to_owned(), stale.ports()[0]));
    let redis = Redis::connect(&spec, ANSWER_LIMIT).await.unwrap();
    let facts = redis.facts().await.unwrap();
    assert_eq!(
        facts.address,
        local(replica.port()),
        "one of two, but it knows"
    );
    let found = read_topology(&spec, ANSWER_LIMIT).await;
    assert_eq!(
        found.believed_master(),
        Some(local(replica.port()).as_str())
    );
    assert_eq!(found.epoch, Some(1));
    assert_eq!(found.masters().count(), 2, "the old one goes on");
    assert!(node(&found, replica.port()).said.is_ok());
}

#[tokio::test]
async fn a_minority_of_the_sentinels_is_not_believed() {
    let master = server(None, &[]).await;
    let mut group = SentinelGroup::start(master.port(), "mymaster")
        .await
        .unwrap();
    let connects = async |spec: &RedisSpec| Redis::connect(spec, Duration::from_secs(5)).await;
    let spec = by_sentinels(&group);
    group.kill(0).unwrap();
    assert!(connects(&spec).await.is_ok(), "two of three");
    group.kill(1).unwrap();
    let Err(error) = connects(&spec).await else {
        panic!("one of three was believed");
    };
    assert!(
        matches!(&error, RedisError::TopologyChanged(said) if said.contains("only 1 of 3")),
        "{error}"
    );
}
