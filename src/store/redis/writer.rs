//! The connections that write.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::redis::{ServerError, Value};
use futures_util::future::{join_all, try_join_all};

use super::connect::{self, Link};
use super::error::{RedisError, spoken};
use super::info;
use super::nodes::Routes;
use super::own_line::own_line;
use super::per_node::PerNode;
use super::routed::{known, target};
use super::scripts::Call;
use super::settlement::Settlement;
use super::write::{Fence, Write, WriteReply};
use super::writer_node::WriterNode;
use crate::job::{Endpoint, RedisSpec};
use crate::model::identity::Pinned;
use crate::model::slots::Slot;
use crate::model::time::Micros;

/// Past it the outcome counts as unknown. The deadline inside the scripts, not this, bounds when a
/// write may still happen.
pub(super) const RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// What a user lacks who may not run a script, or a command in it.
const GRANTS: &str = "grant the repairing user EVAL, EVALSHA, INFO, TIME and the commands that read and \
    write the key; of a stream XINFO, XPENDING, XRANGE, XACK, XCLAIM, XADD, XDEL, XGROUP and XSETID";

/// Dedicated connections for writing, one to each node, which never reconnect. Only `repair` is handed one.
pub struct Writer {
    nodes: Vec<WriterNode>,
    /// `None` outside of a Cluster.
    routes: Option<Routes>,
}

impl Writer {
    /// Connects to the node that `spec` means now, or to the pinned masters of a Cluster. If one is not the very process,
    /// history and role that `pinned` says, it is `TopologyChanged`.
    pub async fn connect(spec: &RedisSpec, pinned: &Pinned) -> Result<Self, RedisError> {
        if matches!(spec.endpoint, Endpoint::Cluster { .. }) {
            return Self::connect_cluster(spec, pinned).await;
        }
        let [pinned] = pinned.nodes.as_slice() else {
            return Err(RedisError::Refused(
                "several masters were pinned, and [redis] url names one".to_owned(),
            ));
        };
        let link = connect::open(spec, RESPONSE_LIMIT).await?;
        let node = WriterNode::prepare(link, pinned.clone()).await?;
        Ok(Self {
            nodes: vec![node],
            routes: None,
        })
    }

    async fn connect_cluster(spec: &RedisSpec, pinned: &Pinned) -> Result<Self, RedisError> {
        let opened = pinned.nodes.iter().map(|pinned| async move {
            let link = connect::open_address(spec, &pinned.address, RESPONSE_LIMIT).await?;
            let slots = own_line(&link).await?.slots;
            let node = WriterNode::prepare(link, pinned.clone()).await?;
            Ok::<_, RedisError>((node, slots))
        });
        let (nodes, slots): (Vec<_>, Vec<_>) = try_join_all(opened).await?.into_iter().unzip();
        Ok(Self {
            nodes,
            routes: Some(Routes::of(slots.iter())),
        })
    }

    /// The histories to go on with, after a replication id was renewed; those of the same nodes, in their order.
    pub fn repin(&mut self, pinned: &Pinned) {
        for (node, pinned) in self.nodes.iter_mut().zip(&pinned.nodes) {
            node.pinned = pinned.clone();
        }
    }

    /// The places, among the pinned nodes, of those that answer for `keys`, each once.
    pub fn nodes_of<'k>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> BTreeSet<usize> {
        keys.into_iter().map(|key| self.node_of(key)).collect()
    }

    /// The nodes' clocks, on these connections.
    pub async fn time(&mut self) -> Result<PerNode<Micros>, RedisError> {
        let asked = self.nodes.iter().map(|node| info::time(&node.link));
        try_join_all(asked).await.map(PerNode::each)
    }

    /// All writes pipelined, one script call each, replies in order. What a lost connection or a timeout
    /// leaves unanswered is `Unknown`; no write is ever sent twice. Two writes of one key in one call
    /// may change places.
    pub async fn apply(&mut self, fence: &Fence, writes: &[Write]) -> Vec<WriteReply> {
        self.call(fence, writes.iter().map(Call::of).collect())
            .await
    }

    /// All steps pipelined, one script call each, replies in order, answered as `apply` does. Two steps of
    /// one call may change places, so none may count on another.
    pub async fn settle(&mut self, fence: &Fence, settlements: &[Settlement]) -> Vec<WriteReply> {
        self.call(fence, settlements.iter().map(Call::settling).collect())
            .await
    }

    /// `WAIT replicas timeout` on these very connections: how many replicas have everything written on them, for each
    /// node; `None` where nothing was written since the last time.
    pub async fn wait(
        &mut self,
        replicas: &PerNode<u32>,
        timeout: Duration,
    ) -> Result<Vec<Option<u32>>, RedisError> {
        let asked = self.nodes.iter().enumerate().map(|(at, node)| async move {
            match node.is_dirty {
                true => node.wait(*replicas.of(at), timeout).await.map(Some),
                false => Ok(None),
            }
        });
        let counts = try_join_all(asked).await?;
        self.nodes.iter_mut().for_each(|node| node.is_dirty = false);
        Ok(counts)
    }

    /// Sends every call that may be sent, and says what each answer means.
    async fn call(
        &mut self,
        fence: &Fence,
        calls: Vec<Result<Call<'_>, &'static str>>,
    ) -> Vec<WriteReply> {
        let places: Vec<usize> = calls
            .iter()
            .map(|call| call.as_ref().map_or(0, |call| self.node_of(call.key())))
            .collect();
        for (at, _) in places.iter().zip(&calls).filter(|(_, call)| call.is_ok()) {
            self.nodes[*at].is_dirty = true;
        }
        let by_digest = calls.iter().zip(&places).map(|(call, &at)| {
            let call = call.as_ref().ok();
            self.nodes[at].send(call.map(|call| call.by_digest(self.nodes[at].fence(fence, at))))
        });
        let mut answers = join_all(by_digest).await;

        // NOSCRIPT says that nothing ran, so sending these again, with their text, is no second time.
        let unknown: Vec<usize> = (0..answers.len())
            .filter(|&index| matches!(&answers[index], Some(Ok(answer)) if is_no_script(answer)))
            .collect();
        let by_text = unknown.iter().map(|&index| {
            let (call, at) = (calls[index].as_ref().ok(), places[index]);
            self.nodes[at].send(call.map(|call| call.by_text(self.nodes[at].fence(fence, at))))
        });
        for (index, answer) in unknown.iter().zip(join_all(by_text).await) {
            answers[*index] = answer;
        }

        let gone = self.learn(&places, &calls, &answers).await;
        let outcomes = answers.into_iter().zip(calls).zip(places);
        let outcomes = outcomes.map(|((answer, call), at)| match (answer, call) {
            (Some(Ok(value)), _) => match (is_moved(&value), gone.get(&at)) {
                (true, Some(why)) => WriteReply::Fenced(why.clone()),
                _ => outcome(&value),
            },
            (Some(Err(reason)), _) => WriteReply::Unknown(reason),
            (None, Err(reason)) => WriteReply::Refused(reason.to_owned()),
            (None, Ok(_)) => WriteReply::Unknown("it was not answered".to_owned()),
        });
        outcomes.collect()
    }

    /// A node that sends us elsewhere has given a slot away, or is no master any more: in a Cluster the two sound alike.
    /// Takes over where the slots are now, and says which nodes are not the pinned ones, and why.
    async fn learn(
        &self,
        places: &[usize],
        calls: &[Result<Call<'_>, &'static str>],
        answers: &[Option<Result<Value, String>>],
    ) -> BTreeMap<usize, String> {
        let Some(routes) = &self.routes else {
            return BTreeMap::new();
        };
        let links: Vec<Link> = self.nodes.iter().map(|node| node.link.clone()).collect();
        let mut asked = BTreeSet::new();
        for ((answer, call), &at) in answers.iter().zip(calls).zip(places) {
            let (Some(Ok(Value::ServerError(error))), Ok(call)) = (answer, call) else {
                continue;
            };
            if error.code() == "MOVED" {
                asked.insert(at);
                let slot = Slot::of(call.key());
                if let Ok(owner) = known(&links, at, &target(error), slot).await {
                    routes.set(slot, owner);
                }
            }
        }
        let found = asked.into_iter().map(|at| async move {
            let node = &self.nodes[at];
            let why = match info::facts(&node.link).await {
                Ok(facts) => node.is_another(&facts.identity)?,
                Err(error) => error.to_string(),
            };
            Some((at, why))
        });
        join_all(found).await.into_iter().flatten().collect()
    }

    /// The place of the node that answers for `key`.
    fn node_of(&self, key: &[u8]) -> usize {
        match &self.routes {
            None => 0,
            Some(routes) => routes.owner(Slot::of(key)),
        }
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
        "READONLY" | "MASTERDOWN" | "LOADING" | "CLUSTERDOWN" | "UNBLOCKED" => {
            return WriteReply::Fenced(said);
        }
        "MOVED" | "ASK" | "TRYAGAIN" => "its slot is moving to another master; run again",
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

fn is_moved(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "MOVED")
}

pub(super) fn is_no_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT")
}
