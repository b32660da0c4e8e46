//! The reader's connection.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Value;

use super::batch::Pace;
use super::connect::{self, Link};
use super::error::RedisError;
use super::expiry::ExpiryReader;
use super::info::{self, NodeFacts};
use super::reply;
use crate::job::RedisSpec;
use crate::model::time::Micros;

/// A reader's connection to one node, with `CLIENT NO-TOUCH ON` where the server has it. It sends
/// nothing outside `@read`, `@connection`, INFO, TIME and ROLE. Clones share the connection.
#[derive(Clone)]
pub struct Redis {
    pub(super) link: Link,
    pub(super) pace: Arc<Pace>,
    pub(super) expiries: Arc<ExpiryReader>,
    is_no_touch: bool,
}

impl Redis {
    /// Finds the master (by Sentinel: asked, then confirmed by ROLE), connects, authenticates, selects the
    /// database. `response_timeout` bounds every answer. A plain address is taken as it is, master or not:
    /// `facts` tells.
    pub async fn connect(spec: &RedisSpec, response_timeout: Duration) -> Result<Self, RedisError> {
        let link = connect::open(spec, response_timeout).await?;
        let mut no_touch = ::redis::cmd("CLIENT");
        no_touch.arg("NO-TOUCH").arg("ON");
        let answer = reply::many(&link, ::redis::pipe().add_command(no_touch)).await?;
        let is_no_touch = match answer.into_iter().next() {
            // A server that wants a login says so at the first command.
            Some(Value::ServerError(error)) if error.code() == "NOAUTH" => {
                return Err(RedisError::from_server(&link.address, &error));
            }
            // Unknown to Redis before 7.2, and not every user may: reading works all the same.
            Some(Value::ServerError(_)) | None => false,
            Some(_) => true,
        };
        Ok(Self {
            link,
            pace: Arc::new(Pace::new()),
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
