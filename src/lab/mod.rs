//! Real servers in a temporary folder, real failovers, planted losses. The demo, the tests and the
//! benches stand on it. Nothing here is used by an audit, and nothing here uses the auditor's own
//! stores, rules or scans: what judges the auditor must not share its mistakes.

use std::time::Duration;

pub mod accidents;
pub mod app;
pub mod cluster;
pub mod demo_job;
pub mod demo_streams;
pub mod proxy;
pub mod redis_cluster;
pub mod servers;
pub mod story;
pub mod stream_script;
pub mod stream_story;
pub mod truth;
pub mod wait;
pub mod watch;

/// Errors by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Nothing can be started before something is installed.
    #[error("{program} was not found: {hint}")]
    Missing {
        program: &'static str,
        hint: &'static str,
    },
    /// The server ended or never answered; its own words say why.
    #[error("{server} did not start: {reason}; the end of its log:\n{log}")]
    NotStarted {
        server: &'static str,
        reason: String,
        log: String,
    },
    /// Something that was waited for did not come.
    #[error("gave up after {limit:?} waiting until {cause}")]
    TooLate { cause: String, limit: Duration },
    #[error("could not {action}: {source}")]
    Io {
        action: String,
        source: std::io::Error,
    },
    #[error("could not {action}: {source}")]
    Redis {
        action: String,
        source: redis::RedisError,
    },
    #[error("could not {action}: {source}")]
    Mysql { action: String, source: sqlx::Error },
    /// The lab is not in the state that this step needs.
    #[error("{0}")]
    Unfit(String),
}

impl LabError {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    pub(crate) fn redis(action: impl Into<String>) -> impl FnOnce(redis::RedisError) -> Self {
        let action = action.into();
        move |source| Self::Redis { action, source }
    }

    pub(crate) fn mysql(action: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        let action = action.into();
        move |source| Self::Mysql { action, source }
    }
}
