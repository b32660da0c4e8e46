//! Every node that can be asked, and what the witnesses say of those that cannot.
//!
//! Nodes are named by the job, by its Sentinels (former masters included), by INFO of one another, or by CLUSTER NODES; each
//! is asked once, all side by side. Nothing here is an error: a node that does not answer is a view that says why. Only
//! reading commands are sent: INFO, TIME, CONFIG GET, CLUSTER NODES, CLUSTER INFO, SENTINEL MASTER and SENTINEL REPLICAS.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt, join};
use futures_util::stream;
use tokio::time::{Instant, timeout};

use super::cluster_nodes;
use super::connect::Link;
use super::error::RedisError;
use super::info;
use super::known_node::{Answer, Known, merge_aliases, rename};
use super::place::{Asked, Place};
use super::reply;
use super::witness::{self, Testimony};
use crate::job::{Endpoint, RedisSpec};
use crate::model::slots::SlotSet;
use crate::model::time::Micros;
use crate::model::topology::{SentinelView, Topology, TopologyKind};

/// A bound on connections and memory, past every deployment known to us; what lies beyond is not asked.
const NODES_MAX: usize = 512;

/// Connections opened at the same time.
const NODES_AT_ONCE: usize = 64;

/// Who did not answer is asked again after this long: each try may last as long as the limit.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// What decides how much a failover may lose, and how long a master that is cut off goes on; asked one by one, because several at once are understood only from
/// Redis 7.0 on. A server that does not know one of them answers nothing for it.
const SETTINGS: [&str; 11] = [
    "appendfsync",
    "appendonly",
    "cluster-node-timeout",
    "maxmemory",
    "maxmemory-policy",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "repl-backlog-size",
    "repl-backlog-ttl",
    "replica-priority",
    "save",
];

/// Asks everyone once, settings included. `limit` bounds each connection and each answer: whoever takes longer counts as
/// unreachable. A node that is named by several addresses stands there once, under the one by which the job or a Sentinel
/// names it.
pub async fn read_topology(spec: &RedisSpec, limit: Duration) -> Topology {
    Inventory::new(spec.clone(), limit)
        .read(Depth::WithSettings)
        .await
}

/// Asks everyone again and again over connections that are kept. Sends no write, and whoever did not answer is left alone
/// for a while.
pub struct Inventory {
    spec: Arc<RedisSpec>,
    limit: Duration,
    links: HashMap<Asked, Link>,
    /// Who did not answer, why, and until when nobody asks again.
    silent: HashMap<Asked, (Instant, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    WithSettings,
    FactsOnly,
}

impl Inventory {
    /// Asks nobody yet. `limit` bounds each connection and each answer.
    pub fn new(spec: RedisSpec, limit: Duration) -> Self {
        Self {
            spec: Arc::new(spec),
            limit,
            links: HashMap::new(),
            silent: HashMap::new(),
        }
    }

    /// As [`read_topology`], without the settings.
    pub async fn glance(&mut self) -> Topology {
        self.read(Depth::FactsOnly).await
    }

    async fn read(&mut self, depth: Depth) -> Topology {
        let mut seeds = Vec::new();
        let mut sentinels = Vec::new();
        let mut testimonies: Vec<Testimony> = Vec::new();
        match self.spec.endpoint.clone() {
            Endpoint::Tcp { host, port } => seeds.push(Place::Tcp(host, port)),
            Endpoint::Unix(path) => seeds.push(Place::Socket(path)),
            Endpoint::Cluster { nodes } => {
                seeds.extend(nodes.into_iter().map(|(host, port)| Place::Tcp(host, port)));
            }
            Endpoint::Sentinel { nodes, master } => {
                (sentinels, testimonies) = self.ask_sentinels(&nodes, &master).await;
                seeds.extend(testimonies.iter().filter_map(|t| Place::of(&t.address)));
            }
        }
        let mut asked = self.ask_all(seeds, depth).await;
        merge_aliases(&mut asked);
        rename(&mut sentinels, &asked);
        let epoch = epoch(&sentinels, &asked);
        let kind = kind(&self.spec, &asked);
        for known in &asked {
            testimonies.extend(known.answer.iter().flat_map(Answer::testimonies));
        }
        let nodes = asked.into_iter().map(|known| known.view(&testimonies));
        Topology {
            kind,
            nodes: nodes.collect(),
            sentinels,
            epoch,
            seen_at: Micros::now(),
        }
    }

    async fn ask_sentinels(
        &mut self,
        nodes: &[(String, u16)],
        master: &str,
    ) -> (Vec<SentinelView>, Vec<Testimony>) {
        let places = nodes.iter();
        let places = places.map(|(host, port)| Asked::Sentinel(Place::Tcp(host.clone(), *port)));
        let answers = self
            .ask_each(places.collect(), |link| {
                let master = master.to_owned();
                async move { witness::ask(&link, &master).await }.boxed()
            })
            .await;
        let mut views = Vec::new();
        let mut all = Vec::new();
        for (asked, answer) in answers {
            let said = answer.map(|(belief, testimonies)| {
                all.extend(testimonies);
                belief
            });
            let address = asked.place().address();
            views.push(SentinelView { address, said });
        }
        (views, all)
    }

    /// Asks `seeds`, then whom they name, until nobody names anyone new.
    async fn ask_all(&mut self, seeds: Vec<Place>, depth: Depth) -> Vec<Known> {
        let mut met: HashSet<Place> = HashSet::new();
        let mut next = seeds;
        let mut all: Vec<Known> = Vec::new();
        loop {
            next.retain(|place| met.len() < NODES_MAX && met.insert(place.clone()));
            if next.is_empty() {
                return all;
            }
            let places = next.drain(..).map(Asked::Node).collect();
            let answers = self
                .ask_each(places, move |link| {
                    async move { ask(&link, depth).await }.boxed()
                })
                .await;
            for (asked, answer) in answers {
                next.extend(answer.iter().flat_map(Answer::names));
                all.push(Known {
                    addresses: vec![asked.place().address()],
                    answer,
                });
            }
        }
    }

    /// Puts one question to each of `places`, side by side; the answers come in their order, so that the job's own names
    /// stay first.
    async fn ask_each<T: Send + 'static>(
        &mut self,
        places: Vec<Asked>,
        question: impl Fn(Link) -> BoxFuture<'static, Result<T, RedisError>>,
    ) -> Vec<(Asked, Result<T, String>)> {
        let now = Instant::now();
        let mut asking = Vec::with_capacity(places.len());
        for asked in places {
            let silent = self.silent.get(&asked).filter(|(until, _)| *until > now);
            let silent = silent.map(|(_, why)| why.clone());
            // A connection that was closed meanwhile says nothing of the node.
            let kept = self.links.get(&asked).cloned();
            let kept = kept.map(|link| (question(link.clone()), link));
            let (spec, limit, question) = (Arc::clone(&self.spec), self.limit, &question);
            asking.push(async move {
                if let Some(why) = silent {
                    return (asked, None, Err(why));
                }
                if let Some((asking, link)) = kept
                    && let Ok(Ok(answer)) = timeout(limit, asking).await
                {
                    return (asked, Some(link), Ok(answer));
                }
                let opened = asked.open(&spec, limit).await;
                let answer = match &opened {
                    // A node that is busy with somebody's script is not waited for here.
                    Ok(link) => match timeout(limit * 2, question(link.clone())).await {
                        Ok(answer) => answer.map_err(|error| error.to_string()),
                        Err(_) => Err(format!("{} did not answer in time", link.address)),
                    },
                    Err(error) => Err(error.to_string()),
                };
                (asked, opened.ok(), answer)
            });
        }
        let answers: Vec<_> = stream::iter(asking).buffered(NODES_AT_ONCE).collect().await;
        let mut all = Vec::with_capacity(answers.len());
        for (asked, link, answer) in answers {
            match (&answer, link) {
                (Ok(_), Some(link)) => {
                    self.silent.remove(&asked);
                    self.links.insert(asked.clone(), link);
                }
                (Err(why), _) => {
                    self.links.remove(&asked);
                    let silence = (Instant::now() + SILENT_FOR, why.clone());
                    // Who was not asked stays silent as long as it was.
                    self.silent
                        .entry(asked.clone())
                        .and_modify(|kept| {
                            if kept.0 <= now {
                                kept.clone_from(&silence);
                            }
                        })
                        .or_insert(silence);
                }
                (Ok(_), None) => {}
            }
            all.push((asked, answer));
        }
        all
    }
}

async fn ask(link: &Link, depth: Depth) -> Result<Answer, RedisError> {
    let (facts, settings) = match depth {
        Depth::WithSettings => join(info::facts(link), settings(link)).await,
        Depth::FactsOnly => (info::facts(link).await, None),
    };
    let mut facts = facts?;
    let heard_at = Micros::now();
    let mut cluster = None;
    if facts.is_cluster {
        match cluster_nodes::ask(link).await {
            Ok(view) => {
                facts.slots = view.own_slots();
                cluster = Some(view);
            }
            // It answers INFO meanwhile, and for no key at all.
            Err(_) if facts.is_loading => facts.slots = SlotSet::none(),
            // Whose keys it answers for is not known, and not to be guessed.
            Err(fault) => return Err(fault),
        }
    }
    Ok(Answer {
        facts,
        settings,
        cluster,
        heard_at,
    })
}

/// `None`: the user may not ask, or the service hides CONFIG.
async fn settings(link: &Link) -> Option<Vec<(String, String)>> {
    let mut pipeline = ::redis::pipe();
    for name in SETTINGS {
        pipeline.cmd("CONFIG").arg("GET").arg(name);
    }
    let mut found = Vec::new();
    for answer in reply::many(link, &pipeline).await.ok()? {
        let pair = reply::optional_array(reply::accepted(&link.address, answer).ok()?)?;
        let mut pair = pair.into_iter().filter_map(reply::text);
        if let (Some(name), Some(value)) = (pair.next(), pair.next()) {
            found.push((name, value));
        }
    }
    Some(found)
}

fn epoch(sentinels: &[SentinelView], asked: &[Known]) -> Option<u64> {
    let believed = sentinels.iter().filter_map(|view| view.said.as_ref().ok());
    let of_cluster = asked.iter().filter_map(|known| known.answer.as_ref().ok());
    believed
        .map(|belief| belief.config_epoch)
        .chain(of_cluster.filter_map(|answer| answer.cluster.as_ref()?.epoch))
        .max()
}

fn kind(spec: &RedisSpec, asked: &[Known]) -> TopologyKind {
    let mut answers = asked.iter().filter_map(|known| known.answer.as_ref().ok());
    match &spec.endpoint {
        Endpoint::Sentinel { .. } => TopologyKind::Sentinel,
        Endpoint::Cluster { .. } => TopologyKind::Cluster,
        _ if answers.any(|answer| answer.facts.is_cluster) => TopologyKind::Cluster,
        _ => TopologyKind::Standalone,
    }
}
