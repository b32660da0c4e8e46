//! All nodes of a job's Redis: who is found, what they say, and what becomes of a run when they change.

mod failovers;
mod findings;
mod inventory;
mod sentinels;

use std::time::Duration;

use auditor::job::{Endpoint, RedisSpec, TlsFiles};
use auditor::lab::servers::{RedisOptions, RedisServer, SentinelGroup};
use auditor::model::topology::{NodeView, Topology};

/// Long enough for anything that will ever come.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How long a node may take to answer: more than a busy machine needs, and every dead one costs it.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(3);

pub async fn server(replica_of: Option<u16>, lines: &[&str]) -> RedisServer {
    let options = RedisOptions {
        replica_of,
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        ..RedisOptions::default()
    };
    RedisServer::start(options).await.unwrap()
}

pub fn by_address(port: u16) -> RedisSpec {
    RedisSpec {
        endpoint: Endpoint::Tcp {
            host: "127.0.0.1".into(),
            port,
        },
        user: None,
        password: None,
        database: 0,
        tls: false,
        tls_files: TlsFiles::default(),
        sentinel_user: None,
        sentinel_password: None,
    }
}

pub fn by_sentinels(group: &SentinelGroup) -> RedisSpec {
    let nodes = group.ports().into_iter();
    RedisSpec {
        endpoint: Endpoint::Sentinel {
            nodes: nodes.map(|port| ("127.0.0.1".to_owned(), port)).collect(),
            master: group.name().to_owned(),
        },
        ..by_address(0)
    }
}

pub fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The view of the node at `port`.
#[track_caller]
pub fn node(topology: &Topology, port: u16) -> &NodeView {
    let address = local(port);
    let mut nodes = topology.nodes.iter();
    nodes
        .find(|view| view.address == address)
        .unwrap_or_else(|| panic!("{address} is none of {topology:?}"))
}

/// Addresses of all nodes, in order of ports.
pub fn addresses(topology: &Topology) -> Vec<String> {
    let mut all: Vec<String> = topology.nodes.iter().map(|n| n.address.clone()).collect();
    all.sort();
    all
}

pub fn sorted(ports: &[u16]) -> Vec<String> {
    let mut all: Vec<String> = ports.iter().map(|port| local(*port)).collect();
    all.sort();
    all
}
