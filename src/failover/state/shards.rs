//! `shards.json`: the shards of one repair that have dealt with their parts, until all of them have.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::StateError;
use super::file;
use super::record::{Header, damaged, parse};
use crate::model::identity::Pinned;
use crate::model::shard::Shard;
use crate::model::time::{Micros, TimeWindow};

/// One shard of a repair that ended, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardDone {
    pub shard: Shard,
    /// Run id and replication id of every master it read and wrote, from beginning to end; in order.
    pub histories: Vec<(String, String)>,
    pub config_hash: String,
    pub extent: Extent,
    /// When it began, by this host's clock.
    pub started_at: Micros,
}

/// What of its part a shard looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Everything,
    /// At least whatever was known to be lost.
    Window(TimeWindow),
}

impl ShardDone {
    /// The histories of `pinned`, as shards are compared by them.
    pub fn histories_of(pinned: &Pinned) -> Vec<(String, String)> {
        let identities = pinned.nodes.iter().map(|node| &node.identity);
        let mut all: Vec<_> = identities
            .map(|one| (one.run_id.clone(), one.replication_id.clone()))
            .collect();
        all.sort();
        all
    }

    /// Whether both are parts of one repair: of the same data, by the same job, and equally much of it. Windows that are
    /// found begin at slightly different moments, and each of them holds what was lost.
    fn is_with(&self, other: &Self) -> bool {
        let is_full = |one: &Self| one.extent == Extent::Everything;
        self.shard.count() == other.shard.count()
            && self.histories == other.histories
            && self.config_hash == other.config_hash
            && is_full(self) == is_full(other)
    }
}

/// What is kept once `done` is, and, where its repair is whole by that, when the first of its shards began. Shards of
/// another repair are forgotten, so that there are never more than one repair has.
pub(super) fn joined(
    mut known: Vec<ShardDone>,
    done: ShardDone,
) -> (Vec<ShardDone>, Option<Micros>) {
    known.retain(|one| one.is_with(&done) && one.shard != done.shard);
    let count = usize::from(done.shard.count());
    known.push(done);
    if known.len() < count {
        return (known, None);
    }
    let oldest = known.iter().map(|one| one.started_at).min();
    (Vec::new(), oldest)
}

/// None where there is no file.
pub(super) fn read(path: &Path, job: &str) -> Result<Vec<ShardDone>, StateError> {
    let Some(text) = file::read(path)? else {
        return Ok(Vec::new());
    };
    let place = path.display().to_string();
    Header::check(&text, "shards", job, &place)?;
    let record: ShardsRecord = parse(&text, &place)?;
    let all: Option<Vec<_>> = record.shards.iter().map(ShardRecord::read).collect();
    all.ok_or_else(|| damaged(&place, "an instant or a shard in it is none"))
}

/// Needs the lock.
pub(super) fn write(path: &Path, job: &str, shards: &[ShardDone]) -> Result<(), StateError> {
    let header = Header::new("shards", job);
    let record = ShardsRecord {
        auditor: header.auditor,
        version: header.version,
        job: header.job,
        shards: shards.iter().map(ShardRecord::of).collect(),
    };
    let text =
        serde_json::to_vec_pretty(&record).expect("a record of texts and numbers can be written");
    file::replace(path, &text)
}

#[derive(Serialize, Deserialize)]
struct ShardsRecord {
    auditor: String,
    version: u64,
    job: String,
    shards: Vec<ShardRecord>,
}

#[derive(Serialize, Deserialize)]
struct ShardRecord {
    /// `0/4`
    shard: String,
    histories: Vec<HistoryRecord>,
    config_hash: String,
    is_full: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    started_at: String,
}

#[derive(Serialize, Deserialize)]
struct HistoryRecord {
    run_id: String,
    replication_id: String,
}

impl ShardRecord {
    fn of(done: &ShardDone) -> Self {
        let window = match done.extent {
            Extent::Everything => None,
            Extent::Window(window) => Some(window),
        };
        let histories = done.histories.iter();
        Self {
            shard: done.shard.to_string(),
            histories: histories
                .map(|(run_id, replication_id)| HistoryRecord {
                    run_id: run_id.clone(),
                    replication_id: replication_id.clone(),
                })
                .collect(),
            config_hash: done.config_hash.clone(),
            is_full: window.is_none(),
            since: window.map(|w| w.since.to_rfc3339()),
            until: window.and_then(|w| w.until).map(Micros::to_rfc3339),
            started_at: done.started_at.to_rfc3339(),
        }
    }

    fn read(&self) -> Option<ShardDone> {
        let extent = if self.is_full {
            Extent::Everything
        } else {
            let until = match &self.until {
                Some(text) => Some(Micros::from_rfc3339(text)?),
                None => None,
            };
            let since = Micros::from_rfc3339(self.since.as_deref()?)?;
            Extent::Window(TimeWindow { since, until })
        };
        let histories = self.histories.iter();
        Some(ShardDone {
            shard: Shard::parse(&self.shard)?,
            histories: histories
                .map(|h| (h.run_id.clone(), h.replication_id.clone()))
                .collect(),
            config_hash: self.config_hash.clone(),
            extent,
            started_at: Micros::from_rfc3339(&self.started_at)?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn done(shard: &str, started_at: i64) -> ShardDone {
        ShardDone {
            shard: Shard::parse(shard).unwrap(),
            histories: vec![("a".into(), "A".into()), ("x".into(), "X".into())],
            config_hash: "c0ffee".into(),
            extent: Extent::Everything,
            started_at: Micros(started_at),
        }
    }

    /// What comes of `all`, one after the other.
    fn told(all: &[ShardDone]) -> Vec<Option<Micros>> {
        let mut known = Vec::new();
        let mut told = Vec::new();
        for one in all {
            let oldest;
            (known, oldest) = joined(known, one.clone());
            assert!(known.len() < usize::from(one.shard.count()));
            told.push(oldest);
        }
        told
    }

    #[test]
    fn the_last_shard_makes_it_whole_as_of_the_first_one_s_start() {
        let all = [done("1/3", 50), done("0/3", 20), done("2/3", 90)];
        assert_eq!(told(&all), [None, None, Some(Micros(20))]);
        let repeated = [done("0/2", 10), done("0/2", 70), done("1/2", 60)];
        assert_eq!(told(&repeated), [None, None, Some(Micros(60))]);
        let next = [done("0/2", 1), done("1/2", 2), done("1/2", 3)];
        assert_eq!(
            told(&next),
            [None, Some(Micros(1)), None],
            "it is told once"
        );
    }

    #[test]
    fn shards_of_different_repairs_make_none_whole() {
        let window = TimeWindow {
            since: Micros(5),
            until: None,
        };
        let first = done("0/2", 1);
        for other in [
            ShardDone {
                histories: vec![("a".into(), "B".into()), ("x".into(), "X".into())],
                ..done("1/2", 2)
            },
            ShardDone {
                config_hash: "other".into(),
                ..done("1/2", 2)
            },
            ShardDone {
                extent: Extent::Window(window),
                ..done("1/2", 2)
            },
            done("1/3", 2),
        ] {
            assert_eq!(
                told(&[first.clone(), other.clone()]),
                [None, None],
                "{other:?}"
            );
        }
        let windowed = |shard: &str, since: i64| ShardDone {
            extent: Extent::Window(TimeWindow {
                since: Micros(since),
                until: Some(Micros(9)),
            }),
            ..done(shard, 3)
        };
        let both = [windowed("0/2", 5), windowed("1/2", 6)];
        assert_eq!(told(&both), [None, Some(Micros(3))]);
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shards.json");
        assert_eq!(read(&path, "shop").unwrap(), []);
        let window = TimeWindow {
            since: Micros(5_000_000),
            until: Some(Micros(9_000_001)),
        };
        let all = [
            done("0/4", 1),
            ShardDone {
                extent: Extent::Window(window),
                ..done("3/4", 2)
            },
        ];
        write(&path, "shop", &all).unwrap();
        assert_eq!(read(&path, "shop").unwrap(), all);
        let fault = read(&path, "auction").unwrap_err().to_string();
        assert!(fault.contains("belongs to the job"), "{fault}");
    }
}
