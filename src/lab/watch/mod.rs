//! An independent witness of every command a Redis executes. It knows nothing of the auditor: it reads
//! MONITOR and asserts that nothing that only ever grows is written smaller than it was.

mod ledger;
mod monitor;
mod watcher;

pub use self::ledger::{StreamWrite, Violation, Writer};
pub use self::watcher::Watcher;
