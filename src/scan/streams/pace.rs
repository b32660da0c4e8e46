//! How fast a walk over many pages may go, and whether it should go on.

use futures_util::future::BoxFuture;

/// Asked between two pages by whoever reads more than a page.
pub trait Pace: Send + Sync {
    /// Ends when the budget allows what was just read, `keys` entries or rows, and the source is not busy. Ends at
    /// once where the run is to stop.
    fn take(&self, keys: usize) -> BoxFuture<'_, ()>;

    fn should_stop(&self) -> bool;
}

/// No budget and no stop.
#[derive(Debug, Clone, Copy)]
pub struct Unpaced;

impl Pace for Unpaced {
    fn take(&self, _keys: usize) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn should_stop(&self) -> bool {
        false
    }
}
