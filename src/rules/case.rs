//! What the rules look at: one key or member, compared once.

use super::compare::Comparison;
use super::judge::JudgeContext;
use crate::model::finding::Direction;
use crate::model::mapping::{Mapping, RowMeaning};
use crate::model::observation::KeyExpiry;

/// One observation, compared. `version` and `fields` are filled only where a live row meets a value
/// that can be read.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    pub mapping: &'a Mapping,
    pub context: JudgeContext,
    pub meaning: RowMeaning,
    pub presence: Presence<'a>,
    pub expiry: KeyExpiry,
    pub version: Option<Comparison>,
    /// In the order of `check.fields`.
    pub fields: Vec<FieldCase>,
    /// Of the key as a whole.
    pub direction: Direction,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence<'a> {
    Missing {
        key_exists: bool,
    },
    WrongType(&'a str),
    /// Bytes by which the application remembers "no such row".
    AbsentMark,
    /// Not readable as declared; says why, never what.
    Undecodable(String),
    Present,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldCase {
    pub comparison: Comparison,
    /// A balance below zero.
    pub negative: BothSides,
    /// Outside of `min` and `max`.
    pub beyond: BothSides,
    pub is_directed: bool,
    pub has_states: bool,
}

/// One observation about each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BothSides {
    pub cache: bool,
    pub source: bool,
}

impl Case<'_> {
    /// Whether a live row meets a value that could be read.
    pub fn is_compared(&self) -> bool {
        self.meaning == RowMeaning::Live && self.presence == Presence::Present
    }

    /// Ahead, where the job says that ahead is legal: counted, and no suspect.
    pub fn is_ahead_legal(&self) -> bool {
        self.is_compared() && self.direction == Direction::Ahead && self.mapping.check.ahead_ok
    }

    /// Whether the cached bytes hold a version that could be read: such a value never comes back.
    pub fn is_versioned(&self) -> bool {
        self.is_compared()
            && self
                .version
                .is_some_and(|v| !matches!(v, Comparison::Undecodable(_)))
    }

    /// Whether the version, or its being ahead or behind, already speaks for the fields under it.
    pub fn version_speaks(&self) -> bool {
        matches!(
            self.version,
            Some(Comparison::Behind | Comparison::Ahead | Comparison::Differs)
        )
    }

    /// Whether the field `index` is judged at all: a directed one always, a follower only where its
    /// leader is not ahead, any other only where nothing is ahead.
    pub fn is_judged(&self, index: usize) -> bool {
        if self.fields[index].is_directed {
            return true;
        }
        let leader = self.mapping.check.fields[index]
            .follows
            .map(|leader| self.fields[leader].comparison);
        match (self.direction, leader) {
            (Direction::Ahead, _) | (_, Some(Comparison::Ahead)) => false,
            (Direction::Mixed, leader) => leader == Some(Comparison::Behind),
            (Direction::Behind | Direction::Undirected, _) => true,
        }
    }

    /// Takes the comparisons and derives the key's direction from everything that has one.
    pub(super) fn settle(&mut self, version: Option<Comparison>, fields: Vec<FieldCase>) {
        let directed = || {
            version.iter().copied().chain(
                fields
                    .iter()
                    .filter(|f| f.is_directed)
                    .map(|f| f.comparison),
            )
        };
        let behind = directed().any(|c| c == Comparison::Behind);
        let ahead = directed().any(|c| c == Comparison::Ahead);
        self.direction = match (behind, ahead) {
            (true, true) => Direction::Mixed,
            (true, false) => Direction::Behind,
            (false, true) => Direction::Ahead,
            (false, false) => Direction::Undirected,
        };
        self.version = version;
        self.fields = fields;
    }
}
