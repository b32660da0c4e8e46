//! What is kept of a master while nothing has happened yet, so that a failover can be dated afterwards.
//!
//! A heartbeat lies in Redis itself and is replicated like any write: what a promoted node holds of it is the last
//! moment known to have been replicated. A sample is the same measurement kept outside of Redis: samples bracket the
//! offset at which the histories part, and the last of them is a sign of life of the old master. A change is what a
//! beat found when the history under it was another one; it is written down before the new beat destroys it.

use crate::model::heartbeat::Heartbeat;
use crate::model::slots::SlotSet;
use crate::model::time::Micros;

/// One beat that was acknowledged, as the state folder keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// By the clock of the host that took it, when the answer had come: with `beat.beat_at` it gives the skew.
    pub seen_at: Micros,
    /// host:port of the master.
    pub address: String,
    /// The keys it answered for.
    pub slots: SlotSet,
    pub beat: Heartbeat,
}

/// A master whose history is not the one its heartbeat was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// By the clock of the host that noticed it.
    pub noticed_at: Micros,
    /// What was found under the key; `None`: nothing, though there had been a beat.
    pub found: Option<Heartbeat>,
    /// The master that took over, or came back, as INFO had it then.
    pub address: String,
    pub slots: SlotSet,
    pub run_id: String,
    pub replication_id: String,
    pub replication_id2: String,
    /// -1 without a former history.
    pub second_offset: i64,
    pub uptime_seconds: u64,
    /// That server's TIME.
    pub server_time: Micros,
}

/// Everything that is remembered of a job's masters: the state folder and its copy in Redis, put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Oldest first, bounded.
    pub samples: Vec<Sample>,
    /// Oldest first, bounded.
    pub changes: Vec<Change>,
    /// The histories (replication ids) that a run has dealt with, or begun with; bounded, the latest last.
    pub handled: Vec<Handled>,
    /// Everything before it was audited; `None` bounds nothing. Of two copies the older one counts.
    pub audited_until: Option<Micros>,
}

/// One master's history, up to whose beginning everything is repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    pub replication_id: String,
    /// The process: a restart keeps no history but may be the same node.
    pub run_id: String,
    pub slots: SlotSet,
    pub handled_at: Micros,
}

/// Changes and handled histories that are kept; older ones are of no use to anybody.
const KEPT_MAX: usize = 100;
/// One for each master of the largest Cluster, so that none that is dealt with is taken for new.
const HANDLED_MAX: usize = 1_000;

impl Change {
    /// Whether both are of the same new history: it began once, whoever noticed it.
    pub fn is_same(&self, other: &Self) -> bool {
        self.run_id == other.run_id && self.replication_id == other.replication_id
    }
}

impl Remembered {
    /// Two memories of one job put together: every sample, change and handled history of both, and the older of two
    /// *audited until*.
    #[must_use]
    pub fn united(mut self, other: Self) -> Self {
        self.samples.extend(other.samples);
        self.samples
            .sort_by(|a, b| (a.seen_at, &a.address).cmp(&(b.seen_at, &b.address)));
        self.samples.dedup();
        for change in other.changes {
            self.learn_change(change);
        }
        for handled in other.handled {
            self.learn_handled(handled);
        }
        self.changes.sort_by_key(|change| change.noticed_at);
        self.handled.sort_by_key(|handled| handled.handled_at);
        let surplus = self.changes.len().saturating_sub(KEPT_MAX);
        self.changes.drain(..surplus);
        let surplus = self.handled.len().saturating_sub(HANDLED_MAX);
        self.handled.drain(..surplus);
        self.audited_until = match (self.audited_until, other.audited_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self
    }

    /// What a run has dealt with at one moment: whoever writes last knows that moment best. A mark that lies after it was
    /// written while a clock was ahead, and would count as the latest until the others had caught up.
    #[must_use]
    pub fn marked(self, handled: Vec<Handled>) -> Self {
        let marked_at = handled.iter().map(|mark| mark.handled_at).max();
        let before = marked_at.map_or(Micros(i64::MAX), |at| Micros(at.0.saturating_sub(1)));
        self.with_marks_until(before).united(Self {
            handled,
            ..Self::default()
        })
    }

    /// The same, but no mark lies after `now`.
    #[must_use]
    pub fn with_marks_until(mut self, now: Micros) -> Self {
        for mark in &mut self.handled {
            mark.handled_at = mark.handled_at.min(now);
        }
        self
    }

    /// Of two that noticed the same change, the one that found a heartbeat knows more, then the one that was first.
    fn learn_change(&mut self, change: Change) {
        let known = self.changes.iter_mut().find(|known| known.is_same(&change));
        match known {
            None => self.changes.push(change),
            Some(known) => {
                let rank = |c: &Change| (c.found.is_none(), c.server_time);
                if rank(&change) < rank(known) {
                    *known = change;
                }
            }
        }
    }

    fn learn_handled(&mut self, handled: Handled) {
        let known = self.handled.iter_mut().find(|known| {
            known.run_id == handled.run_id && known.replication_id == handled.replication_id
        });
        match known {
            None => self.handled.push(handled),
            Some(known) if known.handled_at < handled.handled_at => *known = handled,
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(history: &str, at: i64) -> Handled {
        Handled {
            replication_id: history.into(),
            run_id: "r".into(),
            slots: SlotSet::all(),
            handled_at: Micros(at),
        }
    }

    #[test]
    fn the_last_writer_of_a_mark_is_right_whatever_clock_the_former_one_had() {
        let known = Remembered::default().marked(vec![mark("A", 900), mark("B", 900)]);
        let known = known.marked(vec![mark("A", 500), mark("C", 500)]);
        let wanted = [mark("B", 499), mark("A", 500), mark("C", 500)];
        assert_eq!(known.handled, wanted);
        let known = known.marked(vec![mark("A", 600)]);
        let wanted = [mark("B", 499), mark("C", 500), mark("A", 600)];
        assert_eq!(known.handled, wanted, "those of the past stay");
        let nothing = known.clone().marked(Vec::new());
        assert_eq!(nothing, known);
        let clamped = known.with_marks_until(Micros(550));
        assert_eq!(clamped.handled[2], mark("A", 550));
    }
}
