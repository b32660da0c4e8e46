//! When it happened: replication ids, the topology and its guard.
