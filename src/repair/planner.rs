//! Which remedy a subject gets, and what guards it.

use bytes::Bytes;

use super::document::build;
use super::plan::{GuardKind, Refusal};
use crate::model::check::{CacheCheck, Guard, Order, RepairMode, RepairOrphans, Source, ValueKind};
use crate::model::finding::{Remedy, Suspect};
use crate::model::observation::{Cached, CachedState, Subject};
use crate::model::rows::RowRef;
use crate::rules::{CacheToken, Case, Comparison, FieldCase, Judge};
use crate::store::redis::Write;

/// What is done, how, and whether the hash has to be read whole first.
pub(super) type Planned = Result<(Remedy, Write, bool), Refusal>;

pub(super) struct Planner<'a> {
    pub(super) judge: &'a Judge,
    pub(super) check: &'a CacheCheck,
    pub(super) subject: &'a Subject,
    pub(super) state: &'a CachedState,
    pub(super) row: Option<RowRef<'a>>,
    pub(super) case: Case<'a>,
    pub(super) whole_hash: Option<&'a [(Bytes, Bytes)]>,
}

impl Planner<'_> {
    pub(super) fn write(&self, suspects: &[Suspect]) -> Planned {
        let main = suspects
            .iter()
            .find(|s| s.rule.0 != "lost-expiry")
            .or(suspects.first());
        let main = main.ok_or(Refusal::NothingWrong)?;
        match main.rule.0 {
            "orphan-key" if self.check.repair_orphans == RepairOrphans::Report => {
                Err(Refusal::OrphansReportOnly)
            }
            "orphan-key" => self.remove_unless_only_copy(),
            _ if self.check.repair == RepairMode::Report => Err(Refusal::ReportOnly),
            "wrong-type" | "version-ahead" => Err(Refusal::NoRemedy),
            "resurrected-key" | "stale-negative" => self.remove_unless_only_copy(),
            "lost-expiry" => self.set_expiry(),
            "missing-key" => self.create(),
            "undecodable-value" => self.replace_undecodable(),
            _ => self.replace(suspects),
        }
    }

    /// A row lock wherever byte equality does not prove that nothing happened in between.
    pub(super) fn guard(&self, write: &Write) -> Result<GuardKind, Refusal> {
        let holds_direction = match write {
            // It takes nothing away, whatever happened.
            Write::SetExpiry { .. } => return Ok(GuardKind::Cas),
            Write::AddToString { .. } | Write::AddToHashField { .. } => false,
            _ => self.holds_direction(),
        };
        let needs_lock = match self.check.guard {
            Guard::RowLock => true,
            Guard::Auto => !holds_direction,
            Guard::Cas if holds_direction => false,
            Guard::Cas => return Err(Refusal::CasUndirected),
        };
        let can_lock = !matches!(&self.check.source, Source::Sql { lock_sql: None, .. });
        match (needs_lock, can_lock) {
            (false, _) => Ok(GuardKind::Cas),
            (true, true) => Ok(GuardKind::RowLock),
            (true, false) => Err(Refusal::NoLockSql),
        }
    }

    /// Whether the judged bytes hold a version, or a directed field that the write moves on.
    pub(super) fn holds_direction(&self) -> bool {
        let is_read = |field: &FieldCase| {
            // A field that is equal may be so again after what lies beside it went there and back.
            field.is_directed && field.comparison == Comparison::Behind
        };
        let tokens = self.judge.tokens(&self.state.cached).unwrap_or_default();
        let offset = usize::from(self.case.version.is_some());
        let has_field = self.case.fields.iter().enumerate().any(|(index, field)| {
            is_read(field)
                && tokens
                    .get(offset + index)
                    .is_some_and(|t| *t != CacheToken::Missing)
        });
        self.case.is_versioned() || (self.case.is_compared() && has_field)
    }

    pub(super) fn remove_unless_only_copy(&self) -> Planned {
        if self.check.order == Some(Order::CacheFirst) {
            return Err(Refusal::OnlyCopy);
        }
        self.remove()
    }

    /// Deletes the key or member; the application fills it again.
    pub(super) fn invalidate(&self, why: String) -> Planned {
        match (self.check.lazy, self.check.order) {
            (_, Some(Order::CacheFirst)) => Err(Refusal::OnlyCopy),
            (false, _) => Err(Refusal::NotLazy(why)),
            (true, _) => self.remove(),
        }
    }

    pub(super) fn remove(&self) -> Planned {
        let key = self.subject.key.clone();
        let write = match (&self.subject.member, &self.state.cached) {
            (None, Cached::Value(judged)) => Write::DeleteString {
                key,
                judged: judged.clone(),
            },
            (None, Cached::Fields(_)) => {
                // Whatever else lies in the hash goes with it, so it must be what the journal knows.
                let judged = match self.whole_hash {
                    Some(hash) => hash
                        .iter()
                        .map(|(name, value)| (name.clone(), Some(value.clone())))
                        .collect(),
                    None => self.judged_hash(),
                };
                let write = Write::DeleteHash { key, judged };
                return Ok((Remedy::Invalidate, write, self.whole_hash.is_none()));
            }
            (Some(member), Cached::Value(judged)) => match self.check.value {
                ValueKind::Zset => Write::RemoveScore {
                    key,
                    member: member.clone(),
                    judged: judged.clone(),
                },
                ValueKind::Set => Write::SetMember {
                    key,
                    member: member.clone(),
                    present: false,
                },
                _ => {
                    let field = Bytes::copy_from_slice(member);
                    let judged = vec![(field.clone(), Some(judged.clone()))];
                    Write::SetHashFields {
                        key,
                        judged,
                        fields: vec![(field, None)],
                    }
                }
            },
            _ => return Err(Refusal::NothingWrong),
        };
        Ok((Remedy::Invalidate, write, false))
    }

    pub(super) fn set_expiry(&self) -> Planned {
        let ttl = self.check.ttl.ok_or(Refusal::NoTtl)?;
        let ttl_millis = i64::try_from(ttl.as_millis()).map_err(|_| Refusal::NoTtl)?;
        let judged = match (&self.subject.member, &self.state.cached) {
            (None, Cached::Value(judged)) => Some(judged.clone()),
            _ => None,
        };
        let write = Write::SetExpiry {
            key: self.subject.key.clone(),
            judged,
            ttl_millis,
        };
        Ok((Remedy::SetTtl, write, false))
    }

    pub(super) fn create(&self) -> Planned {
        if self.check.order != Some(Order::SourceFirst) {
            return Err(Refusal::NoDirection);
        }
        if self.check.repair != RepairMode::Overwrite {
            return Err(Refusal::ReportOnly);
        }
        let key = self.subject.key.clone();
        if let Some(member) = self.subject.member.clone() {
            let write = match self.check.value {
                ValueKind::Set => Write::SetMember {
                    key,
                    member,
                    present: true,
                },
                ValueKind::Zset => Write::SetScore {
                    key,
                    member,
                    judged: None,
                    new: self.raw(0, CacheToken::Missing)?,
                },
                _ => {
                    let field = Bytes::from(member);
                    let new = self.raw(0, CacheToken::Missing)?;
                    Write::SetHashFields {
                        key,
                        judged: vec![(field.clone(), None)],
                        fields: vec![(field, Some(new))],
                    }
                }
            };
            return Ok((Remedy::Overwrite, write, false));
        }
        let is_document = self.check.value == ValueKind::Hash || self.is_document();
        if is_document && !self.check.ignore.is_empty() {
            return Err(Refusal::Document(
                "members that nobody mapped (`ignore`) would be missing from it".to_owned(),
            ));
        }
        if self.check.value == ValueKind::Hash {
            let mut fields = Vec::new();
            for index in 0..self.check.fields.len() {
                fields.push((
                    self.hash_field(index),
                    self.encoded_hash_field(index, CacheToken::Missing)?,
                ));
            }
            fields.extend(self.version_field(CacheToken::Missing)?);
            let judged = fields
                .iter()
                .map(|(name, _)| (name.clone(), None))
                .collect();
            fields.retain(|(_, value)| value.is_some());
            return Ok((
                Remedy::Overwrite,
                Write::SetHashFields {
                    key,
                    judged,
                    fields,
                },
                false,
            ));
        }
        let new = if self.is_document() {
            let mapped = self.mapped_members(&[])?;
            Bytes::from(build(&mapped).map_err(|fault| Refusal::Document(fault.to_string()))?)
        } else {
            self.raw(0, CacheToken::Missing)?
        };
        let ttl_millis = self
            .check
            .ttl
            .and_then(|ttl| i64::try_from(ttl.as_millis()).ok());
        Ok((
            Remedy::Overwrite,
            Write::CreateString {
                key,
                new,
                ttl_millis,
            },
            false,
        ))
    }
}
