//! Asking the masters of a Cluster for many keys at once, while slots may be moving and masters failing.
//!
//! Only reads come here, each about one key, so any of them may be asked again. Source: the Redis Cluster
//! specification, *Redirection and resharding*.

use std::collections::BTreeMap;
use std::time::Duration;

use ::redis::{Arg, Cmd, Pipeline, ServerError, Value};
use futures_util::future::try_join_all;
use rand::Rng;
use tokio::time::Instant;

use super::connect::{Link, shown};
use super::error::{RedisError, spoken};
use super::nodes::Routes;
use super::own_line::{OwnLine, own_line};
use super::reply;
use crate::model::slots::Slot;

/// How long a Cluster that is down, or a slot on its way, is waited for: a failover takes twice the node timeout, which
/// is 15 s by default, and what is still not answered then is looked for anew.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// A command, and the slot of the key that it is about.
pub(super) type Asked<'c> = (Slot, &'c Cmd);

/// What an error reply asks for.
#[derive(Debug, PartialEq, Eq)]
enum Redirect {
    /// From now on the slot is another node's.
    Moved(String),
    /// This key is already at the other node, or nowhere.
    Ask(String),
    /// Later.
    Again(String),
}

/// One answer for every command, in order. Each goes to the owner of its slot, and is asked again where that is another by
/// now. Errors: a node that could not be reached, or a Cluster that did not come to rest, is `Unreachable`; a slot that went
/// to a node which was no master when the connections were made, is `TopologyChanged`.
pub(super) async fn many(
    links: &[Link],
    routes: &Routes,
    asked: Vec<Asked<'_>>,
) -> Result<Vec<Value>, RedisError> {
    let mut answers: Vec<Option<Value>> = Vec::new();
    answers.resize_with(asked.len(), || None);
    let mut open: Vec<usize> = (0..asked.len()).collect();
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::ZERO;
    let mut turn = None;
    loop {
        let mut later = Vec::new();
        let mut by_node: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for at in open {
            by_node
                .entry(routes.owner(asked[at].0))
                .or_default()
                .push(at);
        }
        let mut redirected: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut importing: BTreeMap<Slot, usize> = BTreeMap::new();
        let mut reason = None;
        for (node, at, answer) in ask_each(links, &asked, by_node, Greeting::None).await? {
            match redirect(&answer) {
                None => answers[at] = Some(answer),
                Some(Redirect::Moved(to)) => {
                    let slot = asked[at].0;
                    // Another command of this slot may have found out already.
                    if routes.owner(slot) == node {
                        routes.set(slot, known(links, node, &to, slot).await?);
                    }
                    later.push(at);
                }
                Some(Redirect::Ask(to)) => {
                    let slot = asked[at].0;
                    let to = match importing.get(&slot) {
                        Some(to) => *to,
                        None => known(links, node, &to, slot).await?,
                    };
                    importing.insert(slot, to);
                    redirected.entry(to).or_default().push(at);
                }
                Some(Redirect::Again(why)) => {
                    reason = Some(format!("{}: {why}", links[node].address));
                    later.push(at);
                }
            }
        }
        for (node, at, answer) in ask_each(links, &asked, redirected, Greeting::Asking).await? {
            match redirect(&answer) {
                None => answers[at] = Some(answer),
                // The slot has arrived, or is going back: its owner knows.
                Some(_) => {
                    reason = Some(format!("{}: slots are moving", links[node].address));
                    later.push(at);
                }
            }
        }
        if later.is_empty() {
            let all: Option<Vec<Value>> = answers.into_iter().collect();
            return Ok(all.expect("every command was answered"));
        }
        let waiting = || links[0].waiting.begin("the Redis Cluster");
        pause = rest(pause, deadline, reason, |why| {
            turn.get_or_insert_with(waiting).because(why);
        })
        .await?;
        open = later;
    }
}

/// Pauses before the next round and tells why; gives the pause after that. A first redirection needs none.
async fn rest(
    pause: Duration,
    deadline: Instant,
    reason: Option<String>,
    tell: impl FnOnce(&str),
) -> Result<Duration, RedisError> {
    let is_first = pause.is_zero();
    if is_first && reason.is_none() {
        return Ok(PAUSE_FIRST);
    }
    let why = reason.unwrap_or_else(|| "slots are sent from one master to another".to_owned());
    if Instant::now() >= deadline {
        return Err(RedisError::Unreachable(format!(
            "{why}; it was waited for {} s",
            PATIENCE.as_secs()
        )));
    }
    tell(&why);
    let pause = pause.max(PAUSE_FIRST);
    // Runs that wait for the same Cluster do not return as one.
    let jittered = pause.mul_f64(rand::rng().random_range(0.75..1.25));
    tokio::time::sleep(jittered).await;
    Ok((pause * 2).min(PAUSE_MAX))
}

/// What goes before each command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Greeting {
    None,
    /// Lets a node that is importing a slot answer for its keys, for one command.
    Asking,
}

/// Sends each node its commands, all nodes side by side; the node, the command's place and its answer.
async fn ask_each(
    links: &[Link],
    asked: &[Asked<'_>],
    by_node: BTreeMap<usize, Vec<usize>>,
    greeting: Greeting,
) -> Result<Vec<(usize, usize, Value)>, RedisError> {
    let sent = by_node.into_iter().map(|(node, places)| async move {
        let is_asking = greeting == Greeting::Asking;
        let mut pipeline = Pipeline::with_capacity(places.len() * if is_asking { 2 } else { 1 });
        for &at in &places {
            if is_asking {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(asked[at].1.clone());
        }
        let mut answers = reply::many(&links[node], &pipeline).await?;
        if answers.len() != pipeline.len() {
            return Err(RedisError::unexpected(&links[node].address, "a pipeline"));
        }
        if is_asking {
            answers = answers.into_iter().skip(1).step_by(2).collect();
        }
        let placed = places.into_iter().zip(answers);
        Ok(placed
            .map(|(at, answer)| (node, at, answer))
            .collect::<Vec<_>>())
    });
    Ok(try_join_all(sent).await?.into_iter().flatten().collect())
}

/// The place of the node at `to`, to which the node at `from` pointed.
pub(super) async fn known(
    links: &[Link],
    from: usize,
    to: &str,
    slot: Slot,
) -> Result<usize, RedisError> {
    let asked = &links[from].address;
    let (host, port) = to.rsplit_once(':').unwrap_or((to, ""));
    let address = match (host, port.parse::<u16>()) {
        ("", Ok(_)) => return nameless(links, from, port, slot).await,
        (host, Ok(port)) => shown(host.trim_matches(['[', ']']), port),
        _ => to.to_owned(),
    };
    links
        .iter()
        .position(|link| link.address == address)
        .ok_or_else(|| {
            RedisError::TopologyChanged(format!(
                "{asked} points to {address} for slot {}, which was no master before",
                slot.number()
            ))
        })
}

/// The same of a node that announces no host of its own (`cluster-preferred-endpoint-type unknown-endpoint`): of those at
/// this port the one that says of itself that it has the slot, or takes it in.
async fn nameless(
    links: &[Link],
    from: usize,
    port: &str,
    slot: Slot,
) -> Result<usize, RedisError> {
    let is_there = |link: &Link| link.address.rsplit_once(':').map(|(_, port)| port) == Some(port);
    let others = (0..links.len()).filter(|&at| at != from && is_there(&links[at]));
    let asked = others.map(|at| async move { Ok((at, own_line(&links[at]).await?)) });
    let found = try_join_all(asked).await?;
    meant(&found, slot).ok_or_else(|| {
        RedisError::TopologyChanged(format!(
            "{} points to port {port} for slot {} and names no host, and of the other masters at this port there is not \
             one that has it",
            links[from].address,
            slot.number(),
        ))
    })
}

/// The one of several masters, by their own words.
fn meant(others: &[(usize, OwnLine)], slot: Slot) -> Option<usize> {
    let has = |own: &OwnLine| own.is_master && (own.slots.has(slot) || own.imports(slot));
    let mut meant = others.iter().filter(|(_, own)| has(own));
    match (meant.next(), meant.next()) {
        (Some((at, _)), None) => Some(*at),
        _ => None,
    }
}

fn redirect(answer: &Value) -> Option<Redirect> {
    let Value::ServerError(error) = answer else {
        return None;
    };
    match error.code() {
        "MOVED" => Some(Redirect::Moved(target(error))),
        "ASK" => Some(Redirect::Ask(target(error))),
        "TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "BUSY" => {
            Some(Redirect::Again(spoken(error.code(), error.details())))
        }
        _ => None,
    }
}

/// `3999 127.0.0.1:6381`: the address.
pub(super) fn target(error: &ServerError) -> String {
    let details = error.details().unwrap_or_default();
    details
        .split_whitespace()
        .last()
        .unwrap_or_default()
        .to_owned()
}

/// The key that a reading command is about: its first argument, after the subcommand of XINFO.
pub(super) fn key_of(command: &Cmd) -> Vec<u8> {
    let mut arguments = command.args_iter().map(|argument| match argument {
        Arg::Simple(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    });
    let name = arguments.next().unwrap_or_default();
    let before = usize::from(name.eq_ignore_ascii_case(b"XINFO"));
    arguments.nth(before).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::model::slots::SlotSet;

    #[test]
    fn who_is_not_named_is_known_by_its_slots_or_not_at_all() {
        let slot = Slot::new(7).unwrap();
        let other = |is_master, has: &[u16], moving: &str| OwnLine {
            id: String::new(),
            is_master,
            slots: has
                .iter()
                .filter_map(|n| Slot::new(*n))
                .collect::<SlotSet>(),
            moving: moving.split_whitespace().map(str::to_owned).collect(),
        };
        let nobody = || other(true, &[1], "[7->-x]");
        for (others, expected) in [
            (vec![], None),
            (vec![nobody()], None),
            (vec![nobody(), other(true, &[7], "")], Some(1)),
            (vec![other(true, &[], "[7-<-x]"), nobody()], Some(0)),
            (vec![other(false, &[7], ""), nobody()], None),
            (vec![other(true, &[7], ""), other(true, &[7], "")], None),
        ] {
            let others: Vec<_> = others.into_iter().enumerate().collect();
            assert_eq!(meant(&others, slot), expected, "{others:?}");
        }
    }

    #[test]
    fn every_reading_command_is_sent_to_its_key() {
        let words = |line: &str| {
            let mut words = line.split(' ');
            let mut command = ::redis::cmd(words.next().unwrap_or_default());
            words.for_each(|word| {
                command.arg(word);
            });
            command
        };
        for line in [
            "GET k",
            "MGET k",
            "TYPE k",
            "EXISTS k",
            "PTTL k",
            "PEXPIRETIME k",
            "HGETALL k",
            "HMGET k f",
            "HSCAN k 0 COUNT 1",
            "ZMSCORE k m",
            "SMISMEMBER k m",
            "XINFO STREAM k",
            "XINFO GROUPS k",
            "XINFO CONSUMERS k g",
            "XRANGE k - +",
            "XPENDING k g - + 1",
        ] {
            assert_eq!(key_of(&words(line)), b"k", "{line}");
        }
    }
}
