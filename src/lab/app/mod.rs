//! A small auction application, with statements and commands of its own: it commits to MySQL first and
//! writes to Redis second, and calls a request acknowledged only after both.
//!
//! | key | is | written by |
//! |---|---|---|
//! | `user:{id}:profile` | versioned JSON, or `__NULL__` for "no such user" | SET; every tenth user: DEL on write, filled on read |
//! | `user:{id}:balance` | integer | SET |
//! | `user:{id}:points` | integer | INCRBY, DECRBY |
//! | `auction:{id}` | hash of currentPrice, totalBidCount, topBidderId | HSET of the committed aggregate |
//! | `auction:{id}:status` | OPEN, CLOSING, CLOSED | SET |
//! | `auction:closing` | sorted set of the OPEN auctions by their end in milliseconds | ZADD, ZREM |
//!
//! A deleted user's three keys are removed after the commit that marks the row.
//!
//! Every user and every auction belongs to one clerk, who works through one request after the other:
//! the application itself never moves a version backwards.

mod cache;
mod clerk;
mod log;
mod requests;
mod rows;
mod run;
mod seed;
pub mod streams;

pub use self::cache::{ABSENT, CLOSING_QUEUE, MasterName};
pub use self::clerk::{AppError, Clerk};
pub use self::log::CacheWrite;
pub use self::rows::{Auction, Grade, Status, User};
pub use self::run::{App, Load, Running, Tally};
pub use self::seed::Stock;
