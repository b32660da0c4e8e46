//! Streams through the program itself: found, settled, verified, written down.

mod duplicates;
mod entries;
mod failovers;
mod groups;
mod killed;
mod races;
mod read_only;
mod reported;
mod scopes;
mod truth;
mod under_load;
