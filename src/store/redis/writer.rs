//! The connection that writes.

use std::time::Duration;

use ::redis::{Cmd, ServerError, Value};
use futures_util::future::join_all;

use super::connect::{self, Link};
use super::error::{RedisError, spoken};
use super::scripts::{ALL, Call};
use super::settlement::Settlement;
use super::write::{Fence, Write, WriteReply};
use super::{info, reply};
use crate::job::RedisSpec;
use crate::model::identity::NodeIdentity;
use crate::model::time::Micros;

/// Past it the outcome counts as unknown. The deadline inside the scripts, not this, bounds when a
/// write may still happen.
const RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// WAIT was seen to return after twice its timeout.
const WAIT_SLACK: u32 = 2;

/// What a user lacks who may not run a script, or a command in it.
const GRANTS: &str = "grant the repairing user EVAL, EVALSHA, INFO, TIME and the commands that read and \
    write the key; of a stream XINFO, XPENDING, XRANGE, XACK, XCLAIM, XADD, XDEL, XGROUP and XSETID";

/// A dedicated connection for writing, which never reconnects. Only `repair` is handed one.
pub struct Writer {
    link: Link,
}

impl Writer {
    /// Connects to the node that `spec` means now. If that is not the very process, history and role of
    /// `pinned`, it is `TopologyChanged`.
    pub async fn connect(spec: &RedisSpec, pinned: &NodeIdentity) -> Result<Self, RedisError> {
        let link = connect::open(spec, RESPONSE_LIMIT).await?;
        let found = info::facts(&link).await?.identity;
        if !found.is_master || found != *pinned {
            return Err(RedisError::TopologyChanged(format!(
                "{}: it was run id {}, replication id {}, {}; it is run id {}, replication id {}, {}",
                link.address,
                pinned.run_id,
                pinned.replication_id,
                role(pinned),
                found.run_id,
                found.replication_id,
                role(&found),
            )));
        }
        let mut pipeline = ::redis::pipe();
        for script in ALL {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(script.text);
        }
        // Who may not load scripts may still send their text, call by call.
        reply::many(&link, &pipeline).await?;
        Ok(Self { link })
    }

    /// The server's clock, on this connection.
    pub async fn time(&mut self) -> Result<Micros, RedisError> {
        info::time(&self.link).await
    }

    /// All writes pipelined, one script call each, replies in order. What a lost connection or a timeout
    /// leaves unanswered is `Unknown`; no write is ever sent twice. Two writes of one key in one call
    /// may change places.
    pub async fn apply(&mut self, fence: &Fence, writes: &[Write]) -> Vec<WriteReply> {
        let calls = writes.iter().map(|write| Call::of(write, fence));
        self.call(calls.collect()).await
    }

    /// All steps pipelined, one script call each, replies in order, answered as `apply` does. Two steps of
    /// one call may change places, so none may count on another.
    pub async fn settle(&mut self, fence: &Fence, settlements: &[Settlement]) -> Vec<WriteReply> {
        let calls = settlements.iter().map(|step| Call::settling(step, fence));
        self.call(calls.collect()).await
    }

    /// `WAIT replicas timeout` on this very connection: how many replicas have everything written on it.
    pub async fn wait(&mut self, replicas: u32, timeout: Duration) -> Result<u32, RedisError> {
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

    /// Sends every call that may be sent, and says what each answer means.
    async fn call(&self, calls: Vec<Result<Call<'_>, &'static str>>) -> Vec<WriteReply> {
        let by_digest = calls
            .iter()
            .map(|call| self.send(call.as_ref().ok().map(Call::by_digest)));
        let mut answers = join_all(by_digest).await;

        // NOSCRIPT says that nothing ran, so sending these again, with their text, is no second time.
        let unknown: Vec<usize> = (0..answers.len())
            .filter(|&index| matches!(&answers[index], Some(Ok(answer)) if is_no_script(answer)))
            .collect();
        let by_text = unknown
            .iter()
            .map(|&index| self.send(calls[index].as_ref().ok().map(Call::by_text)));
        for (index, answer) in unknown.iter().zip(join_all(by_text).await) {
            answers[*index] = answer;
        }

        let outcomes = answers
            .into_iter()
            .zip(calls)
            .map(|(answer, call)| match (answer, call) {
                (Some(Ok(value)), _) => outcome(&value),
                (Some(Err(reason)), _) => WriteReply::Unknown(reason),
                (None, Err(reason)) => WriteReply::Refused(reason.to_owned()),
                (None, Ok(_)) => WriteReply::Unknown("it was not answered".to_owned()),
            });
        outcomes.collect()
    }

    /// Each command is a request of its own, so that a connection lost in the middle loses only what was
    /// not answered. They share the wire back to back, in order.
    async fn send(&self, command: Option<Cmd>) -> Option<Result<Value, String>> {
        let command = command?;
        let sent = self
            .link
            .connection
            .clone()
            .send_packed_command(&command)
            .await;
        Some(sent.map_err(|error| format!("{}: {error}", self.link.address)))
    }
}

/// What an answer to a script means; `lua/fence.lua` lists them.
fn outcome(answer: &Value) -> WriteReply {
    match answer {
        Value::Int(1) => WriteReply::Applied,
        Value::Int(0) => WriteReply::Changed,
        Value::Int(-1) => WriteReply::Late,
        Value::BulkString(bytes) if bytes.starts_with(b"FENCED ") => {
            WriteReply::Fenced(String::from_utf8_lossy(&bytes[b"FENCED ".len()..]).into_owned())
        }
        Value::ServerError(error) => refused(error),
        // No script says anything else; what happened cannot be told.
        _ => WriteReply::Unknown("the server gave an answer that no script gives".to_owned()),
    }
}

/// An error reply to a script: nothing was written. The first word decides, and gets a hint.
fn refused(error: &ServerError) -> WriteReply {
    let said = spoken(error.code(), error.details());
    let hint = match error.code() {
        "READONLY" | "MASTERDOWN" | "LOADING" | "CLUSTERDOWN" | "MOVED" | "ASK" | "UNBLOCKED" => {
            return WriteReply::Fenced(said);
        }
        "OOM" => "the server is at maxmemory; free memory before repairing",
        "MISCONF" => "the server cannot save to disk and takes no writes; see its log",
        "NOREPLICAS" => "too few replicas for min-replicas-to-write",
        "NOPERM" | "NOAUTH" => GRANTS,
        "ERR" if is_about_rights(error.details()) => GRANTS,
        "WRONGTYPE" => "the key has another type now",
        "BUSY" => "another script blocks the server",
        "CROSSSLOT" => "in a Cluster dead_letter must share the stream's slot: {bid-stream}:dead",
        // The script's own word.
        "REFUSED" => return WriteReply::Refused(error.details().unwrap_or_default().to_owned()),
        _ => return WriteReply::Refused(said),
    };
    WriteReply::Refused(format!("{said} ({hint})"))
}

/// How servers speak of a command that the user may not run inside a script, where they do not say NOPERM: first
/// Redis 7.0, then later ones.
pub(super) fn is_about_rights(details: Option<&str>) -> bool {
    let starts = ["The user executing the script", "ACL failure in script"];
    details.is_some_and(|details| starts.iter().any(|start| details.starts_with(start)))
}

pub(super) fn is_no_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

fn role(identity: &NodeIdentity) -> &'static str {
    if identity.is_master {
        "a master"
    } else {
        "no master"
    }
}
