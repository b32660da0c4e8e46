//! CLUSTER NODES and CLUSTER INFO of one node: how it sees its Cluster.

use super::connect::{Link, shown};
use super::error::RedisError;
use super::reply;
use super::witness::Testimony;
use crate::model::slots::{Slot, SlotSet};
use crate::model::time::Micros;

/// A Cluster as one of its nodes sees it.
#[derive(Debug, Clone)]
pub(super) struct ClusterView {
    lines: Vec<Line>,
    /// `cluster_current_epoch`
    pub(super) epoch: Option<u64>,
}

/// One line of CLUSTER NODES.
#[derive(Debug, Clone)]
struct Line {
    id: String,
    /// host:port
    address: String,
    /// The same by the host name that it announces, if no other node announces it, too.
    name: Option<String>,
    is_myself: bool,
    is_master: bool,
    /// `fail`, or `fail?` by this node alone.
    is_failing: bool,
    /// Of a replica.
    master_id: Option<String>,
    /// Last sign of life, milliseconds since the epoch by that node's clock; 0: never, or itself.
    pong_millis: i64,
    slots: SlotSet,
}

/// Asks the node behind `link`. One that loads its data says nothing of its Cluster.
pub(super) async fn ask(link: &Link) -> Result<ClusterView, RedisError> {
    let mut both = ::redis::pipe();
    both.cmd("CLUSTER").arg("NODES").cmd("CLUSTER").arg("INFO");
    let mut answers = reply::many(link, &both).await?.into_iter();
    let nodes = reply::accepted(&link.address, answers.next().unwrap_or_default())?;
    let nodes =
        reply::text(nodes).ok_or_else(|| RedisError::unexpected(&link.address, "CLUSTER NODES"))?;
    let info = answers
        .next()
        .and_then(|answer| reply::text(reply::accepted(&link.address, answer).ok()?));
    let epoch = info.and_then(|info| epoch(&info));
    // A node that was never told its own address leaves it out.
    let host = link.address.rsplit_once(':').map_or("", |(host, _)| host);
    Ok(ClusterView {
        lines: lines(&nodes, host),
        epoch,
    })
}

impl ClusterView {
    #[cfg(test)]
    pub(super) fn of(nodes: &str, asked_host: &str) -> Self {
        Self {
            lines: lines(nodes, asked_host),
            epoch: None,
        }
    }

    /// Every other node that has an address, by each that it has: which of them leads there from here, and which a
    /// certificate is good for, is found out by asking.
    pub(super) fn peers(&self) -> impl Iterator<Item = String> {
        let others = self.lines.iter().filter(|line| !line.is_myself);
        others.flat_map(|line| std::iter::once(&line.address).chain(&line.name).cloned())
    }

    /// Addresses of one node: by number and by name.
    pub(super) fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.lines.iter();
        lines.filter_map(|line| Some((line.address.as_str(), line.name.as_deref()?)))
    }

    /// The slots the node answers for by its own words: of a replica, those of its master.
    pub(super) fn own_slots(&self) -> SlotSet {
        let Some(own) = self.lines.iter().find(|line| line.is_myself) else {
            return SlotSet::none();
        };
        let owner = match &own.master_id {
            Some(id) => self.lines.iter().find(|line| line.id == *id),
            None => Some(own),
        };
        owner.map_or_else(SlotSet::none, |line| line.slots.clone())
    }

    /// What it says of the others. `ahead`: its clock less this host's, in microseconds.
    pub(super) fn testimonies(&self, ahead: i64) -> impl Iterator<Item = Testimony> {
        let others = self.lines.iter().filter(|line| !line.is_myself);
        others.map(move |line| Testimony {
            address: line.address.clone(),
            down_since: (line.is_failing && line.pong_millis > 0)
                .then(|| Micros(line.pong_millis * 1_000 - ahead)),
            role_is_master: Some(line.is_master),
            role_since: None,
        })
    }
}

fn epoch(info: &str) -> Option<u64> {
    let field = |line: &str| {
        line.strip_prefix("cluster_current_epoch:")?
            .trim()
            .parse()
            .ok()
    };
    info.lines().find_map(field)
}

/// The lines that say something. A name that several nodes announce leads to any of them, and counts for none.
fn lines(nodes: &str, asked_host: &str) -> Vec<Line> {
    let lines = nodes.lines().filter_map(|text| line(text, asked_host));
    let mut lines: Vec<Line> = lines.collect();
    let names: Vec<Option<String>> = lines.iter().map(|line| line.name.clone()).collect();
    for line in &mut lines {
        if names.iter().filter(|name| **name == line.name).count() > 1 {
            line.name = None;
        }
    }
    lines
}

/// `id ip:port@busport[,hostname[,name=value…]] flags master ping-sent pong-received epoch link slot…`; `None` for a node that is no
/// more than a handshake or has no address.
fn line(text: &str, asked_host: &str) -> Option<Line> {
    let mut words = text.split_ascii_whitespace();
    let id = words.next()?.to_owned();
    let (place, more) = words.next()?.split_once('@')?;
    let name = more.split(',').nth(1).filter(|name| !name.is_empty());
    let flags: Vec<&str> = words.next()?.split(',').collect();
    let master_id = words.next().filter(|id| *id != "-").map(str::to_owned);
    let pong_millis = words.nth(1)?.parse().ok()?;
    let (host, port) = place.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_myself = flags.contains(&"myself");
    let name = match name {
        Some(name) => Some(shown(name, port.parse().ok()?)),
        None => None,
    };
    let address = match host {
        "" if is_myself => format!("{asked_host}:{port}"),
        "" => return None,
        host => shown(host, port.parse().ok()?),
    };
    if flags.contains(&"handshake") || flags.contains(&"noaddr") {
        return None;
    }
    Some(Line {
        id,
        address,
        name,
        is_myself,
        is_master: flags.contains(&"master"),
        is_failing: flags.contains(&"fail") || flags.contains(&"fail?"),
        master_id,
        pong_millis,
        // After the epoch and the state of the link.
        slots: words.skip(2).flat_map(slots).collect(),
    })
}

/// `0-5460` or `10000`; a slot that is on its way (`[93->-…]`) is listed with the others, too.
fn slots(word: &str) -> impl Iterator<Item = Slot> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let range = match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => first..last.saturating_add(1),
        _ => 0..0,
    };
    range.filter_map(Slot::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
aa 127.0.0.1:7001@17001 master,fail - 1763720000100 1763720000000 1 disconnected
bb :7002@17002 myself,master - 0 0 7 connected 0-5460 5462 [93->-cc]
cc ::1:7003@17003,node-c slave aa 0 1763720001000 1 connected
dd 127.0.0.1:7004@17004 master - 0 1763720001000 2 connected 10923-16383
ee :0@0 master,noaddr - 0 1763720001000 3 disconnected
ff 127.0.0.1:7006@17006 handshake - 0 0 0 connected";

    fn view(nodes: &str) -> ClusterView {
        ClusterView {
            lines: lines(nodes, "127.0.0.1"),
            epoch: epoch("cluster_state:ok\r\ncluster_current_epoch:8\r\n"),
        }
    }

    #[test]
    fn nodes_are_read_as_servers_print_them() {
        let view = view(NODES);
        let peers: Vec<String> = view.peers().collect();
        let expected = [
            "127.0.0.1:7001",
            "[::1]:7003",
            "node-c:7003",
            "127.0.0.1:7004",
        ];
        assert_eq!(peers, expected);
        assert_eq!(view.own_slots().to_string(), "0-5460 5462");
        assert_eq!(view.epoch, Some(8));
    }

    #[test]
    fn a_name_counts_where_it_is_one_nodes_own() {
        let nodes = "\
aa 10.0.0.1:6379@16379,redis-0,shard-id=x master - 0 1 1 connected 0-5460
bb 10.0.0.2:6379@16379,redis-1 myself,master - 0 1 1 connected 5461-10922
cc 10.0.0.3:6379@16379,,tls-port=0 master - 0 1 1 connected 10923-16383";
        let own = view(nodes);
        let aliases: Vec<_> = own.aliases().collect();
        let expected = [
            ("10.0.0.1:6379", "redis-0:6379"),
            ("10.0.0.2:6379", "redis-1:6379"),
        ];
        assert_eq!(aliases, expected);
        let shared = view(&nodes.replace("redis-1", "redis-0"));
        assert_eq!(shared.aliases().count(), 0);
    }

    #[test]
    fn the_last_sign_of_life_is_told_by_this_hosts_clock() {
        let said: Vec<Testimony> = view(NODES).testimonies(2_000_000).collect();
        assert_eq!(said[0].down_since, Some(Micros(1_763_719_998_000_000)));
        assert_eq!(said[0].role_is_master, Some(true));
        assert_eq!(said[1].down_since, None, "the link is up");
    }

    #[test]
    fn a_replica_answers_for_the_slots_of_its_master() {
        let nodes = "\
aa 127.0.0.1:7001@17001 master - 0 1 1 connected 0-16383
bb 127.0.0.1:7002@17002 myself,slave aa 0 0 1 connected";
        assert!(view(nodes).own_slots().is_all());
        assert!(view("").own_slots().is_empty());
    }
}
