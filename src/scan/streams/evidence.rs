//! What the primary says of the entries of a page or a look, and which of them the dead letters hold.

use super::dead_letters::DeadLetters;
use crate::model::stream::{Entry, Evidence, Pending, StreamId};
use crate::rules::StreamJudge;
use crate::scan::ScanError;
use crate::store::mysql::{Mysql, WitnessedEvidence};
use crate::store::redis::Redis;

/// An entry id with what Redis said of it.
#[derive(Debug)]
pub(super) struct Read {
    pub id: StreamId,
    pub entry: Option<Entry>,
    pub pending: Option<Pending>,
}

/// Asks the primary about every identity, in order; those without one get empty evidence. Who answers is known also when
/// there is nothing to ask.
pub(super) async fn weigh(
    source: &Mysql,
    judge: &StreamJudge,
    identities: &[Option<Vec<u8>>],
) -> Result<WitnessedEvidence, ScanError> {
    let known: Vec<Vec<u8>> = identities.iter().flatten().cloned().collect();
    let whole = source.evidence(judge.mapping(), &known).await?;
    let mut found = whole.evidence.into_iter();
    let evidence = identities
        .iter()
        .map(|identity| match identity {
            Some(_) => found.next().unwrap_or_default(),
            None => Evidence::default(),
        })
        .collect();
    Ok(WitnessedEvidence { evidence, ..whole })
}

/// The identity of each of `reads`.
pub(super) fn identities(judge: &StreamJudge, reads: &[Read]) -> Vec<Option<Vec<u8>>> {
    reads
        .iter()
        .map(|read| judge.identity_of(read.id, read.entry.as_ref()))
        .collect()
}

/// Which of `reads` the dead letters hold. They are read only where that can matter: for what was delivered
/// and has no effect; and after the pending list, because a dead letter is written before its message is
/// acknowledged.
pub(super) async fn dead_lettered(
    cache: &Redis,
    dead: &DeadLetters,
    cursor: Option<StreamId>,
    reads: &[Read],
    identities: &[Option<Vec<u8>>],
    evidence: &[Evidence],
) -> Result<Vec<bool>, ScanError> {
    let matters = |read: &Read, evidence: &Evidence| {
        let was_delivered = read.pending.is_some() || cursor.is_some_and(|c| read.id <= c);
        let has_effect = evidence.is_proven.unwrap_or(!evidence.rows.is_empty());
        was_delivered && !has_effect && !evidence.is_rejected
    };
    let asked: Vec<bool> = reads
        .iter()
        .zip(evidence)
        .map(|(read, evidence)| matters(read, evidence))
        .collect();
    if !asked.contains(&true) {
        return Ok(asked);
    }
    let held = dead.refresh(cache).await?;
    Ok(asked
        .into_iter()
        .zip(reads)
        .zip(identities)
        .map(|((is_asked, read), identity)| is_asked && held.holds(read.id, identity.as_deref()))
        .collect())
}
