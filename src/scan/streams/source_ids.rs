//! Entry ids that rows carry, where the id is the identity: which is the highest, and which no Redis can have
//! given yet.

use std::collections::BTreeSet;
use std::time::Duration;

use super::evidence::weigh;
use crate::model::identity::SourceIdentity;
use crate::model::rows::RowRef;
use crate::model::stream::{Identity, StreamId};
use crate::model::time::Micros;
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::store::mysql::Mysql;

/// The highest ids that are kept: more than one, because the row of the highest may be gone at the next look.
const HIGHEST_KEPT: usize = 8;
/// Ids from the future that are kept; one alone is a fault of the application, and more add nothing.
const FUTURE_KEPT: usize = 100;

/// What a pass over rows saw of the entry ids in them, in bounded memory.
#[derive(Debug, Default)]
pub struct SourceIds {
    highest: BTreeSet<StreamId>,
    future: BTreeSet<StreamId>,
}

/// What the primary says now.
pub(super) struct Stand {
    pub highest: Option<StreamId>,
    pub future: Vec<StreamId>,
    pub source: SourceIdentity,
    pub source_time: Micros,
}

impl SourceIds {
    /// Takes the id of one row, if the id is this check's identity and the row carries one. `now` is Redis's
    /// clock.
    pub fn note(&mut self, judge: &StreamJudge, row: RowRef<'_>, now: Micros, skew: Duration) {
        let mapping = judge.mapping();
        if mapping.check.identity != Identity::EntryId {
            return;
        }
        let Some(id) = row.cell(mapping.identity_cell()).and_then(StreamId::parse) else {
            return;
        };
        let (kept, most) = match id.is_from_the_future(now, skew) {
            true => (&mut self.future, FUTURE_KEPT),
            false => (&mut self.highest, HIGHEST_KEPT),
        };
        kept.insert(id);
        if kept.len() > most {
            kept.pop_first();
        }
    }

    /// What a look at the group should read again.
    pub fn candidates(&self) -> Vec<StreamId> {
        self.highest.iter().chain(&self.future).copied().collect()
    }
}

/// Which of `carried` rows carry now. Also says who answers, where there is nothing to ask.
pub(super) async fn stand_in_source(
    source: &Mysql,
    judge: &StreamJudge,
    carried: &[StreamId],
    now: Micros,
    skew: Duration,
) -> Result<Stand, ScanError> {
    let asked: &[StreamId] = match judge.mapping().check.identity {
        Identity::EntryId => carried,
        Identity::Field(_) => &[],
    };
    let identities: Vec<Option<Vec<u8>>> = asked
        .iter()
        .map(|id| Some(id.to_string().into_bytes()))
        .collect();
    let answer = weigh(source, judge, &identities).await?;
    let found = asked.iter().zip(&answer.evidence);
    let (mut future, past): (Vec<StreamId>, Vec<StreamId>) = found
        .filter(|(_, evidence)| !evidence.rows.is_empty())
        .map(|(id, _)| *id)
        .partition(|id| id.is_from_the_future(now, skew));
    future.sort_unstable();
    Ok(Stand {
        highest: past.into_iter().max(),
        future,
        source: answer.source,
        source_time: answer.source_time,
    })
}
