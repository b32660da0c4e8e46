//! From a confirmed suspect to one step, or to the reason why there is none. Pure: the same functions plan a dry
//! run and judge again, with a fresh look, in the moment of applying.
//!
//! What a step does to the list of pending messages rests on the look alone, never on the rule that objected:
//! an acknowledgement is planned only where the proof settles the entry, or in the one script that puts its
//! content elsewhere; the one exception is an entry that is gone, by `on_trimmed = "ack"`.

use std::time::Duration;

use super::entry::EntryPlanner;
use super::group::{advance, raise_last_id, recreate};
use crate::model::finding::{Remedy, Suspect};
use crate::model::stream::{EntryLook, GroupLook, NewRow, StreamState};
use crate::rules::StreamJudge;
use crate::store::redis::Settlement;

/// One step on one entry or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettlementStep {
    Write(Settlement),
    /// The row first; `then` only once the primary, read again, proves the entry by it.
    Insert {
        row: NewRow,
        then: Option<Settlement>,
    },
}

/// A step and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSettlement {
    pub remedy: Remedy,
    pub step: SettlementStep,
}

/// Why nothing is done. The text is the finding's `reason`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettlementRefusal {
    #[error("this rule has no repair")]
    NoRemedy,
    #[error("the job says {setting} = \"report\"")]
    ReportOnly { setting: &'static str },
    #[error("the job says raise_last_id = false")]
    MayNotRaise,
    #[error("its consumer is alive")]
    OwnerAlive,
    #[error("the message is not as the rule needs it any more")]
    NotAsJudged,
    #[error("the dead letters hold it already; acknowledge it by hand, if that is all it needs")]
    DeadLettered,
    #[error("the job names no dead_letter to move it to")]
    NoDeadLetter,
    #[error("the consumer named by claim_to has it already, and is gone")]
    ClaimedAlready,
    #[error(
        "insert needs a UNIQUE key on `{column}`, because the application does not take our locks; add one, or use requeue"
    )]
    NotUnique { column: String },
    #[error("a rejected entry leaves no row either, so that a missing one proves nothing")]
    MayBeRejected,
    #[error("its row is there, but not its whole effect, which an insert would not bring")]
    RowIsThere,
    #[error(
        "a row carries its id without being its whole effect; under another id it would get a second row"
    )]
    RowHasItsId,
    #[error(
        "a requeued entry gets a new id, so with `$id` nothing would keep a slow consumer from inserting it twice; use \
         claim, or a UNIQUE key over the columns of `unique`"
    )]
    WouldBeTwice,
    #[error(
        "proof_sql names its id, but no row says for which payload; a person has to look at it"
    )]
    NamedWithoutRow,
    #[error("it was requeued before and is orphaned again; a person has to look at it")]
    RequeuedBefore,
    #[error("the entry has a field `{name}` of its own, whose place the mark of a move would take")]
    MarkIsTaken { name: &'static str },
    #[error("the entry cannot be inserted: {0}")]
    NoRow(String),
    #[error("only an entry whose id is its identity gets another one by being requeued")]
    IdentityStays,
    #[error(
        "its row was changed long after the entry was added, so that it may be this entry's own, changed since; put the \
         entry back by hand if it is not"
    )]
    RowIsNewer,
    #[error("there is no such group, to which it could be delivered again")]
    NoGroup,
    #[error("the key holds a {0}")]
    WrongType(String),
    #[error("nothing says from where on the group would have to read")]
    NoPosition,
    #[error("the table has no entry id above the stream's last one that is not from the future")]
    NothingToRaise,
    #[error("there is no such stream")]
    NoStream,
}

use SettlementRefusal as Refusal;

/// Plans the step that settles an entry. The message is held to what the look saw last.
pub fn plan_entry(
    judge: &StreamJudge,
    look: &EntryLook,
    suspect: &Suspect,
) -> Result<PlannedSettlement, Refusal> {
    let planner = EntryPlanner::new(judge, look);
    match suspect.rule.0 {
        "unacked-persisted" => planner.acknowledge_proven(),
        "trimmed-pending" => planner.acknowledge_trimmed(),
        "poison-pending" => planner.dead_letter(),
        "orphan-pending" => planner.settle_orphan(),
        "acked-unpersisted" => planner.settle_skipped(),
        "payload-conflict" => planner.requeue_reused(),
        _ => Err(Refusal::NoRemedy),
    }
}

/// Plans the step that settles a group. `skew` is how far an id may lie after Redis's clock.
pub fn plan_group(
    judge: &StreamJudge,
    look: &GroupLook,
    suspect: &Suspect,
    skew: Duration,
) -> Result<PlannedSettlement, Refusal> {
    let check = &judge.mapping().check;
    if let StreamState::WrongType(name) = &look.stream {
        return Err(Refusal::WrongType(name.clone()));
    }
    match suspect.rule.0 {
        "group-missing" => recreate(check, look),
        "group-rewound" => advance(check, look),
        "lost-entry" => raise_last_id(check, look, skew),
        _ => Err(Refusal::NoRemedy),
    }
}

impl PlannedSettlement {
    pub(super) fn write(remedy: Remedy, settlement: Settlement) -> Self {
        Self {
            remedy,
            step: SettlementStep::Write(settlement),
        }
    }
}

pub(super) fn report_only(setting: &'static str) -> SettlementRefusal {
    SettlementRefusal::ReportOnly { setting }
}
