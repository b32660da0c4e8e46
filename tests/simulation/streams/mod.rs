//! Streams in virtual time: consumers that read, insert and acknowledge and die at any step, a failover that takes back
//! everything since the replica fell behind, and an auditor that decides and plans by the program's own pure functions.
//!
//! The checkers know nothing of the rules: every bid carries a hidden number, and the world knows in whose hands it is.

mod application;
mod auditor;
mod checks;
mod server;

use application::World;

use super::seeds;

#[test]
fn streams_are_never_wrongly_accused_and_nothing_is_acknowledged_without_its_effect() {
    let mut seen = std::collections::BTreeMap::new();
    let mut settled = std::collections::BTreeMap::new();
    for seed in seeds() {
        let mut world = World::new(seed);
        world.live_and_fail_over();
        world.audit_while_living();
        world.come_to_rest();
        world.audit_at_rest();
        for (rule, count) in &world.confirmed {
            *seen.entry(*rule).or_insert(0) += count;
        }
        for (remedy, count) in &world.applied {
            *settled.entry(*remedy).or_insert(0) += count;
        }
    }
    eprintln!("confirmed: {seen:?}; applied: {settled:?}");
    if seeds().len() < 100 {
        return;
    }
    for rule in [
        "unacked-persisted",
        "orphan-pending",
        "acked-unpersisted",
        "trimmed-pending",
        "payload-conflict",
        "poison-pending",
        "lost-entry",
        "group-missing",
        "group-rewound",
    ] {
        assert!(
            seen.contains_key(rule),
            "a simulation without {rule} shows nothing of it"
        );
    }
    for remedy in [
        "ack",
        "insert",
        "requeue",
        "claim",
        "dead-letter",
        "recreate-group",
        "advance",
        "raise-last-id",
    ] {
        assert!(
            settled.contains_key(remedy),
            "a simulation without {remedy} shows nothing of it"
        );
    }
}
