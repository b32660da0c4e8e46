//! What several looks at one group are worth.

use std::time::Duration;

use super::case::last_generated;
use super::confirm_entry::{is_alike, since};
use super::judge::StreamJudge;
use crate::model::finding::{Suspect, Verdict};
use crate::model::identity::SourceIdentity;
use crate::model::stream::GroupLook;
use crate::rules::confirm::{ConfirmTiming, Decision, LOOKS_MAX};
use crate::rules::stream::lost_entry;

/// Decides over the looks taken so far, in order; where they confirm, the last look says to where. A look during which
/// the cursor moved says nothing of the cursor, and a group that moved between two looks starts anew. Ids that
/// the table has above the stream's last one are judged however the group moves.
pub fn decide_group(
    judge: &StreamJudge,
    looks: &[GroupLook],
    pinned_source: &SourceIdentity,
    timing: ConfirmTiming,
) -> Decision {
    let apart = timing.cache_delay.max(timing.settle);
    let mut seen: Vec<Seen<'_>> = Vec::new();
    for (index, look) in looks.iter().enumerate() {
        if look.source != *pinned_source {
            continue;
        }
        let mut suspects = judge.judge_group(look);
        if suspects.is_empty() {
            return Decision::Settled {
                verdict: Verdict::Transient,
                suspects,
                look: index,
            };
        }
        suspects.retain(|suspect| look.counts() || !is_about_cursor(suspect));
        let newest = Seen { look, suspects };
        let confirmed = seen
            .iter()
            .filter(|earlier| since(earlier.look.at, look.at) >= apart)
            .map(|earlier| newest.confirmed_by(earlier, looks, index))
            .find(|both| !both.is_empty());
        if let Some(suspects) = confirmed {
            return Decision::Settled {
                verdict: Verdict::Confirmed,
                suspects,
                look: index,
            };
        }
        seen.push(newest);
    }
    if looks.len() < LOOKS_MAX {
        return Decision::LookAgain {
            after: wait(looks, &seen, apart, timing),
        };
    }
    give_up(judge, looks, pinned_source)
}

struct Seen<'a> {
    look: &'a GroupLook,
    suspects: Vec<Suspect>,
}

impl Seen<'_> {
    /// What this look and an `earlier` one both object to. `looks[..=index]` are all looks up to this one.
    fn confirmed_by(&self, earlier: &Seen<'_>, looks: &[GroupLook], index: usize) -> Vec<Suspect> {
        let stood_still = || {
            let begins = looks
                .iter()
                .position(|look| std::ptr::eq(look, earlier.look));
            let begins = begins.expect("an earlier look is among the looks");
            looks[begins..=index]
                .iter()
                .all(|look| look.counts() && look.cursor_before == self.look.cursor_before)
        };
        // An id that was above the last one because its entry had just been added is below it by now.
        let is_still_above = || {
            let last = last_generated(self.look);
            let mut ids = earlier.look.future_in_source.iter();
            earlier.look.highest_in_source.is_some_and(|id| id > last) || ids.any(|id| *id > last)
        };
        let suspects = self.suspects.iter().filter(|suspect| {
            earlier.suspects.iter().any(|e| is_alike(e, suspect))
                && if is_about_cursor(suspect) {
                    stood_still()
                } else {
                    is_still_above()
                }
        });
        suspects.cloned().collect()
    }
}

fn wait(
    looks: &[GroupLook],
    seen: &[Seen<'_>],
    apart: Duration,
    timing: ConfirmTiming,
) -> Duration {
    let Some(last) = looks.last() else {
        return Duration::ZERO;
    };
    let is_last = |seen: &&Seen<'_>| std::ptr::eq(seen.look, last) && !seen.suspects.is_empty();
    let Some(newest) = seen.last().filter(is_last) else {
        return timing.settle;
    };
    let alike = seen.iter().find(|earlier| {
        earlier.look.cursor_after == newest.look.cursor_before
            && earlier
                .suspects
                .iter()
                .any(|e| newest.suspects.iter().any(|s| is_alike(e, s)))
    });
    let elapsed = since(alike.unwrap_or(newest).look.at, last.at);
    if elapsed >= apart {
        // Far enough apart and still not confirmed: begin anew.
        apart
    } else {
        apart - elapsed
    }
}

fn give_up(judge: &StreamJudge, looks: &[GroupLook], pinned_source: &SourceIdentity) -> Decision {
    let is_from_elsewhere = looks.iter().any(|look| look.source != *pinned_source);
    let always_moved = looks.windows(2).all(|pair| {
        pair[0].cursor_after != pair[1].cursor_before || !pair[0].counts() || !pair[1].counts()
    });
    let verdict = if always_moved && !is_from_elsewhere {
        Verdict::Hot
    } else {
        Verdict::Unknown
    };
    let shown = looks.iter().rposition(|look| look.source == *pinned_source);
    let look = shown.unwrap_or(looks.len().saturating_sub(1));
    Decision::Settled {
        verdict,
        suspects: looks
            .get(look)
            .map(|l| judge.judge_group(l))
            .unwrap_or_default(),
        look,
    }
}

/// Whether the objection holds only while the cursor stands still.
fn is_about_cursor(suspect: &Suspect) -> bool {
    suspect.rule != lost_entry::RULE.id
}
