//! Against real servers: started by the lab, in temporary folders, on free loopback ports.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod cache_store;
mod checkpoint;
mod cluster;
mod demo_truth;
mod example_jobs;
mod failovers;
mod faults;
mod job_files;
mod keyspace;
mod lab_accidents;
mod lab_servers;
mod lab_streams;
mod promises;
mod races;
mod replicas;
mod resuming;
mod scheduled;
mod schedules;
mod settling;
mod shards;
mod source_store;
mod stream_scan;
mod stream_store;
mod streams;
mod support;
mod topology;
