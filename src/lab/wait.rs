//! Waiting with a cause and a limit, in place of sleeping and hoping.

use std::time::Duration;

use tokio::time::Instant;

use super::LabError;

/// Short enough not to be felt, long enough not to load a server that is starting.
const PROBE_EVERY: Duration = Duration::from_millis(10);

/// Asks `probe` until it says yes. After `limit` the error names `cause`, which completes the
/// sentence "waiting until …".
pub async fn until<Probe, Answer>(
    cause: impl Into<String>,
    limit: Duration,
    mut probe: Probe,
) -> Result<(), LabError>
where
    Probe: FnMut() -> Answer,
    Answer: Future<Output = bool>,
{
    let end = Instant::now() + limit;
    loop {
        // A probe that hangs (a paused server) must not outlive the limit.
        if tokio::time::timeout_at(end, probe()).await == Ok(true) {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(LabError::TooLate {
                cause: cause.into(),
                limit,
            });
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }
}
