//! Finding the master by its Sentinels, some of which may be wrong.

use auditor::job::{Endpoint, RedisSpec};
use auditor::lab::servers::SentinelGroup;
use auditor::model::secret::Secret;
use auditor::store::redis::{Redis, RedisError};

use super::bench::pinned;
use super::connecting::{refusal, replica_of};
use super::{LIMIT, plain_server, run, spec};

fn by_sentinel(group: &SentinelGroup) -> RedisSpec {
    let nodes = group
        .ports()
        .into_iter()
        .map(|port| ("127.0.0.1".to_owned(), port))
        .collect();
    let endpoint = Endpoint::Sentinel {
        nodes,
        master: group.name().to_owned(),
    };
    RedisSpec {
        endpoint,
        ..spec(0)
    }
}

/// What a Sentinel that was cut off looks like: it names another node.
async fn point_elsewhere(sentinel: u16, name: &str, port: u16) {
    let client = redis::Client::open(("127.0.0.1", sentinel)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut sentinel = redis::pipe();
    sentinel.cmd("SENTINEL").arg("REMOVE").arg(name);
    sentinel
        .cmd("SENTINEL")
        .arg("MONITOR")
        .arg(name)
        .arg("127.0.0.1")
        .arg(port)
        .arg(2);
    sentinel.exec_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn sentinels_are_believed_only_as_far_as_the_node_agrees() {
    let master = plain_server().await;
    let replica = replica_of(&master).await;
    let stranger = plain_server().await;
    let mut group = SentinelGroup::start(master.port(), "mymaster")
        .await
        .unwrap();
    let found = async |group: &SentinelGroup| {
        let redis = Redis::connect(&by_sentinel(group), LIMIT).await?;
        Ok::<_, RedisError>(redis.facts().await?.identity.run_id)
    };
    let right = pinned(&master).await.nodes.remove(0).identity.run_id;
    assert_eq!(found(&group).await.unwrap(), right);

    let ports = group.ports();
    point_elsewhere(ports[0], "mymaster", stranger.port()).await;
    assert_eq!(
        found(&group).await.unwrap(),
        right,
        "two of three, though the other is a master, too"
    );
    point_elsewhere(ports[0], "mymaster", replica.port()).await;
    point_elsewhere(ports[1], "mymaster", replica.port()).await;
    assert_eq!(
        found(&group).await.unwrap(),
        right,
        "one of three, because the other is no master"
    );
    group.kill(2).unwrap();
    let error = found(&group).await.unwrap_err();
    assert!(
        matches!(&error, RedisError::TopologyChanged(said) if said.contains("slave")),
        "{error}"
    );
    point_elsewhere(ports[0], "mymaster", stranger.port()).await;
    point_elsewhere(ports[1], "mymaster", master.port()).await;
    let error = found(&group).await.unwrap_err();
    let both = [stranger.port(), master.port()].map(|port| port.to_string());
    assert!(
        matches!(&error, RedisError::TopologyChanged(said) if both.iter().all(|p| said.contains(p))),
        "{error}"
    );

    let mut other = by_sentinel(&group);
    if let Endpoint::Sentinel { master, .. } = &mut other.endpoint {
        "unheard-of".clone_into(master);
    }
    assert!(refusal(&other).await.contains("unheard-of"));
    group.kill(0).unwrap();
    group.kill(1).unwrap();
    let error = found(&group).await.unwrap_err();
    assert!(matches!(error, RedisError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn sentinels_have_a_login_of_their_own() {
    let master = plain_server().await;
    let group = SentinelGroup::start(master.port(), "mymaster")
        .await
        .unwrap();
    run(&master, "CONFIG", &[b"SET", b"requirepass", b"hush"]).await;
    for port in group.ports() {
        let client = redis::Client::open(("127.0.0.1", port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut lock = redis::pipe();
        lock.cmd("ACL")
            .arg(&["SETUSER", "watcher", "on", ">seen", "+@all", "~*", "&*"]);
        lock.cmd("ACL")
            .arg(&["SETUSER", "default", "resetpass", ">other"]);
        lock.exec_async(&mut connection).await.unwrap();
    }
    let data_only = RedisSpec {
        password: Some(Secret::new("hush")),
        ..by_sentinel(&group)
    };
    assert!(refusal(&data_only).await.contains("NOAUTH"));
    let both = RedisSpec {
        sentinel_user: Some("watcher".into()),
        sentinel_password: Some(Secret::new("seen")),
        ..data_only
    };
    let redis = Redis::connect(&both, LIMIT).await.unwrap();
    assert_eq!(
        redis.facts().await.unwrap().address,
        format!("127.0.0.1:{}", master.port())
    );
}
