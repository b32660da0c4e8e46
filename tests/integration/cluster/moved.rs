//! Slots that moved since the connections were made, before a walk through some of them.

use std::collections::BTreeSet;

use auditor::model::slots::SlotSet;
use auditor::store::redis::Redis;

use super::{keys_in, plain_cluster, reader, slot};

/// Every key that a walk through `slots` brings up.
async fn walked(redis: &Redis, slots: &SlotSet) -> BTreeSet<String> {
    let mut walk = redis.walk_keys(Some(slots));
    let mut keys = BTreeSet::new();
    while !walk.is_done() {
        let page = redis.scan_keys(&mut walk, b"*").await.unwrap();
        keys.extend(page.into_iter().map(|key| String::from_utf8(key).unwrap()));
    }
    keys
}

#[tokio::test]
async fn a_walk_through_some_slots_goes_to_who_has_them_now() {
    let mut cluster = plain_cluster().await;
    let keys = keys_in(&cluster, 0, "key", 2);
    for key in &keys {
        cluster.run::<()>(&["SET", key, "v"]).await.unwrap();
    }
    let slots: SlotSet = keys.iter().map(|key| slot(key)).collect();
    let redis = reader(&cluster).await;
    cluster.move_slot(slot(&keys[0]), 1).await.unwrap();
    let before = redis.slot_layout().await.unwrap().unwrap();
    assert_eq!((before.moving(), before.unclaimed()), (Vec::new(), None));
    let expected: BTreeSet<String> = keys.iter().cloned().collect();
    assert_eq!(walked(&redis, &slots).await, expected);
    assert_eq!(redis.slot_layout().await.unwrap(), Some(before));

    // It has no connection to this one, and cannot have seen what lies there.
    let new = cluster.add_master().await.unwrap();
    cluster.move_slot(slot(&keys[1]), new).await.unwrap();
    let now = redis.slot_layout().await.unwrap().unwrap();
    let alone: SlotSet = [slot(&keys[1])].into_iter().collect();
    assert_eq!(now.unclaimed(), Some(alone));
}
