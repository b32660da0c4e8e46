//! A wrong value becomes the right one: whole, field by field, or by its gap.

use bytes::Bytes;

use super::document::{DocumentFault, rewrite};
use super::plan::Refusal;
use super::planner::{Planned, Planner};
use super::spell::pointer;
use crate::model::check::{Locator, Order, RepairMode, ValueKind, Writes};
use crate::model::finding::{Direction, Remedy, Suspect};
use crate::model::observation::Cached;
use crate::model::value::{Number, number};
use crate::rules::{CacheToken, Comparison, FieldCase, Presence};
use crate::store::redis::Write;

impl Planner<'_> {
    /// A value that is mapped whole needs nothing of what cannot be read.
    pub(super) fn replace_undecodable(&self) -> Planned {
        match self.case.direction {
            Direction::Ahead => return Err(Refusal::Ahead),
            Direction::Mixed => return Err(Refusal::Mixed),
            Direction::Behind | Direction::Undirected => {}
        }
        let is_whole = matches!(
            self.check.fields.first().map(|f| &f.cache),
            Some(Locator::Whole)
        );
        let may_overwrite = self.check.repair == RepairMode::Overwrite
            && self.check.order == Some(Order::SourceFirst)
            && self.check.writes == Writes::Set;
        if is_whole && may_overwrite {
            return self.replace_scalar(CacheToken::Missing);
        }
        self.invalidate("it cannot be read".to_owned())
    }

    pub(super) fn replace(&self, suspects: &[Suspect]) -> Planned {
        if self.case.presence != Presence::Present {
            return Err(Refusal::NothingWrong);
        }
        match self.case.direction {
            Direction::Ahead => return Err(Refusal::Ahead),
            Direction::Mixed => return Err(Refusal::Mixed),
            Direction::Undirected if self.check.order != Some(Order::SourceFirst) => {
                return Err(Refusal::NoDirection);
            }
            Direction::Behind | Direction::Undirected => {}
        }
        let is_unordered = |f: &FieldCase| f.is_directed && f.comparison == Comparison::Differs;
        if self.case.fields.iter().any(is_unordered) {
            return Err(Refusal::Unordered);
        }
        let changes_something = suspects.iter().any(|s| match s.field {
            None => s.rule.0 != "lost-expiry",
            Some(field) => self
                .case
                .fields
                .get(field)
                .is_some_and(|f| f.comparison != Comparison::Equal),
        });
        // What is wrong on both sides stays wrong: nobody is helped by the other wrong value.
        let is_hopeless = suspects.iter().all(|s| {
            s.field
                .and_then(|f| self.case.fields.get(f))
                .is_some_and(|f| f.negative.source || f.beyond.source)
        });
        if !changes_something || is_hopeless {
            return Err(Refusal::SourceWrongToo);
        }
        if self.check.repair == RepairMode::Invalidate {
            return self.invalidate("the job says repair = \"invalidate\"".to_owned());
        }
        if self.check.writes == Writes::Delta {
            return self.increment();
        }
        match &self.state.cached {
            Cached::Value(bytes) if self.is_document() => self.replace_document(bytes),
            Cached::Value(bytes) => self.replace_scalar(CacheToken::Raw(bytes)),
            Cached::Fields(fields) => self.replace_fields(fields),
            Cached::Missing { .. } | Cached::WrongType(_) => Err(Refusal::NothingWrong),
        }
    }

    pub(super) fn increment(&self) -> Planned {
        let key = self.subject.key.clone();
        let wrong = self
            .case
            .fields
            .iter()
            .position(|f| f.comparison != Comparison::Equal);
        let index = wrong.ok_or(Refusal::NothingWrong)?;
        let gap = |judged: &Bytes| {
            let source = self
                .cell(index)
                .and_then(Number::parse)
                .ok_or(Refusal::NoIncrement)?;
            let cached = Number::parse(judged).ok_or(Refusal::NoIncrement)?;
            let gap = number::difference(&source, &cached).ok_or(Refusal::NoIncrement)?;
            Number::parse(gap.as_bytes())
                .and_then(|gap| gap.to_integer_text())
                .and_then(|gap| gap.parse::<i64>().ok())
                .ok_or(Refusal::NoIncrement)
        };
        let write = match (
            &self.subject.member,
            &self.state.cached,
            &self.check.fields[index].cache,
        ) {
            (None, Cached::Value(judged), Locator::Whole) => Write::AddToString {
                key,
                judged: judged.clone(),
                gap: gap(judged)?,
            },
            (Some(member), Cached::Value(judged), Locator::Whole)
                if self.check.value == ValueKind::Hash =>
            {
                let field = Bytes::copy_from_slice(member);
                Write::AddToHashField {
                    key,
                    field,
                    judged: judged.clone(),
                    gap: gap(judged)?,
                }
            }
            (None, Cached::Fields(fields), Locator::HashField(name)) => {
                let offset = usize::from(self.check.version.is_some());
                let judged = fields
                    .get(offset + index)
                    .cloned()
                    .flatten()
                    .ok_or(Refusal::NoIncrement)?;
                let field = Bytes::copy_from_slice(name);
                Write::AddToHashField {
                    key,
                    field,
                    gap: gap(&judged)?,
                    judged,
                }
            }
            _ => return Err(Refusal::NoIncrement),
        };
        Ok((Remedy::Increment, write, false))
    }

    pub(super) fn replace_scalar(&self, old: CacheToken<'_>) -> Planned {
        let Cached::Value(judged) = &self.state.cached else {
            return Err(Refusal::NothingWrong);
        };
        let new = match self.raw(0, old) {
            Ok(new) => new,
            Err(refusal) => return self.invalidate(refusal.to_string()),
        };
        let (key, judged) = (self.subject.key.clone(), judged.clone());
        let write = match self.subject.member.clone() {
            None => Write::ReplaceString { key, judged, new },
            Some(member) if self.check.value == ValueKind::Zset => Write::SetScore {
                key,
                member,
                judged: Some(judged),
                new,
            },
            Some(member) => {
                let field = Bytes::from(member);
                Write::SetHashFields {
                    key,
                    judged: vec![(field.clone(), Some(judged))],
                    fields: vec![(field, Some(new))],
                }
            }
        };
        Ok((Remedy::Overwrite, write, false))
    }

    pub(super) fn replace_document(&self, judged: &Bytes) -> Planned {
        let tokens = self
            .judge
            .tokens(&self.state.cached)
            .map_err(|fault| Refusal::Document(fault.to_string()))?;
        let ignored: Vec<&[String]> = self.check.ignore.iter().filter_map(pointer).collect();
        let written = self.mapped_members(&tokens).and_then(|mapped| {
            rewrite(judged, &mapped, &ignored)
                .map_err(|fault: DocumentFault| Refusal::Document(fault.to_string()))
        });
        let new = match written {
            Ok(new) => Bytes::from(new),
            Err(refusal) => return self.invalidate(refusal.to_string()),
        };
        let key = self.subject.key.clone();
        let write = match self.subject.member.as_deref() {
            None => Write::ReplaceString {
                key,
                judged: judged.clone(),
                new,
            },
            Some(member) => {
                let field = Bytes::copy_from_slice(member);
                let judged = vec![(field.clone(), Some(judged.clone()))];
                Write::SetHashFields {
                    key,
                    judged,
                    fields: vec![(field, Some(new))],
                }
            }
        };
        Ok((Remedy::Overwrite, write, false))
    }

    pub(super) fn replace_fields(&self, cached: &[Option<Bytes>]) -> Planned {
        let offset = usize::from(self.check.version.is_some());
        let old = |index: usize| {
            cached
                .get(offset + index)
                .and_then(Option::as_deref)
                .map_or(CacheToken::Missing, CacheToken::Raw)
        };
        let mut fields = Vec::new();
        for index in (0..self.check.fields.len())
            .filter(|i| self.check.version.is_some() || self.is_written(*i))
        {
            match self.encoded_hash_field(index, old(index)) {
                Ok(value) => fields.push((self.hash_field(index), value)),
                Err(refusal) => return self.invalidate(refusal.to_string()),
            }
        }
        let version = cached
            .first()
            .filter(|_| offset == 1)
            .and_then(Option::as_deref);
        fields.extend(self.version_field(version.map_or(CacheToken::Missing, CacheToken::Raw))?);
        if fields.is_empty() {
            return Err(Refusal::NoDirection);
        }
        if self.check.version.is_some() && self.holds_other_fields() {
            return self.invalidate(
                "the hash holds fields that the job neither maps nor ignores".to_owned(),
            );
        }
        let needs_whole_hash = self.check.version.is_some() && self.whole_hash.is_none();
        let write = Write::SetHashFields {
            key: self.subject.key.clone(),
            judged: self.judged_hash(),
            fields,
        };
        Ok((Remedy::Overwrite, write, needs_whole_hash))
    }

    /// Without a version a hash is written field by field: what is behind, with its followers; and what
    /// merely differs where the source wins.
    pub(super) fn is_written(&self, index: usize) -> bool {
        let leader = self.check.fields[index]
            .follows
            .map(|leader| self.case.fields[leader].comparison);
        let source_wins =
            self.check.order == Some(Order::SourceFirst) && self.case.is_judged(index);
        match (self.case.fields[index].comparison, leader) {
            (Comparison::Behind, _) => true,
            (_, Some(Comparison::Behind)) => true,
            (Comparison::Differs, _) => source_wins,
            _ => false,
        }
    }
}
