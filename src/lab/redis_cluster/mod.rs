//! A real Redis Cluster on free loopback ports, and the steps of failovers and reshardings.
//!
//! Each shard has one replica. What a crash loses is what the replica was kept from reading before, as in
//! [`super::cluster`].

mod cluster;
mod commands;
mod failovers;
mod moves;
mod node;

pub use self::cluster::{RedisCluster, RedisClusterOptions};
pub use self::moves::MovingSlot;
