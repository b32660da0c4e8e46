//! MySQL and MariaDB, read as text rows over plain connections.
//!
//! Everything goes through the text protocol: a cell is what the `mysql` client would print, and
//! only BIT and binary columns are raw bytes. Sessions are in UTC, READ COMMITTED and READ ONLY,
//! and limited in time; only [`Mysql::lock_rows`] opens a transaction, and only an [`Inserter`] writes.

mod cell_literal;
mod changed_ids;
mod closed_ranges;
mod connect;
mod equality;
mod error;
mod evidence;
mod insert;
mod instant;
mod lease;
mod literal;
mod locks;
mod pages;
mod placeholder;
mod pool;
mod position;
mod probe;
mod range;
mod replica;
mod schema;
mod server;
mod statement;
mod waiting;
mod witness;

pub use error::MysqlError;
pub use evidence::WitnessedEvidence;
pub use insert::{Inserted, Inserter};
pub use lease::{Holder, Lease};
pub use locks::RowLock;
pub use pool::{Mysql, STATEMENT_LIMIT};
pub use range::{KeyRange, Page, Selection, SweepKey, Witnessed};
pub use replica::{SourceMark, Standing};
pub use server::ServerFacts;
