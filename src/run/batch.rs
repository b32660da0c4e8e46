//! Suspects on their way from a sweep to their verdicts, a bounded number at a time and in sweep order.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::examine::Placed;
use crate::model::slice::SliceOrder;
use crate::report::Mark;

/// Suspects handed on together. Each batch waits for its second look once, whatever its size.
pub(super) const BATCH_TARGETS: usize = 1_000;
/// What looks at them may weigh together, about; each is looked at up to five times, and several batches wait at once.
const BATCH_BYTES: usize = 2 << 20;
/// How often a sweep that finds nothing says how far it is. What it says costs next to nothing; what lies after it is
/// swept again by whoever resumes the run.
const PASSED_PERIOD: Duration = Duration::from_millis(200);

/// Suspects in sweep order, and what of the sweep ended among them.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub targets: Vec<T>,
    pub passed: Passed,
}

/// What a sweep has begun and ended.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub begun: Vec<Begun>,
    /// (slice, places in it)
    pub slices_done: Vec<(u32, u64)>,
    /// Everything before it was handed on in this batch or an earlier one.
    pub mark: Option<Mark>,
}

/// A slice by the number it has in this run.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub slice: u32,
    pub order: SliceOrder,
    pub is_shared: bool,
}

/// A batch that is filled, and sent when it is full or has waited long enough.
pub(super) struct Outbox<'a, T> {
    pub batch: Batch<T>,
    batches: &'a mpsc::Sender<Batch<T>>,
    sent_at: Instant,
    /// How long suspects may wait for others, so that what lies before them can be marked.
    patience: Duration,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl<T> Batch<T> {
    /// Targets that no sweep brought up.
    pub(super) fn of(targets: Vec<T>) -> Self {
        Self {
            targets,
            passed: Passed::default(),
        }
    }
}

impl Passed {
    /// One slice that begins and, after `places`, ends.
    pub(super) fn one(slice: u32, order: SliceOrder, places: u64) -> Self {
        Self {
            begun: vec![Begun {
                slice,
                order,
                is_shared: false,
            }],
            slices_done: vec![(slice, places)],
            mark: None,
        }
    }
}

impl<'a, T: Placed> Outbox<'a, T> {
    /// `settle` is what a batch waits for its verdicts: sent more often, small ones would queue up.
    pub(super) fn new(batches: &'a mpsc::Sender<Batch<T>>, settle: Duration) -> Self {
        Self {
            batch: Batch::default(),
            batches,
            sent_at: Instant::now(),
            patience: (2 * settle).max(Duration::from_secs(1)),
        }
    }

    /// Sends off what is full, and what has waited long enough; false if nobody takes it any more, because the
    /// receiver failed and reports the fault itself.
    pub(super) async fn send(&mut self) -> bool {
        if !send_full(&mut self.batch, self.batches).await {
            return false;
        }
        let waited = self.sent_at.elapsed();
        let is_due = match self.batch.targets.is_empty() {
            true => waited >= PASSED_PERIOD,
            false => waited >= self.patience,
        };
        if !is_due {
            return true;
        }
        self.sent_at = Instant::now();
        let batch = std::mem::take(&mut self.batch);
        self.batches.send(batch).await.is_ok()
    }

    /// Sends what is left.
    pub(super) async fn close(self) {
        // A closed channel means the receiver failed and reports the fault itself.
        let _ = self.batches.send(self.batch).await;
    }
}

async fn send_full<T: Placed>(batch: &mut Batch<T>, batches: &mpsc::Sender<Batch<T>>) -> bool {
    while let Some(full) = full_batch(&batch.targets) {
        let rest = batch.targets.split_off(full);
        // A slice's end goes with its last suspect: whatever is left belongs to this slice or a later one. A mark
        // speaks of everything before it, so it stays behind.
        let begun = rest
            .first()
            .map_or(u32::MAX, |target| target.position().slice);
        let passed = &mut batch.passed;
        let ended = passed
            .slices_done
            .partition_point(|(slice, _)| *slice < begun);
        let later = passed.slices_done.split_off(ended);
        let full = Batch {
            targets: std::mem::replace(&mut batch.targets, rest),
            passed: Passed {
                begun: std::mem::take(&mut passed.begun),
                slices_done: std::mem::replace(&mut passed.slices_done, later),
                mark: None,
            },
        };
        if batches.send(full).await.is_err() {
            return false;
        }
    }
    true
}

/// How many of `targets` make a batch; `None`: they are too few and too light.
fn full_batch<T: Placed>(targets: &[T]) -> Option<usize> {
    let mut weight = 0_usize;
    for (before, target) in targets.iter().enumerate() {
        weight = weight.saturating_add(target.weight());
        if weight >= BATCH_BYTES || before + 1 >= BATCH_TARGETS {
            return Some(before + 1);
        }
    }
    None
}

/// Cuts `targets` into batches, the last of them not full.
pub(super) fn batches_of<T: Placed>(mut targets: Vec<T>) -> Vec<Vec<T>> {
    let mut batches = Vec::new();
    while let Some(full) = full_batch(&targets) {
        let rest = targets.split_off(full);
        batches.push(std::mem::replace(&mut targets, rest));
    }
    batches.extend((!targets.is_empty()).then_some(targets));
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::Position;

    #[derive(Clone)]
    struct Weighing(usize);

    impl Placed for Weighing {
        type Name = usize;

        fn position(&self) -> Position {
            Position::default()
        }

        fn name(&self) -> usize {
            self.0
        }

        fn weight(&self) -> usize {
            self.0
        }
    }

    #[tokio::test]
    async fn batches_are_bounded_by_how_many_they_are_and_by_what_they_weigh() {
        let light = std::iter::repeat_n(200, 2_300);
        let heavy = [300 << 10; 20];
        let targets: Vec<Weighing> = light.chain(heavy).map(Weighing).collect();
        let expected = [1_000, 1_000, 307, 7, 6];
        let cut: Vec<usize> = batches_of(targets.clone()).iter().map(Vec::len).collect();
        assert_eq!(cut, expected);

        let (sender, mut inbox) = mpsc::channel(9);
        let mut batch = Batch::of(targets);
        assert!(send_full(&mut batch, &sender).await);
        drop(sender);
        let mut sent = Vec::new();
        while let Some(full) = inbox.recv().await {
            sent.push(full.targets.len());
        }
        assert_eq!(sent, expected[..sent.len()]);
        assert_eq!(batch.targets.len(), 2_320 - sent.iter().sum::<usize>());
        assert!(batch.targets.len() < 7);
    }
}
