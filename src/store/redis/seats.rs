//! The masters of a Cluster as one of its nodes names them: CLUSTER SHARDS (Redis 7.0), or CLUSTER SLOTS.

use std::collections::HashSet;

use ::redis::Value;

use super::reply;
use crate::model::slots::{Slot, SlotSet};

/// A master as another node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) slots: SlotSet,
}

/// What is said of the masters.
pub(super) struct Seats {
    pub(super) seats: Vec<Seat>,
    /// Of all nodes, replicas among them.
    pub(super) ids: HashSet<String>,
}

/// One map for each shard: `slots` (first and last in turn) and `nodes`, each a map, too.
pub(super) fn seats_of_shards(answer: Value, asked: &str, tls: bool) -> Option<Seats> {
    let (mut seats, mut ids) = (Vec::new(), HashSet::new());
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
        ids.extend(masters.iter().map(|node| node.seat.id.clone()));
        masters.retain(|node| node.is_master);
        // One that failed stays in its shard beside the one that took over.
        masters.sort_by_key(|node| !node.is_online);
        let master = masters.into_iter().next();
        seats.extend(master.map(|node| Seat { slots, ..node.seat }));
    }
    Some(Seats { seats, ids })
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

/// One row for each range: first and last slot, then the master: host, port, id; then its replicas.
pub(super) fn seats_of_slots(answer: Value, asked: &str) -> Option<Seats> {
    let (mut seats, mut ids): (Vec<Seat>, HashSet<String>) = Default::default();
    for row in reply::optional_array(answer)? {
        let mut row = reply::optional_array(row)?.into_iter();
        let (first, last) = (slot(&row.next()?)?, slot(&row.next()?)?);
        let mut master = reply::optional_array(row.next()?)?.into_iter();
        let (host, port) = (reply::text(master.next()?), number(&master.next()?)?);
        let id = reply::text(master.next()?)?;
        ids.insert(id.clone());
        for replica in row {
            ids.extend(reply::text(
                reply::optional_array(replica)?.into_iter().nth(2)?,
            ));
        }
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
    Some(Seats { seats, ids })
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
        let found = seats_of_shards(answer, "asked", false).unwrap();
        assert_eq!(found.ids.len(), 5);
        let said: Vec<String> = found
            .seats
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
        assert!(seats_of_shards(Value::Okay, "asked", false).is_none());
    }

    #[test]
    fn slots_of_an_older_server_are_put_together_by_master() {
        let row = |first: i64, last: i64, host: Value, id: &str| {
            let master = Value::Array(vec![host, Value::Int(6379), text(id)]);
            let replica = vec![text("b"), Value::Int(6379), text(&format!("{id}'s"))];
            let replica = Value::Array(replica);
            Value::Array(vec![Value::Int(first), Value::Int(last), master, replica])
        };
        let answer = Value::Array(vec![
            row(0, 1, text("a"), "x"),
            row(2, 2, text(""), "y"),
            row(3, 4, text("a"), "x"),
        ]);
        let Seats { seats, ids } = seats_of_slots(answer, "asked").unwrap();
        assert!(ids.contains("x") && ids.contains("y's") && ids.len() == 4);
        assert_eq!(seats[0].slots.to_string(), "0-1 3-4");
        assert_eq!((seats[1].host.as_str(), seats.len()), ("asked", 2));
    }
}
