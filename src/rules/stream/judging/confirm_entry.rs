//! What several looks at one entry id are worth. (DESIGN, *Confirm*.)

use std::time::Duration;

use super::judge::StreamJudge;
use super::proof::Proof;
use crate::model::finding::{Suspect, Verdict};
use crate::model::identity::SourceIdentity;
use crate::model::stream::{EntryLook, Pending};
use crate::model::time::Micros;
use crate::rules::confirm::{ConfirmTiming, Decision, LOOKS_MAX, changed_at};

/// Decides over the looks taken so far, in order. A look during which the message changed hands, or that another
/// server than `pinned_source` answered, proves nothing; a message that changed hands between two looks starts
/// anew.
///
/// `serving_since` is when this host knows the node to have taken commands: a consumer that could not reach it before
/// has not been silent for that long, whatever its idle time says.
pub fn decide_entry(
    judge: &StreamJudge,
    looks: &[EntryLook],
    pinned_source: &SourceIdentity,
    timing: ConfirmTiming,
    serving_since: Micros,
) -> Decision {
    let mut run = Run {
        judge,
        timing,
        serving_since,
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
    serving_since: Micros,
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
        self.patience_left(seen.look, seen.look.at).is_zero()
            && self.seen.iter().any(|earlier| {
                is_alike(&earlier.suspect, &seen.suspect)
                    && since(earlier.look.at, seen.look.at) >= self.apart(earlier.look, seen.look)
            })
    }

    /// How long after `now` what the look shows cannot be told yet, whatever looks say.
    fn patience_left(&self, look: &EntryLook, now: Micros) -> Duration {
        self.silence_left(look, now)
            .max(self.commit_left(look, now))
    }

    /// How long after `now` the effect of an entry that is not pending may still be on its way: a consumer may
    /// acknowledge before it commits. An id that no clock gave says nothing.
    fn commit_left(&self, look: &EntryLook, now: Micros) -> Duration {
        let proof = self
            .judge
            .proof(look.id, look.entry.as_ref(), &look.evidence);
        let added = look.id.instant().filter(|added| *added <= look.cache_time);
        match (proof, added) {
            (Proof::Absent, Some(added)) if look.before.is_none() => {
                let passed = since(added, look.cache_time) + since(look.at, now);
                let needed = self.timing.commit_margin + self.timing.cache_delay;
                needed.saturating_sub(passed)
            }
            _ => Duration::ZERO,
        }
    }

    /// How long after `now` an owner that is still listed can be told to be gone. Its idle time runs through a
    /// failover and the time in which nobody could reach any master: only what passed since the node serves counts.
    fn silence_left(&self, look: &EntryLook, now: Micros) -> Duration {
        let is_listed = |pending: &&Pending| pending.owner.is_some();
        let held = look.before.as_ref().filter(is_listed);
        let proof = self
            .judge
            .proof(look.id, look.entry.as_ref(), &look.evidence);
        match held {
            Some(pending) if self.judge.owner_is_gone(pending) && !proof.settles() => {
                let needed = self.judge.mapping().check.orphan_after;
                needed.saturating_sub(since(self.serving_since, now))
            }
            _ => Duration::ZERO,
        }
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
            .max(self.patience_left(newest.look, last.at))
    }

    /// `settle` where the rows were at rest at both looks. Else the whole delay, and always where something is missing,
    /// be it the row or the rest of its effect: that may still be on its way.
    fn apart(&self, earlier: &EntryLook, later: &EntryLook) -> Duration {
        let rest = self.timing.commit_margin + self.timing.cache_delay;
        let is_at_rest = |look: &EntryLook| {
            let mapping = &self.judge.mapping().rows;
            let proof = self
                .judge
                .proof(look.id, look.entry.as_ref(), &look.evidence);
            let mut changes = look.evidence.rows.iter();
            // What a row calls its time may be the business's; then only the message tells how fresh it is.
            let held = look.before.as_ref();
            let is_old = |p: &Pending| u128::from(p.row.idle_millis) >= rest.as_millis();
            held.is_none_or(is_old)
                && !look.evidence.rows.is_empty()
                && !matches!(proof, Proof::Absent | Proof::Unprovable)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stream::{Evidence, StreamCheck};
    use crate::rules::stream::testing::*;

    const TIMING: ConfirmTiming = ConfirmTiming {
        settle: Duration::from_secs(2),
        cache_delay: Duration::from_secs(5),
        commit_margin: Duration::from_secs(60),
    };

    fn at(seconds: i64, look: EntryLook) -> EntryLook {
        let moved = |time: Micros| Micros(time.0 + seconds * 1_000_000);
        let aged = |pending: Option<crate::model::stream::Pending>| {
            pending.map(|mut pending| {
                pending.row.idle_millis += u64::try_from(seconds * 1_000).unwrap_or(0);
                pending
            })
        };
        EntryLook {
            source_time: moved(look.source_time),
            cache_time: moved(look.cache_time),
            at: moved(look.at),
            before: aged(look.before.clone()),
            after: aged(look.after.clone()),
            ..look
        }
    }

    fn decide(looks: &[EntryLook]) -> Decision {
        let long_ago = Micros(0);
        decide_entry(&judge_of(bids()), looks, &primary(), TIMING, long_ago)
    }

    fn verdict(looks: &[EntryLook]) -> Option<(Verdict, Vec<&'static str>, usize)> {
        match decide(looks) {
            Decision::Settled {
                verdict,
                suspects,
                look,
            } => Some((verdict, suspects.iter().map(|s| s.rule.0).collect(), look)),
            Decision::LookAgain { .. } => None,
        }
    }

    fn wait(looks: &[EntryLook]) -> Option<u64> {
        match decide(looks) {
            Decision::LookAgain { after } => Some(after.as_secs()),
            Decision::Settled { .. } => None,
        }
    }

    fn unacked() -> EntryLook {
        held(settled_look(), in_hand())
    }

    fn orphaned() -> EntryLook {
        held(without_row(settled_look()), orphan())
    }

    #[test]
    fn two_looks_at_a_row_at_rest_take_the_short_wait() {
        assert_eq!(wait(&[]), Some(0));
        assert_eq!(wait(&[at(0, unacked())]), Some(2));
        assert_eq!(wait(&[at(0, unacked()), at(1, unacked())]), Some(1));
        assert_eq!(
            verdict(&[at(0, unacked()), at(2, unacked())]),
            Some((Verdict::Confirmed, vec!["unacked-persisted"], 1))
        );
    }

    #[test]
    fn a_row_that_moved_lately_and_no_row_take_the_whole_delay() {
        let fresh = |seconds| {
            let look = at(seconds, unacked());
            EntryLook {
                source_time: Micros((CHANGED + 64 + seconds) * 1_000_000),
                ..look
            }
        };
        assert_eq!(wait(&[fresh(0)]), Some(5));
        assert_eq!(verdict(&[fresh(0), fresh(4)]), None);
        assert!(verdict(&[fresh(0), fresh(5)]).is_some());
        assert_eq!(wait(&[at(0, orphaned())]), Some(5));
        assert_eq!(verdict(&[at(0, orphaned()), at(4, orphaned())]), None);
        assert_eq!(
            verdict(&[at(0, orphaned()), at(5, orphaned())]),
            Some((Verdict::Confirmed, vec!["orphan-pending"], 1))
        );
    }

    /// The time of a row may be the business's, and old from the beginning.
    #[test]
    fn a_message_that_was_just_delivered_takes_the_whole_delay() {
        let fresh = |seconds| {
            let mut pending = in_hand();
            pending.row.idle_millis = 64_000;
            at(seconds, held(settled_look(), pending))
        };
        assert_eq!(wait(&[fresh(0)]), Some(5));
        assert_eq!(verdict(&[fresh(0), fresh(4)]), None);
        assert!(verdict(&[fresh(0), fresh(5)]).is_some());
    }

    /// A consumer may acknowledge before it commits.
    #[test]
    fn what_was_added_lately_may_still_be_committed() {
        let lately = |seconds: i64| {
            let added = u64::try_from((CHANGED + 590) * 1_000).unwrap_or_default();
            let look = without_row(settled_look());
            let look = EntryLook {
                id: id(added),
                entry: look.entry.map(|entry| crate::model::stream::Entry {
                    id: id(added),
                    ..entry
                }),
                cursor_before: Some(id(added)),
                cursor_after: Some(id(added)),
                ..look
            };
            at(seconds, look)
        };
        assert_eq!(wait(&[lately(0)]), Some(55), "65 s after it was added");
        assert_eq!(verdict(&[lately(0), lately(54)]), None);
        assert_eq!(
            verdict(&[lately(0), lately(55)]),
            Some((Verdict::Confirmed, vec!["acked-unpersisted"], 1))
        );
    }

    #[test]
    fn a_missing_second_effect_takes_the_whole_delay_however_old_the_row() {
        let not_whole = |seconds| {
            let mut look = at(seconds, settled_look());
            look.evidence.is_proven = Some(false);
            look
        };
        assert_eq!(wait(&[not_whole(0)]), Some(5));
        assert_eq!(verdict(&[not_whole(0), not_whole(4)]), None);
        assert_eq!(
            verdict(&[not_whole(0), not_whole(5)]),
            Some((Verdict::Confirmed, vec!["acked-unpersisted"], 1))
        );
    }

    #[test]
    fn one_clean_look_is_enough() {
        for clean in [settled_look(), held(without_row(settled_look()), in_hand())] {
            let looks = [at(0, orphaned()), at(1, clean)];
            // Acknowledged meanwhile, or its consumer is back.
            assert_eq!(verdict(&looks), Some((Verdict::Transient, vec![], 1)));
        }
    }

    #[test]
    fn a_message_that_changes_hands_starts_anew() {
        let redelivered = |seconds| {
            let mut look = at(seconds, orphaned());
            for pending in [&mut look.before, &mut look.after].into_iter().flatten() {
                pending.row.deliveries = 2;
            }
            look
        };
        let looks = [at(0, orphaned()), redelivered(5), redelivered(9)];
        assert_eq!(verdict(&looks), None);
        assert_eq!(wait(&looks), Some(1), "five seconds after the second look");
        let looks = [at(0, orphaned()), redelivered(5), redelivered(10)];
        assert_eq!(verdict(&looks).map(|v| v.2), Some(2));
        // The same count, but delivered in between: its idle time went down.
        let mut claimed = at(5, orphaned());
        for pending in [&mut claimed.before, &mut claimed.after]
            .into_iter()
            .flatten()
        {
            pending.row.idle_millis = 70_000;
        }
        assert_eq!(verdict(&[at(0, orphaned()), claimed]), None);
    }

    #[test]
    fn a_look_in_which_it_moved_does_not_count() {
        let mut torn = at(5, orphaned());
        torn.after = None;
        assert_eq!(verdict(&[at(0, orphaned()), torn.clone()]), None);
        assert_eq!(verdict(&[at(0, orphaned()), torn, at(6, orphaned())]), None);
        // The consumer came back while we looked, without touching the message.
        let mut back = at(5, orphaned());
        back.after = back.after.map(|mut pending| {
            pending.owner = Some(consumer(3, None));
            pending
        });
        assert_eq!(verdict(&[at(0, orphaned()), back]), None);
    }

    #[test]
    fn another_entry_under_the_same_id_starts_anew() {
        let mut other = at(5, orphaned());
        other.entry = Some(bid("99"));
        assert_eq!(verdict(&[at(0, orphaned()), other]), None);
    }

    /// Promotion, and clients that find the new master late: until `orphan_after` has passed on this node, nobody
    /// was silent for that long.
    #[test]
    fn silence_counts_only_since_the_node_serves() {
        let listed = || pending(Some(consumer(120_000, None)));
        let silent = |seconds| at(seconds, held(without_row(settled_look()), listed()));
        let begun = silent(0).at;
        let decide =
            |looks: &[EntryLook]| decide_entry(&judge_of(bids()), looks, &primary(), TIMING, begun);
        let confirmed = |looks: &[EntryLook]| matches!(decide(looks), Decision::Settled { .. });
        let wait = |looks: &[EntryLook]| match decide(looks) {
            Decision::LookAgain { after } => Some(after.as_secs()),
            Decision::Settled { .. } => None,
        };
        assert_eq!(wait(&[silent(0)]), Some(60));
        assert_eq!(wait(&[silent(0), silent(5)]), Some(55));
        assert!(!confirmed(&[silent(0), silent(59)]));
        assert!(confirmed(&[silent(0), silent(60)]));
        // Of a group that lists the consumer no more it cannot come back as the same.
        assert!(confirmed(&[at(0, orphaned()), at(5, orphaned())]));
        // What is proven is settled whoever holds it.
        let proven = |seconds| at(seconds, held(settled_look(), listed()));
        assert!(confirmed(&[proven(0), proven(2)]));
    }

    #[test]
    fn only_what_both_looks_object_to_is_confirmed() {
        // The row came between the looks: another rule now.
        let looks = [at(0, orphaned()), at(5, held(settled_look(), orphan()))];
        assert_eq!(verdict(&looks), None);
        let looks = [
            at(0, orphaned()),
            at(5, held(settled_look(), orphan())),
            at(7, held(settled_look(), orphan())),
        ];
        assert_eq!(
            verdict(&looks),
            Some((Verdict::Confirmed, vec!["unacked-persisted"], 2))
        );
    }

    #[test]
    fn another_server_proves_nothing() {
        let elsewhere = |seconds, look: EntryLook| {
            let mut look = at(seconds, look);
            look.source.name = "other".into();
            look
        };
        assert_eq!(verdict(&[elsewhere(0, settled_look())]), None);
        assert_eq!(
            verdict(&[at(0, orphaned()), elsewhere(5, orphaned())]),
            None
        );
        let looks = [
            at(0, orphaned()),
            elsewhere(3, orphaned()),
            at(6, orphaned()),
        ];
        assert_eq!(
            verdict(&looks).map(|v| (v.0, v.2)),
            Some((Verdict::Confirmed, 2))
        );
        let looks: Vec<_> = (0..5).map(|i| elsewhere(i * 6, orphaned())).collect();
        assert_eq!(verdict(&looks), Some((Verdict::Unknown, vec![], 4)));
    }

    #[test]
    fn what_keeps_changing_hands_is_hot() {
        let looks: Vec<_> = (0..5u64)
            .map(|turn| {
                let mut look = at(i64::try_from(turn).unwrap_or(0) * 6, orphaned());
                for pending in [&mut look.before, &mut look.after].into_iter().flatten() {
                    pending.row.deliveries = turn + 1;
                }
                look
            })
            .collect();
        assert_eq!(verdict(&looks[..4]), None);
        assert_eq!(
            verdict(&looks),
            Some((Verdict::Hot, vec!["orphan-pending"], 4))
        );
    }

    #[test]
    fn a_look_in_which_it_was_delivered_again_is_no_first_look_either() {
        let twice = |pending: &mut Option<crate::model::stream::Pending>| {
            if let Some(pending) = pending {
                pending.row.deliveries = 2;
            }
        };
        let mut torn = at(0, orphaned());
        twice(&mut torn.after);
        let mut later = at(5, orphaned());
        twice(&mut later.before);
        twice(&mut later.after);
        assert_eq!(verdict(&[torn, later.clone()]), None);
        assert_eq!(wait(&[later]), Some(5));
    }

    #[test]
    fn what_changes_hands_before_another_server_is_unknown() {
        let looks: Vec<_> = (0..5u64)
            .map(|turn| {
                let mut look = at(i64::try_from(turn).unwrap_or(0) * 6, orphaned());
                for pending in [&mut look.before, &mut look.after].into_iter().flatten() {
                    pending.row.deliveries = turn + 1;
                }
                if turn == 2 {
                    look.source.name = "other".into();
                }
                look
            })
            .collect();
        assert_eq!(
            verdict(&looks),
            Some((Verdict::Unknown, vec!["orphan-pending"], 4))
        );
    }

    #[test]
    fn a_cursor_that_moves_on_disturbs_nobody() {
        let lost = without_row(settled_look());
        let mut later = at(5, lost.clone());
        later.cursor_before = Some(id(3000));
        later.cursor_after = Some(id(3001));
        assert_eq!(
            verdict(&[at(0, lost.clone()), later]),
            Some((Verdict::Confirmed, vec!["acked-unpersisted"], 1))
        );
        // It was delivered while we looked: not judged by this look.
        let mut crossing = undelivered(at(0, lost.clone()));
        crossing.cursor_after = Some(id(1000));
        let conflict = EntryLook {
            evidence: Evidence::default(),
            ..crossing
        };
        assert_eq!(verdict(&[conflict]), Some((Verdict::Transient, vec![], 0)));
    }

    #[test]
    fn a_check_without_times_waits_the_whole_delay() {
        let mut check = bids();
        let rows = std::sync::Arc::make_mut(&mut check.rows);
        rows.window = None;
        let judge = judge_of(StreamCheck { ..check });
        let decision = decide_entry(&judge, &[at(0, unacked())], &primary(), TIMING, Micros(0));
        assert_eq!(
            decision,
            Decision::LookAgain {
                after: TIMING.cache_delay
            }
        );
    }
}
