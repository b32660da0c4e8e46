//! What is planned for which look and which settings, and what never is.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::model::finding::Remedy;
use crate::model::stream::*;
use crate::rules::StreamJudge;
use crate::rules::stream::testing::*;
use crate::store::redis::{Delivery, Held, Settlement};

/// A check that repairs everything it can, and whose identity is unique.
pub(super) fn judge(change: impl FnOnce(&mut StreamCheck)) -> StreamJudge {
    let mut check = StreamCheck {
        on_persisted: OnPersisted::Ack,
        on_unpersisted: OnUnpersisted::Insert,
        on_skipped: OnSkipped::Insert,
        on_rewound: OnRewound::Advance,
        on_trimmed: OnTrimmed::Ack,
        raise_last_id: true,
        dead_letter: Some(b"dead".to_vec()),
        ..bids()
    };
    change(&mut check);
    unique(&judge_of(check))
}

pub(super) fn unique(judge: &StreamJudge) -> StreamJudge {
    StreamJudge::new(Arc::new(StreamMapping {
        identity_is_unique: true,
        ..StreamMapping::clone(judge.mapping())
    }))
}

/// With `$id`: the row of the look carries the entry's id by construction.
pub(super) fn by_id(check: &mut StreamCheck) {
    check.identity = Identity::EntryId;
}

pub(super) fn entry_plan(
    judge: &StreamJudge,
    look: &EntryLook,
) -> Result<PlannedSettlement, String> {
    let suspect = judge.judge_entry(look).unwrap();
    plan_entry(judge, look, &suspect).map_err(|why| why.to_string())
}

fn group_plan(judge: &StreamJudge, look: &GroupLook) -> Result<PlannedSettlement, String> {
    let suspects = judge.judge_group(look);
    plan_group(judge, look, &suspects[0], Duration::from_secs(1)).map_err(|why| why.to_string())
}

fn held_by(pending: &Pending, owner_idle_min_millis: Option<u64>) -> Held {
    Held {
        id: pending.row.id,
        consumer: pending.row.consumer.clone(),
        deliveries: pending.row.deliveries,
        idle_millis: pending.row.idle_millis,
        owner_idle_min_millis,
    }
}

fn ack(held: Held, is_trimmed: bool) -> Settlement {
    Settlement::Ack {
        key: b"bid-stream".to_vec(),
        group: b"bid-group".to_vec(),
        held,
        is_trimmed,
    }
}

pub(super) fn step(planned: Result<PlannedSettlement, String>) -> SettlementStep {
    planned.unwrap().step
}

pub(super) fn refusal(planned: Result<PlannedSettlement, String>) -> String {
    planned.unwrap_err()
}

#[test]
fn a_proven_message_is_acknowledged_whoever_owns_it() {
    for owner in [in_hand(), orphan()] {
        let look = held(settled_look(), owner.clone());
        let planned = entry_plan(&judge(|_| {}), &look).unwrap();
        assert_eq!(planned.remedy, Remedy::Ack);
        let expected = ack(held_by(&owner, None), false);
        assert_eq!(planned.step, SettlementStep::Write(expected));
    }
    let look = held(settled_look(), orphan());
    let reporting = judge(|c| c.on_persisted = OnPersisted::Report);
    assert!(refusal(entry_plan(&reporting, &look)).contains("on_persisted = \"report\""));
}

#[test]
fn the_message_is_held_to_what_the_look_saw_last() {
    let mut later = orphan();
    later.row.idle_millis += 250;
    let look = EntryLook {
        before: Some(orphan()),
        after: Some(later.clone()),
        ..settled_look()
    };
    let expected = ack(held_by(&later, None), false);
    assert_eq!(
        step(entry_plan(&judge(|_| {}), &look)),
        SettlementStep::Write(expected)
    );
}

#[test]
fn an_orphan_goes_where_the_job_says() {
    let look = without_row(held(settled_look(), orphan()));
    let minute = held_by(&orphan(), Some(60_000));
    let SettlementStep::Insert { row, then } = step(entry_plan(&judge(|_| {}), &look)) else {
        panic!("an insert was asked for")
    };
    let cells: Vec<_> = row.cells.iter().map(|(_, c)| c.clone().unwrap()).collect();
    assert_eq!(cells, [b"b1".to_vec(), b"10.5".to_vec(), b"7".to_vec()]);
    assert_eq!(then, Some(ack(minute.clone(), false)));
    let requeue = judge(|c| c.on_unpersisted = OnUnpersisted::Requeue);
    let SettlementStep::Write(Settlement::Requeue {
        delivery, fields, ..
    }) = step(entry_plan(&requeue, &look))
    else {
        panic!("a requeue was asked for")
    };
    assert_eq!(delivery, Delivery::Pending(minute.clone()));
    assert_eq!(fields, bid("10.50").fields);
    let claim = judge(|c| c.on_unpersisted = OnUnpersisted::Claim(b"r1".to_vec()));
    let SettlementStep::Write(Settlement::Claim { held, consumer, .. }) =
        step(entry_plan(&claim, &look))
    else {
        panic!("a claim was asked for")
    };
    assert_eq!((held, consumer), (minute, b"r1".to_vec()));
}

#[test]
fn an_orphan_is_refused_with_the_reason() {
    let look = without_row(held(settled_look(), orphan()));
    let refused =
        |change: fn(&mut StreamCheck), look: &EntryLook| refusal(entry_plan(&judge(change), look));
    assert!(
        refused(|c| c.on_unpersisted = OnUnpersisted::Report, &look).contains("on_unpersisted")
    );
    assert!(
        refused(
            |c| c.on_unpersisted = OnUnpersisted::Claim(b"c1".to_vec()),
            &look
        )
        .contains("has it already")
    );
    assert!(refused(|c| c.may_leave_no_row = true, &look).contains("rejected"));
    let plain = judge_of(judge(|_| {}).mapping().check.as_ref().clone());
    assert!(refusal(entry_plan(&plain, &look)).contains("UNIQUE key on `id`"));
    let known = EntryLook {
        is_dead_lettered: true,
        ..look.clone()
    };
    assert!(refused(|_| {}, &known).contains("dead letters hold it"));
    // A row without its second effect: an insert would only meet it again.
    let half = EntryLook {
        evidence: Evidence {
            is_proven: Some(false),
            ..settled_look().evidence
        },
        ..look.clone()
    };
    assert!(refused(|_| {}, &half).contains("not its whole effect"));
    // An owner that came back during the look.
    let back = EntryLook {
        after: Some(in_hand()),
        ..look.clone()
    };
    let suspect = judge(|_| {}).judge_entry(&back).unwrap();
    let mut back = back;
    back.after.as_mut().unwrap().row = orphan().row;
    let planned = plan_entry(&judge(|_| {}), &back, &suspect);
    assert_eq!(planned, Err(SettlementRefusal::OwnerAlive));
    let odd = EntryLook {
        entry: Some(entry_of(
            id(1000),
            &[
                ("type", "BID"),
                ("bidId", "b1"),
                ("amount", "x"),
                ("bidder", "7"),
            ],
        )),
        ..look
    };
    assert!(refused(|_| {}, &odd).contains("cannot be inserted"));
}

#[test]
fn poison_goes_to_the_dead_letters_once() {
    let mut poison = orphan();
    poison.row.deliveries = 11;
    let look = without_row(held(settled_look(), poison.clone()));
    let SettlementStep::Write(Settlement::DeadLetter {
        held: by,
        dead_letter,
        fields,
        ..
    }) = step(entry_plan(&judge(|_| {}), &look))
    else {
        panic!("a dead letter was asked for")
    };
    assert_eq!(by, held_by(&poison, Some(60_000)));
    assert_eq!(
        (dead_letter, fields),
        (b"dead".to_vec(), bid("10.50").fields)
    );
    let known = EntryLook {
        is_dead_lettered: true,
        ..look.clone()
    };
    assert!(refusal(entry_plan(&judge(|_| {}), &known)).contains("dead letters hold it"));
    let none = judge(|c| c.dead_letter = None);
    assert!(refusal(entry_plan(&none, &look)).contains("no dead_letter"));
    let mut alive = in_hand();
    alive.row.deliveries = 11;
    let look = without_row(held(settled_look(), alive));
    assert!(refusal(entry_plan(&judge(|_| {}), &look)).contains("consumer is alive"));
}

#[test]
fn what_was_skipped_has_no_message_to_acknowledge() {
    let look = without_row(settled_look());
    assert!(matches!(
        step(entry_plan(&judge(|_| {}), &look)),
        SettlementStep::Insert { then: None, .. }
    ));
    let requeue = judge(|c| c.on_skipped = OnSkipped::Requeue);
    assert!(matches!(
        step(entry_plan(&requeue, &look)),
        SettlementStep::Write(Settlement::Requeue {
            delivery: Delivery::Settled,
            ..
        })
    ));
    let report = judge(|c| c.on_skipped = OnSkipped::Report);
    assert!(refusal(entry_plan(&report, &look)).contains("on_skipped"));
}

#[test]
fn a_trimmed_message_needs_its_id_in_the_table_or_the_jobs_word() {
    let trimmed = |owner| without_entry(held(settled_look(), owner));
    let by_field = judge(|_| {});
    let gone = without_row(trimmed(orphan()));
    let expected = ack(held_by(&orphan(), Some(60_000)), true);
    assert_eq!(
        step(entry_plan(&by_field, &gone)),
        SettlementStep::Write(expected)
    );
    let report = judge(|c| c.on_trimmed = OnTrimmed::Report);
    assert!(refusal(entry_plan(&report, &gone)).contains("on_trimmed"));
    // By the id: whoever owns it.
    let proven = judge(|c| {
        by_id(c);
        c.on_trimmed = OnTrimmed::Report;
    });
    let expected = ack(held_by(&in_hand(), None), true);
    assert_eq!(
        step(entry_plan(&proven, &trimmed(in_hand()))),
        SettlementStep::Write(expected)
    );
    let reporting = judge(|c| {
        by_id(c);
        c.on_trimmed = OnTrimmed::Report;
        c.on_persisted = OnPersisted::Report;
    });
    assert!(refusal(entry_plan(&reporting, &trimmed(orphan()))).contains("report"));
}

#[test]
fn an_id_given_twice_is_requeued_only_where_it_gets_another() {
    let conflict = EntryLook {
        entry: Some(bid("99.00")),
        ..settled_look()
    };
    let requeue = |c: &mut StreamCheck| {
        by_id(c);
        c.on_unpersisted = OnUnpersisted::Requeue;
    };
    let delivery = |look: &EntryLook| match step(entry_plan(&judge(requeue), look)) {
        SettlementStep::Write(Settlement::Requeue { delivery, .. }) => delivery,
        other => panic!("{other:?}"),
    };
    assert_eq!(delivery(&conflict), Delivery::Settled);
    assert_eq!(
        delivery(&undelivered(conflict.clone())),
        Delivery::Undelivered
    );
    assert_eq!(
        delivery(&held(conflict.clone(), orphan())),
        Delivery::Pending(held_by(&orphan(), Some(60_000)))
    );
    let in_hand = held(conflict.clone(), in_hand());
    assert!(refusal(entry_plan(&judge(requeue), &in_hand)).contains("alive"));
    let by_field = judge(|c| c.on_unpersisted = OnUnpersisted::Requeue);
    assert!(refusal(entry_plan(&by_field, &conflict)).contains("identity"));
    let lone = EntryLook {
        cursor_before: None,
        cursor_after: None,
        ..conflict
    };
    assert!(refusal(entry_plan(&judge(requeue), &lone)).contains("no such group"));
}

#[test]
fn groups_come_back_before_what_is_not_proven_and_only_move_forward() {
    let missing = GroupLook {
        cursor_before: None,
        cursor_after: None,
        proven_to: Some(id(1000)),
        ..group_look()
    };
    assert_eq!(
        step(group_plan(&judge(|_| {}), &missing)),
        SettlementStep::Write(Settlement::RecreateGroup {
            key: b"bid-stream".to_vec(),
            group: b"bid-group".to_vec(),
            at: id(1000),
            makes_stream: false,
        })
    );
    let nothing = GroupLook {
        stream: StreamState::Missing,
        proven_to: Some(StreamId::MIN),
        ..missing.clone()
    };
    assert!(matches!(
        step(group_plan(&judge(|_| {}), &nothing)),
        SettlementStep::Write(Settlement::RecreateGroup {
            at: StreamId::MIN,
            makes_stream: true,
            ..
        })
    ));
    let nowhere = GroupLook {
        proven_to: None,
        ..missing
    };
    assert!(refusal(group_plan(&judge(|_| {}), &nowhere)).contains("from where"));
    let rewound = GroupLook {
        cursor_before: Some(id(1000)),
        cursor_after: Some(id(1000)),
        proven_to: Some(id(1500)),
        proven_count: 3,
        ..group_look()
    };
    assert!(matches!(
        step(group_plan(&judge(|_| {}), &rewound)),
        SettlementStep::Write(Settlement::Advance { from, to, passed: 3, .. })
            if from == id(1000) && to == id(1500)
    ));
    let report = judge(|c| c.on_rewound = OnRewound::Report);
    assert!(refusal(group_plan(&report, &rewound)).contains("on_rewound"));
    let moved = GroupLook {
        cursor_after: Some(id(1200)),
        ..rewound
    };
    assert!(refusal(group_plan(&judge(|_| {}), &moved)).contains("any more"));
}

#[test]
fn the_last_id_is_lifted_only_when_asked_and_never_into_the_future() {
    let now = group_look().cache_time.0 / 1_000;
    let at = |millis: i64| StreamId::new(u64::try_from(millis).unwrap(), 3);
    let above = |to: StreamId| GroupLook {
        highest_in_source: Some(to),
        ..group_look()
    };
    let raising = judge(by_id);
    assert_eq!(
        step(group_plan(&raising, &above(at(now + 1_000)))),
        SettlementStep::Write(Settlement::RaiseLastId {
            key: b"bid-stream".to_vec(),
            to: at(now + 1_000),
            skew_millis: 1_000,
        })
    );
    assert!(refusal(group_plan(&raising, &above(at(now + 1_001)))).contains("future"));
    let unasked = judge(|c| {
        by_id(c);
        c.raise_last_id = false;
    });
    assert!(refusal(group_plan(&unasked, &above(at(now)))).contains("raise_last_id"));
}
