//! Forced interleavings: what the application, the network and a failover do between two steps of a run.
//! Nothing here waits for a time to pass; every step waits for the cause of the next one.

mod counters;
mod documents;
mod failovers;
mod hands;
mod locks;
mod lost_replies;
mod mappings;
mod negatives;
mod orphans;
mod second_looks;
mod windows;
