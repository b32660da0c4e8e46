//! Who a server is, so that an answer from elsewhere is noticed.

/// A MySQL server: `@@server_uuid`, or on MariaDB host name, port and server id, plus `@@read_only`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceIdentity {
    pub name: String,
    pub read_only: bool,
}

/// A Redis history and process: what a run pins and a fence compares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeIdentity {
    /// Names the process.
    pub run_id: String,
    /// Names the history.
    pub replication_id: String,
    pub is_master: bool,
}
