//! The load a run may put on both servers: one shared key budget, and a pause while MySQL is busy.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::stop::Stop;
use crate::job::Rate;
use crate::model::progress::ProgressSink;
use crate::scan::streams::Pace;
use crate::store::mysql::Mysql;

/// How often `Threads_running` is asked while sweeping: often enough to give way within a second.
const LOAD_PERIOD: Duration = Duration::from_secs(1);
/// While MySQL is busy it is asked again after this long.
const LOAD_PAUSE: Duration = Duration::from_millis(500);

/// Shared by every worker of a run, so that the budget does not depend on their number.
#[derive(Clone)]
pub(super) struct Pacer {
    inner: Arc<Inner>,
}

struct Inner {
    rate: Rate,
    /// When the keys taken so far will have been paid for.
    paid_until: Mutex<Instant>,
    /// Each server whose rows are read.
    sources: Vec<Mysql>,
    threads_running_max: u32,
    load_asked: Mutex<Option<Instant>>,
    progress: Arc<dyn ProgressSink>,
    stop: Stop,
}

impl Pacer {
    pub(super) fn new(
        rate: Rate,
        sources: Vec<Mysql>,
        threads_running_max: u32,
        progress: Arc<dyn ProgressSink>,
        stop: Stop,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                rate,
                paid_until: Mutex::new(Instant::now()),
                sources,
                threads_running_max,
                load_asked: Mutex::new(None),
                progress,
                stop,
            }),
        }
    }

    /// Waits until `keys` more may be read, and until MySQL is not busy. Returns at once when the run is
    /// to stop.
    pub(super) async fn take(&self, keys: usize) {
        self.wait_for_budget(keys).await;
        self.wait_for_load().await;
    }

    async fn wait_for_budget(&self, keys: usize) {
        let Rate::PerSecond(per_second) = self.inner.rate else {
            return;
        };
        let cost = Duration::from_secs_f64(keys as f64 / f64::from(per_second.max(1)));
        let due = {
            let mut paid_until = self.inner.paid_until.lock().await;
            let start = (*paid_until).max(Instant::now());
            *paid_until = start + cost;
            start
        };
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = self.inner.stop.requested() => {}
        }
    }

    /// Of the busiest server; one that does not tell counts as idle.
    async fn threads_running(&self) -> u32 {
        let mut most = 0;
        for source in &self.inner.sources {
            most = most.max(source.threads_running().await.unwrap_or_default());
        }
        most
    }

    /// Only one worker asks; the others wait for its answer, so a busy server pauses them all. A server
    /// that does not tell is not paused for.
    async fn wait_for_load(&self) {
        let mut asked = self.inner.load_asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < LOAD_PERIOD) {
            return;
        }
        let mut is_waiting = false;
        while !self.inner.stop.is_requested() {
            let running = self.threads_running().await;
            if running <= self.inner.threads_running_max {
                break;
            }
            is_waiting = true;
            self.inner.progress.waiting(Some(&format!(
                "MySQL is busy: {running} threads running, {} allowed",
                self.inner.threads_running_max
            )));
            tokio::select! {
                () = tokio::time::sleep(LOAD_PAUSE) => {}
                () = self.inner.stop.requested() => {}
            }
        }
        if is_waiting {
            self.inner.progress.waiting(None);
        }
        *asked = Some(Instant::now());
    }
}

impl Pace for Pacer {
    fn take(&self, keys: usize) -> BoxFuture<'_, ()> {
        Box::pin(Pacer::take(self, keys))
    }

    fn should_stop(&self) -> bool {
        self.inner.stop.is_requested()
    }
}
