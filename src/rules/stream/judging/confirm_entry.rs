//! What several looks at one entry id are worth. (DESIGN, *Confirm*.)

use std::time::Duration;

use super::judge::StreamJudge;
use crate::model::finding::{Suspect, Verdict};
use crate::model::identity::SourceIdentity;
use crate::model::stream::EntryLook;
use crate::model::time::Micros;
use crate::rules::confirm::{ConfirmTiming, Decision, LOOKS_MAX, changed_at};

/// Decides over the looks taken so far, in order. A look during which the message changed hands, or that another
/// server than `pinned_source` answered, proves nothing; a message that changed hands between two looks starts
/// anew.
pub fn decide_entry(
    judge: &StreamJudge,
    looks: &[EntryLook],
    pinned_source: &SourceIdentity,
    timing: ConfirmTiming,
) -> Decision {
    let mut run = Run {
        judge,
        timing,
        seen: Vec::new(),
    };
    for (index, look) in looks.iter().enumerate() {
        let is_untouched = index == 0 || goes_on(&looks[index - 1], look);
        if !look.counts() || !is_untouched {
            run.seen.clear();
        }
        if !look.counts() || look.source != *pinned_source {
            continue;
        }
        let Some(suspect) = judge.judge_entry(look) else {
            return Decision::Settled {
                verdict: Verdict::Transient,
                suspects: Vec::new(),
                look: index,
            };
        };
        // A consumer that came back while we looked, or a cursor that moved past the entry.
        if !judge
            .judge_entry_after(look)
            .is_some_and(|after| is_alike(&suspect, &after))
        {
            run.seen.clear();
            continue;
        }
        let seen = Seen {
            index,
            look,
            suspect,
        };
        if run.confirms(&seen) {
            return Decision::Settled {
                verdict: Verdict::Confirmed,
                suspects: vec![seen.suspect],
                look: index,
            };
        }
        run.seen.push(seen);
    }
    if looks.len() < LOOKS_MAX {
        return Decision::LookAgain {
            after: run.wait(looks),
        };
    }
    give_up(judge, looks, pinned_source)
}

/// Looks one after the other between which nobody touched the message.
struct Run<'a> {
    judge: &'a StreamJudge,
    timing: ConfirmTiming,
    seen: Vec<Seen<'a>>,
}

struct Seen<'a> {
    index: usize,
    look: &'a EntryLook,
    suspect: Suspect,
}

impl Run<'_> {
    /// Whether an earlier look, far enough apart, objects to the same.
    fn confirms(&self, seen: &Seen<'_>) -> bool {
        self.seen.iter().any(|earlier| {
            is_alike(&earlier.suspect, &seen.suspect)
                && since(earlier.look.at, seen.look.at) >= self.apart(earlier.look, seen.look)
        })
    }

    /// How long after the last look the next one can confirm.
    fn wait(&self, looks: &[EntryLook]) -> Duration {
        let Some(last) = looks.last() else {
            return Duration::ZERO;
        };
        let Some(newest) = self.seen.last().filter(|s| s.index + 1 == looks.len()) else {
            return self.timing.settle;
        };
        let alike = self
            .seen
            .iter()
            .find(|earlier| is_alike(&earlier.suspect, &newest.suspect));
        let first = alike.unwrap_or(newest);
        self.apart(first.look, newest.look)
            .saturating_sub(since(first.look.at, last.at))
    }

    /// `settle` where the rows were at rest at both looks; else, and without a row, the whole delay: the effect
    /// may still be on its way.
    fn apart(&self, earlier: &EntryLook, later: &EntryLook) -> Duration {
        let rest = self.timing.commit_margin + self.timing.cache_delay;
        let is_at_rest = |look: &EntryLook| {
            let mapping = &self.judge.mapping().rows;
            let mut changes = look.evidence.rows.iter();
            !look.evidence.rows.is_empty()
                && changes.all(|row| {
                    changed_at(mapping, row.as_ref())
                        .is_some_and(|changed| look.source_time.minus(rest) > changed)
                })
        };
        if is_at_rest(earlier) && is_at_rest(later) {
            self.timing.settle
        } else {
            self.timing.cache_delay.max(self.timing.settle)
        }
    }
}

fn give_up(judge: &StreamJudge, looks: &[EntryLook], pinned_source: &SourceIdentity) -> Decision {
    let is_from_elsewhere = looks.iter().any(|look| look.source != *pinned_source);
    let always_moved = looks
        .windows(2)
        .all(|pair| !goes_on(&pair[0], &pair[1]) || !pair[0].counts() || !pair[1].counts());
    let verdict = if always_moved && !is_from_elsewhere {
        Verdict::Hot
    } else {
        Verdict::Unknown
    };
    // The last look from the right server that shows something wrong says best what it was.
    let shown = looks.iter().enumerate().rev().find_map(|(index, look)| {
        let suspect = judge.judge_entry(look)?;
        (look.source == *pinned_source).then_some((index, suspect))
    });
    let (look, suspects) = match shown {
        Some((index, suspect)) => (index, vec![suspect]),
        None => (looks.len().saturating_sub(1), Vec::new()),
    };
    Decision::Settled {
        verdict,
        suspects,
        look,
    }
}

/// Whether nobody claimed, read, settled or replaced the entry between the two looks.
fn goes_on(earlier: &EntryLook, later: &EntryLook) -> bool {
    let is_held_alike = match (&earlier.after, &later.before) {
        (None, None) => true,
        (Some(earlier), Some(later)) => earlier.row.is_untouched(&later.row),
        _ => false,
    };
    is_held_alike && earlier.entry == later.entry
}

pub(super) fn is_alike(one: &Suspect, other: &Suspect) -> bool {
    one.rule == other.rule && one.field == other.field
}

pub(super) fn since(earlier: Micros, later: Micros) -> Duration {
    Duration::from_micros(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}
