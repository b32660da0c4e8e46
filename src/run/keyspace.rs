//! The other direction of a sweep: what lies in Redis that no row led to.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::RunError;
use super::at_rest::{Rest, changes_since, rest};
use super::audit::SLICES_PER_ATTEMPT;
use super::batch::{BATCH_TARGETS, Batch, Begun, Outbox};
use super::check::CheckRun;
use super::reading::Reader;
use crate::model::mapping::RowMeaning;
use crate::model::observation::Position;
use crate::model::outcome::Coverage;
use crate::model::slice::{Section, SliceOrder};
use crate::scan::{KeyspaceCursor, KeyspacePage, Place, Tally, Target, look, next_keyspace_page};

/// Pages of a walk between two proofs that it is still the same node: asking costs about as much as a page.
/// Nothing is concluded from a walk before a proof that follows it.
const PAGES_PER_PROOF: u64 = 50;

/// Keys that a page of SCAN walks over, whatever of them fits: what it costs the server.
const WALKED: usize = 1_000;

/// A resharding that outlasts so many walks is waited for by a person.
const WALKS_MAX: usize = 3;

/// Some dozens of megabytes.
const SENT_MAX: usize = 1 << 20;

/// Walks Redis for keys and members that no row explains, as one slice of its own after the rows'.
///
/// With the `tally` of a sweep over all rows one walk usually does: what it brings up is taken out again,
/// and only where something is left over a second walk looks up whose it is. Without, every key is looked
/// up.
///
/// In a Cluster a key may go from a master that is not walked yet to one that was. So nothing is concluded from a walk
/// in which slots moved: it is made again, and if they do not come to rest that goes to `left_out`.
pub(super) async fn sweep_keyspace(
    check: &Arc<CheckRun>,
    slice: u32,
    tally: Option<&Tally>,
    batches: &mpsc::Sender<Batch<Target>>,
    left_out: &mut Vec<String>,
) -> Result<Coverage, RunError> {
    let timing = &check.ground.timing;
    let mut outbox = Outbox::new(batches, timing.settle.max(timing.cache_delay));
    let attempt = slice / SLICES_PER_ATTEMPT;
    outbox.batch.passed.begun.push(Begun {
        slice,
        order: SliceOrder::new(attempt, Section::Keyspace, &[]),
        is_shared: true,
    });
    let mut walks = Walks {
        check,
        slice,
        outbox,
        sent: Sent::default(),
        walked: 0,
        suspect: 0,
    };
    let mut moving = String::new();
    for _ in 0..WALKS_MAX {
        let before = match rest(&check.ground).await? {
            Rest::Moving(slots) => {
                moving = slots;
                break;
            }
            Rest::Alone => None,
            Rest::Still(layout) => Some(layout),
        };
        // What a walk takes out of it that does not count must be in it again.
        let copy = tally
            .filter(|_| before.is_some())
            .map(|tally| Arc::new(tally.copy()));
        let (counts, walked) = walks.once(copy.as_deref().or(tally)).await?;
        let Some(walked) = walked else {
            return Ok(walks.end(counts).await);
        };
        match changes_since(&check.ground, before.as_ref()).await? {
            None => {
                let passed = &mut walks.outbox.batch.passed;
                passed.slices_done.push((slice, walked));
                return Ok(walks.end(counts).await);
            }
            Some(slots) => {
                moving = slots;
                walks.walked = walked;
            }
        }
        tracing::warn!(
            "check {}: slots moved ({moving}) while Redis was walked; the walk begins again",
            check.name()
        );
    }
    left_out.push(format!(
        "check {}: keys without a row were not searched for, because slots of the Cluster moved all the time \
         ({moving}); run again when the resharding is over",
        check.name()
    ));
    Ok(walks.end(Coverage::default()).await)
}

/// Walks over the same keys, until one counts.
struct Walks<'w> {
    check: &'w Arc<CheckRun>,
    slice: u32,
    outbox: Outbox<'w, Target>,
    sent: Sent,
    /// Places that walks which did not count have met: positions only grow.
    walked: u64,
    /// Suspects of all walks, each once.
    suspect: u64,
}

impl Walks<'_> {
    /// One walk, or two: what it counted, and how many places were met by then; `None`: it was stopped before the end.
    async fn once(&mut self, tally: Option<&Tally>) -> Result<(Coverage, Option<u64>), RunError> {
        let mut counts = Coverage::default();
        let Some(tally) = tally else {
            let walked = self.look_up(&mut counts, |_| true).await?;
            return Ok((counts, walked));
        };
        let walked = reconcile(self.check, tally, self.walked, &mut counts).await?;
        if walked.is_none() || tally.is_even() {
            return Ok((counts, walked));
        }
        // The first walk has counted what cannot be looked up.
        let mut recounted = Coverage::default();
        let is_uneven = |p: &Place| tally.is_uneven_at(&p.key, p.member.as_deref());
        let walked = self.look_up(&mut recounted, is_uneven).await?;
        counts.foreign = recounted.foreign;
        Ok((counts, walked))
    }

    /// Hands on what is left.
    async fn end(self, counts: Coverage) -> Coverage {
        self.outbox.close().await;
        Coverage {
            suspect: self.suspect,
            ..counts
        }
    }

    /// Walks Redis and looks up the rows of all that `is_wanted`; what no row explains is a suspect. `None`: it was
    /// stopped before the end.
    async fn look_up(
        &mut self,
        counts: &mut Coverage,
        is_wanted: impl Fn(&Place) -> bool,
    ) -> Result<Option<u64>, RunError> {
        let check = self.check;
        let mut walk = Pages::of(check, self.walked);
        while !check.ground.stop.is_requested() {
            let Some(found) = walk.next().await? else {
                return Ok(Some(walk.cursor.walked()));
            };
            count(counts, &found);
            let wanted: Vec<Target> = found
                .places
                .into_iter()
                .filter(|place| is_wanted(place))
                .filter_map(|place| target_at(check, place, self.slice))
                .collect();
            if !wanted.is_empty() || walk.is_proof_due() {
                walk.prove().await?;
            }
            let unexplained = unexplained(check, &walk.reader, wanted).await?;
            let targets = unexplained.targets.into_iter();
            let new: Vec<Target> = targets.filter(|target| self.sent.is_new(target)).collect();
            self.suspect += new.len() as u64;
            self.outbox.batch.targets.extend(new);
            counts.foreign += unexplained.foreign;
            check.ground.progress.advance(unexplained.looked_up);
            if !self.outbox.send().await {
                return Ok(None);
            }
        }
        Ok(None)
    }
}

/// One walk through Redis, page by page, at the job's pace.
struct Pages<'a> {
    check: &'a CheckRun,
    /// A cursor belongs to the node that gave it, so that a whole walk is read at one.
    reader: Reader,
    cursor: KeyspaceCursor,
    read: u64,
}

impl<'a> Pages<'a> {
    /// `walked`: the places that were met before.
    fn of(check: &'a CheckRun, walked: u64) -> Self {
        Self {
            check,
            reader: check.ground.reader(),
            cursor: KeyspaceCursor::of(check.ground.portion(), walked),
            read: 0,
        }
    }

    /// `None`: that was all, read from one node in one history.
    async fn next(&mut self) -> Result<Option<KeyspacePage>, RunError> {
        let ground = &self.check.ground;
        let found =
            next_keyspace_page(&self.reader.cache, &self.check.mapping, &mut self.cursor).await;
        let Some(found) = ground.read_of_walk(&self.reader, found)? else {
            self.prove().await?;
            return Ok(None);
        };
        ground.pacer.take(found.places.len().max(WALKED)).await;
        self.read += 1;
        Ok(Some(found))
    }

    fn is_proof_due(&self) -> bool {
        self.read.is_multiple_of(PAGES_PER_PROOF)
    }

    /// Whether what was read so far counts: the node is still what it was.
    async fn prove(&self) -> Result<(), RunError> {
        self.check
            .ground
            .counted_of_walk(&self.reader, Ok(()))
            .await
    }
}

/// What was handed on already, by a digest keyed at random: SCAN may bring a key up twice, and so may a second walk.
#[derive(Default)]
struct Sent {
    lanes: [RandomState; 2],
    digests: HashSet<[u64; 2]>,
}

impl Sent {
    /// Past a million nothing more is remembered, and what comes twice is reported twice.
    fn is_new(&mut self, target: &Target) -> bool {
        let place = (&target.subject.key, &target.subject.member);
        let digest = self.lanes.each_ref().map(|lane| lane.hash_one(place));
        match self.digests.len() < SENT_MAX {
            true => self.digests.insert(digest),
            false => !self.digests.contains(&digest),
        }
    }
}

/// Takes all that lies in Redis out of the tally, and says how many places that were. `None`: it was stopped before
/// the end.
async fn reconcile(
    check: &Arc<CheckRun>,
    tally: &Tally,
    walked: u64,
    counts: &mut Coverage,
) -> Result<Option<u64>, RunError> {
    let mut walk = Pages::of(check, walked);
    while !check.ground.stop.is_requested() {
        let Some(found) = walk.next().await? else {
            return Ok(Some(walk.cursor.walked()));
        };
        if walk.is_proof_due() {
            walk.prove().await?;
        }
        count(counts, &found);
        for place in &found.places {
            tally.subtract(&place.key, place.member.as_deref());
        }
    }
    Ok(None)
}

fn count(counts: &mut Coverage, found: &KeyspacePage) {
    counts.foreign += found.foreign;
    counts.skipped += found.skipped;
    counts.other_shards += found.elsewhere;
}

/// What a place is looked up by, at its place in the walk.
fn target_at(check: &CheckRun, place: Place, slice: u32) -> Option<Target> {
    let position = Position {
        slice,
        ordinal: place.number,
    };
    let target = place.target(&check.mapping)?;
    Some(Target { position, ..target })
}

struct Unexplained {
    targets: Vec<Target>,
    looked_up: u64,
    /// Not this check's after all.
    foreign: u64,
}

/// Of the keys SCAN brought up, those to which the rules object once their row is known.
async fn unexplained(
    check: &Arc<CheckRun>,
    reader: &Reader,
    targets: Vec<Target>,
) -> Result<Unexplained, RunError> {
    let mut kept = Vec::new();
    let looked_up = targets.len() as u64;
    let mut foreign = 0;
    for group in targets.chunks(BATCH_TARGETS) {
        let refs: Vec<&Target> = group.iter().collect();
        check.ground.pacer.take(2 * refs.len()).await;
        let source = &check.ground.stores.reading.source;
        let looks = look(source, &reader.cache, &check.mapping, &refs).await;
        let looks = check.ground.read_of_walk(reader, looks)?;
        for (target, look) in group.iter().zip(looks) {
            let row = look.row.as_ref().map(|r| r.as_ref());
            // What a live row explains is judged by the sweep of the rows; here only the rest counts.
            let is_explained = check.mapping.meaning(row) == RowMeaning::Live;
            if is_explained || check.judge.suspects(row, &look.after).is_empty() {
                continue;
            }
            if row.is_none() && is_another_s(check, target).await? {
                foreign += 1;
            } else {
                kept.push(target.clone());
            }
        }
    }
    Ok(Unexplained {
        targets: kept,
        looked_up,
        foreign,
    })
}

/// Whether a key that no row of this check renders to belongs to somebody else: to a check of this job
/// whose template says more about it (`user:{id}:profile` beside `user:{name}`), or to a row that the
/// database takes for the same id in another spelling (`user:BOB` beside the row `bob`).
async fn is_another_s(check: &CheckRun, target: &Target) -> Result<bool, RunError> {
    let key = &target.subject.key;
    if check
        .siblings
        .iter()
        .any(|t| t.split(key).is_none_or(|splits| !splits.is_empty()))
    {
        return Ok(true);
    }
    let mapping = &check.mapping;
    let mut cells = mapping.key_cells.iter().chain(&mapping.member_cells);
    if !cells.any(|&cell| mapping.columns[cell].collation.is_some()) {
        return Ok(false);
    }
    let witnessed = check
        .ground
        .stores
        .source
        .rows_by_id(mapping, &target.candidates)
        .await?;
    Ok(!witnessed.rows.is_empty())
}
