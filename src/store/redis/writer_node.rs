//! One node of a writer: its connection, and what it was when it was pinned.

use std::time::Duration;

use ::redis::{Cmd, Value};

use super::connect::Link;
use super::error::RedisError;
use super::scripts::{ALL, NodeFence};
use super::write::Fence;
use super::writer::RESPONSE_LIMIT;
use super::{info, reply};
use crate::model::identity::{NodeIdentity, PinnedNode};

/// WAIT was seen to return after twice its timeout.
const WAIT_SLACK: u32 = 2;

pub(super) struct WriterNode {
    pub(super) link: Link,
    pub(super) pinned: PinnedNode,
    /// Whether anything was sent that has not been waited for yet.
    pub(super) is_dirty: bool,
}

impl WriterNode {
    /// The node behind `link`, with the scripts loaded, if it is the pinned one and a master.
    pub(super) async fn prepare(link: Link, pinned: PinnedNode) -> Result<Self, RedisError> {
        let node = Self {
            link,
            pinned,
            is_dirty: false,
        };
        let found = info::facts(&node.link).await?.identity;
        if let Some(why) = node.is_another(&found) {
            return Err(RedisError::TopologyChanged(why));
        }
        let mut pipeline = ::redis::pipe();
        for script in ALL {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(script.text);
        }
        // Who may not load scripts may still send their text, call by call.
        reply::many(&node.link, &pipeline).await?;
        Ok(node)
    }

    /// Why this is not the pinned master, if it is not.
    pub(super) fn is_another(&self, found: &NodeIdentity) -> Option<String> {
        let pinned = &self.pinned.identity;
        if found.is_master && found == pinned {
            return None;
        }
        Some(format!(
            "{}: it was run id {}, replication id {}, {}; it is run id {}, replication id {}, {}",
            self.link.address,
            pinned.run_id,
            pinned.replication_id,
            role(pinned),
            found.run_id,
            found.replication_id,
            role(found),
        ))
    }

    /// What `fence` says of this node, the one `at` that place.
    pub(super) fn fence(&self, fence: &Fence, at: usize) -> NodeFence<'_> {
        NodeFence {
            replication_id: &self.pinned.identity.replication_id,
            min_replicas: *fence.min_replicas.of(at),
            deadline: *fence.deadline.of(at),
        }
    }

    /// Each command is a request of its own, so that a connection lost in the middle loses only what was
    /// not answered. They share the wire back to back, in order.
    pub(super) async fn send(&self, command: Option<Cmd>) -> Option<Result<Value, String>> {
        let command = command?;
        let mut connection = self.link.connection.clone();
        let sent = connection.send_packed_command(&command).await;
        Some(sent.map_err(|error| format!("{}: {error}", self.link.address)))
    }

    /// WAIT on this very connection.
    pub(super) async fn wait(&self, replicas: u32, timeout: Duration) -> Result<u32, RedisError> {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let mut command = ::redis::cmd("WAIT");
        // A timeout of 0 would wait for ever.
        command.arg(replicas).arg(millis.max(1));
        let mut link = self.link.clone();
        let limit = timeout
            .saturating_mul(WAIT_SLACK)
            .saturating_add(RESPONSE_LIMIT);
        link.connection.set_response_timeout(limit);
        let answer = reply::one(&link, &command).await?;
        reply::integer(&answer)
            .and_then(|count| u32::try_from(count).ok())
            .ok_or_else(|| RedisError::unexpected(&link.address, "WAIT"))
    }
}

fn role(identity: &NodeIdentity) -> &'static str {
    if identity.is_master {
        "a master"
    } else {
        "no master"
    }
}
