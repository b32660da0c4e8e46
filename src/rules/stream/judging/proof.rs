//! Whether an entry's whole effect is in the table.

use super::judge::StreamJudge;
use crate::model::rows::RowRef;
use crate::model::stream::{Entry, Evidence, Identity, StreamId};
use crate::rules::compare::Comparison;

/// What the primary says of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Its whole effect is there.
    Proven,
    /// It was legally rejected: its effect is that nothing happens.
    Rejected,
    /// Its effect is not there, or not whole.
    Absent,
    /// There is no row, and a rejected entry would leave none either.
    Unprovable,
    /// There are rows of its identity, and none says what the entry says.
    Conflict {
        /// Index into `check.rows.fields`: the first column that differs.
        field: usize,
    },
    /// The entry cannot be read as declared; says why, never what.
    Undecodable(String),
}

/// What the rows of one identity say to an entry.
enum Rows {
    None,
    OneIsEqual,
    Differ { field: usize },
    Unreadable(String),
}

impl Proof {
    /// Whether the entry needs nothing more: only then is it ever acknowledged.
    pub fn settles(&self) -> bool {
        matches!(self, Proof::Proven | Proof::Rejected)
    }
}

impl StreamJudge {
    /// What `evidence` proves of the entry; of an entry that is gone, what can be said without its fields.
    pub fn proof(&self, id: StreamId, entry: Option<&Entry>, evidence: &Evidence) -> Proof {
        let Some(entry) = entry else {
            return self.proof_of_trimmed(evidence);
        };
        if let (Identity::Field(name), None) =
            (&self.check().identity, self.identity_of(id, Some(entry)))
        {
            let name = String::from_utf8_lossy(name);
            return Proof::Undecodable(format!("it has no field `{name}`, which names its effect"));
        }
        match (self.compare_rows(entry, evidence), evidence.is_proven) {
            (Rows::Differ { field }, _) => Proof::Conflict { field },
            (Rows::Unreadable(reason), _) => Proof::Undecodable(reason),
            (Rows::OneIsEqual, None | Some(true)) => Proof::Proven,
            (Rows::None, Some(true)) if self.check().identity != Identity::EntryId => Proof::Proven,
            _ if evidence.is_rejected => Proof::Rejected,
            // An entry id is given out again after a failover, and without a row nobody knows for which payload it
            // was named.
            (Rows::None, Some(true)) => Proof::Unprovable,
            // A row that is not the whole effect was not rejected either.
            (Rows::OneIsEqual, Some(false)) => Proof::Absent,
            (Rows::None, _) => self.no_row(),
        }
    }

    /// The row that says what the entry says; else the first one of its identity.
    pub fn row_for<'a>(&self, entry: Option<&Entry>, evidence: &'a Evidence) -> Option<RowRef<'a>> {
        let rows = || evidence.rows.iter().map(|row| row.as_ref());
        let equal = entry.and_then(|entry| {
            rows().find(|row| {
                (0..self.fields.len()).all(|i| self.compare(i, entry, *row) == Comparison::Equal)
            })
        });
        equal.or_else(|| rows().next())
    }

    /// Without the entry's fields there is nothing to compare: the row that carries the entry's id is the proof.
    fn proof_of_trimmed(&self, evidence: &Evidence) -> Proof {
        let is_named = self.check().identity == Identity::EntryId;
        if is_named && evidence.is_proven.unwrap_or(!evidence.rows.is_empty()) {
            Proof::Proven
        } else if is_named && evidence.is_rejected {
            Proof::Rejected
        } else if is_named && !evidence.rows.is_empty() {
            Proof::Absent
        } else {
            self.no_row()
        }
    }

    fn no_row(&self) -> Proof {
        if self.check().may_leave_no_row {
            Proof::Unprovable
        } else {
            Proof::Absent
        }
    }

    fn compare_rows(&self, entry: &Entry, evidence: &Evidence) -> Rows {
        let mut worst = Rows::None;
        for row in &evidence.rows {
            match (self.compare_row(entry, row.as_ref()), &worst) {
                (Rows::OneIsEqual, _) => return Rows::OneIsEqual,
                (differ @ Rows::Differ { .. }, Rows::None | Rows::Unreadable(_)) => worst = differ,
                (unreadable @ Rows::Unreadable(_), Rows::None) => worst = unreadable,
                _ => {}
            }
        }
        worst
    }

    fn compare_row(&self, entry: &Entry, row: RowRef<'_>) -> Rows {
        let mut unreadable = None;
        for field in 0..self.fields.len() {
            match self.compare(field, entry, row) {
                Comparison::Equal => {}
                Comparison::Undecodable(reason) => {
                    let place = &self.mapping().rows.check.fields[field].cache;
                    unreadable.get_or_insert_with(|| format!("{place}: {reason}"));
                }
                Comparison::Behind | Comparison::Ahead | Comparison::Differs => {
                    return Rows::Differ { field };
                }
            }
        }
        unreadable.map_or(Rows::OneIsEqual, Rows::Unreadable)
    }

    pub(super) fn compare(&self, field: usize, entry: &Entry, row: RowRef<'_>) -> Comparison {
        let compiled = &self.fields[field];
        let token = self.token(field, entry);
        compiled.comparer.compare(token, row.cell(compiled.cell))
    }
}
