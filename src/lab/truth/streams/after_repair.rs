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
    deleted: BTreeSet<&'a str>,
    /// Entries before it the application trimmed away.
    trimmed_to: EntryId,
    complaints: Vec<String>,
}

impl StreamWorld {
    /// What is wrong after a repair of `before`; empty: nothing. `events` are the application's own steps since
    /// `before` was read; `left` the rules whose findings the job only reports, so that they may stay as they are.
    ///
    /// The application may work meanwhile, if its log was emptied before `before` was read, nobody of `view.live` dies,
    /// and it is stopped when this side is read.
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
            done.map(|event| event.id.as_str()).collect::<BTreeSet<_>>()
        };
        let trimmed: Vec<EntryId> = of(StreamAct::Trim)
            .into_iter()
            .filter_map(EntryId::parse)
            .collect();
        let mut change = Change {
            before,
            after: self,
            view,
            acknowledged: of(StreamAct::Ack),
            read: of(StreamAct::Read),
            claimed: of(StreamAct::Claim),
            deleted: of(StreamAct::Delete),
            trimmed_to: trimmed.into_iter().max().unwrap_or(EntryId::START),
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
            if self.is_removed(*id) && moved.is_empty() {
                self.complain(format!("entry {id} is gone"));
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
            if self.is_removed(*id) {
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

    /// Whether the entry went away, and not by the application.
    fn is_removed(&self, id: EntryId) -> bool {
        let is_own_doing = id < self.trimmed_to || self.deleted.contains(id.to_string().as_str());
        !self.after.entries.contains_key(&id) && !is_own_doing
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::{BTreeMap, BTreeSet};

    use super::{EntryFacts, EntryId, StreamView, StreamWorld};
    use crate::lab::app::streams::{LIVE, Layout, SAVE, StreamAct, StreamEvent};
    use crate::lab::truth::streams::{PendingFacts, RowFacts};

    const GONE: &str = "gone";

    fn id(number: u64) -> EntryId {
        EntryId {
            millis: number,
            sequence: 0,
        }
    }

    fn entry(bid: &str) -> EntryFacts {
        let fields = [
            ("type", SAVE),
            ("bidId", bid),
            ("auctionId", "1"),
            ("bidderId", "2"),
            ("amount", "3"),
            ("at", "4"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        EntryFacts {
            fields: BTreeMap::from(fields),
        }
    }

    fn row() -> Vec<RowFacts> {
        vec![RowFacts {
            auction: "1".into(),
            bidder: "2".into(),
            amount: "3".into(),
            at_ms: None,
        }]
    }

    fn held(consumer: &str) -> PendingFacts {
        PendingFacts {
            consumer: consumer.into(),
            idle_ms: 9,
            deliveries: 1,
        }
    }

    /// 1: done. 2: pending with the dead, not done. 3: pending with the dead, done. 4: with a live consumer.
    /// 5: nobody's, pending. 6: not read. 7: nobody's, not read.
    fn before() -> StreamWorld {
        let foreign = EntryFacts {
            fields: BTreeMap::from([("type".to_owned(), "OTHER".to_owned())]),
        };
        let bids = ["b1", "b2", "b3", "b4", "", "b6", ""];
        let entries = bids.iter().zip(1..).map(|(bid, number)| match bid {
            &"" => (id(number), foreign.clone()),
            bid => (id(number), entry(bid)),
        });
        let held = [(2, GONE), (3, GONE), (4, LIVE), (5, GONE)]
            .map(|(number, name)| (id(number), held(name)));
        StreamWorld {
            layout: Layout::ByBidId,
            entries: entries.collect(),
            pending: BTreeMap::from(held),
            consumers: BTreeMap::new(),
            cursor: Some(id(5)),
            last_generated: Some(id(7)),
            dead: Vec::new(),
            rows: BTreeMap::from([("b1".to_owned(), row()), ("b3".to_owned(), row())]),
            effects: BTreeSet::new(),
            rejected: BTreeSet::new(),
            time_ms: 1_000,
        }
    }

    /// Everything as it should be: 2 inserted, 2 and 3 acknowledged.
    fn repaired() -> StreamWorld {
        let mut after = before();
        after.rows.insert("b2".into(), row());
        after.pending.remove(&id(2));
        after.pending.remove(&id(3));
        after
    }

    fn view() -> StreamView {
        StreamView {
            live: BTreeSet::from([LIVE.to_owned()]),
            ..StreamView::new("bids", Layout::ByBidId)
        }
    }

    fn complaints(after: &StreamWorld) -> Vec<String> {
        after.check_after_repair(&before(), &view(), &[], &[])
    }

    type Damage = fn(&mut StreamWorld);

    #[test]
    fn every_way_to_settle_is_right() {
        let ways: [Damage; 5] = [
            |_| {},
            |after| {
                after.rows.remove("b2");
                after.rejected.insert("b2".into());
            },
            |after| {
                after.rows.remove("b2");
                let mut dead = entry("b2");
                dead.fields.insert("original_id".into(), "2-0".into());
                after.dead.push(dead);
            },
            |after| {
                after.rows.remove("b2");
                after.entries.remove(&id(2));
                let mut moved = entry("b2");
                moved.fields.insert("requeued_from".into(), "2-0".into());
                after.entries.insert(id(8), moved);
                after.last_generated = Some(id(8));
            },
            |after| {
                after.rows.remove("b2");
                after.pending.insert(id(2), held(LIVE));
            },
        ];
        for (number, way) in ways.into_iter().enumerate() {
            let mut after = repaired();
            way(&mut after);
            assert_eq!(complaints(&after), Vec::<String>::new(), "way {number}");
        }
    }

    #[test]
    fn every_damage_is_complained_of() {
        let damages: [(&str, Damage); 15] = [
            ("entry 1-0 is gone", |a| drop(a.entries.remove(&id(1)))),
            ("still pending: orphan", |a| *a = before()),
            ("acknowledged without its effect", |a| {
                drop(a.rows.remove("b2"))
            }),
            ("waits nowhere", |a| drop(a.rows.remove("b2"))),
            ("still pending: unacked", |a| {
                drop(a.pending.insert(id(3), held(GONE)))
            }),
            ("who is alive", |a| {
                drop(a.pending.insert(id(4), held("thief")))
            }),
            ("4-0 was acknowledged without", |a| {
                drop(a.pending.remove(&id(4)))
            }),
            ("nobody's, was acknowledged", |a| {
                drop(a.pending.remove(&id(5)))
            }),
            ("nobody's, is gone", |a| drop(a.entries.remove(&id(7)))),
            ("passed over", |a| a.cursor = Some(id(7))),
            ("the group went back", |a| a.cursor = Some(id(1))),
            ("there is no group", |a| a.cursor = None),
            ("the last id went back", |a| a.last_generated = Some(id(6))),
            ("from the future", |a| a.last_generated = Some(id(100_000))),
            ("is Some([])", |a| a.rows.get_mut("b1").unwrap().clear()),
        ];
        for (complaint, damage) in damages {
            let mut after = repaired();
            damage(&mut after);
            let all = complaints(&after);
            assert!(
                all.iter().any(|c| c.contains(complaint)),
                "{complaint}: {all:?}"
            );
        }
    }

    #[test]
    fn a_bid_is_moved_once_and_not_also_kept() {
        let mut moved = entry("b2");
        moved.fields.insert("requeued_from".into(), "2-0".into());
        let mut after = repaired();
        after.entries.insert(id(8), moved.clone());
        after.entries.insert(id(9), moved.clone());
        assert!(complaints(&after)[0].contains("more than once"));

        moved.fields.insert("original_id".into(), "2-0".into());
        let mut after = repaired();
        after.dead = vec![moved.clone(), moved];
        assert!(complaints(&after)[0].contains("twice"));
    }

    #[test]
    fn what_the_application_did_itself_is_its_own_affair() {
        let mut after = repaired();
        after.rows.insert("b4".into(), row());
        after.pending.remove(&id(4));
        after.pending.remove(&id(5));
        let event = StreamEvent {
            layout: Layout::ByBidId,
            act: StreamAct::Ack,
            actor: LIVE.into(),
            id: "5-0".into(),
            bid_id: String::new(),
            is_acknowledged: true,
            port: None,
            at: chrono::DateTime::UNIX_EPOCH,
        };
        let events = [event];
        let complaints = after.check_after_repair(&before(), &view(), &events, &[]);
        assert_eq!(complaints, Vec::<String>::new());
    }

    #[test]
    fn what_the_job_only_reports_may_stay() {
        let left = ["orphan-pending", "unacked-persisted"];
        let complaints = before().check_after_repair(&before(), &view(), &[], &left);
        assert_eq!(complaints, Vec::<String>::new());
    }
}
