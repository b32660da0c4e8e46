//! Waiting for a store that will come back, and saying so.

use std::sync::Arc;
use std::time::Duration;

use super::stop::Stop;
use crate::model::progress::ProgressSink;
use crate::store::Backoff;

/// Whom to tell what is waited for, and when not to wait any longer.
#[derive(Clone)]
pub(super) struct Patience {
    progress: Arc<dyn ProgressSink>,
    stop: Stop,
}

impl Patience {
    pub(super) fn new(progress: Arc<dyn ProgressSink>, stop: Stop) -> Self {
        Self { progress, stop }
    }

    /// Whom waiting is shown to.
    pub(super) fn progress(&self) -> Arc<dyn ProgressSink> {
        Arc::clone(&self.progress)
    }

    /// Tries `open` until it succeeds, fails for good, or `bound` is used up; the last error is given. Each one is told
    /// with its reason, in the log and beside the progress.
    pub(super) async fn retry<T, E, F>(
        &self,
        bound: Duration,
        mut open: impl FnMut() -> F,
        may_heal: fn(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
        E: std::fmt::Display,
    {
        let mut backoff = Backoff::within(bound);
        let mut is_waiting = false;
        let outcome = loop {
            let fault = match open().await {
                Err(fault) if may_heal(&fault) => fault,
                outcome => break outcome,
            };
            let Some(pause) = backoff.next_pause() else {
                break Err(fault);
            };
            tracing::warn!("{fault}; trying again in {:.1} s", pause.as_secs_f64());
            self.progress.waiting(Some(&fault.to_string()));
            is_waiting = true;
            if !self.stop.sleep(pause).await {
                break Err(fault);
            }
        };
        if is_waiting {
            self.progress.waiting(None);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Option<String>>>);

    impl ProgressSink for Heard {
        fn begin(&self, _check: &str, _stage: &str, _total: Option<u64>) {}
        fn advance(&self, _count: u64) {}
        fn waiting(&self, reason: Option<&str>) {
            let mut heard = self.0.lock().expect("nobody panics while holding it");
            heard.push(reason.map(str::to_owned));
        }
        fn done(&self) {}
    }

    /// Tries with `answers`, one each; the outcome, and what was heard.
    async fn tried(
        bound: Duration,
        stop: Stop,
        answers: Vec<Result<u8, String>>,
    ) -> (Result<u8, String>, Vec<Option<String>>) {
        let heard = Arc::new(Heard::default());
        let patience = Patience::new(heard.clone(), stop);
        let mut answers = answers.into_iter();
        let open = || {
            let answer = answers.next().expect("it is not asked more often");
            async move { answer }
        };
        let outcome = patience.retry(bound, open, |e| e != "refused").await;
        let heard = heard
            .0
            .lock()
            .expect("nobody panics while holding it")
            .clone();
        (outcome, heard)
    }

    #[tokio::test]
    async fn the_reason_is_told_until_it_is_over() {
        let long = Duration::from_secs(60);
        let answers = vec![Err("LOADING".to_owned()), Ok(7)];
        let (outcome, heard) = tried(long, Stop::default(), answers).await;
        assert_eq!(
            (outcome, heard),
            (Ok(7), vec![Some("LOADING".into()), None])
        );
        let refused = vec![Err("refused".to_owned())];
        let (outcome, heard) = tried(long, Stop::default(), refused).await;
        assert_eq!((outcome, heard), (Err("refused".into()), vec![]));
    }

    #[tokio::test]
    async fn a_bound_or_a_stop_ends_it_with_the_last_error() {
        let once = || vec![Err("LOADING".to_owned())];
        let (outcome, heard) = tried(Duration::ZERO, Stop::default(), once()).await;
        assert_eq!((outcome, heard), (Err("LOADING".into()), vec![]));
        let stopped = Stop::default();
        stopped.request("it was told to");
        let (outcome, heard) = tried(Duration::from_secs(60), stopped, once()).await;
        assert_eq!(outcome, Err("LOADING".into()));
        assert_eq!(heard, [Some("LOADING".into()), None]);
    }
}
