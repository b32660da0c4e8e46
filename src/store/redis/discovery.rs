//! Asking a Cluster who its masters are.
//!
//! Whoever is asked may be cut off and believe in yesterday's Cluster. So all the nodes of the job are asked at once, of
//! those that answer the one with the highest epoch is believed, and every master it names must say of itself that it is one.
//! Where more than half of them have answered, the others are not waited for long.
//!
//! Sources: the commands CLUSTER SHARDS (Redis 7.0), CLUSTER SLOTS, CLUSTER INFO and CLUSTER NODES.

use std::collections::HashSet;
use std::time::Duration;

use ::redis::Value;
use futures_util::future::{join_all, try_join_all};

use super::connect::{Link, open_node, shown};
use super::error::RedisError;
use super::own_line::own_line;
use super::seats::{Seat, Seats, seats_of_shards, seats_of_slots};
use super::{reply, soon};
use crate::job::RedisSpec;
use crate::model::slots::SlotSet;

/// A Cluster has at most as many masters as that is advised; more would be a mistake of ours.
const MASTERS_MAX: usize = 1_000;

/// A master with its connection.
pub(super) struct Master {
    pub(super) link: Link,
    /// By its own word.
    pub(super) slots: SlotSet,
}

/// What one node says of the Cluster.
struct View {
    asked: String,
    is_ok: bool,
    epoch: u64,
    seats: Vec<Seat>,
    /// Of all nodes it knows, replicas among them.
    ids: HashSet<String>,
}

/// Finds the Cluster that has `nodes` and opens a connection to each of its masters, also to those that have no slots
/// (yet). In the order of their ids, so that they stand in the same order each time.
pub(super) async fn open_masters(
    spec: &RedisSpec,
    nodes: &[(String, u16)],
    response_limit: Duration,
) -> Result<Vec<Master>, RedisError> {
    let view = view_of(spec, nodes, response_limit).await?;
    let opened = view
        .seats
        .iter()
        .map(|seat| open_seat(spec, seat, response_limit));
    let masters: Vec<Master> = try_join_all(opened).await?.into_iter().flatten().collect();
    let mut served = SlotSet::none();
    for seat in &view.seats {
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

/// The same of those masters that are there, and why the others are not. A Cluster may serve the keys of the living while
/// others have no master (`cluster-require-full-coverage no`).
pub(super) async fn open_living_masters(
    spec: &RedisSpec,
    nodes: &[(String, u16)],
    response_limit: Duration,
) -> Result<(Vec<Master>, Vec<RedisError>), RedisError> {
    let view = view_of(spec, nodes, response_limit).await?;
    let opened = view
        .seats
        .iter()
        .map(|seat| open_seat(spec, seat, response_limit));
    let (mut masters, mut missing) = (Vec::new(), Vec::new());
    for opened in join_all(opened).await {
        match opened {
            Ok(master) => masters.extend(master),
            Err(error) => missing.push(error),
        }
    }
    Ok((masters, missing))
}

/// The Cluster that has `nodes`, its masters in the order of their ids.
async fn view_of(
    spec: &RedisSpec,
    nodes: &[(String, u16)],
    response_limit: Duration,
) -> Result<View, RedisError> {
    let views = nodes
        .iter()
        .map(|(host, port)| ask(spec, host, *port, response_limit));
    let is_up = |view: &Result<View, RedisError>| view.as_ref().is_ok_and(|view| view.is_ok);
    // Fewer may be cut off together and not know it yet.
    let is_enough = |came: &[(usize, Result<View, RedisError>)]| {
        came.iter().filter(|(_, view)| is_up(view)).count() * 2 > nodes.len()
    };
    let mut view = believed(soon::answers(views, is_enough).await)?;
    if view.seats.len() > MASTERS_MAX {
        return Err(RedisError::Protocol(format!(
            "{} names {} masters; at most {MASTERS_MAX} are read",
            view.asked,
            view.seats.len()
        )));
    }
    view.seats.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(view)
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

/// Of those that say that the Cluster is up, the one that knows the latest epoch. Two that know no node in common are of
/// two Clusters, and nobody knows which of them is meant.
fn believed(views: Vec<Result<View, RedisError>>) -> Result<View, RedisError> {
    let mut up: Vec<View> = Vec::new();
    let mut down = Vec::new();
    let mut failures = Vec::new();
    let mut refused = None;
    for view in views {
        match view {
            Ok(view) if !view.is_ok => down.push(view.asked),
            Ok(view) => up.push(view),
            Err(RedisError::Refused(why)) => refused = Some(why),
            Err(error) => failures.push(error.to_string()),
        }
    }
    // Of several that know it, the first.
    let best = up.iter().rev().max_by_key(|view| view.epoch);
    if let Some(best) = best
        && let Some(stranger) = up.iter().find(|view| view.ids.is_disjoint(&best.ids))
    {
        return Err(RedisError::Refused(format!(
            "{} and {} are of two different Clusters; name nodes of one in [redis] url (has an address been given to \
             another node?)",
            stranger.asked, best.asked
        )));
    }
    let latest = up.iter().map(|view| view.epoch).max();
    let best = up.into_iter().find(|view| Some(view.epoch) == latest);
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
    let Seats { seats, ids } =
        seats.ok_or_else(|| RedisError::unexpected(&link.address, "CLUSTER SHARDS"))?;
    Ok(View {
        asked: shown(host, port),
        is_ok,
        epoch,
        seats,
        ids,
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_node_that_is_cut_off_is_not_believed() {
        let of = |ids: &[&str], asked: &str, is_ok, epoch| {
            Ok(View {
                asked: asked.into(),
                is_ok,
                epoch,
                seats: Vec::new(),
                ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            })
        };
        let view = |asked: &str, is_ok, epoch| of(&["x", asked], asked, is_ok, epoch);
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
        let two = believed(vec![
            view("a", true, 3),
            view("b", false, 9),
            of(&["y"], "c", true, 2),
        ]);
        let error = two.err().unwrap().to_string();
        assert!(error.contains("c and a are of two different"), "{error}");
        let cut_off = believed(vec![view("a", true, 3), of(&["y"], "c", false, 4)]);
        assert_eq!(cut_off.unwrap().asked, "a");
        let info = "cluster_state:ok\r\ncluster_current_epoch:12\r\n";
        assert_eq!(state(info), (true, 12));
    }
}
