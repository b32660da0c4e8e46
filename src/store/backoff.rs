//! How long to wait between tries of what may heal by itself.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

/// Pauses double from this …
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// … up to this: a failover that is over must not go unnoticed for long.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// Pauses that grow, each up to a quarter longer by chance, until a bound is used up. (The crate `backon` does the same;
/// these lines say the reason for waiting where it is known.)
#[derive(Debug)]
pub struct Backoff {
    until: Instant,
    pause: Duration,
}

impl Backoff {
    /// From now on, `bound` long. What is tried in between counts, too.
    pub fn within(bound: Duration) -> Self {
        Self {
            until: Instant::now() + bound,
            pause: PAUSE_FIRST,
        }
    }

    /// How long to wait before the next try; `None`: it was waited for long enough.
    pub fn next_pause(&mut self) -> Option<Duration> {
        let left = self.until.checked_duration_since(Instant::now())?;
        // Up to a quarter more, so that runs that lost the same server do not return as one.
        let jittered = self
            .pause
            .mul_f64(rand::rng().random_range(1.0..1.25))
            .min(left);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        (!left.is_zero()).then_some(jittered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_differ_by_chance() {
        let pauses = || {
            let mut backoff = Backoff::within(Duration::from_secs(3_600));
            std::array::from_fn::<_, 8, _>(|_| backoff.next_pause().unwrap_or_default())
        };
        let (one, other) = (pauses(), pauses());
        assert_ne!(one, other);
        let mut least = PAUSE_FIRST;
        for pause in one {
            assert!(pause >= least && pause <= least.mul_f64(1.25), "{one:?}");
            least = (least * 2).min(PAUSE_MAX);
        }
    }

    #[test]
    fn a_bound_is_kept() {
        let mut used_up = Backoff::within(Duration::ZERO);
        assert_eq!(used_up.next_pause(), None);
        let mut short = Backoff::within(Duration::from_millis(100));
        let last = short.next_pause();
        assert!(last.is_some_and(|pause| pause <= Duration::from_millis(100)));
    }
}
