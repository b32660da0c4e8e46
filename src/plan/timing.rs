//! The margins of a run: what a window selects, and how long looks stand apart.

use std::time::Duration;

use crate::model::check::CacheCheck;
use crate::model::finding::Attribution;
use crate::model::time::{Micros, TimeWindow};
use crate::rules::ConfirmTiming;

/// The waits and margins of one check; `commit_margin` is the job's.
pub fn timing_of(check: &CacheCheck, commit_margin: Duration) -> ConfirmTiming {
    ConfirmTiming {
        settle: check.settle,
        cache_delay: check.cache_delay,
        commit_margin,
    }
}

/// The instant from which on ids are selected: `since` less the margins.
pub fn select_since(timing: &ConfirmTiming, window: TimeWindow) -> Micros {
    window
        .since
        .minus(timing.commit_margin)
        .minus(timing.cache_delay)
}

/// Whether a row changed at `changed_at` belongs to the window: at or after `since` less the margins,
/// and before `until` where there is one. Without a time on either side nobody knows.
pub fn attribute(
    changed_at: Option<Micros>,
    window: Option<TimeWindow>,
    timing: &ConfirmTiming,
) -> Attribution {
    match (changed_at, window) {
        (Some(at), Some(window)) => {
            let started = at >= select_since(timing, window);
            let ended = window.until.is_some_and(|until| at >= until);
            if started && !ended {
                Attribution::Window
            } else {
                Attribution::Outside
            }
        }
        _ => Attribution::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: ConfirmTiming = ConfirmTiming {
        settle: Duration::from_secs(2),
        cache_delay: Duration::from_secs(5),
        commit_margin: Duration::from_secs(60),
    };

    #[test]
    fn a_row_stamped_long_before_its_commit_is_inside() {
        let window = Some(TimeWindow {
            since: Micros(100_000_000),
            until: Some(Micros(200_000_000)),
        });
        let at = |s: i64| attribute(Some(Micros(s * 1_000_000)), window, &TIMING);
        assert_eq!(at(34), Attribution::Outside);
        assert_eq!(at(35), Attribution::Window);
        assert_eq!(at(199), Attribution::Window);
        assert_eq!(at(200), Attribution::Outside);
        assert_eq!(attribute(None, window, &TIMING), Attribution::Unknown);
        assert_eq!(
            attribute(Some(Micros(0)), None, &TIMING),
            Attribution::Unknown
        );
    }
}
