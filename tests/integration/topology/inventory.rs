//! Who is found from which beginning, and what is known of those that do not answer.

use std::time::Instant;

use auditor::job::Endpoint;
use auditor::lab::cluster::{Cluster, ClusterOptions};
use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::SentinelGroup;
use auditor::lab::wait;
use auditor::model::time::Micros;
use auditor::model::topology::TopologyKind;
use auditor::store::redis::read_topology;

use super::{
    ANSWER_LIMIT, LIMIT, addresses, by_address, by_sentinels, local, node, server, sorted,
};

#[tokio::test]
async fn one_address_leads_to_every_node_of_its_tree() {
    let master = server(None, &["min-replicas-max-lag 7"]).await;
    let near = server(Some(master.port()), &["replica-priority 25"]).await;
    master.wait_for_replicas(1).await.unwrap();
    let far = server(Some(near.port()), &[]).await;
    near.wait_for_replicas(1).await.unwrap();
    let all = sorted(&[master.port(), near.port(), far.port()]);
    for seed in [&master, &near, &far] {
        let found = read_topology(&by_address(seed.port()), ANSWER_LIMIT).await;
        assert_eq!(addresses(&found), all);
        assert_eq!(
            found.nodes[0].address,
            local(seed.port()),
            "the job's own comes first"
        );
        assert_eq!(found.kind, TopologyKind::Standalone);
        let masters: Vec<&str> = found.masters().map(|m| m.address.as_str()).collect();
        assert_eq!(masters, [local(master.port())]);
        let upstream = |port| node(&found, port).said.as_ref().unwrap().upstream.clone();
        assert_eq!(upstream(far.port()).unwrap().address, local(near.port()));
        assert_eq!(upstream(near.port()).unwrap().priority, 25);
        let settings = node(&found, master.port());
        assert_eq!(settings.setting("min-replicas-max-lag"), Some("7"));
        assert_eq!(settings.setting("save"), Some(""));
        assert_eq!((found.epoch, settings.down_since), (None, None));
    }
}

#[tokio::test]
async fn one_process_under_two_addresses_is_one_node() {
    let master = server(None, &[]).await;
    let proxy = Proxy::start(master.port()).await.unwrap();
    let replica = server(Some(proxy.port()), &[]).await;
    master.wait_for_replicas(1).await.unwrap();
    let found = read_topology(&by_address(master.port()), ANSWER_LIMIT).await;
    assert_eq!(addresses(&found), sorted(&[master.port(), replica.port()]));
    assert_eq!(found.masters().count(), 1);
}

#[tokio::test]
async fn who_does_not_answer_is_told_and_keeps_nobody_waiting() {
    let master = server(None, &[]).await;
    let replica = server(Some(master.port()), &[]).await;
    master.wait_for_replicas(1).await.unwrap();
    replica.pause().await.unwrap();
    let started = Instant::now();
    let limit = std::time::Duration::from_millis(700);
    let found = read_topology(&by_address(master.port()), limit).await;
    assert!(started.elapsed() < LIMIT / 2);
    let silent = node(&found, replica.port()).said.as_ref().unwrap_err();
    assert!(silent.contains(&replica.port().to_string()), "{silent}");
    replica.resume().unwrap();
    replica.kill().unwrap();
    let dead = read_topology(&by_address(replica.port()), ANSWER_LIMIT).await;
    assert_eq!(addresses(&dead), [local(replica.port())]);
    assert!(dead.nodes[0].said.is_err());
}

#[tokio::test]
async fn a_user_without_config_hides_the_settings_and_nothing_else() {
    let rights = "user looker on nopass ~* -@all +@read +@connection +info +time +role";
    let master = server(None, &[rights]).await;
    let mut spec = by_address(master.port());
    spec.user = Some("looker".into());
    spec.password = Some(auditor::model::secret::Secret::new("any"));
    let found = read_topology(&spec, ANSWER_LIMIT).await;
    let view = node(&found, master.port());
    assert!(view.said.is_ok(), "{view:?}");
    assert_eq!(view.settings, None);
}

#[tokio::test]
async fn sentinels_lead_to_the_former_master_and_say_since_when() {
    let mut cluster = Cluster::start(ClusterOptions {
        replicas: 2,
        sentinel_name: Some("mymaster".into()),
        ..ClusterOptions::default()
    })
    .await
    .unwrap();
    let group = || cluster.sentinels().unwrap();
    let mut spec = by_sentinels(group());
    if let Endpoint::Sentinel { nodes, .. } = &mut spec.endpoint {
        // Nobody listens there.
        let closed = Proxy::start(1).await.unwrap();
        closed.set_mode(Mode::Cut);
        nodes.push(("127.0.0.1".into(), closed.port()));
    }
    let before = read_topology(&spec, ANSWER_LIMIT).await;
    let old = cluster.master().port();
    assert_eq!(
        (before.kind, before.epoch),
        (TopologyKind::Sentinel, Some(0))
    );
    assert_eq!(before.nodes[0].address, local(old));
    assert_eq!(before.nodes.len(), 3);
    assert_eq!(before.sentinels.len(), 4);
    assert!(before.sentinels[3].said.is_err());
    let belief = before.sentinels[0].said.as_ref().unwrap();
    assert_eq!(
        (belief.master.clone(), belief.replicas.len()),
        (local(old), 2)
    );
    assert_eq!((belief.sentinels_known, belief.config_epoch), (3, 0));

    knows_roles(cluster.sentinels().unwrap()).await;
    let killed_at = Micros::now();
    cluster.crash_master().await.unwrap();
    cluster.replace_master().await.unwrap();
    let switched_by = Micros::now();
    let new = cluster.master().port();
    wait::until(
        "every Sentinel holds the old one for down",
        LIMIT,
        async || {
            let found = read_topology(&spec, ANSWER_LIMIT).await;
            node(&found, old).down_since.is_some()
        },
    )
    .await
    .unwrap();
    let after = read_topology(&spec, ANSWER_LIMIT).await;
    assert_eq!(after.epoch, Some(1));
    let gone = node(&after, old);
    assert!(
        gone.said.is_err() && gone.down_since.unwrap() > killed_at,
        "{gone:?}"
    );
    assert_eq!(gone.role_since, None, "a dead node reports no role");
    let promoted = node(&after, new);
    let since = promoted.role_since.unwrap();
    assert!(since > killed_at && since < switched_by, "{since:?}");
    assert!(promoted.said.as_ref().unwrap().has_former_history());
    assert_eq!(after.masters().count(), 1);
}

#[tokio::test]
async fn nodes_of_a_cluster_name_each_other_and_tell_the_last_sign_of_life() {
    let lines = |bus: u16| {
        [
            "cluster-enabled yes".to_owned(),
            format!("cluster-port {bus}"),
            "cluster-node-timeout 1500".to_owned(),
        ]
    };
    let mut nodes = Vec::new();
    let mut buses = Vec::new();
    for _ in 0..2 {
        let bus = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let lines = lines(bus);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        nodes.push(server(None, &lines).await);
        buses.push(bus);
    }
    let (first, second) = (&nodes[0], &nodes[1]);
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let port = second.port().to_string();
    let bus = buses[1].to_string();
    for (node, command) in [
        (first, words(&["CLUSTER", "ADDSLOTSRANGE", "0", "8191"])),
        (
            second,
            words(&["CLUSTER", "ADDSLOTSRANGE", "8192", "16383"]),
        ),
        (first, words(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])),
    ] {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        node.command(&command).await.unwrap();
    }
    let spec = by_address(first.port());
    wait::until("they have met", LIMIT, async || {
        let mut known = Vec::new();
        for one in [first, second] {
            let found = read_topology(&by_address(one.port()), ANSWER_LIMIT).await;
            known.push(found.nodes.len());
        }
        known == [2, 2]
    })
    .await
    .unwrap();
    let found = read_topology(&by_address(second.port()), ANSWER_LIMIT).await;
    assert_eq!(found.kind, TopologyKind::Cluster);
    let slots = |port| node(&found, port).said.as_ref().unwrap().slots.to_string();
    assert_eq!(slots(first.port()), "0-8191");
    assert_eq!(slots(second.port()), "8192-16383");
    assert!(found.epoch.is_some());

    let killed_at = Micros::now();
    second.kill().unwrap();
    wait::until("the other one has noticed", LIMIT, async || {
        let found = read_topology(&spec, ANSWER_LIMIT).await;
        node(&found, second.port()).down_since.is_some()
    })
    .await
    .unwrap();
    let after = read_topology(&spec, ANSWER_LIMIT).await;
    let seen = node(&after, second.port()).down_since.unwrap();
    let second_before = killed_at.minus(std::time::Duration::from_secs(5));
    let second_after = killed_at.plus(std::time::Duration::from_secs(1));
    assert!(
        seen > second_before && seen < second_after,
        "{seen:?} against {killed_at:?}"
    );
}

/// A Sentinel that has just started dates nothing.
async fn knows_roles(sentinels: &SentinelGroup) {
    for port in sentinels.ports() {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let link = client.get_multiplexed_async_connection().await.unwrap();
        wait::until("the Sentinel runs for a while", LIMIT, async || {
            let mut link = link.clone();
            let mut info = redis::cmd("INFO");
            let info: String = info.arg("server").query_async(&mut link).await.unwrap();
            let uptime = info.split("uptime_in_seconds:").nth(1);
            let uptime = uptime.and_then(|rest| rest.lines().next()?.parse().ok());
            uptime.is_some_and(|seconds: u64| seconds > 5)
        })
        .await
        .unwrap();
    }
}
