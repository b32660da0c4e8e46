//! From a confirmed subject to one guarded write, or to the reason why there is none. Pure: the same
//! function plans a dry run and judges again, with a fresh look, in the moment of applying.

use bytes::Bytes;

use super::document::{DocumentFault, Mapped, build, rewrite};
use crate::model::check::{
    CacheCheck, Guard, Locator, Order, RepairMode, RepairOrphans, Source, ValueKind, Writes,
};
use crate::model::finding::{Direction, Remedy, Suspect};
use crate::model::observation::{Cached, CachedState, Look, Subject};
use crate::model::rows::RowRef;
use crate::model::value::{Number, number};
use crate::rules::{
    CacheToken, CannotEncode, Case, Comparison, EncodedField, Judge, Presence, fingerprint,
};
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

/// What is done, how, and whether the hash has to be read whole first.
type Planned = Result<(Remedy, Write, bool), Refusal>;

struct Planner<'a> {
    judge: &'a Judge,
    check: &'a CacheCheck,
    subject: &'a Subject,
    state: &'a CachedState,
    row: Option<RowRef<'a>>,
    case: Case<'a>,
    whole_hash: Option<&'a [(Bytes, Bytes)]>,
}

impl Planner<'_> {
    fn write(&self, suspects: &[Suspect]) -> Planned {
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
    fn guard(&self, write: &Write) -> Result<GuardKind, Refusal> {
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

    /// Whether the judged bytes hold a version or a directed field that could be read.
    fn holds_direction(&self) -> bool {
        let is_read = |field: &crate::rules::FieldCase| {
            field.is_directed
                && !matches!(
                    field.comparison,
                    Comparison::Undecodable(_) | Comparison::Differs
                )
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

    fn remove_unless_only_copy(&self) -> Planned {
        if self.check.order == Some(Order::CacheFirst) {
            return Err(Refusal::OnlyCopy);
        }
        self.remove()
    }

    /// Deletes the key or member; the application fills it again.
    fn invalidate(&self, why: String) -> Planned {
        match (self.check.lazy, self.check.order) {
            (_, Some(Order::CacheFirst)) => Err(Refusal::OnlyCopy),
            (false, _) => Err(Refusal::NotLazy(why)),
            (true, _) => self.remove(),
        }
    }

    fn remove(&self) -> Planned {
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

    fn set_expiry(&self) -> Planned {
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

    fn create(&self) -> Planned {
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

    /// A value that is mapped whole needs nothing of what cannot be read.
    fn replace_undecodable(&self) -> Planned {
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

    fn replace(&self, suspects: &[Suspect]) -> Planned {
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
        let is_unordered =
            |f: &crate::rules::FieldCase| f.is_directed && f.comparison == Comparison::Differs;
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

    fn increment(&self) -> Planned {
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

    fn replace_scalar(&self, old: CacheToken<'_>) -> Planned {
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

    fn replace_document(&self, judged: &Bytes) -> Planned {
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

    fn replace_fields(&self, cached: &[Option<Bytes>]) -> Planned {
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
    fn is_written(&self, index: usize) -> bool {
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

    fn holds_other_fields(&self) -> bool {
        let version = self.check.version.iter().map(|v| &v.cache);
        let known: Vec<&Locator> = version
            .chain(self.check.fields.iter().map(|f| &f.cache))
            .chain(&self.check.ignore)
            .collect();
        let is_known = |name: &Bytes| {
            known
                .iter()
                .any(|l| matches!(l, Locator::HashField(n) if n[..] == name[..]))
        };
        self.whole_hash
            .is_some_and(|hash| !hash.iter().all(|(name, _)| is_known(name)))
    }

    /// Every observed mapped field, the version's first.
    fn judged_hash(&self) -> Vec<(Bytes, Option<Bytes>)> {
        let Cached::Fields(cached) = &self.state.cached else {
            return Vec::new();
        };
        let version = self.check.version.iter().map(|v| &v.cache);
        let names = version
            .chain(self.check.fields.iter().map(|f| &f.cache))
            .map(|locator| match locator {
                Locator::HashField(name) => Bytes::copy_from_slice(name),
                _ => Bytes::new(),
            });
        names.zip(cached.iter().cloned()).collect()
    }

    /// The version of the row, for a hash that holds one.
    fn version_field(
        &self,
        old: CacheToken<'_>,
    ) -> Result<Option<(Bytes, Option<Bytes>)>, Refusal> {
        let Some((spec, comparer)) = self
            .check
            .version
            .as_ref()
            .zip(self.judge.version_comparer())
        else {
            return Ok(None);
        };
        let Locator::HashField(name) = &spec.cache else {
            return Ok(None);
        };
        let cell = self
            .row
            .zip(self.judge.mapping().version_cell)
            .and_then(|(row, cell)| row.cell(cell));
        let value = match comparer.encode_like(cell, old)? {
            EncodedField::Raw(bytes) | EncodedField::Json(bytes) => Some(Bytes::from(bytes)),
            EncodedField::Missing => None,
        };
        Ok(Some((Bytes::copy_from_slice(name), value)))
    }

    /// Every mapped member with what it should be. `tokens` are the judged document's, version first;
    /// empty for a new document.
    fn mapped_members(&self, tokens: &[CacheToken<'_>]) -> Result<Vec<Mapped<'_>>, Refusal> {
        let mut mapped = Vec::new();
        let mut member = |locator, comparer: &crate::rules::FieldComparer, cell: Option<&[u8]>| {
            let Some(pointer) = pointer(locator) else {
                return Ok(());
            };
            let old = tokens
                .get(mapped.len())
                .copied()
                .unwrap_or(CacheToken::Missing);
            // What already says the same keeps its spelling; it is written anew where equality is lenient.
            let value = match comparer.encode_like(cell, old)? {
                _ if !tokens.is_empty()
                    && comparer.is_exact()
                    && comparer.compare(old, cell) == Comparison::Equal =>
                {
                    None
                }
                EncodedField::Json(text) | EncodedField::Raw(text) => Some(text),
                EncodedField::Missing => None,
            };
            mapped.push(Mapped { pointer, value });
            Ok::<(), Refusal>(())
        };
        if let Some((spec, comparer)) = self
            .check
            .version
            .as_ref()
            .zip(self.judge.version_comparer())
        {
            let cell = self
                .row
                .zip(self.judge.mapping().version_cell)
                .and_then(|(row, cell)| row.cell(cell));
            member(&spec.cache, comparer, cell)?;
        }
        for (index, spec) in self.check.fields.iter().enumerate() {
            member(&spec.cache, self.judge.comparer(index), self.cell(index))?;
        }
        Ok(mapped)
    }

    fn is_document(&self) -> bool {
        let version = self.check.version.iter().map(|v| &v.cache);
        version
            .chain(self.check.fields.iter().map(|f| &f.cache))
            .any(|l| pointer(l).is_some())
    }

    fn cell(&self, index: usize) -> Option<&[u8]> {
        self.row
            .and_then(|row| row.cell(self.judge.mapping().field_cells[index]))
    }

    /// The bytes of a value that is mapped whole.
    fn raw(&self, index: usize, old: CacheToken<'_>) -> Result<Bytes, Refusal> {
        match self
            .judge
            .comparer(index)
            .encode_like(self.cell(index), old)?
        {
            EncodedField::Raw(bytes) | EncodedField::Json(bytes) => Ok(Bytes::from(bytes)),
            EncodedField::Missing => Err(Refusal::NothingWrong),
        }
    }

    fn encoded_hash_field(
        &self,
        index: usize,
        old: CacheToken<'_>,
    ) -> Result<Option<Bytes>, Refusal> {
        match self
            .judge
            .comparer(index)
            .encode_like(self.cell(index), old)?
        {
            EncodedField::Raw(bytes) | EncodedField::Json(bytes) => Ok(Some(Bytes::from(bytes))),
            EncodedField::Missing => Ok(None),
        }
    }

    fn hash_field(&self, index: usize) -> Bytes {
        match &self.check.fields[index].cache {
            Locator::HashField(name) => Bytes::copy_from_slice(name),
            _ => Bytes::new(),
        }
    }
}

fn pointer(locator: &Locator) -> Option<&[String]> {
    match locator {
        Locator::Pointer(tokens) => Some(tokens),
        _ => None,
    }
}
