//! One check's judgement over a stream.

use std::sync::Arc;

use super::case::{EntryCase, GroupCase, LostCase, last_generated};
use super::proof::Proof;
use crate::model::check::Locator;
use crate::model::finding::{Direction, Suspect};
use crate::model::stream::{
    Entry, EntryLook, GroupLook, Identity, Pending, StreamCheck, StreamId, StreamMapping,
    StreamState,
};
use crate::rules::compare::{CacheToken, FieldComparer};
use crate::rules::{cache, catalog, stream};

/// A stream mapping compiled for judging. Holds no connection and no state; share it between tasks.
#[derive(Debug, Clone)]
pub struct StreamJudge {
    mapping: Arc<StreamMapping>,
    /// In the order of `check.rows.fields`.
    pub(super) fields: Vec<Compiled>,
}

/// One of the check's columns with what the entry spells it by.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pub(super) comparer: FieldComparer,
    pub(super) cell: usize,
    pub(super) spelling: Spelling,
}

#[derive(Debug, Clone)]
pub(super) enum Spelling {
    /// The entry's field of this name.
    Field(Vec<u8>),
    /// The same for every entry.
    Constant(Vec<u8>),
}

impl StreamJudge {
    pub fn new(mapping: Arc<StreamMapping>) -> Self {
        let rows = &mapping.rows;
        let specs = rows.check.fields.iter().zip(&rows.field_cells);
        let fields = specs.enumerate().map(|(index, (spec, &cell))| Compiled {
            comparer: FieldComparer::new(spec, &rows.columns[cell]),
            cell,
            spelling: match mapping.check.constants.get(index) {
                Some(Some(constant)) => Spelling::Constant(constant.clone()),
                _ => Spelling::Field(field_name(&spec.cache)),
            },
        });
        let fields = fields.collect();
        Self { mapping, fields }
    }

    pub fn mapping(&self) -> &Arc<StreamMapping> {
        &self.mapping
    }

    pub(super) fn check(&self) -> &StreamCheck {
        &self.mapping.check
    }

    /// Whether the entry is of this check's type; any other is left alone and counted.
    pub fn belongs(&self, entry: &Entry) -> bool {
        let mut matches = self.check().matches.iter();
        matches.all(|(name, value)| entry.field(name).is_some_and(|found| found == value))
    }

    /// What names the entry's effect in the table; `None` where it has no such field, or is gone and took it
    /// along.
    pub fn identity_of(&self, id: StreamId, entry: Option<&Entry>) -> Option<Vec<u8>> {
        match &self.check().identity {
            Identity::EntryId => Some(id.to_string().into_bytes()),
            Identity::Field(name) => entry?.field(name).map(|value| value.to_vec()),
        }
    }

    /// Whether nobody works on the message any more: its consumer is not in the group, or has neither asked for
    /// nor got anything for `orphan_after`; and the message itself has waited as long. Idle times that a failover
    /// brought back are old, so this is never more than half of a reason.
    pub fn owner_is_gone(&self, pending: &Pending) -> bool {
        let limit = u64::try_from(self.check().orphan_after.as_millis()).unwrap_or(u64::MAX);
        let is_silent = pending.owner.as_ref().is_none_or(|owner| {
            owner.idle_millis >= limit && owner.inactive_millis.is_none_or(|i| i >= limit)
        });
        is_silent && pending.row.idle_millis >= limit
    }

    /// The most specific objection to what the look saw first: `before` and `cursor_before`. `None` for
    /// entries of another type.
    pub fn judge_entry(&self, look: &EntryLook) -> Option<Suspect> {
        self.judge_state(look, look.before.as_ref(), look.cursor_before)
    }

    /// The same to what the look saw last: `after` and `cursor_after`.
    pub(super) fn judge_entry_after(&self, look: &EntryLook) -> Option<Suspect> {
        self.judge_state(look, look.after.as_ref(), look.cursor_after)
    }

    /// What the rules object to about the group; empty where it stands as it should.
    pub fn judge_group(&self, look: &GroupLook) -> Vec<Suspect> {
        if let StreamState::WrongType(name) = &look.stream {
            let detail = format!("the key holds a {name} where a stream is declared");
            let rule = cache::wrong_type::RULE;
            return vec![rule.suspect_saying(Direction::Undirected, detail)];
        }
        catalog::judge_group(&GroupCase {
            check: self.check(),
            look,
        })
    }

    /// Whether the stream's last id has reached every id that it may be raised to: rows with ids from the future remain
    /// a person's, and keep the rule objecting.
    pub fn needs_no_raise(&self, look: &GroupLook) -> bool {
        look.highest_in_source
            .is_none_or(|highest| highest <= last_generated(look))
    }

    /// A row of the table that no entry of the stream carries; `None` unless the application keeps its entries.
    pub fn judge_lost_row(&self) -> Option<Suspect> {
        stream::lost_entry::suspect(self.check(), &LostCase::NoEntry)
    }

    /// What the entry spells field `index` of `check.rows.fields` by.
    pub(super) fn token<'a>(&'a self, index: usize, entry: &'a Entry) -> CacheToken<'a> {
        match &self.fields[index].spelling {
            Spelling::Constant(constant) => CacheToken::Raw(constant),
            Spelling::Field(name) => entry
                .field(name)
                .map_or(CacheToken::Missing, |value| CacheToken::Raw(value)),
        }
    }

    /// Whether a column is compared with the entry's field of this name.
    pub(super) fn reads_field(&self, name: &[u8]) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|field| matches!(&field.spelling, Spelling::Field(field) if field == name))
    }

    fn judge_state(
        &self,
        look: &EntryLook,
        pending: Option<&Pending>,
        cursor: Option<StreamId>,
    ) -> Option<Suspect> {
        let entry = look.entry.as_ref();
        if entry.is_some_and(|entry| !self.belongs(entry)) {
            return None;
        }
        let proof = self.proof(look.id, entry, &look.evidence);
        if let Proof::Undecodable(reason) = &proof {
            let rule = cache::undecodable_value::RULE;
            return Some(rule.suspect_saying(Direction::Undirected, reason.clone()));
        }
        catalog::judge_entry(&EntryCase {
            check: self.check(),
            entry,
            pending,
            is_owner_gone: pending.is_some_and(|pending| self.owner_is_gone(pending)),
            is_delivered: cursor.is_some_and(|cursor| cursor >= look.id),
            is_dead_lettered: look.is_dead_lettered,
            proof,
        })
    }
}

/// The name of an entry's field: the rows of a stream check are a mapping of hashes.
fn field_name(locator: &Locator) -> Vec<u8> {
    match locator {
        Locator::HashField(name) => name.clone(),
        other => other.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::stream::testing::*;

    #[test]
    fn an_entry_belongs_where_every_matched_field_has_its_value() {
        let two = StreamCheck {
            matches: vec![
                (b"type".to_vec(), b"BID".to_vec()),
                (b"site".to_vec(), b"de".to_vec()),
            ],
            ..bids()
        };
        let any = StreamCheck {
            matches: Vec::new(),
            ..bids()
        };
        let entry = |fields: &[(&str, &str)]| entry_of(id(1), fields);
        for (check, entry, expected) in [
            (bids(), entry(&[("type", "BID")]), true),
            (bids(), entry(&[("type", "VIEW")]), false),
            (bids(), entry(&[("type", "bid")]), false),
            (bids(), entry(&[]), false),
            // Of a field that occurs twice the last one counts.
            (bids(), entry(&[("type", "VIEW"), ("type", "BID")]), true),
            (bids(), entry(&[("type", "BID"), ("type", "VIEW")]), false),
            (two.clone(), entry(&[("type", "BID")]), false),
            (two, entry(&[("site", "de"), ("type", "BID")]), true),
            (any, entry(&[("type", "VIEW")]), true),
        ] {
            assert_eq!(judge_of(check).belongs(&entry), expected, "{entry:?}");
        }
    }

    #[test]
    fn entries_of_another_type_are_left_alone() {
        let mut look = without_row(settled_look());
        assert_eq!(objection(&bids(), &look), Some("acked-unpersisted"));
        look.entry = Some(entry_of(id(1000), &[("type", "VIEW"), ("bidId", "b1")]));
        assert_eq!(objection(&bids(), &look), None);
        assert_eq!(objection(&bids(), &held(look, orphan())), None);
    }

    #[test]
    fn an_entry_without_its_identity_cannot_be_read() {
        let nameless = || Some(entry_of(id(1000), &[("type", "BID"), ("amount", "10.50")]));
        let lost = || EntryLook {
            entry: nameless(),
            ..without_row(settled_look())
        };
        for look in [lost(), undelivered(lost()), held(lost(), orphan())] {
            assert_eq!(objection(&bids(), &look), Some("undecodable-value"));
        }
        let by_id = StreamCheck {
            identity: Identity::EntryId,
            ..bids()
        };
        assert_eq!(objection(&by_id, &lost()), Some("acked-unpersisted"));
        let judge = judge_of(by_id);
        assert_eq!(judge.identity_of(id(7), None), Some(b"7-0".to_vec()));
        assert_eq!(judge_of(bids()).identity_of(id(7), None), None);
    }

    #[test]
    fn a_column_that_cannot_be_read_is_named_without_its_value() {
        let look = EntryLook {
            entry: Some(bid("secret")),
            ..held(settled_look(), orphan())
        };
        let suspect = judge_of(bids())
            .judge_entry(&look)
            .expect("it is no number");
        assert_eq!(suspect.rule.0, "undecodable-value");
        assert_eq!(
            suspect.detail.as_deref(),
            Some("amount: it is not a number")
        );
        // Without a row there is nothing to compare with: it is simply not done.
        assert_eq!(
            objection(&bids(), &without_row(look)),
            Some("orphan-pending")
        );
    }

    #[test]
    fn a_constant_is_compared_with_its_column() {
        let check = StreamCheck {
            constants: vec![None, Some(b"7".to_vec())],
            ..bids()
        };
        let mut look = held(settled_look(), orphan());
        let judge = judge_of(check.clone());
        let row = |bidder| crate::rules::testing::row("1", &[Some("3"), Some(bidder)]);
        assert!(judge.owns_row(row("7").as_ref()));
        assert!(!judge.owns_row(row("8").as_ref()), "another check's row");
        assert!(judge_of(bids()).owns_row(row("8").as_ref()));
        look.entry = Some(entry_of(
            id(1000),
            &[
                ("type", "BID"),
                ("bidId", "b1"),
                ("amount", "10.50"),
                ("bidder", "8"),
            ],
        ));
        assert_eq!(objection(&check, &look), Some("unacked-persisted"));
        assert_eq!(objection(&bids(), &look), Some("payload-conflict"));
    }

    #[test]
    fn a_raise_is_done_when_only_the_future_is_left() {
        let judge = judge_of(StreamCheck {
            identity: Identity::EntryId,
            ..bids()
        });
        for (highest, is_done) in [(None, true), (Some(2000), true), (Some(2001), false)] {
            let look = GroupLook {
                highest_in_source: highest.map(id),
                future_in_source: vec![id(u64::MAX)],
                ..group_look()
            };
            assert_eq!(judge.judge_group(&look).len(), 1, "the future is told");
            assert_eq!(judge.needs_no_raise(&look), is_done, "{highest:?}");
        }
    }
}
