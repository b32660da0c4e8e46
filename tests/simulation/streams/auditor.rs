//! The auditor's procedure over the simulated world: its looks and scripts, with the program's own decisions in between.

use std::collections::BTreeSet;

use auditor::model::finding::{Remedy, Suspect, Verdict};
use auditor::model::identity::SourceIdentity;
use auditor::model::stream::{EntryLook, GroupLook, OnSkipped, OnUnpersisted, StreamId};
use auditor::model::time::Micros;
use auditor::repair::{SettlementStep, plan_entry, plan_group};
use auditor::rules::{ConfirmTiming, Decision, StreamJudge, decide_entry, decide_group};
use auditor::store::redis::Settlement;
use rand::Rng;
use std::time::Duration;

use super::application::{MS, SECOND, World, number, text};
use super::checks::{CACHE_DELAY, COMMIT_MARGIN, DELIVERIES_MAX, SETTLE};

const SKEW: Duration = Duration::from_secs(45);
const TIMING: ConfirmTiming = ConfirmTiming {
    settle: SETTLE,
    cache_delay: CACHE_DELAY,
    commit_margin: COMMIT_MARGIN,
};
/// What was lost to a race is taken up by the next run.
const RUNS_MAX: u32 = 20;

/// What really was the case when the primary answered a look.
#[derive(Debug, Clone, Copy)]
struct Truth {
    has_effect: bool,
    is_in_hands: bool,
    is_owner_alive: bool,
    has_row_of_another: bool,
}

struct Watched {
    id: StreamId,
    looks: Vec<EntryLook>,
    truth: Vec<Truth>,
    due: i64,
}

/// What one run found.
#[derive(Default)]
struct Findings {
    entries: BTreeSet<(StreamId, &'static str)>,
    is_any_applied: bool,
}

impl World {
    pub(super) fn audit_while_living(&mut self) {
        for _ in 0..2 {
            let pause = self.random.random_range(0..90) * SECOND;
            self.advance(pause);
            self.audit();
        }
    }

    /// With the application at rest a few runs settle everything that the job lets them.
    pub(super) fn audit_at_rest(&mut self) {
        for _ in 0..RUNS_MAX {
            let lost = self.scripts_lost;
            let findings = self.audit();
            let is_done = !findings.is_any_applied && self.scripts_lost == lost;
            // What was given back to the group is processed meanwhile.
            self.work_off();
            if is_done {
                self.check_end(&findings);
                return;
            }
        }
        panic!("seed {}: still settling after {RUNS_MAX} runs", self.seed);
    }

    fn check_end(&self, findings: &Findings) {
        let seed = self.seed;
        let mut numbers = BTreeSet::new();
        for bid in self.table.values() {
            assert!(
                numbers.insert(bid.number),
                "seed {seed}: bid {} twice",
                bid.number
            );
        }
        let group = self.server.group.as_ref();
        let group = group.unwrap_or_else(|| panic!("seed {seed}: no group"));
        // Under a new id nothing would keep a slow consumer from doing the entry once more.
        let by_id = self.setup.by_id;
        let is_reported = |id: StreamId, rule| findings.entries.contains(&(id, rule));
        for (&id, fields) in &self.server.stream {
            let Some(number) = number(fields) else {
                continue;
            };
            let is_pending = group.pending.contains_key(&id);
            if self.has_effect(id, fields) {
                assert!(!is_pending, "seed {seed}: {id} is done and pending");
                continue;
            }
            let is_conflict = is_reported(id, "payload-conflict");
            // It is a person's then.
            let was_moved = text(fields, "requeued_from").is_some();
            if is_pending {
                let is_alive = self.owner(id).is_some_and(|owner| self.is_alive(owner));
                let is_said = is_conflict
                    || is_reported(id, "orphan-pending")
                    || is_reported(id, "poison-pending");
                assert!(
                    is_said || is_alive,
                    "seed {seed}: {id} hangs and nobody says so"
                );
                let is_mended = self.setup.on_unpersisted != OnUnpersisted::Report
                    && !((by_id || was_moved)
                        && self.setup.on_unpersisted == OnUnpersisted::Requeue)
                    && number % 23 != 0
                    && !self.setup.has_second_effect;
                let is_poison = is_reported(id, "poison-pending");
                assert!(
                    !is_mended || is_poison || is_alive || is_conflict,
                    "seed {seed}: {id} is not mended"
                );
            } else {
                assert!(
                    id <= group.cursor,
                    "seed {seed}: {id} waits, and a consumer lives"
                );
                let is_dead = self.is_dead(fields);
                let is_said = is_conflict || is_reported(id, "acked-unpersisted");
                assert!(
                    is_said || is_dead,
                    "seed {seed}: {id} is lost and nobody says so"
                );
                let is_mended = self.setup.on_skipped != OnSkipped::Report
                    && !((by_id || was_moved) && self.setup.on_skipped == OnSkipped::Requeue)
                    && !self.setup.has_second_effect;
                assert!(
                    !is_mended || is_conflict || is_dead,
                    "seed {seed}: {id} is not mended"
                );
            }
        }
    }

    fn is_dead(&self, fields: &super::server::Fields) -> bool {
        let dead = self.server.dead.iter();
        dead.filter_map(number).any(|n| Some(n) == number(fields))
    }

    /// One run: the group first, then every entry and every pending message.
    fn audit(&mut self) -> Findings {
        let judge = StreamJudge::new(self.mapping.clone());
        let mut findings = Findings::default();
        self.audit_group(&judge, &mut findings);
        let pending = self.server.group.iter().flat_map(|g| g.pending.keys());
        let ids: BTreeSet<_> = self.server.stream.keys().chain(pending).copied().collect();
        let mut watched = Vec::new();
        for id in ids {
            let look = self.glance(&judge, id);
            if judge.judge_entry(&look).is_some() {
                watched.push(Watched {
                    id,
                    looks: Vec::new(),
                    truth: Vec::new(),
                    due: self.now,
                });
            }
        }
        while let Some(next) = watched.iter().map(|w| w.due).min() {
            self.advance((next - self.now).max(0));
            let mut open = Vec::new();
            for mut item in watched {
                if item.due > self.now || self.watch(&judge, &mut item, &mut findings) {
                    open.push(item);
                }
            }
            watched = open;
        }
        findings
    }

    /// One more look; false once it is decided, and done with.
    fn watch(&mut self, judge: &StreamJudge, item: &mut Watched, findings: &mut Findings) -> bool {
        let (look, truth) = self.look(judge, item.id);
        item.looks.push(look);
        item.truth.push(truth);
        match decide_entry(judge, &item.looks, &primary(), TIMING, Micros(0)) {
            Decision::LookAgain { after } => {
                let late = self.random.random_range(0..500) * MS;
                item.due = self.now + i64::try_from(after.as_micros()).unwrap() + late;
                true
            }
            Decision::Settled {
                verdict: Verdict::Confirmed,
                suspects,
                look,
            } => {
                let suspect = &suspects[0];
                self.hold_to_truth(suspect, &item.looks[look], item.truth[look]);
                *self.confirmed.entry(suspect.rule.0).or_insert(0) += 1;
                findings.entries.insert((item.id, suspect.rule.0));
                findings.is_any_applied |= self.settle(judge, item.id, suspect);
                false
            }
            Decision::Settled { .. } => false,
        }
    }

    fn hold_to_truth(&self, suspect: &Suspect, look: &EntryLook, truth: Truth) {
        let is_true = match suspect.rule.0 {
            "unacked-persisted" => truth.has_effect,
            "orphan-pending" => !truth.has_effect && !truth.is_in_hands && !truth.is_owner_alive,
            "acked-unpersisted" => !truth.has_effect && !truth.is_in_hands,
            "poison-pending" => {
                let pending = look.before.as_ref();
                !truth.has_effect && pending.is_some_and(|p| p.row.deliveries > DELIVERIES_MAX)
            }
            "payload-conflict" => truth.has_row_of_another,
            "trimmed-pending" => {
                look.entry.is_none() && (!truth.is_owner_alive || truth.has_row_of_another)
            }
            other => panic!("seed {}: {other} about an entry", self.seed),
        };
        assert!(
            is_true,
            "seed {}: a false alarm, {suspect:?}: {truth:?} {look:?}",
            self.seed
        );
    }

    /// A fresh look, a plan, and the step; true if something was changed.
    fn settle(&mut self, judge: &StreamJudge, id: StreamId, suspect: &Suspect) -> bool {
        let (look, _) = self.look(judge, id);
        let again = judge.judge_entry(&look);
        if again.is_none_or(|again| again.rule != suspect.rule) {
            return false;
        }
        let Ok(planned) = plan_entry(judge, &look, suspect) else {
            return false;
        };
        let is_applied = match planned.step {
            SettlementStep::Write(settlement) => self.apply(&settlement),
            SettlementStep::Insert { row, then } => {
                self.travel();
                let cell = |at: usize| {
                    let (_, text) = row.cells.iter().find(|(cell, _)| *cell == at).unwrap();
                    bytes::Bytes::from(text.clone().unwrap())
                };
                let identity = cell(0).to_vec();
                let fields = vec![("amount".into(), cell(1)), ("bidder".into(), cell(2))];
                let is_new = self.insert(identity, &fields);
                // Killed between the row and the acknowledgement: the next run goes on.
                if self.random.random_bool(0.1) {
                    self.scripts_lost += 1;
                    return is_new;
                }
                let (look, _) = self.look(judge, id);
                let proof = judge.proof(id, look.entry.as_ref(), &look.evidence);
                let then = then.filter(|_| proof.settles());
                then.is_some_and(|then| self.apply(&then)) || is_new
            }
        };
        if is_applied {
            *self.applied.entry(planned.remedy.name()).or_insert(0) += 1;
        }
        is_applied
    }

    /// A script that may be lost on its way, or be late.
    fn apply(&mut self, settlement: &Settlement) -> bool {
        if self.random.random_bool(0.05) {
            self.scripts_lost += 1;
            return false;
        }
        self.travel();
        let before = self.server.clone();
        let held = match settlement {
            Settlement::Ack { held, .. }
            | Settlement::Claim { held, .. }
            | Settlement::DeadLetter { held, .. } => Some(held.id),
            Settlement::Requeue { id, .. } => Some(*id),
            _ => None,
        };
        let content = |id| before.stream.get(&id);
        let is_done = held.is_some_and(|id| content(id).is_some_and(|f| self.has_effect(id, f)));
        let is_in_hands = held.is_some_and(|id| content(id).is_some_and(|f| self.is_in_hands(f)));
        let (now, seed) = (self.now, self.seed);
        if !self.server.settle(now, settlement) {
            return false;
        }
        match settlement {
            Settlement::Ack { is_trimmed, .. } => {
                assert!(
                    is_done || *is_trimmed,
                    "seed {seed}: acknowledged without its effect"
                );
            }
            Settlement::Claim { .. }
            | Settlement::DeadLetter { .. }
            | Settlement::Requeue { .. } => {
                assert!(
                    !is_in_hands,
                    "seed {seed}: taken out of live hands by {settlement:?}"
                );
            }
            Settlement::RecreateGroup { at, .. } => {
                let passed = before.stream.range(..=*at);
                let lost = passed
                    .filter(|e| number(e.1).is_some())
                    .find(|e| !self.has_effect(*e.0, e.1));
                assert!(
                    lost.is_none(),
                    "seed {seed}: the new group never gets {lost:?}"
                );
            }
            Settlement::Advance { from, to, .. } => {
                let mut passed = before.stream.range(from.next().unwrap()..=*to);
                let lost = passed.find(|e| !self.has_effect(*e.0, e.1));
                assert!(
                    lost.is_none(),
                    "seed {seed}: the group is led past {lost:?}"
                );
            }
            Settlement::RaiseLastId { .. } | Settlement::StillHeld { .. } => {}
        }
        true
    }

    fn audit_group(&mut self, judge: &StreamJudge, findings: &mut Findings) {
        let mut looks = Vec::new();
        let suspects = loop {
            looks.push(self.look_at_group(judge));
            match decide_group(judge, &looks, &primary(), TIMING) {
                Decision::LookAgain { after } => {
                    self.advance(i64::try_from(after.as_micros()).unwrap());
                }
                Decision::Settled {
                    verdict: Verdict::Confirmed,
                    suspects,
                    ..
                } => break suspects,
                Decision::Settled { .. } => return,
            }
        };
        for suspect in suspects {
            *self.confirmed.entry(suspect.rule.0).or_insert(0) += 1;
            let look = self.look_at_group(judge);
            let again = judge.judge_group(&look);
            if again.iter().all(|again| again.rule != suspect.rule) {
                continue;
            }
            let Ok(planned) = plan_group(judge, &look, &suspect, SKEW) else {
                continue;
            };
            if let SettlementStep::Write(settlement) = &planned.step
                && self.apply(settlement)
            {
                *self.applied.entry(planned.remedy.name()).or_insert(0) += 1;
                findings.is_any_applied |= planned.remedy != Remedy::None;
            }
        }
    }

    /// Cursor, pending list and entry; the primary; pending list and cursor, with the application going on in between.
    fn look(&mut self, judge: &StreamJudge, id: StreamId) -> (EntryLook, Truth) {
        let cache_time = Micros(self.now);
        let cursor_before = self.server.cursor();
        self.pass_a_moment();
        let before = self.server.pending(self.now, id);
        let entry = self.server.entry(id);
        self.pass_a_moment();
        let mut look = self.glance(judge, id);
        let identity = judge.identity_of(id, entry.as_ref());
        look.evidence = self.evidence(identity.as_deref());
        let owner = before.as_ref().map(|p| p.row.consumer.clone());
        let row = identity.and_then(|identity| self.table.get(&identity));
        let truth = Truth {
            has_effect: entry
                .as_ref()
                .is_some_and(|e| self.has_effect(id, &e.fields)),
            is_in_hands: entry.as_ref().is_some_and(|e| self.is_in_hands(&e.fields)),
            is_owner_alive: owner.is_some_and(|owner| self.is_alive(&owner)),
            has_row_of_another: row.is_some_and(|bid| {
                Some(bid.number) != entry.as_ref().and_then(|e| number(&e.fields))
            }),
        };
        self.pass_a_moment();
        look.after = self.server.pending(self.now, id);
        self.pass_a_moment();
        look.cursor_after = self.server.cursor();
        let at = Micros(self.now);
        let look = EntryLook {
            cursor_before,
            before,
            entry,
            cache_time,
            at,
            ..look
        };
        (look, truth)
    }

    /// A look in no time, as a sweep takes it.
    fn glance(&self, judge: &StreamJudge, id: StreamId) -> EntryLook {
        let entry = self.server.entry(id);
        let pending = self.server.pending(self.now, id);
        let identity = judge.identity_of(id, entry.as_ref());
        EntryLook {
            id,
            cursor_before: self.server.cursor(),
            cursor_after: self.server.cursor(),
            before: pending.clone(),
            after: pending,
            evidence: self.evidence(identity.as_deref()),
            is_dead_lettered: entry.as_ref().is_some_and(|e| self.is_dead(&e.fields)),
            entry,
            source: primary(),
            source_time: Micros(self.now),
            cache_time: Micros(self.now),
            at: Micros(self.now),
        }
    }

    fn look_at_group(&mut self, judge: &StreamJudge) -> GroupLook {
        let cache_time = Micros(self.now);
        let stream = self.server.state();
        let cursor_before = self.server.cursor();
        self.pass_a_moment();
        let first = match cursor_before {
            Some(cursor) => cursor.next().unwrap(),
            None => StreamId::MIN,
        };
        let entries: Vec<_> = self.server.stream.range(first..).map(|e| *e.0).collect();
        let entries: Vec<_> = entries
            .into_iter()
            .filter_map(|id| self.server.entry(id))
            .collect();
        self.pass_a_moment();
        let mut proven_to = cursor_before.is_none().then_some(StreamId::MIN);
        let mut proven_count = 0;
        for entry in entries {
            let identity = judge.identity_of(entry.id, Some(&entry));
            let evidence = self.evidence(identity.as_deref());
            if !judge.belongs(&entry) || !judge.proof(entry.id, Some(&entry), &evidence).settles() {
                break;
            }
            proven_to = Some(entry.id);
            proven_count += 1;
        }
        let by_id = self.setup.by_id.then_some(());
        let ids = self.table.keys().filter_map(|id| StreamId::parse(id));
        let (future, past): (Vec<_>, Vec<_>) =
            ids.partition(|id| id.is_from_the_future(cache_time, SKEW));
        let look = GroupLook {
            stream,
            cursor_before,
            cursor_after: self.server.cursor(),
            proven_to,
            proven_count,
            highest_in_source: by_id.and(past.into_iter().max()),
            future_in_source: future,
            source: primary(),
            source_time: Micros(self.now),
            cache_time,
            at: Micros(self.now),
        };
        self.pass_a_moment();
        GroupLook {
            cursor_after: self.server.cursor(),
            at: Micros(self.now),
            ..look
        }
    }

    /// Mostly quick; sometimes the server or the network stalls.
    fn travel(&mut self) {
        let longest = if self.random.random_bool(0.3) {
            3_000
        } else {
            20
        };
        let time = self.random.random_range(0..longest) * MS;
        self.advance(time);
    }
}

fn primary() -> SourceIdentity {
    SourceIdentity {
        name: "primary".into(),
        read_only: false,
    }
}
