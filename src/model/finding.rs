//! Findings: suspects after the second look.

use super::observation::{Position, Subject};
use super::stream::StreamId;
use super::time::Micros;

/// The public id of a rule, e.g. `version-regression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub &'static str);

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// `None` for a word that is no severity's name.
    pub fn of_name(name: &str) -> Option<Self> {
        use Severity::{Critical, High, Low, Medium};
        let mut all = [Low, Medium, High, Critical].into_iter();
        all.find(|severity| severity.name() == name)
    }
}

/// Which side is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    Behind,
    Ahead,
    /// Some fields behind, others ahead: reported, never repaired.
    Mixed,
    /// No version and no field tells.
    Undirected,
}

/// One rule's objection to one observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    pub rule: RuleId,
    pub severity: Severity,
    pub direction: Direction,
    /// Index into `check.fields`; `None`: the key, the member or the version as a whole.
    pub field: Option<usize>,
    /// Why, where the rule has more to say than its id: a parse error, another Redis type.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Confirmed,
    /// Lag: it healed.
    Transient,
    /// Keeps changing; never repaired.
    Hot,
    /// Could not be read, or the source never came to rest.
    Unknown,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Confirmed => "confirmed",
            Verdict::Transient => "transient",
            Verdict::Hot => "hot",
            Verdict::Unknown => "unknown",
        }
    }

    /// `None` for a word that is no verdict's name.
    pub fn of_name(name: &str) -> Option<Self> {
        use Verdict::{Confirmed, Hot, Transient, Unknown};
        let mut all = [Confirmed, Transient, Hot, Unknown].into_iter();
        all.find(|verdict| verdict.name() == name)
    }
}

/// When the disputed change happened, seen from the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribution {
    Window,
    Outside,
    Unknown,
}

impl Attribution {
    pub fn name(self) -> &'static str {
        match self {
            Attribution::Window => "window",
            Attribution::Outside => "outside",
            Attribution::Unknown => "unknown",
        }
    }
}

/// What would be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remedy {
    Overwrite,
    Invalidate,
    Increment,
    SetTtl,
    Ack,
    Insert,
    Requeue,
    Claim,
    DeadLetter,
    RecreateGroup,
    Advance,
    RaiseLastId,
    None,
}

impl Remedy {
    pub fn name(self) -> &'static str {
        match self {
            Remedy::Overwrite => "overwrite",
            Remedy::Invalidate => "invalidate",
            Remedy::Increment => "increment",
            Remedy::SetTtl => "set-ttl",
            Remedy::Ack => "ack",
            Remedy::Insert => "insert",
            Remedy::Requeue => "requeue",
            Remedy::Claim => "claim",
            Remedy::DeadLetter => "dead-letter",
            Remedy::RecreateGroup => "recreate-group",
            Remedy::Advance => "advance",
            Remedy::RaiseLastId => "raise-last-id",
            Remedy::None => "none",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    Applied,
    LostRace,
    AlreadyRight,
    Refused,
    Failed,
}

impl OutcomeKind {
    pub fn name(self) -> &'static str {
        match self {
            OutcomeKind::Applied => "applied",
            OutcomeKind::LostRace => "lost-race",
            OutcomeKind::AlreadyRight => "already-right",
            OutcomeKind::Refused => "refused",
            OutcomeKind::Failed => "failed",
        }
    }
}

/// One row of `findings.csv`, before it is spelled.
#[derive(Debug, Clone)]
pub struct Finding {
    pub check: String,
    pub subject: Subject,
    pub position: Position,
    /// The entry of a stream; `subject.id` is its text.
    pub stream_id: Option<StreamId>,
    pub suspect: Suspect,
    pub verdict: Verdict,
    pub attribution: Attribution,
    /// As Redis had it; `None`: nothing there. Already a digest where the field is redacted.
    pub cache_value: Option<Vec<u8>>,
    /// As MySQL printed it; `None`: NULL or no row. Already a digest where the field is redacted.
    pub source_value: Option<Vec<u8>>,
    pub cache_version: Option<Vec<u8>>,
    pub source_version: Option<Vec<u8>>,
    /// Whom to compensate: the subject column's text.
    pub compensated: Option<Vec<u8>>,
    /// The source row's own time, as an instant.
    pub changed_at: Option<Micros>,
    /// source − cache for `balance` fields, exact decimal text.
    pub money_delta: Option<String>,
    pub remedy: Remedy,
    /// `None` in a scan and a dry run, and where the remedy is none.
    pub outcome: Option<OutcomeKind>,
    /// Why it was refused or failed, or what the rule adds.
    pub reason: String,
    /// When this host saw it last, wrong.
    pub observed_at: Micros,
    /// When it was right again: the verified repair or the healed look.
    pub settled_at: Option<Micros>,
    /// What it means for the customer named in `compensated`: one for each value that was served wrong.
    pub compensations: Vec<Compensation>,
}

/// A value that a customer was served, and the true one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compensation {
    /// The field as the job file spells it; empty for a whole value.
    pub field: String,
    /// As Redis had it; `None`: nothing there. Already a digest where the field is redacted.
    pub served: Option<Vec<u8>>,
    /// As MySQL has it; `None`: NULL or no row.
    pub true_value: Option<Vec<u8>>,
    /// true − served, exact decimal text; `None` where the value is no money.
    pub delta: Option<String>,
    pub currency: Option<String>,
    /// The later of the source's change and the promotion, as far as they are known.
    pub exposed_from: Option<Micros>,
    /// When it was right again; `None`: it is not.
    pub exposed_until: Option<Micros>,
}
