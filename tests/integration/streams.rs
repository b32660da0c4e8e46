//! Streams through the program itself: found, settled, verified, written down.

mod duplicates;
mod entries;
mod groups;
mod read_only;
mod scopes;
