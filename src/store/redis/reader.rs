//! The reader's connection.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;

use super::batch::Pace;
use super::connect::{self, Link};
use super::error::RedisError;
use super::expiry::ExpiryReader;
use super::info;
use super::reply;
use crate::job::RedisSpec;
use crate::model::node::NodeFacts;
use crate::model::time::Micros;

/// A reader's connection to one node, with `CLIENT NO-TOUCH ON` where the server has it. It sends
/// nothing outside `@read`, `@connection`, INFO, TIME and ROLE. Clones share the connection.
#[derive(Clone)]
pub struct Redis {
    pub(super) link: Link,
    pub(super) pace: Arc<Pace>,
    /// Entries of streams weigh something else than values.
    pub(super) entry_pace: Arc<Pace>,
    pub(super) expiries: Arc<ExpiryReader>,
    is_no_touch: bool,
}

impl Redis {
    /// Finds the master (by Sentinel: asked, then confirmed by ROLE), connects, authenticates, selects the
    /// database. `response_timeout` bounds every answer. A plain address is taken as it is, master or not:
    /// `facts` tells.
    pub async fn connect(spec: &RedisSpec, response_timeout: Duration) -> Result<Self, RedisError> {
        let link = connect::open(spec, response_timeout).await?;
        let mut first = ::redis::pipe();
        first.cmd("PING").cmd("CLIENT").arg("NO-TOUCH").arg("ON");
        let mut answers = reply::many(&link, &first).await?.into_iter();
        // A server that wants a login answers PING with NOAUTH; one that loads its data answers all
        // the same.
        reply::accepted(&link, answers.next().unwrap_or_default())?;
        // Unknown to Redis before 7.2, and not every user may: reading works without.
        let is_no_touch = matches!(answers.next(), Some(Value::Okay));
        Ok(Self {
            link,
            pace: Arc::new(Pace::new()),
            entry_pace: Arc::new(Pace::new()),
            expiries: Arc::new(ExpiryReader::default()),
            is_no_touch,
        })
    }

    /// Whether reading leaves the server's eviction order alone.
    pub fn is_no_touch(&self) -> bool {
        self.is_no_touch
    }

    pub async fn facts(&self) -> Result<NodeFacts, RedisError> {
        info::facts(&self.link).await
    }

    /// The server's clock.
    pub async fn time(&self) -> Result<Micros, RedisError> {
        info::time(&self.link).await
    }
}
