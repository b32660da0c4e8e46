//! Proves after a Redis failover what Redis lost against MySQL, repairs it, and writes the record.
//!
//! The sentence the tree spells: *what was asked → how the work is cut → what both sides say → what counts as
//! wrong → what is done about it → what is written down.*
//!
//! ```text
//! argv → Request → Job → Slices → pages of rows and keys → Suspects → Findings → steps → Outcomes → files → verdict → exit code
//! cli    run       job   plan     scan                     rules      run        repair  repair     report  model     cli
//! ```
//!
//! Rooms, from the bottom up; an arrow points down only, and `tests/tidy.rs` says so:
//!
//! * [`model`]: the words everyone shares. Imports nothing of ours, does no I/O, is never serialised.
//! * [`rules`]: what counts as wrong, one pure file a rule; and what several looks are worth.
//! * [`report`]: what is written down. Knows no server.
//! * [`job`]: what was asked: one TOML file, decoded with every fault at its place.
//! * [`plan`]: how the work is cut. Pure.
//! * [`store`]: the two servers; the only room that knows their crates, their SQL and their Lua. Decides nothing.
//! * [`scan`]: what both sides say. Judges nothing.
//! * [`repair`]: what is done about it: a pure plan, and the only hands that write values.
//! * [`failover`]: the topology and its guard.
//! * [`lab`]: real servers, real failovers, planted losses. Shares no code with what it judges.
//! * [`run`]: the conductor, the one room where rooms meet.
//! * [`cli`]: how a person drives it.
//!
//! Deliberately absent: one file for all errors, `utils`, `types`, `helpers`; a `dry_run` flag that travels inwards (the plan
//! *is* the dry run); any path to a write but `repair`; retries of writes; floats for values.
//!
//! The public list is short: a program calls [`cli::start`] with [`run::execute`]; tests use the rooms themselves.

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
