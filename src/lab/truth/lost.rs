//! Which places the application itself left wrong, and from when to when, by its own log.
//!
//! Every place (a key, or a member of the sorted set) has one clerk, who sends the next command only after
//! the answer to the last. So a place is wrong on the present master only between a write that never got
//! there (sent to a master that died with it, or to nobody) and the next one that replaces the whole place
//! and did get there. INCRBY and DECRBY replace nothing: what was lost before them stays lost.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::lab::app::CacheWrite;

/// How long after its answer a write may still look as if it had not happened, since whoever looks notes
/// the time a little after having looked.
const NOTED_LATE: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct Lost {
    places: BTreeMap<(String, String), Vec<Span>>,
}

/// When a place was wrong; `None`: it still is, unless someone else repaired it.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

impl Lost {
    /// `writes` as [`crate::lab::app::App::take_cache_writes`] has them since all was well; `master` is the
    /// port of the present master, and before `since` everything was replicated. What was acknowledged by
    /// the old master between `since` and the moment the replicas stalled is taken as lost, though it may
    /// have come through: some milliseconds' worth.
    ///
    /// A write that needed more than `cache_delay` from its commit explains that time too: an application
    /// slower than the job file says is nothing the auditor can know.
    pub fn of(
        writes: &[CacheWrite],
        master: u16,
        since: DateTime<Utc>,
        cache_delay: Duration,
    ) -> Self {
        let mut lost = Self::default();
        for write in writes.iter().filter(|write| write.answered_at >= since) {
            let place = (write.key.clone(), write.member.clone());
            let spans = lost.places.entry(place).or_default();
            let has_arrived = write.is_acknowledged && write.port == Some(master);
            let is_open = spans.last().is_some_and(|span| span.until.is_none());
            if has_arrived && is_open && write.is_whole {
                if let Some(span) = spans.last_mut() {
                    span.until = Some(write.answered_at);
                }
            } else if !has_arrived && !is_open {
                spans.push(Span {
                    from: write.committed_at,
                    until: None,
                });
            } else if has_arrived && !is_open {
                let took = write.answered_at - write.committed_at;
                if took.to_std().is_ok_and(|took| took > cache_delay) {
                    spans.push(Span {
                        from: write.committed_at,
                        until: Some(write.answered_at),
                    });
                }
            }
        }
        lost
    }

    /// Whether the place could be wrong at `at` without anyone's doing but the failover's.
    pub fn explains(&self, key: &str, member: &str, at: DateTime<Utc>) -> bool {
        let place = (key.to_owned(), member.to_owned());
        self.places.get(&place).is_some_and(|spans| {
            spans.iter().any(|span| {
                span.from <= at && span.until.is_none_or(|until| at < until + NOTED_LATE)
            })
        })
    }

    /// Places that some write never reached.
    pub fn count(&self) -> usize {
        self.places
            .values()
            .filter(|spans| !spans.is_empty())
            .count()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use chrono::{DateTime, Utc};

    use super::{CacheWrite, Lost};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000 + second, 0).unwrap()
    }

    fn write(second: i64, port: u16, is_whole: bool) -> CacheWrite {
        CacheWrite {
            key: "k".into(),
            member: String::new(),
            is_whole,
            port: Some(port),
            is_acknowledged: true,
            committed_at: at(second),
            answered_at: at(second),
        }
    }

    fn lost(writes: &[CacheWrite]) -> Lost {
        Lost::of(writes, 2, at(10), Duration::from_secs(1))
    }

    #[test]
    fn a_place_is_wrong_from_the_lost_write_to_the_next_whole_one() {
        let lost = lost(&[write(20, 1, true), write(30, 2, true)]);
        let wrong: Vec<i64> = (0..40).filter(|s| lost.explains("k", "", at(*s))).collect();
        assert_eq!(wrong, (20..=30).collect::<Vec<_>>());
        assert!(!lost.explains("other", "", at(25)) && !lost.explains("k", "m", at(25)));
    }

    #[test]
    fn a_movement_heals_nothing() {
        let lost = lost(&[write(20, 1, false), write(30, 2, false)]);
        assert!(lost.explains("k", "", at(99)));
    }

    #[test]
    fn what_was_replicated_or_arrived_explains_nothing() {
        let lost = lost(&[write(5, 1, true), write(20, 2, true)]);
        assert!(!lost.explains("k", "", at(7)) && !lost.explains("k", "", at(20)));
        assert_eq!(lost.count(), 0);
    }

    #[test]
    fn a_write_that_took_too_long_explains_its_own_time() {
        let slow = CacheWrite {
            committed_at: at(20),
            ..write(25, 2, true)
        };
        let lost = lost(&[slow]);
        let wrong: Vec<i64> = (0..40).filter(|s| lost.explains("k", "", at(*s))).collect();
        assert_eq!(wrong, (20..=25).collect::<Vec<_>>());
    }
}
