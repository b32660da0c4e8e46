//! Seeded simulation without servers: virtual time, an application that writes the source first and the
//! cache a moment later, a failover that takes cache writes back, lost replies, stalled scripts, and the
//! program's own pure judgement (`decide`, `prepare`, `plan_step`) in the middle. [`streams`] does the same for a consumer group.
//!
//! The checkers know nothing of the program: they follow a hidden sequence number for every value, which
//! neither side shows. A failure prints its seed: `AUDITOR_SEED=n cargo test --test simulation`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod auditor;
mod checks;
mod streams;
mod world;

use world::{Kind, World};

/// Quick enough for every run; `AUDITOR_SEEDS` asks for more.
const SEEDS: u64 = 2_000;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("AUDITOR_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("AUDITOR_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

fn every_seed(kind: Kind) {
    let mut lost = 0;
    let mut repaired = 0;
    for seed in seeds() {
        let mut world = World::new(kind, seed);
        world.live_and_fail_over();
        lost += world.lost();
        repaired += world.audit_while_writing();
        world.come_to_rest();
        world.audit_at_rest();
    }
    eprintln!(
        "{kind:?}: {lost} values were behind after the failover, {repaired} were repaired under load"
    );
    assert!(lost > 0, "a simulation that loses nothing shows nothing");
    assert!(
        repaired > 0,
        "a simulation that repairs nothing shows nothing"
    );
}

#[test]
fn a_versioned_document_is_never_clobbered_and_never_wrongly_accused() {
    every_seed(Kind::Document);
}

#[test]
fn a_balance_without_a_version_is_never_clobbered_and_never_wrongly_accused() {
    every_seed(Kind::Balance);
}

#[test]
fn a_counter_moved_by_deltas_gets_exactly_what_it_lost() {
    every_seed(Kind::Points);
}
