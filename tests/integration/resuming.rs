//! Runs that are cut short, and gone on with.

mod killed;
mod long;
mod refusals;
mod stopped;
