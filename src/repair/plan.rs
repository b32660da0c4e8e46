//! From a confirmed subject to one guarded write, or to the reason why there is none. Pure: the same
//! function plans a dry run and judges again, with a fresh look, in the moment of applying.

use bytes::Bytes;

use super::planner::Planner;
use crate::model::finding::{Remedy, Suspect};
use crate::model::observation::{CachedState, Look, Subject};
use crate::rules::{CannotEncode, Judge, fingerprint};
use crate::store::redis::Write;

/// What keeps a write from replacing something newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuardKind {
    /// The judged bytes hold something that never goes back, so that finding them again is enough.
    Cas,
    /// The row is share-locked on the primary while the write happens.
    RowLock,
}

/// One guarded write and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedStep {
    pub subject: Subject,
    pub remedy: Remedy,
    pub guard: GuardKind,
    pub write: Write,
    /// What was judged: the journal's previous value, as far as it is known.
    pub judged: CachedState,
    /// Of the judged row; `None`: there is none.
    pub fingerprint: Option<[u8; 32]>,
    /// Indices of the suspects that this write settles; the others need a step of their own afterwards.
    pub covers: Vec<usize>,
    /// The hash has to be read whole, and planned again with it, before this may be applied: whether it
    /// holds members nobody mapped decides between overwriting and invalidating, and the journal needs
    /// what a deletion would take away.
    pub needs_whole_hash: bool,
}

impl PlannedStep {
    /// Whether `fresh`, planned in the moment of applying, may stand for this confirmed step. An increment
    /// only while the row rests: a change in flight may already carry part of the gap.
    pub fn allows(&self, fresh: &PlannedStep) -> bool {
        self.remedy != Remedy::Increment
            || (fresh.remedy == Remedy::Increment
                && fresh.fingerprint == self.fingerprint
                && fresh.write == self.write)
    }
}

/// Why nothing is written. The text is the finding's `reason`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("nothing to repair")]
    NothingWrong,
    #[error("the job says repair = \"report\"")]
    ReportOnly,
    #[error("the job says repair_orphans = \"report\"")]
    OrphansReportOnly,
    #[error("this rule has no repair")]
    NoRemedy,
    #[error("the cache is ahead of the source")]
    Ahead,
    #[error("some fields are behind and others ahead")]
    Mixed,
    #[error("nothing tells which side is older, and the job does not say order = \"source-first\"")]
    NoDirection,
    #[error("a field with a direction holds something that its order does not know")]
    Unordered,
    #[error("the source violates the rule too")]
    SourceWrongToo,
    #[error("the cache may be the only copy (order = \"cache-first\")")]
    OnlyCopy,
    #[error("it cannot be overwritten ({0}), and without lazy = true nobody would fill it again")]
    NotLazy(String),
    #[error("{0}")]
    CannotEncode(#[from] CannotEncode),
    #[error("{0}")]
    Document(String),
    #[error("the gap is no whole number of 64 bits, or the value lies inside a document")]
    NoIncrement,
    #[error("the check has no `ttl` to set")]
    NoTtl,
    #[error("guard = \"cas\", but the judged bytes hold nothing that never goes back")]
    CasUndirected,
    #[error("the check needs `lock_sql` for a row lock")]
    NoLockSql,
}

/// Plans the write that settles the most specific of `suspects`, and all that go with it. `whole_hash` is
/// the hash as read whole, where an earlier plan asked for it. A look whose two reads differ has nothing to
/// be guarded by, so `look.after` is what is judged.
pub fn plan_step(
    judge: &Judge,
    subject: &Subject,
    look: &Look,
    suspects: &[Suspect],
    whole_hash: Option<&[(Bytes, Bytes)]>,
) -> Result<PlannedStep, Refusal> {
    let row = look.row.as_ref().map(|r| r.as_ref());
    let planner = Planner {
        judge,
        check: &judge.mapping().check,
        subject,
        state: &look.after,
        row,
        case: judge.case(row, &look.after),
        whole_hash,
    };
    let (remedy, write, needs_whole_hash) = planner.write(suspects)?;
    let guard = planner.guard(&write)?;
    let is_settled = |suspect: &Suspect| match remedy {
        Remedy::SetTtl => suspect.rule.0 == "lost-expiry",
        _ => suspect.rule.0 != "lost-expiry" || remedy == Remedy::Invalidate,
    };
    Ok(PlannedStep {
        subject: subject.clone(),
        remedy,
        guard,
        covers: (0..suspects.len())
            .filter(|i| is_settled(&suspects[*i]))
            .collect(),
        judged: look.after.clone(),
        fingerprint: row.map(|row| fingerprint(judge.mapping(), row)),
        needs_whole_hash,
        write,
    })
}
