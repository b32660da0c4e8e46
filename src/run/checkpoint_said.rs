//! What a checkpoint has to say: one line on stdout, and a warning for whatever a person should look at.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::request::{Console, Format};
use crate::failover::{Change, Sample};

/// What came of one beat through every master.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) state: PathBuf,
    pub(super) beats: Vec<Sample>,
    pub(super) changes: Vec<Change>,
    pub(super) warnings: Vec<String>,
    /// Why a master did not answer.
    pub(super) failures: Vec<String>,
}

impl Said {
    /// There was not even a connection.
    pub(super) fn failed(reason: String) -> Self {
        Self {
            failures: vec![reason],
            ..Self::default()
        }
    }
}

/// Logs what needs a person, and prints the line.
pub(super) fn say(console: &mut Console, format: Format, said: &Said) {
    for change in &said.changes {
        if is_renewal(change) {
            tracing::info!("{}", sentence(change));
        } else {
            tracing::warn!(
                "{}; `auditor run` finds and repairs what was lost",
                sentence(change)
            );
        }
    }
    for warning in &said.warnings {
        tracing::warn!("{warning}");
    }
    for failure in &said.failures {
        tracing::warn!("no heartbeat: {failure}");
    }
    let line = match format {
        Format::Text if said.beats.is_empty() => return,
        Format::Text => text(said),
        Format::Json => json(said).to_string(),
    };
    // A reader that is gone does not change what was done.
    let _ = writeln!(console.out, "{line}").and_then(|()| console.out.flush());
}

fn text(said: &Said) -> String {
    let beats: Vec<String> = said
        .beats
        .iter()
        .map(|sample| {
            format!(
                "{} at {}, offset {}",
                sample.address,
                sample.beat.beat_at.to_rfc3339(),
                sample.beat.offset
            )
        })
        .collect();
    let changes = match said.changes.len() {
        0 => "",
        _ => "; the history changed: see the warning",
    };
    format!(
        "heartbeat through {}; state in {}{changes}",
        beats.join(" and "),
        said.state.display()
    )
}

fn json(said: &Said) -> Value {
    let beats = said.beats.iter().map(|sample| {
        json!({
            "address": sample.address,
            "slots": sample.slots.to_string(),
            "beat_at": sample.beat.beat_at.to_rfc3339(),
            "seen_at": sample.seen_at.to_rfc3339(),
            "run_id": sample.beat.run_id,
            "replication_id": sample.beat.replication_id,
            "offset": sample.beat.offset,
        })
    });
    let changes = said.changes.iter().map(|change| {
        json!({
            "address": change.address,
            "slots": change.slots.to_string(),
            "noticed_at": change.noticed_at.to_rfc3339(),
            "last_heartbeat": change.found.as_ref().map(|beat| beat.beat_at.to_rfc3339()),
            "run_id": change.run_id,
            "replication_id": change.replication_id,
            "former_replication_id": change.replication_id2,
            "second_offset": change.second_offset,
            "explanation": sentence(change),
        })
    });
    json!({
        "beats": beats.collect::<Vec<_>>(),
        "changes": changes.collect::<Vec<_>>(),
        "warnings": said.warnings,
        "failures": said.failures,
        "state": said.state.display().to_string(),
    })
}

/// What a change looks like, for a person; what follows from it is found out by `auditor run`.
fn sentence(change: &Change) -> String {
    let address = &change.address;
    let Some(found) = &change.found else {
        return format!(
            "{address} is another process or history than before and holds no heartbeat of the former one: it came back \
             empty or from an old snapshot, or its heartbeat could not be read"
        );
    };
    let since = found.beat_at.to_rfc3339();
    if is_renewal(change) {
        return format!(
            "{address} renewed its replication id, because no replica was attached to it for long; nothing was lost"
        );
    }
    let started = change
        .server_time
        .minus(Duration::from_secs(change.uptime_seconds.saturating_add(1)));
    if started > found.beat_at {
        format!("{address} was started after the last heartbeat it holds, of {since}: a restart")
    } else {
        format!(
            "{address} took over from another master; the last heartbeat that reached it is of {since}"
        )
    }
}

/// The same process, which names no former history: its backlog expired without a replica.
fn is_renewal(change: &Change) -> bool {
    let is_same_process = change
        .found
        .as_ref()
        .is_some_and(|found| found.run_id == change.run_id);
    is_same_process && change.second_offset < 0
}
