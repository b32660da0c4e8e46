//! Stopping early, truthfully: a request that every worker sees at its next page.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

/// A stop that was or will be asked for. Clones share it.
#[derive(Clone)]
pub struct Stop {
    sender: Arc<watch::Sender<bool>>,
    reason: Arc<Mutex<Option<String>>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            sender: Arc::new(watch::channel(false).0),
            reason: Arc::new(Mutex::new(None)),
        }
    }
}

impl Stop {
    /// Stops when `signal` becomes true and when `time_budget` is used up.
    pub fn watching(mut signal: watch::Receiver<bool>, time_budget: Option<Duration>) -> Self {
        let stop = Self::default();
        let handle = stop.clone();
        tokio::spawn(async move {
            let budget = async {
                match time_budget {
                    Some(budget) => tokio::time::sleep(budget).await,
                    None => std::future::pending().await,
                }
            };
            let signalled = async {
                // A sender that is gone will never signal.
                if signal.wait_for(|stop| *stop).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = signalled => handle.request("it was told to stop (SIGINT or SIGTERM)"),
                () = budget => handle.request("the time budget is used up"),
            }
        });
        stop
    }

    /// Asks for the stop; the first reason is kept.
    pub fn request(&self, reason: &str) {
        let mut kept = self
            .reason
            .lock()
            .expect("nobody panics while holding the reason");
        kept.get_or_insert_with(|| reason.to_owned());
        self.sender.send_replace(true);
    }

    pub fn is_requested(&self) -> bool {
        *self.sender.borrow()
    }

    /// Why, if a stop was asked for.
    pub fn reason(&self) -> Option<String> {
        self.reason
            .lock()
            .expect("nobody panics while holding the reason")
            .clone()
    }

    /// Ends when a stop is asked for.
    pub async fn requested(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = receiver.wait_for(|stop| *stop).await;
    }

    /// Sleeps; false if it was cut short by a stop.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => true,
            () = self.requested() => false,
        }
    }
}
