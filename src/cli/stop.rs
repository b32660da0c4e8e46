//! Ctrl-C and SIGTERM, turned into a value that a run looks at.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::exit::ExitStatus;

/// Becomes true at the first SIGINT or SIGTERM; the second one ends the process at once, for a
/// person who does not want to wait for the report. Must be called inside the runtime.
pub(super) fn watch_signals() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if sender.send_replace(true) {
                std::process::exit(ExitStatus::Partial.code().into());
            }
            tracing::warn!(
                "stopping: what was looked at is being reported; once more stops at once"
            );
        }
    });
    Ok(receiver)
}
