//! How a whole run ended.

/// What a run may say at its end, worst last. The exit code follows from it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunVerdict {
    /// Everything was looked at; consistent now.
    Consistent,
    /// Everything was looked at; findings remain.
    FindingsRemain,
    /// Stopped early, or something stayed unknown, refused or not searched.
    Partial,
    /// A store could not be reached or refused.
    NothingJudged,
}

impl RunVerdict {
    pub fn name(self) -> &'static str {
        match self {
            RunVerdict::Consistent => "consistent",
            RunVerdict::FindingsRemain => "findings-remain",
            RunVerdict::Partial => "partial",
            RunVerdict::NothingJudged => "nothing-judged",
        }
    }

    /// `None` for a word that is no verdict's name.
    pub fn of_name(name: &str) -> Option<Self> {
        use RunVerdict::{Consistent, FindingsRemain, NothingJudged, Partial};
        let mut all = [Consistent, FindingsRemain, Partial, NothingJudged].into_iter();
        all.find(|verdict| verdict.name() == name)
    }

    /// Exit code as in the command-line contract; 2 (bad request) and 5 (lease) are said elsewhere.
    pub fn exit_code(self) -> u8 {
        match self {
            RunVerdict::Consistent => 0,
            RunVerdict::FindingsRemain => 1,
            RunVerdict::NothingJudged => 3,
            RunVerdict::Partial => 4,
        }
    }
}

/// Counts of one check. `observed` counts rows whose key was read, present or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    pub observed: u64,
    /// Of the observed: both sides agreed (or nothing was there and nothing had to be).
    pub matched: u64,
    /// Of the matched: nothing was in Redis.
    pub absent: u64,
    pub suspect: u64,
    pub confirmed: u64,
    pub transient: u64,
    pub hot: u64,
    pub unknown: u64,
    pub ahead_legal: u64,
    /// Rows that can have no key, because a placeholder's column is NULL.
    pub keyless: u64,
    /// Keys that only look like this check's.
    pub foreign: u64,
    /// Keys that were left out: their template can be split in too many ways.
    pub skipped: u64,
    /// Rows and keys in slots of other shards of a Cluster than the run is about: not looked at.
    pub other_shards: u64,
    pub applied: u64,
    pub refused: u64,
    pub lost_race: u64,
}

impl Coverage {
    /// Adds every count of `more`.
    pub fn add(&mut self, more: &Self) {
        self.observed += more.observed;
        self.matched += more.matched;
        self.absent += more.absent;
        self.suspect += more.suspect;
        self.confirmed += more.confirmed;
        self.transient += more.transient;
        self.hot += more.hot;
        self.unknown += more.unknown;
        self.ahead_legal += more.ahead_legal;
        self.keyless += more.keyless;
        self.foreign += more.foreign;
        self.skipped += more.skipped;
        self.applied += more.applied;
        self.refused += more.refused;
        self.lost_race += more.lost_race;
    }
}
