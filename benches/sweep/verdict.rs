//! The targets, and how far each was met.

use std::fmt;
use std::time::Duration;

use super::floor::Floor;
use super::measured::Measured;

const MEMORY_MIB_MAX: u64 = 200;
/// What "the same memory" allows: allocators and thread timing differ by this much from run to run.
const MEMORY_GROWTH_MIB_MAX: u64 = 10;
const WINDOW_WALL_MAX: Duration = Duration::from_secs(1);

/// A target with what was measured for it.
pub(crate) struct Line {
    what: String,
    measured: Vec<(String, bool)>,
}

impl Line {
    pub(crate) fn of_full(rows: u64, run: &Measured, floor: &Floor) -> Self {
        let cpu = ratio(run.own_cpu, run.servers_cpu());
        let wall = ratio(run.working(), floor.slower());
        let memory = run.memory_kib_max / 1024;
        Self {
            what: format!("full, {rows} rows"),
            measured: vec![
                (
                    format!("own processor / servers' {cpu:.2} (at most 1)"),
                    cpu <= 1.0,
                ),
                (
                    format!("wall without waits / slower floor {wall:.2} (at most 2)"),
                    wall <= 2.0,
                ),
                (
                    format!("memory {memory} MiB (at most {MEMORY_MIB_MAX})"),
                    memory < MEMORY_MIB_MAX,
                ),
            ],
        }
    }

    pub(crate) fn of_memory(small: &Measured, large: &Measured) -> Self {
        let growth = large.memory_kib_max.saturating_sub(small.memory_kib_max) / 1024;
        Self {
            what: "ten times the rows".into(),
            measured: vec![(
                format!("memory {growth} MiB more (the same, within {MEMORY_GROWTH_MIB_MAX})"),
                growth <= MEMORY_GROWTH_MIB_MAX,
            )],
        }
    }

    pub(crate) fn of_window(run: &Measured) -> Self {
        let wall = run.working();
        Self {
            what: "window".into(),
            measured: vec![(
                format!("wall without waits {:.2} s (under 1 s)", wall.as_secs_f64()),
                wall < WINDOW_WALL_MAX,
            )],
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
