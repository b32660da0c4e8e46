//! What is never moved: what was moved before, what has a field where the mark goes, what may be done already.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::plan_tests::{by_id, entry_plan, judge, refusal};
use crate::model::finding::Remedy;
use crate::model::stream::*;
use crate::rules::StreamJudge;
use crate::rules::stream::testing::*;

/// The look with these fields after the entry's own.
fn marked(look: EntryLook, marks: &[(&'static str, &'static str)]) -> EntryLook {
    let mut entry = look.entry.clone().unwrap();
    let marks = marks.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
    entry
        .fields
        .extend(marks.map(|(n, v)| (n.into(), v.into())));
    EntryLook {
        entry: Some(entry),
        ..look
    }
}

#[test]
fn what_was_requeued_once_is_not_requeued_again() {
    let requeue = judge(|c| {
        c.on_unpersisted = OnUnpersisted::Requeue;
        c.on_skipped = OnSkipped::Requeue;
    });
    let orphaned = without_row(held(settled_look(), orphan()));
    for look in [orphaned, without_row(settled_look())] {
        assert!(entry_plan(&requeue, &look).is_ok());
        let again = marked(look.clone(), &[("requeued_from", "999-0")]);
        assert!(refusal(entry_plan(&requeue, &again)).contains("requeued before"));
        // The application's own field, which the mark would take the place of.
        let own = marked(look, &[("requeued_from", "mars"), ("other", "1")]);
        assert!(refusal(entry_plan(&requeue, &own)).contains("`requeued_from` of its own"));
    }
    // An id that was given twice says nothing of whether the entry can be worked on.
    let reused = judge(|c| {
        by_id(c);
        c.on_unpersisted = OnUnpersisted::Requeue;
    });
    let conflict = EntryLook {
        evidence: rows_of([bid_row("99")]),
        ..marked(settled_look(), &[("requeued_from", "999-0")])
    };
    assert!(entry_plan(&reused, &conflict).is_ok());
}

#[test]
fn a_dead_letter_takes_no_fields_place() {
    let mut poison = orphan();
    poison.row.deliveries = 11;
    let look = without_row(held(settled_look(), poison));
    let own = marked(look.clone(), &[("original_id", "x")]);
    assert!(refusal(entry_plan(&judge(|_| {}), &own)).contains("`original_id` of its own"));
    let letter = marked(look, &[("original_id", "5-0")]);
    assert!(entry_plan(&judge(|_| {}), &letter).is_ok());
}

#[test]
fn a_reused_id_that_only_proof_sql_names_is_left_alone() {
    let named = |look: EntryLook| EntryLook {
        evidence: Evidence {
            is_proven: Some(true),
            ..Evidence::default()
        },
        ..look
    };
    let orphaned = named(held(settled_look(), orphan()));
    let mut poison = orphaned.clone();
    poison.before.as_mut().unwrap().row.deliveries = 11;
    poison.after = poison.before.clone();
    let by_id_and = |on_unpersisted: OnUnpersisted| {
        judge(|c| {
            by_id(c);
            c.on_unpersisted = on_unpersisted;
        })
    };
    let insert = by_id_and(OnUnpersisted::Insert);
    assert!(refusal(entry_plan(&insert, &orphaned)).contains("proves nothing"));
    let requeue = by_id_and(OnUnpersisted::Requeue);
    let mut mapping = StreamMapping::clone(requeue.mapping());
    // Even where a key keeps a bid from going in twice.
    mapping.tuple_is_unique = true;
    let requeue = StreamJudge::new(std::sync::Arc::new(mapping));
    for look in [&orphaned, &poison] {
        assert!(refusal(entry_plan(&requeue, look)).contains("which payload"));
    }
    assert!(insert.judge_entry(&named(settled_look())).is_none());
    // By a field it is the same bid, whose row somebody moved away.
    assert_eq!(
        entry_plan(&judge(|_| {}), &orphaned).unwrap().remedy,
        Remedy::Ack
    );
}
