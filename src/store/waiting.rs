//! Waiting for a server, shown once however many wait for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::model::progress::ProgressSink;

/// Who waits for a server, and who shows it.
#[derive(Default)]
pub struct Waiting {
    progress: OnceLock<Arc<dyn ProgressSink>>,
    /// How many wait.
    count: AtomicUsize,
}

/// One of those that wait; the first says so in the log, and the last ends it.
pub struct Turn<'w> {
    waiting: &'w Waiting,
    whom: &'static str,
    is_first: bool,
}

impl Waiting {
    /// The first one who asks to see it does.
    pub fn show_to(&self, progress: Arc<dyn ProgressSink>) {
        let _ = self.progress.set(progress);
    }

    /// Begins to wait for `whom`, as the log calls it, until it is dropped.
    pub fn begin(&self, whom: &'static str) -> Turn<'_> {
        let is_first = self.count.fetch_add(1, Ordering::Relaxed) == 0;
        Turn {
            waiting: self,
            whom,
            is_first,
        }
    }
}

impl Turn<'_> {
    /// Says why, again before each pause.
    pub fn because(&mut self, why: &str) {
        if std::mem::take(&mut self.is_first) {
            tracing::warn!("waiting for {}: {why}", self.whom);
        }
        if let Some(progress) = self.waiting.progress.get() {
            progress.waiting(Some(why));
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let is_last = self.waiting.count.fetch_sub(1, Ordering::Relaxed) == 1;
        if let Some(progress) = self.waiting.progress.get().filter(|_| is_last) {
            progress.waiting(None);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Option<String>>>);

    impl ProgressSink for Heard {
        fn begin(&self, _check: &str, _stage: &str, _total: Option<u64>) {}
        fn advance(&self, _count: u64) {}
        fn waiting(&self, reason: Option<&str>) {
            self.0.lock().unwrap().push(reason.map(str::to_owned));
        }
        fn done(&self) {}
    }

    #[test]
    fn it_is_over_when_the_last_one_no_longer_waits() {
        let heard = Arc::new(Heard::default());
        let waiting = Waiting::default();
        waiting.begin("nobody").because("it is not shown yet");
        waiting.show_to(heard.clone());
        let mut one = waiting.begin("Redis");
        one.because("BUSY");
        let mut other = waiting.begin("Redis");
        drop(one);
        other.because("LOADING");
        drop(other);
        let said = ["BUSY", "LOADING"].map(|why| Some(why.to_owned()));
        let expected: Vec<_> = said.into_iter().chain([None]).collect();
        assert_eq!(*heard.0.lock().unwrap(), expected);
    }
}
