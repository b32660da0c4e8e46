//! The reader's connections.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;

use super::batch::Pace;
use super::connect::{self, Link};
use super::discovery::open_masters;
use super::error::RedisError;
use super::expiry::ExpiryReader;
use super::info;
use super::nodes::Nodes;
use super::reply;
use crate::job::{Endpoint, RedisSpec};
use crate::model::node::NodeFacts;
use crate::model::progress::ProgressSink;
use crate::model::time::Micros;
use crate::store::Waiting;

/// A reader's connections, one to each node, with `CLIENT NO-TOUCH ON` where the server has it and survives it. It sends
/// nothing outside `@read`, `@connection`, INFO, TIME and ROLE. Clones share the connections.
#[derive(Clone)]
pub struct Redis {
    pub(super) nodes: Arc<Nodes>,
    pub(super) pace: Arc<Pace>,
    /// Entries of streams weigh something else than values.
    pub(super) entry_pace: Arc<Pace>,
    pub(super) expiries: Arc<ExpiryReader>,
    is_no_touch: bool,
}

impl Redis {
    /// Finds the master (by Sentinel: asked, then confirmed by ROLE; of a Cluster all of them), connects, authenticates,
    /// selects the database. `response_timeout` bounds every answer. A plain address is taken as it is, master or not:
    /// `facts` tells.
    pub async fn connect(spec: &RedisSpec, response_timeout: Duration) -> Result<Self, RedisError> {
        let (nodes, is_no_touch) = match &spec.endpoint {
            // A Redis from 7.2 to 8.0.6 at least dies of the first key of a migrating slot that such a connection reads.
            Endpoint::Cluster { nodes } => {
                let masters = open_masters(spec, nodes, response_timeout).await?;
                (Nodes::of_cluster(masters), false)
            }
            _ => {
                let link = connect::open(spec, response_timeout).await?;
                let is_no_touch = greet(&link).await?;
                (Nodes::one(link), is_no_touch)
            }
        };
        Ok(Self {
            nodes: Arc::new(nodes),
            pace: Arc::new(Pace::new()),
            entry_pace: Arc::new(Pace::new()),
            expiries: Arc::new(ExpiryReader::default()),
            is_no_touch,
        })
    }

    /// From now on `progress` is told while a node cannot answer, and why.
    pub fn show_waiting_to(&self, progress: &Arc<dyn ProgressSink>) {
        for link in self.nodes.links() {
            link.waiting.show_to(Arc::clone(progress));
        }
    }

    /// Where whoever waits for these nodes says so.
    pub fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.nodes.links()[0].waiting)
    }

    /// Whether reading leaves the server's eviction order alone.
    pub fn is_no_touch(&self) -> bool {
        self.is_no_touch
    }

    /// What its node says of itself; in a Cluster the first of the masters.
    pub async fn facts(&self) -> Result<NodeFacts, RedisError> {
        info::facts(&self.nodes.links()[0]).await
    }

    /// What every node says of itself, all asked at once: one answer outside of a Cluster, else that of each master it is
    /// connected to, always in the same order.
    pub async fn facts_of_all(&self) -> Result<Vec<NodeFacts>, RedisError> {
        self.nodes.facts().await
    }

    /// The clock of the node that answers for `key`.
    pub async fn time_of(&self, key: &[u8]) -> Result<Micros, RedisError> {
        info::time(self.nodes.of_key(key)).await
    }
}

/// The first words on a connection; whether reading on it leaves the server's eviction order alone.
async fn greet(link: &Link) -> Result<bool, RedisError> {
    let mut first = ::redis::pipe();
    first.cmd("PING").cmd("CLIENT").arg("NO-TOUCH").arg("ON");
    let mut answers = reply::many(link, &first).await?.into_iter();
    // A server that wants a login answers PING with NOAUTH; one that loads its data answers all
    // the same.
    reply::accepted(&link.address, answers.next().unwrap_or_default())?;
    // Unknown to Redis before 7.2, and not every user may: reading works without.
    Ok(matches!(answers.next(), Some(Value::Okay)))
}
