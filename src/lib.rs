//! Proves after a Redis failover what Redis lost against MySQL, repairs it, and writes the record.

pub mod cli;
pub mod failover;
pub mod job;
#[cfg(feature = "lab")]
pub mod lab;
pub mod model;
pub mod plan;
pub mod repair;
pub mod report;
pub mod rules;
pub mod run;
pub mod scan;
pub mod store;
