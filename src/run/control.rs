//! The control sample: pairs from outside the window, where nothing should be wrong. If many are, the
//! mapping is wrong and not Redis.

use std::sync::Arc;

use rand::Rng;

use super::RunError;
use super::check::CheckRun;
use super::settle::settle;
use super::sweep::still_the_same_node;
use crate::model::finding::Verdict;
use crate::model::observation::{Cached, Position};
use crate::scan::{page, target_of};
use crate::store::mysql::{KeyRange, Selection};

/// Places of the id space the sample is drawn from; each gives an equal share of neighbours.
const PLACES: usize = 40;

/// What the control sample showed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Control {
    /// Pairs compared: rows whose key was there, or had to be.
    pub pairs: u64,
    pub mismatched: u64,
}

impl Control {
    /// Share of mismatches, 0 to 1; `None` when there was no pair to compare.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.pairs > 0).then(|| self.mismatched as f64 / self.pairs as f64)
    }
}

/// Draws about `wanted` rows at random and compares them; what is wrong is looked at again, so that lag
/// does not count.
pub(super) async fn control_sample(
    check: &Arc<CheckRun>,
    selection: Selection,
    wanted: usize,
) -> Result<Control, RunError> {
    let mut control = Control::default();
    let mut suspects = Vec::new();
    for (range, limit) in places(check, wanted).await? {
        if control.pairs >= wanted as u64 {
            break;
        }
        let stores = &check.stores;
        let paired = page(
            &stores.source,
            &stores.cache,
            &check.mapping,
            &range,
            selection,
            limit,
        )
        .await?;
        check.pacer.take(paired.keyed.len()).await;
        for (at, &index) in paired.keyed.iter().enumerate() {
            let row = paired.rows.row(index);
            let state = paired.cached.state(at);
            let is_there = !matches!(state.cached, Cached::Missing { .. });
            let objects = !check.judge.suspects(Some(row), &state).is_empty();
            if is_there || objects {
                control.pairs += 1;
            }
            if objects {
                suspects.extend(target_of(&check.mapping, row, Position::default()));
            }
        }
    }
    still_the_same_node(check).await?;
    // A mapping that is wrong everywhere need not be looked at twice everywhere.
    let settled = settle(check, suspects).await?;
    control.mismatched = settled
        .iter()
        .filter(|s| s.verdict != Verdict::Transient)
        .count() as u64;
    Ok(control)
}

/// Ranges to draw from and how many rows each. Where ids cannot be drawn at random (no single integer
/// key) the sample is the beginning of the table.
async fn places(check: &CheckRun, wanted: usize) -> Result<Vec<(KeyRange, usize)>, RunError> {
    let bounds = check.stores.source.key_bounds(&check.mapping).await?;
    let integer = |key: &[Vec<u8>]| -> Option<i128> {
        match key {
            [only] => std::str::from_utf8(only).ok()?.parse().ok(),
            _ => None,
        }
    };
    let Some((low, high)) = bounds
        .as_ref()
        .and_then(|(l, h)| Some((integer(l)?, integer(h)?)))
    else {
        return Ok(vec![(KeyRange::default(), wanted)]);
    };
    if high - low <= wanted as i128 {
        return Ok(vec![(KeyRange::default(), wanted)]);
    }
    let mut starts: Vec<i128> = {
        let mut random = rand::rng();
        (0..PLACES)
            .map(|_| random.random_range(low - 1..high))
            .collect()
    };
    starts.sort_unstable();
    starts.dedup();
    let each = wanted.div_ceil(PLACES);
    let key = |n: i128| vec![n.to_string().into_bytes()];
    // Each place ends where the next begins, so that no row is drawn twice.
    Ok(starts
        .iter()
        .enumerate()
        .map(|(i, &start)| {
            let upto = starts.get(i + 1).map(|&next| key(next));
            (
                KeyRange {
                    after: Some(key(start)),
                    upto,
                },
                each,
            )
        })
        .collect())
}
