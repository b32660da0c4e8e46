//! How a person drives it: arguments, progress, logging, exit codes.
//!
//! `main` is `auditor::cli::start(auditor::run::execute)`. Reading the command line has two steps:
//! raw arguments ([`args`]), then an [`Invocation`] that cannot contradict itself.

mod args;
mod consent;
mod exit;
mod invocation;
mod logging;
mod output;
mod progress;
mod shard;
mod start;
mod stop;

pub use exit::ExitStatus;
pub use invocation::{Invocation, Refusal};
pub use start::start;
