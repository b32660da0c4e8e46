//! Sessions that cannot be opened at the moment.

use std::time::Duration;

use super::connect::{Connector, Session};
use super::error::MysqlError;
use crate::store::{Backoff, Waiting};

/// A server that is restarted, or has no connection to spare, is waited for this long by whoever needs a session.
const PATIENCE: Duration = Duration::from_secs(15);

impl Waiting {
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
            turn.get_or_insert_with(|| self.begin("MySQL"))
                .because(&fault.to_string());
            tokio::time::sleep(pause).await;
        }
    }
}
