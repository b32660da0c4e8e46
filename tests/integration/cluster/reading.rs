//! What a reader sees of a Cluster, at rest and while it moves.

use std::collections::BTreeSet;

use auditor::lab::redis_cluster::RedisCluster;
use auditor::lab::wait;
use auditor::model::check::{Locator, ValueKind};
use auditor::model::observation::{Cached, KeyExpiry, Subject};
use auditor::model::slots::SlotSet;
use auditor::model::stream::{IdRange, StreamId};
use auditor::store::redis::{Redis, RedisError};
use bytes::Bytes;

use super::{LIMIT, bytes, errors, keys_in, on_each, plain_cluster, reader, slot};
use crate::cache_store::{hash_field, mapping};

fn subject(key: &str, member: Option<&str>) -> Subject {
    Subject {
        key: key.into(),
        member: member.map(|member| member.as_bytes().to_vec()),
        id: Vec::new(),
    }
}

/// `k:0` to `k:COUNT-1` with their own names as values, spread over all masters.
async fn fill(cluster: &RedisCluster, count: usize) -> Vec<String> {
    let keys: Vec<String> = (0..count).map(|number| format!("k:{number}")).collect();
    for shard in 0..cluster.shards() {
        let mut connection = cluster
            .master(shard)
            .await
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut pipeline = redis::pipe();
        for key in keys.iter().filter(|key| cluster.shard_of(key) == shard) {
            pipeline.set(key, key).ignore();
        }
        pipeline.exec_async(&mut connection).await.unwrap();
    }
    keys
}

fn values(keys: &[String]) -> Vec<Option<Bytes>> {
    keys.iter()
        .map(|key| Some(Bytes::from(key.clone())))
        .collect()
}

#[tokio::test]
async fn keys_of_every_master_come_in_the_order_they_were_asked_for() {
    on_each(async |cluster| {
        let mut keys = fill(&cluster, 3_000).await;
        let redis = reader(&cluster).await;
        let mut expected = values(&keys);
        cluster.run::<()>(&["DEL", "k:7"]).await.unwrap();
        expected[7] = None;
        cluster.run::<()>(&["DEL", "k:8"]).await.unwrap();
        cluster.run::<()>(&["SADD", "k:8", "m"]).await.unwrap();
        expected[8] = None;
        keys.push("k:7".into());
        expected.push(None);
        assert_eq!(redis.read_strings(&bytes(&keys)).await.unwrap(), expected);

        cluster
            .run::<()>(&["PEXPIREAT", "k:9", "4102444800123"])
            .await
            .unwrap();
        let text = mapping(ValueKind::String, None, &[Locator::Whole]);
        let subjects: Vec<Subject> = keys.iter().map(|key| subject(key, None)).collect();
        let states = redis.read(&text, &subjects, true).await.unwrap();
        assert_eq!(states.len(), 3_001);
        assert_eq!(states[7].cached, Cached::Missing { key_exists: false });
        assert_eq!(states[8].cached, Cached::WrongType("set".into()));
        assert_eq!(states[9].expiry, KeyExpiry::AtMillis(4_102_444_800_123));
        for at in 10..3_000 {
            assert_eq!(
                states[at].cached,
                Cached::Value(Bytes::from(keys[at].clone()))
            );
        }
        let types = redis.types(&bytes(&keys)).await.unwrap();
        assert_eq!(
            (types[7].as_str(), types[8].as_str(), types[9].as_str()),
            ("none", "set", "string")
        );

        let facts = redis.facts_of_all().await.unwrap();
        let mut served = SlotSet::none();
        for node in &facts {
            assert!(node.identity.is_master && node.is_cluster);
            assert!(served.is_disjoint(&node.slots), "{:?}", node.slots);
            served.unite(&node.slots);
        }
        assert!(served.is_all() && facts.len() == 3);
    })
    .await;
}

#[tokio::test]
async fn hashes_members_and_streams_are_found_wherever_they_lie() {
    on_each(async |cluster| {
        let redis = reader(&cluster).await;
        let document = mapping(ValueKind::Hash, None, &[hash_field("f"), hash_field("g")]);
        let scores = mapping(ValueKind::Zset, Some("{id}"), &[Locator::Score]);
        for shard in 0..3 {
            let of = |name: &str| keys_in(&cluster, shard, name, 1).remove(0);
            let (hash, zset, stream) = (of("h"), of("z"), of("s"));
            cluster
                .run::<()>(&["HSET", &hash, "f", "1", "x", "2"])
                .await
                .unwrap();
            for number in 0..2_000 {
                let (score, member) = (number.to_string(), format!("m{number}"));
                cluster
                    .run::<()>(&["ZADD", &zset, &score, &member])
                    .await
                    .unwrap();
                if shard > 0 && number > 10 {
                    break;
                }
            }
            cluster
                .run::<String>(&["XADD", &stream, "5-1", "a", "b"])
                .await
                .unwrap();
            cluster
                .run::<()>(&["XGROUP", "CREATE", &stream, "g", "0"])
                .await
                .unwrap();

            let read = redis
                .read(&document, &[subject(&hash, None)], false)
                .await
                .unwrap();
            let fields = vec![Some(Bytes::from("1")), None];
            assert_eq!(read[0].cached, Cached::Fields(fields));
            let whole = redis.whole_hashes(&bytes(&[hash])).await.unwrap();
            assert_eq!(whole[0].len(), 2);
            let wanted = [subject(&zset, Some("m3")), subject(&zset, Some("none"))];
            let read = redis.read(&scores, &wanted, false).await.unwrap();
            assert_eq!(read[0].cached, Cached::Value(Bytes::from("3")));
            assert_eq!(read[1].cached, Cached::Missing { key_exists: true });
            let (mut members, mut cursor) = (BTreeSet::new(), 0);
            loop {
                let page = redis
                    .scan_members(&scores, zset.as_bytes(), cursor)
                    .await
                    .unwrap();
                members.extend(page.items);
                cursor = page.next;
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(members.len(), if shard == 0 { 2_000 } else { 12 });
            let key = stream.as_bytes();
            let state = redis.stream_state(key).await.unwrap();
            assert_eq!(state.facts().unwrap().group(b"g").unwrap().pending, 0);
            let all = IdRange {
                first: StreamId::MIN,
                last: StreamId::MAX,
            };
            assert_eq!(redis.entries(key, all, 10).await.unwrap().len(), 1);
            assert_eq!(
                redis.pending(key, b"g", all, 10).await.unwrap(),
                Some(vec![])
            );
            assert_eq!(redis.consumers(key, b"g").await.unwrap(), Some(vec![]));
            assert!(redis.time_of(key).await.unwrap().0 > 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_walk_meets_the_keys_of_all_masters_and_of_no_replica() {
    on_each(async |cluster| {
        let keys = fill(&cluster, 5_000).await;
        cluster.fence().await.unwrap();
        let redis = reader(&cluster).await;
        let (mut walk, mut met, mut came) = (redis.walk_keys(None), BTreeSet::new(), 0);
        while !walk.is_done() {
            let page = redis.scan_keys(&mut walk, b"k:*").await.unwrap();
            came += page.len();
            met.extend(page);
        }
        assert_eq!(met, bytes(&keys).into_iter().collect());
        assert!(came < 6_000, "{came}: replicas would bring each twice");
    })
    .await;
}

#[tokio::test]
async fn a_slot_on_its_way_is_read_at_both_ends() {
    on_each(async |cluster| {
        let keys: Vec<String> = (0..40).map(|number| format!("{{tag}}:{number}")).collect();
        for key in &keys {
            cluster.run::<()>(&["SET", key, key]).await.unwrap();
        }
        let redis = reader(&cluster).await;
        let from = cluster.shard_of("{tag}");
        let moving = cluster
            .begin_move(slot("{tag}"), (from + 1) % 3)
            .await
            .unwrap();
        assert_eq!(cluster.move_keys(&moving, 20).await.unwrap(), 20);
        let mut asked = keys.clone();
        asked.push("{tag}:nowhere".into());
        let mut expected = values(&keys);
        expected.push(None);
        let source = cluster.master(from).await.unwrap();
        // Redis 8.0.6 dies of this on a connection with CLIENT NO-TOUCH ON.
        assert_eq!(redis.read_strings(&bytes(&asked)).await.unwrap(), expected);
        assert!(errors(source, "ASK").await >= 21, "it was asked at both");
        let subjects: Vec<Subject> = asked.iter().map(|key| subject(key, None)).collect();
        let text = mapping(ValueKind::String, None, &[Locator::Whole]);
        let states = redis.read(&text, &subjects, true).await.unwrap();
        assert_eq!(states[40].cached, Cached::Missing { key_exists: false });
        assert!(
            states[..40]
                .iter()
                .all(|state| matches!(state.cached, Cached::Value(_)))
        );

        while cluster.move_keys(&moving, 20).await.unwrap() > 0 {}
        cluster.end_move(moving).await.unwrap();
        let before = errors(source, "MOVED").await;
        assert_eq!(redis.read_strings(&bytes(&asked)).await.unwrap(), expected);
        let after = errors(source, "MOVED").await;
        assert!(after > before, "nobody had told the reader");
        assert_eq!(redis.read_strings(&bytes(&asked)).await.unwrap(), expected);
        assert_eq!(
            errors(source, "MOVED").await,
            after,
            "the reader had learnt it"
        );
    })
    .await;
}

#[tokio::test]
async fn a_slot_may_come_back_and_a_new_master_be_filled() {
    let mut cluster = plain_cluster().await;
    let key = "{tag}:1";
    cluster.run::<()>(&["SET", key, "v"]).await.unwrap();
    let new = cluster.add_master().await.unwrap();
    let redis = reader(&cluster).await;
    assert_eq!(
        redis.facts_of_all().await.unwrap().len(),
        4,
        "one without slots"
    );
    let home = cluster.shard_of(key);
    for shard in [new, home, new] {
        cluster.move_slot(slot(key), shard).await.unwrap();
        let got = redis.read_strings(&[key.into()]).await.unwrap();
        assert_eq!(got, [Some(Bytes::from("v"))]);
    }
}

#[tokio::test]
async fn a_cluster_that_is_down_is_waited_for() {
    on_each(async |mut cluster| {
        fill(&cluster, 100).await;
        let replica = cluster.replica(0).await.unwrap();
        let held = ["CONFIG", "SET", "cluster-replica-no-failover", "yes"];
        replica.command(&held).await.unwrap();
        let replica = replica.port();
        let redis = reader(&cluster).await;
        cluster.kill_master(0).await.unwrap();
        let keys = keys_in(&cluster, 1, "k", 5);
        let other = cluster.master(1).await.unwrap();
        wait::until("the Cluster is down", LIMIT, async || {
            let got: Result<String, _> = cluster.run(&["GET", &keys[0]]).await;
            got.is_err_and(|error| error.to_string().to_uppercase().contains("CLUSTER"))
        })
        .await
        .unwrap();
        let before = errors(other, "CLUSTERDOWN").await;
        let wanted = bytes(&keys);
        let reading = redis.read_strings(&wanted);
        let healing = async {
            wait::until("the reader was told so", LIMIT, async || {
                errors(other, "CLUSTERDOWN").await > before + 5
            })
            .await
            .unwrap();
            let servers = cluster.servers();
            let mut servers = servers.filter(|server| server.port() == replica);
            let replica = servers.next().unwrap();
            replica
                .command(&["CLUSTER", "FAILOVER", "TAKEOVER"])
                .await
                .unwrap();
        };
        let (got, ()) = tokio::join!(reading, healing);
        assert_eq!(got.unwrap(), values(&keys));
    })
    .await;
}

#[tokio::test]
async fn a_shard_that_failed_over_is_another_history() {
    on_each(async |mut cluster| {
        fill(&cluster, 100).await;
        let redis = reader(&cluster).await;
        let of = |cluster: &RedisCluster, shard| bytes(&keys_in(cluster, shard, "k", 3));
        cluster.switch(0).await.unwrap();
        let error = redis.read_strings(&of(&cluster, 0)).await.unwrap_err();
        assert!(
            matches!(&error, RedisError::TopologyChanged(why) if why.contains("was no master before")),
            "{error}"
        );
        assert!(redis.read_strings(&of(&cluster, 1)).await.is_ok());
        let redis = reader(&cluster).await;
        assert!(redis.read_strings(&of(&cluster, 0)).await.is_ok());
        cluster.crash(1).await.unwrap();
        let error = redis.read_strings(&of(&cluster, 1)).await.unwrap_err();
        assert!(matches!(error, RedisError::Unreachable(_)), "{error}");
        let redis = reader(&cluster).await;
        let got = redis.read_strings(&of(&cluster, 1)).await.unwrap();
        assert_eq!(got, values(&keys_in(&cluster, 1, "k", 3)));
    })
    .await;
}

/// Two connections of one reader are two, not one that is shared with another reader.
#[tokio::test]
async fn readers_of_one_cluster_learn_apart() {
    let cluster = plain_cluster().await;
    cluster.run::<()>(&["SET", "{tag}:1", "v"]).await.unwrap();
    let (first, second): (Redis, Redis) = (reader(&cluster).await, reader(&cluster).await);
    let to = (cluster.shard_of("{tag}") + 1) % 3;
    cluster.move_slot(slot("{tag}"), to).await.unwrap();
    for redis in [&first, &first.clone(), &second] {
        let got = redis.read_strings(&[b"{tag}:1".to_vec()]).await.unwrap();
        assert_eq!(got, [Some(Bytes::from("v"))]);
    }
    let owner = first.facts_of_all().await.unwrap();
    let owner = owner.iter().find(|node| node.slots.has(slot("{tag}")));
    let expected = cluster.master(to).await.unwrap().port();
    assert_eq!(owner.unwrap().address, format!("127.0.0.1:{expected}"));
}
