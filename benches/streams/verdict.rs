//! The targets, and how far each was met.

use std::fmt;
use std::time::Duration;

use super::floor::Floor;
use super::market::Market;
use super::measured::Measured;

const MEMORY_MIB_MAX: u64 = 200;
/// What "the same memory" allows: allocators and thread timing differ by this much from run to run, and digests fill
/// their 16 MB only in a large stream.
const MEMORY_GROWTH_MIB_MAX: u64 = 40;
const WINDOW_WALL_MAX: Duration = Duration::from_secs(1);
/// What Redis may send at most for each entry or pending id that a windowed run is about.
const BYTES_PER_ENTRY_MAX: u64 = 2_000;

/// A target with what was measured for it.
pub(crate) struct Line {
    what: String,
    measured: Vec<(String, bool)>,
}

impl Line {
    pub(crate) fn of_full(entries: u64, pending: u64, run: &Measured, floor: &Floor) -> Self {
        let cpu = ratio(run.own_cpu, floor.cpu());
        let servers = ratio(run.own_cpu, run.servers_cpu());
        let wall = ratio(run.working(), floor.wall());
        let beside_redis = ratio(run.working(), floor.redis.wall);
        let per_second = |wall: Duration| entries as f64 / wall.as_secs_f64().max(f64::EPSILON);
        let memory = run.memory_kib_max / 1024;
        Self {
            what: format!("full, {entries} entries, {pending} pending"),
            measured: vec![
                (
                    format!(
                        "{:.0} entries/s, floor {:.0} (Redis alone), {:.0} (and the rows)",
                        per_second(run.working()),
                        per_second(floor.redis.wall),
                        per_second(floor.wall()),
                    ),
                    true,
                ),
                (
                    format!("own processor / both clients' {cpu:.2} (at most 3)"),
                    cpu <= 3.0,
                ),
                (
                    format!("own processor / servers' {servers:.2} (at most 1)"),
                    servers <= 1.0,
                ),
                (
                    format!(
                        "wall without waits / floor {wall:.2} (at most 2), beside Redis alone {beside_redis:.2}"
                    ),
                    wall <= 2.0,
                ),
                (
                    format!("memory {memory} MiB (at most {MEMORY_MIB_MAX})"),
                    memory < MEMORY_MIB_MAX,
                ),
            ],
        }
    }

    pub(crate) fn of_memory(what: &str, less: &Measured, more: &Measured) -> Self {
        let growth = more.memory_kib_max.saturating_sub(less.memory_kib_max) / 1024;
        Self {
            what: what.to_owned(),
            measured: vec![(
                format!("memory {growth} MiB more (the same, within {MEMORY_GROWTH_MIB_MAX})"),
                growth <= MEMORY_GROWTH_MIB_MAX,
            )],
        }
    }

    /// The pending list is read whole, the stream is not.
    pub(crate) fn of_pending_window(market: &Market, run: &Measured) -> Self {
        let wall = run.working();
        Self {
            what: "window, the pending list whole".into(),
            measured: vec![(
                format!(
                    "wall without waits {:.2} s, {:.0} pending/s",
                    wall.as_secs_f64(),
                    market.pending() as f64 / wall.as_secs_f64().max(f64::EPSILON)
                ),
                true,
            )],
        }
    }

    pub(crate) fn of_window(run: &Measured, entries: u64) -> Self {
        let wall = run.working();
        let sent = run.redis_bytes;
        Self {
            what: "window, nothing pending".into(),
            measured: vec![
                (
                    format!("wall without waits {:.2} s (under 1 s)", wall.as_secs_f64()),
                    wall < WINDOW_WALL_MAX,
                ),
                (
                    format!(
                        "Redis sent {} KiB for {entries} entries and as many of the control sample: not the stream",
                        sent / 1024
                    ),
                    sent < 2 * entries * BYTES_PER_ENTRY_MAX,
                ),
            ],
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.what)?;
        for (text, is_met) in &self.measured {
            let mark = if *is_met { "met" } else { "MISSED" };
            write!(f, "\n  {mark:6}  {text}")?;
        }
        Ok(())
    }
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() / whole.as_secs_f64().max(f64::EPSILON)
}
