//! The auditor's procedure over the simulated world: its looks and writes, with the program's own
//! decisions in between.

use auditor::model::finding::Verdict;
use auditor::model::identity::SourceIdentity;
use auditor::model::observation::{Cached, CachedState, KeyExpiry, Look, Position, Subject};
use auditor::repair::{GuardKind, Repairable, prepare};
use auditor::rules::{ConfirmTiming, Decision, Judge, JudgeContext, decide, fingerprint};
use auditor::scan::Target;
use auditor::store::redis::Write;
use rand::Rng;

use super::checks::{CACHE_DELAY, COMMIT_MARGIN, SETTLE};
use super::world::World;

const MS: i64 = 1_000;
/// As the program has it: the lock, and the scripts' deadline before its end.
const LOCK: i64 = 100 * MS;
const DEADLINE: i64 = 80 * MS;
/// A subject that was lost to a race is taken up by the next run.
const RUNS_MAX: u32 = 20;

impl World {
    /// Some runs while the application writes; how many repairs were applied.
    pub(crate) fn audit_while_writing(&mut self) -> u64 {
        let mut applied = 0;
        for _ in 0..3 {
            let pause = self.random.random_range(0..800) * MS;
            self.advance(pause);
            applied += u64::from(self.audit());
        }
        applied
    }

    /// With the application at rest a few runs make everything right.
    pub(crate) fn audit_at_rest(&mut self) {
        for _ in 0..RUNS_MAX {
            if self.is_right() {
                return;
            }
            self.audit();
        }
        panic!(
            "seed {}: still wrong after {RUNS_MAX} runs at rest",
            self.seed
        );
    }

    /// One run; true if a repair was applied.
    fn audit(&mut self) -> bool {
        let judge = Judge::new(self.mapping.clone(), JudgeContext::default());
        let timing = ConfirmTiming {
            settle: SETTLE,
            cache_delay: CACHE_DELAY,
            commit_margin: COMMIT_MARGIN,
        };
        let mut looks: Vec<Look> = Vec::new();
        loop {
            looks.push(self.look());
            match decide(&judge, &looks, &source(), timing) {
                Decision::LookAgain { after } => {
                    let late = self.random.random_range(0..50) * MS;
                    self.advance(after.as_micros() as i64 + late);
                }
                Decision::Settled {
                    verdict: Verdict::Confirmed,
                    suspects,
                    look,
                } => {
                    // What the last look says was true when the row was read; it may heal a moment later.
                    assert!(self.was_lost, "seed {}: a false alarm", self.seed);
                    let item = Repairable {
                        target: target(),
                        look: looks.swap_remove(look),
                        suspects,
                    };
                    return self.repair(&judge, &item);
                }
                Decision::Settled { .. } => return false,
            }
        }
    }

    /// Redis, the row, Redis again, with the application going on in between.
    fn look(&mut self) -> Look {
        let before = self.state();
        self.pass_a_moment();
        let row = self.row();
        self.was_lost = self.is_really_lost();
        let source_time = self.micros();
        self.pass_a_moment();
        let after = self.state();
        Look {
            before,
            after,
            row: Some(row),
            source: source(),
            source_time,
            at: self.micros(),
        }
    }

    fn repair(&mut self, judge: &Judge, item: &Repairable) -> bool {
        self.pass_a_moment();
        let look = self.look();
        let sequence_read = self.row_sequence();
        let judged = Look {
            before: look.after.clone(),
            ..look.clone()
        };
        let mapping = self.mapping.clone();
        let Ok(step) = prepare(&mapping, judge, item, &look, &judged, None) else {
            return false;
        };
        let print = look.row.as_ref().map(|r| fingerprint(&mapping, r.as_ref()));
        self.pass_a_moment();
        let sequence = match step.guard {
            // The sequence of the row that was read: it may be older than the row of now.
            GuardKind::Cas => version_written(&step.write).unwrap_or(sequence_read),
            GuardKind::RowLock => {
                let until = self.now + LOCK;
                self.lock(until);
                let locked = Some(fingerprint(&mapping, self.row().as_ref()));
                if locked != print {
                    self.unlock();
                    return false;
                }
                self.row_sequence()
            }
        };
        let sent = self.now;
        // Mostly quick; sometimes the server stalls, longer than the lock lasts.
        let travel = if self.random.random_bool(0.5) {
            600 * MS
        } else {
            5 * MS
        };
        let travel = self.random.random_range(0..travel);
        self.advance(travel);
        if step.guard == GuardKind::RowLock && self.now > sent + DEADLINE {
            self.unlock();
            return false;
        }
        let is_applied = match &step.write {
            Write::ReplaceString { judged, new, .. } => self.replace(judged, new, sequence),
            Write::AddToString { judged, gap, .. } => self.add(judged, *gap),
            other => panic!("seed {}: unexpected {other:?}", self.seed),
        };
        self.unlock();
        // A lost reply changes nothing: the value is read again by the next run.
        is_applied
    }

    fn state(&self) -> CachedState {
        CachedState {
            cached: Cached::Value(self.cached_bytes()),
            expiry: KeyExpiry::Unread,
        }
    }

    fn pass_a_moment(&mut self) {
        let moment = self.random.random_range(0..30) * MS;
        self.advance(moment);
    }
}

fn version_written(write: &Write) -> Option<u64> {
    let Write::ReplaceString { new, .. } = write else {
        return None;
    };
    let document: serde_json::Value = serde_json::from_slice(new).ok()?;
    document.get("version")?.to_string().parse().ok()
}

fn source() -> SourceIdentity {
    SourceIdentity {
        name: "primary".into(),
        read_only: false,
    }
}

fn target() -> Target {
    Target {
        subject: Subject {
            key: b"user:7".to_vec(),
            member: None,
            id: vec![b"7".to_vec()],
        },
        position: Position::default(),
        sweep_key: Some(vec![b"7".to_vec()]),
        candidates: Vec::new(),
    }
}
