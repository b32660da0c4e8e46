//! A spawned task that does not outlive whoever waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

/// Runs side by side with the caller; dropping it ends the task at its next await.
pub(super) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(super) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    /// A panic inside goes on in the caller: it is a fault of ours, not a result.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|ended| match ended {
                Ok(value) => value,
                Err(fault) if fault.is_panic() => std::panic::resume_unwind(fault.into_panic()),
                Err(_) => unreachable!("only dropping cancels the task, and then nobody polls"),
            })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
