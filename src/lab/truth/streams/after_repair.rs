//! What must hold after a repair, whatever the auditor says of it.

use std::collections::BTreeSet;

use super::entry_id::EntryId;
use super::judge::{StreamView, Word, has_contents, judge_entry, word_of};
use super::world::{EntryFacts, StreamWorld};
use crate::lab::app::streams::{StreamAct, StreamEvent};

/// A last id that was raised must not be later than the clock by more than this.
const SKEW_MS: u64 = 60_000;

/// Before and after, and what the application did in between.
struct Change<'a> {
    before: &'a StreamWorld,
    after: &'a StreamWorld,
    view: &'a StreamView,
    /// Messages that the application acknowledged, was given, or took over itself.
    acknowledged: BTreeSet<&'a str>,
    read: BTreeSet<&'a str>,
    claimed: BTreeSet<&'a str>,
    complaints: Vec<String>,
}

impl StreamWorld {
    /// What is wrong after a repair of `before`; empty: nothing. `events` are the application's own steps since
    /// `before` was read; `left` the rules whose findings the job only reports, so that they may stay as they are.
    ///
    /// Every bid that MySQL or this Redis knew of is in the table exactly once, or was refused, or waits in the stream,
    /// or lies in the dead letters. Nothing that is proven is pending; nothing was acknowledged whose effect is
    /// not there or that was not moved elsewhere; no live consumer's message changed hands; no row changed.
    pub fn check_after_repair(
        &self,
        before: &StreamWorld,
        view: &StreamView,
        events: &[StreamEvent],
        left: &[&str],
    ) -> Vec<String> {
        let of = |act: StreamAct| {
            let done = events.iter().filter(move |event| {
                event.act == act && event.layout == view.layout && event.is_acknowledged
            });
            done.map(|event| event.id.as_str()).collect()
        };
        let mut change = Change {
            before,
            after: self,
            view,
            acknowledged: of(StreamAct::Ack),
            read: of(StreamAct::Read),
            claimed: of(StreamAct::Claim),
            complaints: Vec::new(),
        };
        change.check_rows();
        change.check_bids(left);
        change.check_foreign();
        change.check_pending(left);
        change.check_hands();
        change.check_group(left);
        change.check_dead_letters();
        change.complaints
    }
}

impl Change<'_> {
    /// No row changed or went away, and no name has two.
    fn check_rows(&mut self) {
        for (identity, rows) in &self.before.rows {
            let now = self.after.rows.get(identity);
            if now != Some(rows) {
                self.complain(format!("the row of {identity} was {rows:?} and is {now:?}"));
            }
        }
        for (identity, rows) in &self.after.rows {
            if rows.len() > 1 && !self.before.rows.contains_key(identity) {
                self.complain(format!("{identity} is in the table {} times", rows.len()));
            }
        }
        for identity in &self.before.rejected {
            if self.after.rows.contains_key(identity) && !self.before.rows.contains_key(identity) {
                self.complain(format!("{identity} was refused and is in the table now"));
            }
        }
    }

    /// Every bid of the stream came somewhere, and to one place only.
    fn check_bids(&mut self, left: &[&str]) {
        for (id, entry) in &self.before.entries {
            let is_nameless = self.before.identity(*id).is_none();
            if !self.view.owns(entry) || is_nameless {
                continue;
            }
            let is_left =
                judge_entry(self.before, self.view, *id).is_some_and(|rule| left.contains(&rule));
            let moved = self.moved_from(*id);
            let is_waiting = self.is_waiting(*id);
            let is_done = self.is_done(*id, entry);
            if !(is_left
                || is_done
                || is_waiting
                || !moved.is_empty()
                || self.is_in_dead_letters(*id))
            {
                self.complain(format!(
                    "the bid of entry {id} is not in the table, was not refused, and waits nowhere"
                ));
            }
            // Its next delivery would be another bid, as the new entry has another name.
            let is_twice = self.after.layout.is_by_entry_id() && is_done && !moved.is_empty();
            if is_twice || moved.len() > 1 || (is_waiting && !moved.is_empty()) {
                self.complain(format!("the bid of entry {id} is there more than once"));
            }
        }
    }

    /// Entries of other types lie where they lay, and the group did not pass over them.
    fn check_foreign(&mut self) {
        for (id, entry) in &self.before.entries {
            let is_owned = self.view.owns(entry) && self.before.identity(*id).is_some();
            if is_owned {
                continue;
            }
            let text = id.to_string();
            if !self.after.entries.contains_key(id) {
                self.complain(format!("entry {id}, which is nobody's, is gone"));
            }
            let was_ahead = self.before.cursor.is_none_or(|cursor| *id > cursor);
            let is_behind = self.after.cursor.is_some_and(|cursor| *id <= cursor);
            if was_ahead && is_behind && !self.read.contains(text.as_str()) {
                self.complain(format!(
                    "the group passed over entry {id}, which is nobody's"
                ));
            }
            let was_pending = self.before.pending.contains_key(id);
            let is_acknowledged = self.acknowledged.contains(text.as_str());
            if was_pending && !self.after.pending.contains_key(id) && !is_acknowledged {
                self.complain(format!("message {id}, which is nobody's, was acknowledged"));
            }
        }
    }

    /// Nothing proven is pending, nothing is pending with the dead, and what left the list had a reason.
    fn check_pending(&mut self, left: &[&str]) {
        for id in self.after.pending.keys() {
            let rule = judge_entry(self.after, self.view, *id);
            if let Some(rule) =
                rule.filter(|rule| *rule != "undecodable-value" && !left.contains(rule))
            {
                self.complain(format!("message {id} is still pending: {rule}"));
            }
        }
        for (id, pending) in &self.before.pending {
            let is_acknowledged = self.acknowledged.contains(id.to_string().as_str());
            if self.after.pending.contains_key(id) || is_acknowledged {
                continue;
            }
            let is_settled = match self.before.entries.get(id) {
                Some(entry) if !self.view.owns(entry) => continue,
                Some(entry) => self.is_done(*id, entry),
                None => self.has_row_by_id(*id) || self.view.is_gone(&pending.consumer),
            };
            if !is_settled && self.moved_from(*id).is_empty() && !self.is_in_dead_letters(*id) {
                self.complain(format!("message {id} was acknowledged without its effect"));
            }
        }
    }

    /// What a live consumer holds it still holds, unless it was done.
    fn check_hands(&mut self) {
        for (id, pending) in &self.before.pending {
            let text = id.to_string();
            let is_own_doing =
                self.acknowledged.contains(text.as_str()) || self.claimed.contains(text.as_str());
            if self.view.is_gone(&pending.consumer) || is_own_doing {
                continue;
            }
            let is_done = match self.before.entries.get(id) {
                Some(entry) => self.is_done(*id, entry),
                None => self.has_row_by_id(*id),
            };
            let is_held = self
                .after
                .pending
                .get(id)
                .is_some_and(|now| now.consumer == pending.consumer);
            if !is_held && !is_done {
                self.complain(format!(
                    "message {id} was taken from {}, who is alive",
                    pending.consumer
                ));
            }
        }
    }

    /// The group is there and went forward only; the stream's last id is not from the future.
    fn check_group(&mut self, left: &[&str]) {
        let was_there = self.before.last_generated.is_some();
        if was_there && self.after.cursor.is_none() && !left.contains(&"group-missing") {
            self.complain("there is no group".to_owned());
        }
        if self.after.cursor < self.before.cursor {
            self.complain("the group went back".to_owned());
        }
        if self.after.last_generated < self.before.last_generated {
            self.complain("the last id went back".to_owned());
        }
        let last = self.after.last_generated.unwrap_or(EntryId::START);
        let is_raised = self.after.last_generated > self.before.last_generated;
        if is_raised && last.millis > self.after.time_ms + SKEW_MS {
            self.complain(format!("the last id {last} is from the future"));
        }
    }

    fn check_dead_letters(&mut self) {
        let mut seen = BTreeSet::new();
        for dead in &self.after.dead {
            let original = dead.field("original_id").unwrap_or_default();
            if !seen.insert(original) {
                self.complaints
                    .push(format!("entry {original} lies in the dead letters twice"));
            }
        }
    }

    /// Whether this very bid is in the table, or was refused.
    fn is_done(&self, id: EntryId, entry: &EntryFacts) -> bool {
        let Some(identity) = self.before.identity(id) else {
            return false;
        };
        let rows = self
            .after
            .rows
            .get(&identity)
            .map_or(&[][..], Vec::as_slice);
        let is_whole = !self.view.needs_effect || self.after.effects.contains(&identity);
        let is_there = is_whole && rows.iter().any(|row| has_contents(entry, row));
        let is_refused = self.view.knows_rejections && self.after.rejected.contains(&identity);
        is_there || is_refused
    }

    /// Entries that are this one's content, moved.
    fn moved_from(&self, id: EntryId) -> Vec<EntryId> {
        let text = id.to_string();
        let moved = self.after.entries.iter().filter(|(moved, entry)| {
            let is_from = entry.field("requeued_from") == Some(&text);
            is_from
                && (self.is_waiting(**moved)
                    || word_of(self.after, self.view, **moved) == Word::Settled)
        });
        moved.map(|(moved, _)| *moved).collect()
    }

    /// Whether somebody will be given the entry, or was and has not acknowledged it.
    fn is_waiting(&self, id: EntryId) -> bool {
        let is_ahead = self.after.cursor.is_none_or(|cursor| id > cursor);
        self.after.entries.contains_key(&id) && (is_ahead || self.after.pending.contains_key(&id))
    }

    fn is_in_dead_letters(&self, id: EntryId) -> bool {
        let text = id.to_string();
        self.after
            .dead
            .iter()
            .any(|dead| dead.field("original_id") == Some(&text))
    }

    fn has_row_by_id(&self, id: EntryId) -> bool {
        self.after.layout.is_by_entry_id() && self.after.rows.contains_key(&id.to_string())
    }

    fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }
}
