//! What a report shows of a cached value: a field's text, or the version's; never a whole document.

use super::compare::CacheToken;
use super::judge::Judge;
use crate::model::observation::Cached;
use crate::model::value::json::{JsonKind, unescaped};

impl Judge {
    /// The text of field `index` of `check.fields`; `None` where nothing is there or nothing can be read.
    pub fn shown_field(&self, index: usize, cached: &Cached) -> Option<Vec<u8>> {
        let first = usize::from(self.version_comparer().is_some());
        text(*self.tokens(cached).ok()?.get(first + index)?)
    }

    /// The version's text.
    pub fn shown_version(&self, cached: &Cached) -> Option<Vec<u8>> {
        self.version_comparer()?;
        text(*self.tokens(cached).ok()?.first()?)
    }
}

fn text(token: CacheToken<'_>) -> Option<Vec<u8>> {
    match token {
        CacheToken::Missing => None,
        CacheToken::Raw(bytes) => Some(bytes.to_vec()),
        CacheToken::Json(token) => match token.kind {
            JsonKind::String { .. } => Some(unescaped(token.raw).into_owned()),
            _ => Some(token.raw.to_vec()),
        },
    }
}
