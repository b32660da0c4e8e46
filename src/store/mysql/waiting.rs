//! Sessions that cannot be opened at the moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::connect::{Connector, Session};
use super::error::MysqlError;
use crate::model::progress::ProgressSink;
use crate::store::Backoff;

/// A server that is restarted, or has no connection to spare, is waited for this long by whoever needs a session.
const PATIENCE: Duration = Duration::from_secs(15);

/// Who waits for a session, and who shows it.
#[derive(Default)]
pub(super) struct Waiting {
    progress: OnceLock<Arc<dyn ProgressSink>>,
    /// How many wait.
    count: AtomicUsize,
}

impl Waiting {
    /// The first one who asks to see it does.
    pub(super) fn show_to(&self, progress: Arc<dyn ProgressSink>) {
        let _ = self.progress.set(progress);
    }

    /// Opens a session. A server that has no room, is shutting down or does not answer is tried again within a bound; its
    /// last error is given then.
    pub(super) async fn open(&self, connector: &Connector) -> Result<Session, MysqlError> {
        let mut backoff = Backoff::within(PATIENCE);
        let mut turn = None;
        loop {
            let fault = match connector.open().await {
                Err(fault @ MysqlError::Unreachable(_)) => fault,
                outcome => return outcome,
            };
            let Some(pause) = backoff.next_pause() else {
                return Err(fault);
            };
            turn.get_or_insert_with(|| Turn::begin(self))
                .because(&fault);
            tokio::time::sleep(pause).await;
        }
    }
}

/// One of those that wait; the first says so in the log, and the last ends it.
struct Turn<'w> {
    waiting: &'w Waiting,
    is_first: bool,
}

impl<'w> Turn<'w> {
    fn begin(waiting: &'w Waiting) -> Self {
        let is_first = waiting.count.fetch_add(1, Ordering::Relaxed) == 0;
        Self { waiting, is_first }
    }

    fn because(&mut self, fault: &MysqlError) {
        if std::mem::take(&mut self.is_first) {
            tracing::warn!("waiting for MySQL: {fault}");
        }
        if let Some(progress) = self.waiting.progress.get() {
            progress.waiting(Some(&fault.to_string()));
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
