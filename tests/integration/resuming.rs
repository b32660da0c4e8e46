//! Runs that are cut short, and gone on with.

mod chains;
mod killed;
mod long;
mod refusals;
mod stopped;
