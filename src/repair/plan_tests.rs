//! Which write a confirmed subject gets, by tables.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use bytes::Bytes;

use super::plan::{GuardKind, PlannedStep, Refusal, plan_step};
use super::plan_properties::{applied, profile, top_bid};
use crate::model::check::*;
use crate::model::column::ColumnType;
use crate::model::finding::Remedy;
use crate::model::identity::SourceIdentity;
use crate::model::observation::{CachedState, KeyExpiry, Look, Subject};
use crate::model::rows::Row;
use crate::model::time::Micros;
use crate::rules::Judge;
use crate::rules::testing::*;
use crate::store::redis::Write;

pub(super) const INTEGER: ColumnType = ColumnType::Integer { unsigned: false };

pub(super) fn subject(member: Option<&str>) -> Subject {
    Subject {
        key: b"k:7".to_vec(),
        member: member.map(|m| m.as_bytes().to_vec()),
        id: vec![b"7".to_vec()],
    }
}

pub(super) fn plan(
    judge: &Judge,
    row: Option<&Row>,
    state: &CachedState,
    member: Option<&str>,
) -> Result<PlannedStep, Refusal> {
    let source = SourceIdentity {
        name: "primary".into(),
        read_only: false,
    };
    let look = Look {
        before: state.clone(),
        after: state.clone(),
        row: row.cloned(),
        source,
        source_time: Micros(0),
        at: Micros(0),
    };
    let suspects = judge.suspects(row.map(Row::as_ref), state);
    plan_step(judge, &subject(member), &look, &suspects, None)
}

#[test]
fn a_document_is_written_whole_or_invalidated_or_left() {
    let live = row("7", &[Some("Ann"), Some("5")]);
    let lazy = judge(profile(), &[ColumnType::Text, INTEGER]);
    let stale = value(r#"{"version":6,"name":"Bob","at":{"score":"4"},"lastSeen":1.0}"#);
    let step = plan(&lazy, Some(&live), &stale, None).unwrap();
    assert_eq!(
        (step.remedy, step.guard, step.covers.as_slice()),
        (Remedy::Overwrite, GuardKind::Cas, &[0][..])
    );
    let expected = value(r#"{"version":7,"name":"Ann","at":{"score":"5"},"lastSeen":1.0}"#);
    assert_eq!(applied(&step.write, &stale, &[]), expected);

    let chimera = value(r#"{"version":6,"name":"Bob","at":{"score":4},"secret":1}"#);
    assert_eq!(
        plan(&lazy, Some(&live), &chimera, None).unwrap().remedy,
        Remedy::Invalidate
    );
    let eager = judge(
        CacheCheck {
            lazy: false,
            ..profile()
        },
        &[ColumnType::Text, INTEGER],
    );
    assert!(matches!(
        plan(&eager, Some(&live), &chimera, None),
        Err(Refusal::NotLazy(_))
    ));
    let first = judge(
        CacheCheck {
            order: Some(Order::CacheFirst),
            ..profile()
        },
        &[ColumnType::Text, INTEGER],
    );
    assert_eq!(
        plan(&first, Some(&live), &chimera, None),
        Err(Refusal::OnlyCopy)
    );
    assert_eq!(
        plan(
            &lazy,
            Some(&live),
            &value(r#"{"version":6,"name":"Bob"}"#),
            None
        )
        .unwrap()
        .remedy,
        Remedy::Invalidate
    );
    let ahead = value(r#"{"version":8,"name":"Bob","at":{"score":4}}"#);
    assert_eq!(
        plan(&lazy, Some(&live), &ahead, None),
        Err(Refusal::NoRemedy)
    );
}

#[test]
fn only_what_is_behind_is_written_with_its_followers() {
    let judge = judge(top_bid(), &[INTEGER, INTEGER, ColumnType::Text]);
    let live = row("1", &[Some("100"), Some("4"), Some("ann")]);
    let written = |cached: [&str; 3]| {
        plan(&judge, Some(&live), &hash(&cached.map(Some)), None).map(|step| match step.write {
            Write::SetHashFields { fields, .. } => {
                fields.into_iter().map(|(n, _)| n).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(written(["90", "4", "bob"]).unwrap(), ["price", "bidder"]);
    assert_eq!(written(["100", "3", "ann"]).unwrap(), ["count"]);
    assert_eq!(written(["110", "3", "bob"]), Err(Refusal::Mixed));
    assert_eq!(written(["110", "5", "bob"]), Err(Refusal::NothingWrong));
    assert_eq!(written(["100", "4", "bob"]), Err(Refusal::NoDirection));
}

#[test]
fn a_scalar_without_direction_takes_the_row_lock() {
    let mut spec = check(ValueKind::Integer, vec![field(Locator::Whole, "n")]);
    spec.fields[0].balance = true;
    let live = row("1", &[Some("5")]);
    let locked = plan(
        &judge(spec.clone(), &[INTEGER]),
        Some(&live),
        &value("-4"),
        None,
    )
    .unwrap();
    assert_eq!(
        (locked.remedy, locked.guard),
        (Remedy::Overwrite, GuardKind::RowLock)
    );
    let debt = row("1", &[Some("-5")]);
    assert_eq!(
        plan(
            &judge(spec.clone(), &[INTEGER]),
            Some(&debt),
            &value("-4"),
            None
        ),
        Err(Refusal::SourceWrongToo)
    );
    let refusal = |spec: CacheCheck| {
        plan(&judge(spec, &[INTEGER]), Some(&live), &value("4"), None).unwrap_err()
    };
    assert_eq!(
        refusal(CacheCheck {
            guard: Guard::Cas,
            ..spec.clone()
        }),
        Refusal::CasUndirected
    );
    assert_eq!(
        refusal(CacheCheck {
            order: None,
            ..spec.clone()
        }),
        Refusal::NoDirection
    );
    assert_eq!(
        refusal(CacheCheck {
            repair: RepairMode::Report,
            ..spec.clone()
        }),
        Refusal::ReportOnly
    );
    let source = Source::Sql {
        text: "SELECT 1".into(),
        path: None,
        span: 0..0,
        id: vec![named("id")],
        lock_sql: None,
    };
    assert_eq!(
        refusal(CacheCheck {
            source,
            ..spec.clone()
        }),
        Refusal::NoLockSql
    );

    let delta = judge(
        CacheCheck {
            writes: Writes::Delta,
            ..spec
        },
        &[INTEGER],
    );
    let step = plan(&delta, Some(&live), &value("-4"), None).unwrap();
    assert!(matches!(step.write, Write::AddToString { gap: 9, .. }));
    assert_eq!(
        (step.remedy, step.guard),
        (Remedy::Increment, GuardKind::RowLock)
    );
    let moved = plan(&delta, Some(&row("1", &[Some("6")])), &value("-3"), None).unwrap();
    assert!(step.allows(&step) && !step.allows(&moved));
}

#[test]
fn keys_that_should_not_be_there_and_keys_that_should() {
    let absent = vec![b"-".to_vec()];
    let spec = CacheCheck {
        absent,
        ttl: Some(Duration::from_secs(60)),
        ..check(ValueKind::String, vec![field(Locator::Whole, "name")])
    };
    let strict = judge(spec.clone(), &[ColumnType::Text]);
    let live = row("1", &[Some("Ann")]);
    let dead = tombstone("1", &[Some("Ann")]);
    for (row, cached) in [(&dead, "Ann"), (&live, "-")] {
        let step = plan(&strict, Some(row), &value(cached), None).unwrap();
        assert_eq!(
            (step.remedy, step.guard),
            (Remedy::Invalidate, GuardKind::RowLock)
        );
        assert!(matches!(step.write, Write::DeleteString { .. }));
    }
    assert_eq!(
        plan(&strict, None, &value("Ann"), None),
        Err(Refusal::OrphansReportOnly)
    );
    let tidy = judge(
        CacheCheck {
            repair_orphans: RepairOrphans::Invalidate,
            ..spec.clone()
        },
        &[ColumnType::Text],
    );
    assert_eq!(
        plan(&tidy, None, &value("Ann"), None).unwrap().remedy,
        Remedy::Invalidate
    );

    let expected = judge(
        CacheCheck {
            expect_present: true,
            expiry: Expiry::None,
            ..spec.clone()
        },
        &[ColumnType::Text],
    );
    let step = plan(&expected, Some(&live), &missing(false), None).unwrap();
    assert!(
        matches!(&step.write, Write::CreateString { new, ttl_millis: Some(60_000), .. } if &new[..] == b"Ann")
    );

    let expiring = judge(
        CacheCheck {
            expiry: Expiry::Required,
            ..spec
        },
        &[ColumnType::Text],
    );
    let forever = CachedState {
        expiry: KeyExpiry::Never,
        ..value("Ann")
    };
    let step = plan(&expiring, Some(&live), &forever, None).unwrap();
    assert_eq!((step.remedy, step.guard), (Remedy::SetTtl, GuardKind::Cas));
    let both = plan(
        &expiring,
        Some(&live),
        &CachedState {
            expiry: KeyExpiry::Never,
            ..value("Bob")
        },
        None,
    )
    .unwrap();
    assert_eq!(
        (both.remedy, both.covers.as_slice()),
        (Remedy::Overwrite, &[0][..])
    );
}

#[test]
fn members_are_added_moved_and_removed() {
    let mut spec = check(ValueKind::Zset, vec![field(Locator::Score, "ends_at")]);
    spec.layout = Layout::RowPerMember(crate::model::template::Template::parse("{id}").unwrap());
    spec.fields[0].form = Some(Form::EpochMillis);
    spec.expect_present = true;
    let judge = judge(spec, &[ColumnType::DateTime]);
    let live = row("1", &[Some("2026-11-21 14:03:00")]);
    let added = plan(&judge, Some(&live), &missing(true), Some("7")).unwrap();
    assert!(
        matches!(&added.write, Write::SetScore { judged: None, new, .. } if &new[..] == b"1795269780000")
    );
    let moved = plan(&judge, Some(&live), &value("5"), Some("7")).unwrap();
    assert!(matches!(&moved.write, Write::SetScore { judged: Some(old), .. } if &old[..] == b"5"));
    let removed = plan(
        &judge,
        Some(&tombstone("1", &[None])),
        &value("5"),
        Some("7"),
    )
    .unwrap();
    assert!(matches!(removed.write, Write::RemoveScore { .. }));
}

#[test]
fn a_versioned_hash_is_known_whole_before_it_is_written() {
    let mut spec = check(
        ValueKind::Hash,
        vec![field(Locator::HashField(b"name".to_vec()), "name")],
    );
    spec.version = Some(VersionSpec {
        cache: Locator::HashField(b"v".to_vec()),
        column: named("version"),
    });
    let judge = judge(spec, &[ColumnType::Text]);
    let (live, state) = (row("7", &[Some("Ann")]), hash(&[Some("6"), Some("Bob")]));
    assert!(
        plan(&judge, Some(&live), &state, None)
            .unwrap()
            .needs_whole_hash
    );
    let source = SourceIdentity {
        name: "primary".into(),
        read_only: false,
    };
    let look = Look {
        before: state.clone(),
        after: state.clone(),
        row: Some(live.clone()),
        source,
        source_time: Micros(0),
        at: Micros(0),
    };
    let suspects = judge.suspects(Some(live.as_ref()), &state);
    let pair = |n: &'static str, v: &'static str| (Bytes::from(n), Bytes::from(v));
    let ours = [pair("v", "6"), pair("name", "Bob")];
    let step = plan_step(&judge, &subject(None), &look, &suspects, Some(&ours)).unwrap();
    assert_eq!(
        (step.remedy, step.needs_whole_hash),
        (Remedy::Overwrite, false)
    );
    let after = applied(
        &step.write,
        &state,
        &[Bytes::from("v"), Bytes::from("name")],
    );
    assert!(judge.agrees(Some(live.as_ref()), &after));
    let more = [pair("v", "6"), pair("name", "Bob"), pair("x", "1")];
    let step = plan_step(&judge, &subject(None), &look, &suspects, Some(&more)).unwrap();
    assert!(matches!(&step.write, Write::DeleteHash { judged, .. } if judged.len() == 3));
}

#[test]
fn a_document_is_not_created_without_the_members_that_nobody_mapped() {
    let spec = CacheCheck {
        expect_present: true,
        expiry: Expiry::None,
        order: Some(Order::SourceFirst),
        ..profile()
    };
    let live = row("7", &[Some("Ann"), Some("5")]);
    let judge = judge(spec, &[ColumnType::Text, INTEGER]);
    assert!(matches!(
        plan(&judge, Some(&live), &missing(false), None),
        Err(Refusal::Document(_))
    ));
}

/// `status` stays where it is while `title` goes there and back, so equal bytes would prove nothing.
#[test]
fn a_directed_field_that_is_equal_proves_no_order() {
    let in_hash = |name: &str| field(Locator::HashField(name.as_bytes().to_vec()), name);
    let mut spec = check(ValueKind::Hash, vec![in_hash("status"), in_hash("title")]);
    spec.fields[0].states = vec!["OPEN".into(), "CLOSED".into()];
    spec.fields[1].follows = Some(0);
    spec.order = Some(Order::SourceFirst);
    spec.repair = RepairMode::Overwrite;
    let judge = judge(spec, &[ColumnType::Text, ColumnType::Text]);
    let cached = hash(&[Some("OPEN"), Some("old")]);
    let guard = |status: &str| {
        let live = row("7", &[Some(status), Some("new")]);
        plan(&judge, Some(&live), &cached, None).unwrap().guard
    };
    assert_eq!(guard("OPEN"), GuardKind::RowLock);
    assert_eq!(guard("CLOSED"), GuardKind::Cas, "this write moves it on");
}
