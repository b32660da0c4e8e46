//! The conductor, the one room where rooms meet: one file per subcommand.

mod asked;
mod at_rest;
mod audit;
mod batch;
mod check;
mod checkpoint;
mod checkpoint_said;
mod close;
mod compensations;
mod consent;
mod control;
#[cfg(feature = "lab")]
mod demo;
#[cfg(feature = "lab")]
mod demo_proof;
mod dispatch;
mod examine;
mod execute;
mod findings;
mod ground;
mod header;
mod keys;
mod keyspace;
mod lease;
mod ledger;
mod marks;
mod masters;
mod mend;
mod open;
mod opening;
mod outlook;
mod pace;
mod patience;
mod plan;
mod reading;
mod record;
mod repairing;
mod replicas;
mod report;
pub mod request;
mod resume;
mod rounds;
mod scheduled;
mod scope;
mod settle;
mod show;
mod sink;
mod standing;
mod status;
mod stop;
mod streams;
mod sweep;
mod targets;
mod task;
mod topology;
mod topology_record;
mod undo;
mod window;

pub use dispatch::execute;

use crate::job::JobFaults;
use crate::scan::ScanError;
use crate::store::mysql::MysqlError;
use crate::store::redis::RedisError;

/// Why a run could not go on, by what follows for its exit code.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Exit 2: the arguments.
    #[error("{0}")]
    BadRequest(String),
    /// Exit 2: the job file, by itself or against the live schema.
    #[error("{0}")]
    Job(Box<JobFaults>),
    /// Exit 3: a store could not be reached or refused before anything was judged.
    #[error("{0}")]
    NothingJudged(String),
    /// Exit 5.
    #[error("{0}")]
    LeaseTaken(String),
    /// What was read does not count; the check starts again, a bounded number of times.
    #[error("{0}")]
    TopologyChanged(String),
    /// A store was lost in the middle: exit 4.
    #[error(transparent)]
    Lost(#[from] ScanError),
    /// The report could not be written: exit 4.
    #[error("the report could not be written: {0}")]
    Report(String),
}

impl From<MysqlError> for RunError {
    fn from(fault: MysqlError) -> Self {
        RunError::Lost(ScanError::Source(fault))
    }
}

impl From<RedisError> for RunError {
    fn from(fault: RedisError) -> Self {
        RunError::Lost(ScanError::Cache(fault))
    }
}
