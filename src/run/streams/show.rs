//! `--id` and `--key` of a stream: both sides of an entry or a group, for a person on stdout.

use super::check::StreamRun;
use super::findings::row_of;
use super::group::GroupRun;
use super::money::sides;
use crate::model::finding::{Finding, Verdict};
use crate::model::stream::{EntryLook, Pending, StreamState};
use crate::report::{escape, escape_id};
use crate::run::settle::Settled;
use crate::run::show::{Line, Shown, cut, sentence};

/// An entry, and the row that its identity leads to.
pub(super) fn shown_entry(
    run: &StreamRun,
    settled: &Settled<StreamRun>,
    findings: &[Finding],
) -> Shown {
    let subject = run.subject(settled.target.id);
    let look = settled.look.as_ref();
    Shown {
        check: run.name().to_owned(),
        key: escape(&subject.key),
        member: None,
        id: escape_id(&subject.id),
        redis: look.map_or_else(unread, |look| in_redis(run, look)),
        mysql: look.map_or_else(unread, |look| in_mysql(run, look)),
        lines: look.map_or_else(Vec::new, |look| lines(run, look)),
        said: said(settled.verdict, &settled.reason, run, findings),
    }
}

/// A group and its cursor.
pub(super) fn shown_group(
    group: &GroupRun,
    settled: &Settled<GroupRun>,
    findings: &[Finding],
) -> Shown {
    let run = &group.run;
    let subject = group.subject();
    let redis = match settled.look.as_ref() {
        None => unread(),
        Some(look) => match (&look.stream, look.cursor_after) {
            (StreamState::Missing, _) => "no such key".to_owned(),
            (StreamState::WrongType(name), _) => format!("a key of another type: {name}"),
            (StreamState::Stream(_), None) => "no such group".to_owned(),
            (StreamState::Stream(facts), Some(cursor)) => format!(
                "a group that has read up to {cursor}; the stream's last id is {}",
                facts.last_generated
            ),
        },
    };
    Shown {
        check: run.name().to_owned(),
        key: escape(&subject.key),
        member: None,
        id: escape_id(&subject.id),
        redis,
        mysql: "every row that proves an entry".to_owned(),
        lines: Vec::new(),
        said: said(settled.verdict, &settled.reason, run, findings),
    }
}

fn unread() -> String {
    "could not be read".to_owned()
}

fn in_redis(run: &StreamRun, look: &EntryLook) -> String {
    let entry = match &look.entry {
        Some(entry) => format!("an entry of {} field(s)", entry.fields.len()),
        None => "no such entry".to_owned(),
    };
    let delivery = match (&look.after, look.cursor_after) {
        (Some(pending), _) => held(run, pending),
        (None, None) => "there is no such group".to_owned(),
        (None, Some(cursor)) if look.id > cursor => "not yet delivered".to_owned(),
        (None, Some(_)) => "not pending".to_owned(),
    };
    let dead = if look.is_dead_lettered {
        ", among the dead letters"
    } else {
        ""
    };
    format!("{entry}, {delivery}{dead}")
}

fn held(run: &StreamRun, pending: &Pending) -> String {
    let owner = if run.judge.owner_is_gone(pending) {
        "which is gone"
    } else {
        "which may be alive"
    };
    format!(
        "pending at consumer {}, {owner}, delivered {} time(s), {} ms ago",
        escape(&pending.row.consumer),
        pending.row.deliveries,
        pending.row.idle_millis
    )
}

fn in_mysql(run: &StreamRun, look: &EntryLook) -> String {
    let evidence = &look.evidence;
    let rows = match (
        evidence.rows.len(),
        run.judge.identity_of(look.id, look.entry.as_ref()),
    ) {
        (_, None) => "no identity to look for".to_owned(),
        (0, Some(identity)) => format!("no row of identity {}", escape(&identity)),
        (1, Some(identity)) => format!("the row of identity {}", escape(&identity)),
        (many, Some(identity)) => format!("{many} rows of identity {}", escape(&identity)),
    };
    let effect = match evidence.is_proven {
        None => "",
        Some(true) => ", its whole effect is there (proof_sql)",
        Some(false) => ", its whole effect is not there (proof_sql)",
    };
    let rejected = if evidence.is_rejected {
        ", rejected (rejected_sql)"
    } else {
        ""
    };
    format!("{rows}{effect}{rejected}")
}

fn lines(run: &StreamRun, look: &EntryLook) -> Vec<Line> {
    let row = row_of(run, look);
    let absent = |what: &str| format!("({what})");
    let null = if row.is_some() { "NULL" } else { "no row" };
    let fields = &run.check().rows.fields;
    (0..fields.len())
        .map(|index| {
            let sides = sides(run, index, look.entry.as_ref(), row);
            Line {
                field: fields[index].cache.to_string(),
                redis: sides.cache.map_or_else(|| absent("none"), |v| cut(&v)),
                mysql: sides.source.map_or_else(|| absent(null), |v| cut(&v)),
            }
        })
        .collect()
}

fn said(verdict: Verdict, reason: &str, run: &StreamRun, findings: &[Finding]) -> Vec<String> {
    let fields = &run.check().rows.fields;
    match verdict {
        _ if !findings.is_empty() => findings.iter().map(|f| sentence(fields, f)).collect(),
        Verdict::Transient => vec!["no rule objects; nothing to do".to_owned()],
        verdict => vec![format!("{}: {reason}", verdict.name())],
    }
}
