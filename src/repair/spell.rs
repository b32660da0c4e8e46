//! What of a subject is judged, and what should stand there instead.

use bytes::Bytes;

use super::document::Mapped;
use super::plan::Refusal;
use super::planner::Planner;
use crate::model::check::Locator;
use crate::model::observation::Cached;
use crate::rules::{CacheToken, Comparison, EncodedField, FieldComparer};

impl Planner<'_> {
    pub(super) fn holds_other_fields(&self) -> bool {
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
    pub(super) fn judged_hash(&self) -> Vec<(Bytes, Option<Bytes>)> {
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
    pub(super) fn version_field(
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
    pub(super) fn mapped_members(
        &self,
        tokens: &[CacheToken<'_>],
    ) -> Result<Vec<Mapped<'_>>, Refusal> {
        let mut mapped = Vec::new();
        let mut member = |locator, comparer: &FieldComparer, cell: Option<&[u8]>| {
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

    pub(super) fn is_document(&self) -> bool {
        let version = self.check.version.iter().map(|v| &v.cache);
        version
            .chain(self.check.fields.iter().map(|f| &f.cache))
            .any(|l| pointer(l).is_some())
    }

    pub(super) fn cell(&self, index: usize) -> Option<&[u8]> {
        self.row
            .and_then(|row| row.cell(self.judge.mapping().field_cells[index]))
    }

    /// The bytes of a value that is mapped whole.
    pub(super) fn raw(&self, index: usize, old: CacheToken<'_>) -> Result<Bytes, Refusal> {
        match self
            .judge
            .comparer(index)
            .encode_like(self.cell(index), old)?
        {
            EncodedField::Raw(bytes) | EncodedField::Json(bytes) => Ok(Bytes::from(bytes)),
            EncodedField::Missing => Err(Refusal::NothingWrong),
        }
    }

    pub(super) fn encoded_hash_field(
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

    pub(super) fn hash_field(&self, index: usize) -> Bytes {
        match &self.check.fields[index].cache {
            Locator::HashField(name) => Bytes::copy_from_slice(name),
            _ => Bytes::new(),
        }
    }
}

pub(super) fn pointer(locator: &Locator) -> Option<&[String]> {
    match locator {
        Locator::Pointer(tokens) => Some(tokens),
        _ => None,
    }
}
