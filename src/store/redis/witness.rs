//! What Sentinels, and the nodes of a Cluster, say of other nodes.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::Value;

use super::connect::{Link, shown};
use super::error::RedisError;
use super::reply;
use super::sentinel::named_master;
use crate::model::time::Micros;
use crate::model::topology::SentinelBelief;

/// What one witness says of one node. Instants are by this host's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Testimony {
    /// host:port
    pub(super) address: String,
    /// `None`: the witness sees it alive.
    pub(super) down_since: Option<Micros>,
    /// The role it reported of itself last; `None`: unknown.
    pub(super) role_is_master: Option<bool>,
    /// Since when it has reported that role.
    pub(super) role_since: Option<Micros>,
}

/// A Sentinel that starts stamps every role with that moment, and again when the first hello of another one (they send them
/// each 2 s) tells it of a failover it missed.
const LEARNS_WITHIN: Duration = Duration::from_secs(5);

impl Testimony {
    /// What it says if its witness knows since when roles are only from `known` on; `None`: it cannot be told from when on.
    fn since(self, known: Option<Micros>) -> Self {
        Self {
            role_since: self
                .role_since
                .filter(|at| known.is_some_and(|known| *at > known)),
            ..self
        }
    }
}

/// A row of SENTINEL MASTER or REPLICAS.
pub(super) type Row = HashMap<String, String>;

/// Asks one Sentinel what it believes of `name`, and what it knows of every node it lists: the master it names first,
/// then the replicas, former masters among them.
pub(super) async fn ask(
    link: &Link,
    name: &str,
) -> Result<(SentinelBelief, Vec<Testimony>), RedisError> {
    let mut all = ::redis::pipe();
    for question in ["MASTER", "REPLICAS", "GET-MASTER-ADDR-BY-NAME"] {
        all.cmd("SENTINEL").arg(question).arg(name);
    }
    all.cmd("INFO").arg("server");
    let mut answers = reply::many(link, &all).await?.into_iter();
    let now = Micros::now();
    let master = row(reply::accepted(
        &link.address,
        answers.next().unwrap_or_default(),
    )?);
    let unexpected = || RedisError::unexpected(&link.address, "SENTINEL MASTER");
    let master = master.ok_or_else(unexpected)?;
    // Who may not list the replicas still learns of the living ones from their master.
    let replicas = listed(link, answers.next().unwrap_or_default()).unwrap_or_default();
    let named = testimony(&master, now).ok_or_else(unexpected)?;
    let own_info = answers.next_back().unwrap_or_default();
    let uptime = reply::accepted(&link.address, own_info)
        .ok()
        .and_then(uptime);
    let knows_roles_since = uptime.map(|uptime| now.minus(uptime).plus(LEARNS_WITHIN));
    let address = reply::accepted(&link.address, answers.next().unwrap_or_default())?;
    let (host, port) = named_master(link, address)?.ok_or_else(unexpected)?;
    let named = named.since(knows_roles_since);
    let others = replicas.iter().filter_map(|r| testimony(r, now));
    let others: Vec<Testimony> = others.map(|t| t.since(knows_roles_since)).collect();
    let number = |name: &str| master.get(name).and_then(|value| value.parse::<u64>().ok());
    let belief = SentinelBelief {
        master: shown(&host, port),
        config_epoch: number("config-epoch").unwrap_or_default(),
        role_since: named
            .role_since
            .filter(|_| named.role_is_master == Some(true)),
        down_after_millis: number("down-after-milliseconds").unwrap_or_default(),
        sentinels_known: number("num-other-sentinels").unwrap_or_default() + 1,
        replicas: others.iter().map(|t| t.address.clone()).collect(),
    };
    Ok((belief, std::iter::once(named).chain(others).collect()))
}

/// Of the process, from its INFO.
fn uptime(info: Value) -> Option<Duration> {
    let text = reply::text(info)?;
    let mut lines = text.lines();
    let seconds = lines.find_map(|line| line.strip_prefix("uptime_in_seconds:"))?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?))
}

fn listed(link: &Link, answer: Value) -> Option<Vec<Row>> {
    let rows = reply::optional_array(reply::accepted(&link.address, answer).ok()?)?;
    Some(rows.into_iter().filter_map(row).collect())
}

/// Names and values by turns, as RESP2 has them.
pub(super) fn row(value: Value) -> Option<Row> {
    let mut flat = reply::optional_array(value)?
        .into_iter()
        .filter_map(reply::text);
    let mut row = Row::new();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        row.insert(name, value);
    }
    Some(row)
}

fn testimony(row: &Row, now: Micros) -> Option<Testimony> {
    let ago = |name: &str| {
        let millis = row.get(name)?.parse().ok()?;
        Some(now.minus(Duration::from_millis(millis)))
    };
    let port = row.get("port")?.parse().ok()?;
    let flags = row.get("flags").map_or("", String::as_str);
    let has = |flag: &str| flags.split(',').any(|part| part == flag);
    let role = row.get("role-reported").map(|role| role == "master");
    // A node that does not answer reports no role; what stands there is what the Sentinel takes it for.
    let is_silent = has("s_down") || has("disconnected");
    Some(Testimony {
        address: shown(row.get("ip")?, port),
        down_since: ago("s-down-time").filter(|_| has("s_down")),
        role_is_master: role.filter(|_| !is_silent),
        role_since: ago("role-reported-time").filter(|_| !is_silent),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn of(fields: &[(&str, &str)]) -> Testimony {
        let fields = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        testimony(&fields.collect(), Micros(60_000_000)).unwrap()
    }

    #[test]
    fn a_dead_former_master_has_a_time_and_no_role() {
        let dead = of(&[
            ("ip", "::1"),
            ("port", "7001"),
            ("flags", "s_down,slave,disconnected"),
            ("s-down-time", "4000"),
            ("role-reported", "slave"),
            ("role-reported-time", "5000"),
        ]);
        assert_eq!(dead.address, "[::1]:7001");
        assert_eq!(dead.down_since, Some(Micros(56_000_000)));
        assert_eq!((dead.role_is_master, dead.role_since), (None, None));
    }

    #[test]
    fn a_sentinel_knows_nothing_of_what_was_before_it_started() {
        let info = b"# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:20\r\n".to_vec();
        let started = uptime(Value::BulkString(info)).map(|up| Micros(60_000_000).minus(up));
        assert_eq!(started, Some(Micros(40_000_000)));
        let known = started.map(|at| at.plus(LEARNS_WITHIN));
        let since = |millis: &str, known: Option<Micros>| {
            let row = [("ip", "h"), ("port", "1"), ("role-reported-time", millis)];
            of(&row).since(known).role_since
        };
        assert_eq!(since("14999", known), Some(Micros(45_001_000)));
        for at_its_start in ["15000", "19000", "20500", "90000"] {
            assert_eq!(since(at_its_start, known), None, "{at_its_start} ms ago");
        }
        assert_eq!(since("10", None), None, "it does not say how long it runs");
    }

    #[test]
    fn a_living_node_has_a_role_and_a_time_since_when() {
        let master = of(&[
            ("ip", "h"),
            ("port", "7001"),
            ("flags", "master"),
            ("role-reported", "master"),
            ("role-reported-time", "10"),
        ]);
        assert_eq!(master.down_since, None);
        assert_eq!(master.role_is_master, Some(true));
        assert_eq!(master.role_since, Some(Micros(59_990_000)));
    }
}
