//! Asking a Cluster who its masters are.
//!
//! Whoever is asked may be cut off and believe in yesterday's Cluster. So all the nodes of the job are asked at once, the
//! one with the highest epoch is believed, and every master it names must say of itself that it is one.
//!
//! Sources: the commands CLUSTER SHARDS (Redis 7.0), CLUSTER SLOTS, CLUSTER INFO and CLUSTER NODES.

use std::time::Duration;

use ::redis::Value;
use futures_util::future::{join_all, try_join_all};

use super::connect::{Link, open_node, shown};
use super::error::RedisError;
use super::own_line::own_line;
use super::reply;
use crate::job::RedisSpec;
use crate::model::slots::{Slot, SlotSet};

/// A Cluster has at most as many masters as that is advised; more would be a mistake of ours.
const MASTERS_MAX: usize = 1_000;

/// A master with its connection.
pub(super) struct Master {
    pub(super) link: Link,
    /// By its own word.
    pub(super) slots: SlotSet,
}

/// A master as another node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seat {
    id: String,
    host: String,
    port: u16,
    slots: SlotSet,
}

/// What one node says of the Cluster.
struct View {
    asked: String,
    is_ok: bool,
    epoch: u64,
    seats: Vec<Seat>,
}

/// Finds the Cluster that has `nodes` and opens a connection to each of its masters, also to those that have no slots
/// (yet). In the order of their ids, so that they stand in the same order each time.
pub(super) async fn open_masters(
    spec: &RedisSpec,
    nodes: &[(String, u16)],
    response_limit: Duration,
) -> Result<Vec<Master>, RedisError> {
    let views = nodes
        .iter()
        .map(|(host, port)| ask(spec, host, *port, response_limit));
    let view = believed(join_all(views).await)?;
    let mut seats = view.seats;
    if seats.len() > MASTERS_MAX {
        return Err(RedisError::Protocol(format!(
            "{} names {} masters; at most {MASTERS_MAX} are read",
            view.asked,
            seats.len()
        )));
    }
    seats.sort_by(|a, b| a.id.cmp(&b.id));
    let opened = seats
        .iter()
        .map(|seat| open_seat(spec, seat, response_limit));
    let masters: Vec<Master> = try_join_all(opened).await?.into_iter().flatten().collect();
    let mut served = SlotSet::none();
    for seat in &seats {
        served.unite(&seat.slots);
    }
    masters
        .iter()
        .for_each(|master| served.unite(&master.slots));
    if !served.is_all() {
        return Err(RedisError::Unreachable(format!(
            "{}: CLUSTERDOWN {} of {} slots are served by no master",
            view.asked,
            SlotSet::all().len() - served.len(),
            SlotSet::all().len()
        )));
    }
    Ok(masters)
}

/// Connects to a master by the address the Cluster gives it. `None`: one without slots that is not there, or follows
/// another by now.
async fn open_seat(
    spec: &RedisSpec,
    seat: &Seat,
    response_limit: Duration,
) -> Result<Option<Master>, RedisError> {
    let opened = async {
        let link = open_node(spec, &seat.host, seat.port, response_limit).await?;
        let own = own_line(&link).await?;
        if own.id != seat.id {
            return Err(RedisError::Refused(format!(
                "{}: the Cluster calls this address node {}, but node {} answers there; announce addresses that lead \
                 from here to their own nodes (cluster-announce-ip, cluster-announce-hostname)",
                link.address, seat.id, own.id
            )));
        }
        if !own.is_master {
            return Err(RedisError::TopologyChanged(format!(
                "{} is no master any more; the Cluster has not finished its failover",
                link.address
            )));
        }
        Ok(Master {
            link,
            slots: own.slots,
        })
    };
    match opened.await {
        Ok(master) => Ok(Some(master)),
        Err(RedisError::Unreachable(why) | RedisError::TopologyChanged(why))
            if seat.slots.is_empty() =>
        {
            tracing::info!("a node without slots is left out: {why}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Of those that say that the Cluster is up, the one that knows the latest epoch.
fn believed(views: Vec<Result<View, RedisError>>) -> Result<View, RedisError> {
    let mut best: Option<View> = None;
    let mut down = Vec::new();
    let mut failures = Vec::new();
    let mut refused = None;
    for view in views {
        match view {
            Ok(view) if !view.is_ok => down.push(view.asked),
            Ok(view) if best.as_ref().is_some_and(|best| best.epoch >= view.epoch) => {}
            Ok(view) => best = Some(view),
            Err(RedisError::Refused(why)) => refused = Some(why),
            Err(error) => failures.push(error.to_string()),
        }
    }
    match (best, refused) {
        (Some(view), _) => Ok(view),
        (None, Some(why)) => Err(RedisError::Refused(why)),
        (None, None) if !down.is_empty() => Err(RedisError::Unreachable(format!(
            "CLUSTERDOWN, say {}: a failover is under way, or slots have no master",
            down.join(", ")
        ))),
        (None, None) => Err(RedisError::Unreachable(format!(
            "no node of the Cluster answered: {}",
            failures.join("; ")
        ))),
    }
}

async fn ask(
    spec: &RedisSpec,
    host: &str,
    port: u16,
    response_limit: Duration,
) -> Result<View, RedisError> {
    let link = open_node(spec, host, port, response_limit).await?;
    let mut pipeline = ::redis::pipe();
    pipeline.cmd("CLUSTER").arg("INFO");
    pipeline.cmd("CLUSTER").arg("SHARDS");
    let answers = reply::many(&link, &pipeline).await?;
    let Ok([info, shards]) = <[Value; 2]>::try_from(answers) else {
        return Err(RedisError::unexpected(&link.address, "CLUSTER"));
    };
    let info = granted(&link, info)?;
    let info =
        reply::text(info).ok_or_else(|| RedisError::unexpected(&link.address, "CLUSTER INFO"))?;
    let (is_ok, epoch) = state(&info);
    let seats = match &shards {
        Value::ServerError(error) if error.code() == "ERR" => {
            let slots = reply::one(&link, ::redis::cmd("CLUSTER").arg("SLOTS")).await?;
            seats_of_slots(slots, host)
        }
        _ => seats_of_shards(granted(&link, shards)?, host, spec.tls),
    };
    let seats = seats.ok_or_else(|| RedisError::unexpected(&link.address, "CLUSTER SHARDS"))?;
    Ok(View {
        asked: shown(host, port),
        is_ok,
        epoch,
        seats,
    })
}

/// An error that says what to do about it.
fn granted(link: &Link, answer: Value) -> Result<Value, RedisError> {
    reply::accepted(&link.address, answer).map_err(|error| match error {
        RedisError::Refused(said) => RedisError::Refused(format!(
            "{said} (grant the user cluster|info, cluster|shards, cluster|slots and cluster|nodes)"
        )),
        RedisError::Protocol(said) if said.contains("cluster support disabled") => {
            RedisError::Refused(format!(
                "{said}; this is no Cluster: write redis://host:port as its url"
            ))
        }
        error => error,
    })
}

/// Whether the node holds the Cluster for up, and the latest epoch it knows.
fn state(info: &str) -> (bool, u64) {
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
    };
    let epoch = field("cluster_current_epoch").and_then(|epoch| epoch.parse().ok());
    (field("cluster_state") == Some("ok"), epoch.unwrap_or(0))
}

/// One map for each shard: `slots` (first and last in turn) and `nodes`, each a map, too.
fn seats_of_shards(answer: Value, asked: &str, tls: bool) -> Option<Vec<Seat>> {
    let mut seats = Vec::new();
    for shard in reply::optional_array(answer)? {
        let (mut slots, mut nodes) = (SlotSet::none(), Vec::new());
        for (name, value) in reply::named_values(shard)? {
            match name.as_slice() {
                b"slots" => {
                    let ends = reply::optional_array(value)?;
                    let ends: Option<Vec<Slot>> = ends.iter().map(slot).collect();
                    for range in ends?.chunks(2) {
                        add(&mut slots, *range.first()?, *range.last()?);
                    }
                }
                b"nodes" => nodes = reply::optional_array(value)?,
                _ => {}
            }
        }
        let nodes = nodes
            .into_iter()
            .map(|node| node_of_shard(node, asked, tls));
        let mut masters = nodes.collect::<Option<Vec<_>>>()?;
        masters.retain(|node| node.is_master);
        // One that failed stays in its shard beside the one that took over.
        masters.sort_by_key(|node| !node.is_online);
        let master = masters.into_iter().next();
        seats.extend(master.map(|node| Seat { slots, ..node.seat }));
    }
    Some(seats)
}

/// A node of a shard; its slots are not said there.
struct ShardNode {
    is_master: bool,
    is_online: bool,
    seat: Seat,
}

fn node_of_shard(node: Value, asked: &str, tls: bool) -> Option<ShardNode> {
    let (mut id, mut role, mut health) = (None, None, None);
    let (mut endpoint, mut ip) = (None, None);
    let (mut port, mut tls_port) = (None, None);
    for (name, value) in reply::named_values(node)? {
        match name.as_slice() {
            b"id" => id = reply::text(value),
            b"role" => role = reply::text(value),
            b"health" => health = reply::text(value),
            b"endpoint" => endpoint = reply::text(value),
            b"ip" => ip = reply::text(value),
            b"port" => port = number(&value),
            b"tls-port" => tls_port = number(&value),
            _ => {}
        }
    }
    Some(ShardNode {
        is_master: role? == "master",
        is_online: health? == "online",
        seat: Seat {
            id: id?,
            host: named(endpoint, ip, asked),
            port: if tls { tls_port? } else { port? },
            slots: SlotSet::none(),
        },
    })
}

/// One row for each range: first and last slot, then the master: host, port, id.
fn seats_of_slots(answer: Value, asked: &str) -> Option<Vec<Seat>> {
    let mut seats: Vec<Seat> = Vec::new();
    for row in reply::optional_array(answer)? {
        let mut row = reply::optional_array(row)?.into_iter();
        let (first, last) = (slot(&row.next()?)?, slot(&row.next()?)?);
        let mut master = reply::optional_array(row.next()?)?.into_iter();
        let (host, port) = (reply::text(master.next()?), number(&master.next()?)?);
        let id = reply::text(master.next()?)?;
        let at = match seats.iter().position(|seat| seat.id == id) {
            Some(at) => at,
            None => {
                seats.push(Seat {
                    id,
                    host: named(host, None, asked),
                    port,
                    slots: SlotSet::none(),
                });
                seats.len() - 1
            }
        };
        add(&mut seats[at].slots, first, last);
    }
    Some(seats)
}

/// The host by which a node wants to be reached: as it announces it; the address where it wants a name and has none; and
/// where it announces nothing, the host that was asked.
fn named(endpoint: Option<String>, ip: Option<String>, asked: &str) -> String {
    let is_given = |host: &String| !host.is_empty() && host != "?";
    endpoint
        .filter(is_given)
        .or(ip.filter(is_given))
        .unwrap_or_else(|| asked.to_owned())
}

fn slot(value: &Value) -> Option<Slot> {
    Slot::new(u16::try_from(reply::integer(value)?).ok()?)
}

fn number(value: &Value) -> Option<u16> {
    u16::try_from(reply::integer(value)?).ok()
}

pub(super) fn add(slots: &mut SlotSet, first: Slot, last: Slot) {
    let all = (first.number()..=last.number()).filter_map(Slot::new);
    all.for_each(|slot| slots.add(slot));
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn flat(pairs: &[(&str, Value)]) -> Value {
        let pairs = pairs
            .iter()
            .flat_map(|(name, value)| [text(name), value.clone()]);
        Value::Array(pairs.collect())
    }

    fn node(id: &str, role: &str, health: &str, host: Value, port: i64) -> Value {
        flat(&[
            ("id", text(id)),
            ("port", Value::Int(port)),
            ("ip", text("10.0.0.1")),
            ("endpoint", host),
            ("role", text(role)),
            ("replication-offset", Value::Int(7)),
            ("health", text(health)),
        ])
    }

    #[test]
    fn of_a_shard_the_master_that_is_online_counts() {
        let shard = |slots: &[i64], nodes: &[Value]| {
            let slots = slots.iter().map(|slot| Value::Int(*slot)).collect();
            let nodes = Value::Array(nodes.to_vec());
            flat(&[("slots", Value::Array(slots)), ("nodes", nodes)])
        };
        let answer = Value::Array(vec![
            shard(
                &[0, 2, 9, 9],
                &[
                    node("old", "master", "failed", text("a"), 1),
                    node("r", "replica", "online", text("b"), 2),
                    node("new", "master", "online", text("c"), 3),
                ],
            ),
            shard(&[], &[node("empty", "master", "online", text("?"), 4)]),
            shard(
                &[5, 5],
                &[node("nameless", "master", "online", Value::Nil, 5)],
            ),
        ]);
        let seats = seats_of_shards(answer, "asked", false).unwrap();
        let said: Vec<String> = seats
            .iter()
            .map(|s| format!("{} {}:{} {}", s.id, s.host, s.port, s.slots))
            .collect();
        assert_eq!(
            said,
            [
                "new c:3 0-2 9",
                "empty 10.0.0.1:4 ",
                "nameless 10.0.0.1:5 5"
            ]
        );
        assert_eq!(seats_of_shards(Value::Okay, "asked", false), None);
    }

    #[test]
    fn slots_of_an_older_server_are_put_together_by_master() {
        let row = |first: i64, last: i64, host: Value, id: &str| {
            let master = Value::Array(vec![host, Value::Int(6379), text(id)]);
            Value::Array(vec![Value::Int(first), Value::Int(last), master])
        };
        let answer = Value::Array(vec![
            row(0, 1, text("a"), "x"),
            row(2, 2, text(""), "y"),
            row(3, 4, text("a"), "x"),
        ]);
        let seats = seats_of_slots(answer, "asked").unwrap();
        assert_eq!(seats[0].slots.to_string(), "0-1 3-4");
        assert_eq!((seats[1].host.as_str(), seats.len()), ("asked", 2));
    }

    #[test]
    fn a_node_that_is_cut_off_is_not_believed() {
        let view = |asked: &str, is_ok, epoch| {
            Ok(View {
                asked: asked.into(),
                is_ok,
                epoch,
                seats: Vec::new(),
            })
        };
        let down = || Err(RedisError::Unreachable("gone".into()));
        let best = believed(vec![
            view("a", true, 3),
            view("b", true, 4),
            view("c", false, 9),
        ]);
        assert_eq!(best.unwrap().asked, "b");
        let error = believed(vec![view("a", false, 1), down()]).err().unwrap();
        assert!(error.to_string().contains("CLUSTERDOWN, say a"), "{error}");
        assert!(matches!(
            believed(vec![down(), Err(RedisError::Refused("no".into()))]),
            Err(RedisError::Refused(_))
        ));
        let info = "cluster_state:ok\r\ncluster_current_epoch:12\r\n";
        assert_eq!(state(info), (true, 12));
    }
}
