//! What no plan ever does, whatever the look, the rule and the settings.

use proptest::prelude::*;

use super::plan_tests::{by_id, entry_plan, judge, refusal, step, unique};
use super::{SettlementStep, plan_entry};
use crate::model::finding::{Direction, RuleId, Severity, Suspect};
use crate::model::stream::*;
use crate::rules::StreamJudge;
use crate::rules::stream::testing::*;
use crate::store::redis::{Delivery, Settlement};

/// Any suspect at all: what is planned rests on the look.
fn suspects() -> impl Strategy<Value = Suspect> {
    let rules = [
        "unacked-persisted",
        "trimmed-pending",
        "poison-pending",
        "orphan-pending",
        "acked-unpersisted",
        "payload-conflict",
        "duplicate-entry",
        "undecodable-value",
    ];
    proptest::sample::select(rules.to_vec()).prop_map(|rule| Suspect {
        rule: RuleId(rule),
        severity: Severity::High,
        direction: Direction::Undirected,
        field: None,
        detail: None,
    })
}

fn messages() -> impl Strategy<Value = Option<Pending>> {
    let one = (
        any::<bool>(),
        1_u64..14,
        proptest::sample::select(vec![50_u64, 59_999, 60_000, 120_000]),
    )
        .prop_map(|(is_listed, deliveries, idle)| {
            let mut one = pending(is_listed.then(|| consumer(idle, None)));
            one.row.deliveries = deliveries;
            one
        });
    proptest::option::of(one)
}

fn looks() -> impl Strategy<Value = EntryLook> {
    (
        messages(),
        messages(),
        any::<bool>(),
        0..3_u8,
        0..3_u8,
        proptest::option::of(any::<bool>()),
        any::<bool>(),
        0..3_u8,
    )
        .prop_map(
            |(before, other, is_same, entry, rows, is_proven, is_dead_lettered, cursor)| {
                let after = if is_same { before.clone() } else { other };
                let cursor = [None, Some(id(999)), Some(id(1000))][usize::from(cursor)];
                EntryLook {
                    entry: [None, Some(bid("10.50")), Some(bid("99"))][usize::from(entry)].clone(),
                    before,
                    after,
                    cursor_before: cursor,
                    cursor_after: cursor,
                    evidence: Evidence {
                        rows: [
                            vec![],
                            vec![bid_row("10.50")],
                            vec![bid_row("1"), bid_row("10.50")],
                        ][usize::from(rows)]
                        .clone(),
                        is_proven,
                        is_rejected: false,
                    },
                    is_dead_lettered,
                    ..settled_look()
                }
            },
        )
}

fn settings() -> impl Strategy<Value = StreamCheck> {
    (
        any::<bool>(),
        any::<bool>(),
        0..4_usize,
        0..3_usize,
        any::<bool>(),
    )
        .prop_map(
            |(is_by_id, may_leave_no_row, unpersisted, skipped, trims)| {
                let mut check = judge(|_| {}).mapping().check.as_ref().clone();
                if is_by_id {
                    by_id(&mut check);
                }
                check.may_leave_no_row = may_leave_no_row;
                check.on_unpersisted = [
                    OnUnpersisted::Insert,
                    OnUnpersisted::Requeue,
                    OnUnpersisted::Claim(b"r1".to_vec()),
                    OnUnpersisted::Report,
                ][unpersisted]
                    .clone();
                check.on_skipped =
                    [OnSkipped::Insert, OnSkipped::Requeue, OnSkipped::Report][skipped];
                check.on_trimmed = if trims {
                    OnTrimmed::Ack
                } else {
                    OnTrimmed::Report
                };
                check
            },
        )
}

#[test]
fn by_its_id_an_entry_is_requeued_only_where_a_key_keeps_it_from_being_done_twice() {
    let setting = |c: &mut StreamCheck| {
        by_id(c);
        c.on_unpersisted = OnUnpersisted::Requeue;
        c.on_skipped = OnSkipped::Requeue;
    };
    let skipped = without_row(settled_look());
    let orphaned = held(skipped.clone(), orphan());
    let with = |tuple_is_unique| {
        let mut mapping = crate::model::stream::StreamMapping::clone(judge(setting).mapping());
        mapping.tuple_is_unique = tuple_is_unique;
        StreamJudge::new(std::sync::Arc::new(mapping))
    };
    for look in [skipped, orphaned] {
        assert!(refusal(entry_plan(&with(false), &look)).contains("inserting it twice"));
        assert!(matches!(
            step(entry_plan(&with(true), &look)),
            SettlementStep::Write(Settlement::Requeue { .. })
        ));
    }
}

#[test]
fn a_row_that_is_newer_than_its_entry_may_be_the_entrys_own() {
    let judge = judge(|c| {
        by_id(c);
        c.on_unpersisted = OnUnpersisted::Requeue;
    });
    let given_at = |seconds: i64| {
        let id = id(u64::try_from((CHANGED + seconds) * 1_000).unwrap_or_default());
        EntryLook {
            id,
            entry: Some(Entry { id, ..bid("99.00") }),
            cursor_before: Some(id),
            cursor_after: Some(id),
            ..settled_look()
        }
    };
    assert!(refusal(entry_plan(&judge, &given_at(-3_601))).contains("may be this entry's own"));
    assert!(refusal(entry_plan(&judge, &given_at(-3_600))).contains("may be this entry's own"));
    let requeued = step(entry_plan(&judge, &given_at(-3_599)));
    assert!(matches!(
        requeued,
        SettlementStep::Write(Settlement::Requeue { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn nothing_is_acknowledged_without_proof_and_nothing_taken_from_the_living(
        look in looks(), suspect in suspects(), check in settings(),
    ) {
        let judge = unique(&judge_of(check));
        let Ok(planned) = plan_entry(&judge, &look, &suspect) else { return Ok(()) };
        let proof = judge.proof(look.id, look.entry.as_ref(), &look.evidence);
        let is_gone = |p: &Option<Pending>| p.as_ref().is_some_and(|p| judge.owner_is_gone(p));
        let is_orphan = is_gone(&look.before) && is_gone(&look.after);
        prop_assert!(look.counts());
        let held = match &planned.step {
            SettlementStep::Insert { then, .. } => {
                prop_assert!(!judge.mapping().check.may_leave_no_row && look.evidence.rows.is_empty());
                prop_assert_eq!(then.is_some(), look.before.is_some());
                prop_assert!(!look.is_dead_lettered);
                match then {
                    Some(Settlement::Ack { held, is_trimmed: false, .. }) => Some(held),
                    None => None,
                    other => panic!("{other:?}"),
                }
            }
            SettlementStep::Write(Settlement::Ack { held, is_trimmed, .. }) => {
                prop_assert_eq!(*is_trimmed, look.entry.is_none());
                prop_assert!(proof.settles() || (*is_trimmed && is_orphan));
                if proof.settles() { None } else { Some(held) }
            }
            SettlementStep::Write(Settlement::Requeue { delivery, .. }) => {
                prop_assert!(!proof.settles() && !look.is_dead_lettered);
                match delivery {
                    Delivery::Pending(held) => Some(held),
                    Delivery::Settled | Delivery::Undelivered => {
                        prop_assert!(look.before.is_none() && look.after.is_none());
                        None
                    }
                }
            }
            SettlementStep::Write(Settlement::Claim { held, .. }) => Some(held),
            SettlementStep::Write(Settlement::DeadLetter { held, .. }) => {
                prop_assert!(!proof.settles() && !look.is_dead_lettered);
                Some(held)
            }
            other => panic!("{other:?}"),
        };
        if let Some(held) = held {
            prop_assert!(is_orphan, "taken from somebody who lives");
            prop_assert_eq!(held.owner_idle_min_millis, Some(60_000));
        }
    }
}
