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
    // What was confirmed while something else was still open.
    let mut partial = None;
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
        let objections = suspects.len();
        suspects.retain(|suspect| look.counts() || !is_about_cursor(suspect));
        let newest = Seen { look, suspects };
        let confirmed = seen
            .iter()
            .filter(|earlier| since(earlier.look.at, look.at) >= apart)
            .map(|earlier| newest.confirmed_by(earlier, looks, index))
            .max_by_key(Vec::len)
            .filter(|both| !both.is_empty());
        if let Some(suspects) = confirmed {
            let is_all = suspects.len() == objections;
            let settled = Decision::Settled {
                verdict: Verdict::Confirmed,
                suspects,
                look: index,
            };
            if is_all {
                return settled;
            }
            partial = Some(settled);
        }
        seen.push(newest);
    }
    if looks.len() < LOOKS_MAX {
        return Decision::LookAgain {
            after: wait(looks, &seen, apart, timing),
        };
    }
    partial.unwrap_or_else(|| give_up(judge, looks, pinned_source))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stream::{Identity, StreamCheck, StreamId, StreamState};
    use crate::model::time::Micros;
    use crate::rules::stream::testing::*;

    const TIMING: ConfirmTiming = ConfirmTiming {
        settle: Duration::from_secs(2),
        cache_delay: Duration::from_secs(5),
        commit_margin: Duration::from_secs(60),
    };

    fn at(seconds: i64, look: GroupLook) -> GroupLook {
        GroupLook {
            at: Micros(look.at.0 + seconds * 1_000_000),
            ..look
        }
    }

    fn verdict(looks: &[GroupLook]) -> Option<(Verdict, Vec<&'static str>, usize)> {
        let judge = judge_of(StreamCheck {
            identity: Identity::EntryId,
            ..bids()
        });
        match decide_group(&judge, looks, &primary(), TIMING) {
            Decision::Settled {
                verdict,
                suspects,
                look,
            } => Some((verdict, suspects.iter().map(|s| s.rule.0).collect(), look)),
            Decision::LookAgain { after } => {
                assert!(after > Duration::ZERO || looks.is_empty());
                None
            }
        }
    }

    fn missing() -> GroupLook {
        GroupLook {
            cursor_before: None,
            cursor_after: None,
            proven_to: Some(id(1000)),
            ..group_look()
        }
    }

    fn rewound(cursor: u64) -> GroupLook {
        GroupLook {
            cursor_before: Some(id(cursor)),
            cursor_after: Some(id(cursor)),
            proven_to: Some(id(1500)),
            proven_count: 2,
            ..group_look()
        }
    }

    fn above(last: u64, highest: u64) -> GroupLook {
        let mut look = group_look();
        if let StreamState::Stream(facts) = &mut look.stream {
            facts.last_generated = id(last);
        }
        GroupLook {
            highest_in_source: Some(id(highest)),
            ..look
        }
    }

    #[test]
    fn two_looks_alike_confirm() {
        assert_eq!(verdict(&[]), None);
        for (look, rule) in [
            (missing(), "group-missing"),
            (rewound(1000), "group-rewound"),
            (above(2000, 3000), "lost-entry"),
        ] {
            assert_eq!(verdict(&[at(0, look.clone())]), None);
            assert_eq!(verdict(&[at(0, look.clone()), at(4, look.clone())]), None);
            assert_eq!(
                verdict(&[at(0, look.clone()), at(5, look)]),
                Some((Verdict::Confirmed, vec![rule], 1))
            );
        }
    }

    #[test]
    fn a_group_that_came_or_moved_on_is_no_finding() {
        for first in [missing(), rewound(1000)] {
            assert_eq!(
                verdict(&[at(0, first), at(5, group_look())]),
                Some((Verdict::Transient, vec![], 1))
            );
        }
        // Recreated, and behind what is proven: that is another finding.
        assert_eq!(verdict(&[at(0, missing()), at(5, rewound(1000))]), None);
    }

    #[test]
    fn a_cursor_that_moved_starts_anew() {
        let looks = [
            at(0, rewound(1000)),
            at(5, rewound(1001)),
            at(9, rewound(1001)),
        ];
        assert_eq!(verdict(&looks), None);
        let looks = [
            at(0, rewound(1000)),
            at(5, rewound(1001)),
            at(10, rewound(1001)),
        ];
        assert_eq!(verdict(&looks).map(|v| v.2), Some(2));
        let mut torn = at(5, rewound(1000));
        torn.cursor_after = Some(id(1001));
        let looks = [at(0, rewound(1000)), torn.clone(), at(6, rewound(1000))];
        assert_eq!(verdict(&looks), None, "it went on and came back");
        assert_eq!(verdict(&[at(0, rewound(1000)), torn]), None);
        let hot: Vec<_> = (0..5)
            .map(|i| at(i * 6, rewound(1000 + i as u64)))
            .collect();
        assert_eq!(
            verdict(&hot),
            Some((Verdict::Hot, vec!["group-rewound"], 4))
        );
    }

    #[test]
    fn an_id_that_is_only_newer_than_the_look_is_no_loss() {
        // Entries are added and processed all the time: each look sees one above the last id it read.
        let busy = [at(0, above(2000, 2001)), at(5, above(3000, 3001))];
        assert_eq!(verdict(&busy), None);
        let lost = [at(0, above(2000, 9000)), at(5, above(3000, 9000))];
        assert_eq!(
            verdict(&lost),
            Some((Verdict::Confirmed, vec!["lost-entry"], 1))
        );
        // However the group moves meanwhile.
        let mut moving = lost;
        moving[1].cursor_after = Some(StreamId::new(2000, 5));
        assert_eq!(
            verdict(&moving),
            Some((Verdict::Confirmed, vec!["lost-entry"], 1))
        );
    }

    /// A lost entry is confirmed while the cursor still moves; the group that then stands still is one, too.
    #[test]
    fn one_objection_waits_for_the_others() {
        let both = |cursor| {
            let mut look = rewound(cursor);
            look.highest_in_source = Some(id(9000));
            look
        };
        let mut looks = vec![at(0, both(1000)), at(5, both(1001))];
        assert_eq!(verdict(&looks), None);
        looks.push(at(10, both(1001)));
        let (settled, mut rules, look) = verdict(&looks).expect("it stood still for long enough");
        rules.sort_unstable();
        assert_eq!(
            (settled, rules, look),
            (Verdict::Confirmed, vec!["group-rewound", "lost-entry"], 2)
        );
        let moving: Vec<_> = (0..5).map(|i| at(i * 5, both(1000 + i as u64))).collect();
        assert_eq!(
            verdict(&moving),
            Some((Verdict::Confirmed, vec!["lost-entry"], 4))
        );
    }

    #[test]
    fn another_server_proves_nothing() {
        let elsewhere = |seconds, look| {
            let mut look = at(seconds, look);
            look.source.read_only = true;
            look
        };
        assert_eq!(verdict(&[elsewhere(0, group_look())]), None);
        let looks: Vec<_> = (0..5).map(|i| elsewhere(i * 6, missing())).collect();
        assert_eq!(verdict(&looks[..4]), None);
        assert_eq!(verdict(&looks).map(|v| v.0), Some(Verdict::Unknown));
    }
}
