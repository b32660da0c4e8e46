//! The plain comparison.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{AuctionRow, Cached, Rows, UserRow, all_keys, all_rows};
use crate::lab::LabError;
use crate::lab::app::{ABSENT, CLOSING_QUEUE};
use crate::lab::servers::{MysqlServer, RedisServer};

/// One thing that is wrong, in the words of `findings.csv`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expected {
    /// The check's name in `jobs/auction.toml`.
    pub check: &'static str,
    /// The rule's public id.
    pub rule: &'static str,
    /// The Redis key.
    pub key: String,
    /// The hash field or the sorted-set member; empty for strings and JSON documents.
    pub member: String,
    /// What of it is wrong: a JSON pointer, a hash field, `score`; empty for the thing as a whole.
    pub field: String,
}

/// Everything that differs between the two sides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    pub expected: BTreeSet<Expected>,
    pub keys: usize,
    pub rows: usize,
}

impl Truth {
    /// Reads and compares everything. The application must be quiet: nothing may be in flight.
    pub async fn read(
        database: &MysqlServer,
        name: &str,
        cache: &RedisServer,
    ) -> Result<Self, LabError> {
        let rows = all_rows(&mut database.connect(name).await?)
            .await
            .map_err(LabError::mysql("read every row"))?;
        let keys = all_keys(&mut cache.connect().await?)
            .await
            .map_err(LabError::redis("read every key"))?;
        let count = rows.users.len() + rows.auctions.len() + rows.bids.len();
        let mut truth = Self {
            expected: BTreeSet::new(),
            keys: keys.len(),
            rows: count,
        };
        for (key, cached) in &keys {
            truth.judge(key, cached, &rows);
        }
        for key in promised(&rows).filter(|key| !keys.contains_key(key)) {
            truth.expect("missing-key", &key, "", "");
        }
        Ok(truth)
    }

    /// How many of each rule.
    pub fn by_rule(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for expected in &self.expected {
            *counts.entry(expected.rule).or_default() += 1;
        }
        counts
    }

    fn judge(&mut self, key: &str, cached: &Cached, rows: &Rows) {
        if key == CLOSING_QUEUE {
            return self.judge_queue(key, cached, &rows.auctions);
        }
        let parts: Vec<&str> = key.split(':').collect();
        let Some(id) = parts.get(1).and_then(|part| part.parse::<u64>().ok()) else {
            return;
        };
        match (parts.as_slice(), cached) {
            (["user", _, "profile"], Cached::Text(text)) => {
                self.judge_profile(key, text, rows.users.get(&id))
            }
            (["user", _, "balance"], Cached::Text(text)) => {
                self.judge_integer(key, text, rows.users.get(&id), |user| user.balance);
            }
            (["user", _, "points"], Cached::Text(text)) => {
                self.judge_integer(key, text, rows.users.get(&id), |user| user.points);
            }
            (["auction", _, "status"], Cached::Text(text)) => {
                self.judge_status(key, text, rows.auctions.get(&id))
            }
            (["auction", _], Cached::Hash(fields)) => self.judge_bids(key, fields, id, rows),
            (
                ["user", _, "profile" | "balance" | "points"]
                | ["auction", _, "status"]
                | ["auction", _],
                _,
            ) => {
                self.expect("wrong-type", key, "", "");
            }
            _ => {}
        }
    }

    fn judge_profile(&mut self, key: &str, text: &[u8], user: Option<&UserRow>) {
        let is_absent = text.is_empty() || text == ABSENT.as_bytes();
        let user = match user {
            Some(user) if is_absent && !user.is_deleted => {
                return self.expect("stale-negative", key, "", "");
            }
            _ if is_absent => return,
            None => return self.expect("orphan-key", key, "", ""),
            Some(user) if user.is_deleted => return self.expect("resurrected-key", key, "", ""),
            Some(user) => user,
        };
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(text) else {
            return self.expect("undecodable-value", key, "", "");
        };
        let version = document["version"].as_u64().unwrap_or_default();
        if version != user.version {
            let rule = if version < user.version {
                "version-regression"
            } else {
                "version-ahead"
            };
            return self.expect(rule, key, "", "/version");
        }
        if document["name"].as_str() != Some(&user.name) {
            self.expect("value-mismatch", key, "", "/name");
        }
        if let Some(grade) = document["grade"].as_str()
            && grade != user.grade
        {
            let is_lower = rank(grade) < rank(&user.grade);
            self.expect(
                if is_lower {
                    "state-regression"
                } else {
                    "value-mismatch"
                },
                key,
                "",
                "/grade",
            );
        }
        // Both spell it with two digits after the point.
        let rating = document["rating"].to_string();
        if rating != user.rating {
            self.expect("value-mismatch", key, "", "/rating");
        }
    }

    fn judge_integer(
        &mut self,
        key: &str,
        text: &[u8],
        user: Option<&UserRow>,
        of: impl Fn(&UserRow) -> i64,
    ) {
        let cached = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<i64>().ok());
        match (cached, user) {
            (_, None) => self.expect("orphan-key", key, "", ""),
            (_, Some(user)) if user.is_deleted => self.expect("resurrected-key", key, "", ""),
            (None, _) => self.expect("undecodable-value", key, "", ""),
            (Some(cached), Some(user)) if cached == of(user) => {}
            (Some(..0), Some(_)) => self.expect("negative-balance", key, "", ""),
            _ => self.expect("value-mismatch", key, "", ""),
        }
    }

    fn judge_status(&mut self, key: &str, text: &[u8], auction: Option<&AuctionRow>) {
        let cached = String::from_utf8_lossy(text);
        match auction {
            None => self.expect("orphan-key", key, "", ""),
            Some(auction) if cached == auction.status => {}
            Some(auction) if rank(&cached) < rank(&auction.status) => {
                self.expect("state-regression", key, "", "")
            }
            Some(_) => self.expect("value-mismatch", key, "", ""),
        }
    }

    fn judge_bids(&mut self, key: &str, fields: &BTreeMap<String, String>, id: u64, rows: &Rows) {
        let Some(bids) = rows.bids.get(&id) else {
            return self.expect("orphan-key", key, "", "");
        };
        let is_wrong =
            |field: &str, source: &str| fields.get(field).is_none_or(|cached| cached != source);
        if is_wrong("currentPrice", &bids.top_amount.to_string()) {
            self.expect("value-mismatch", key, "", "currentPrice");
        }
        if is_wrong("totalBidCount", &bids.count.to_string()) {
            self.expect("value-mismatch", key, "", "totalBidCount");
        }
        if is_wrong("topBidderId", &bids.top_bidder.to_string()) {
            self.expect("value-mismatch", key, "", "topBidderId");
        }
    }

    fn judge_queue(&mut self, key: &str, cached: &Cached, auctions: &BTreeMap<u64, AuctionRow>) {
        let Cached::Scores(scores) = cached else {
            return self.expect("wrong-type", key, "", "");
        };
        for (id, auction) in auctions
            .iter()
            .filter(|(_, auction)| auction.status == "OPEN")
        {
            let member = id.to_string();
            match scores.get(&member) {
                None => self.expect("missing-key", key, &member, ""),
                Some(score) if *score != auction.ends_at_ms as f64 => {
                    self.expect("value-mismatch", key, &member, "score");
                }
                Some(_) => {}
            }
        }
        for member in scores.keys() {
            let auction = member.parse().ok().and_then(|id: u64| auctions.get(&id));
            if auction.is_none_or(|auction| auction.status != "OPEN") {
                self.expect("orphan-key", key, member, "");
            }
        }
    }

    fn expect(&mut self, rule: &'static str, key: &str, member: &str, field: &str) {
        let (key, member, field) = (key.to_owned(), member.to_owned(), field.to_owned());
        self.expected.insert(Expected {
            check: check_of(&key),
            rule,
            key,
            member,
            field,
        });
    }
}

/// The keys that are always there. Profiles are not: a reader fills them.
fn promised(rows: &Rows) -> impl Iterator<Item = String> {
    let living = rows.users.iter().filter(|(_, user)| !user.is_deleted);
    let users =
        living.flat_map(|(id, _)| ["balance", "points"].map(|part| format!("user:{id}:{part}")));
    let states = rows
        .auctions
        .keys()
        .map(|id| format!("auction:{id}:status"));
    let bids = rows.bids.keys().map(|id| format!("auction:{id}"));
    users.chain(states).chain(bids)
}

/// Who audits the key, as the names of the keys say.
fn check_of(key: &str) -> &'static str {
    match key.split(':').collect::<Vec<_>>().as_slice() {
        ["user", _, "profile"] => "profile",
        ["user", _, "balance"] => "balance",
        ["user", _, "points"] => "points",
        ["auction", _, "status"] => "status",
        [_, "closing"] => "closing-queue",
        _ => "top-bid",
    }
}

/// The place of a state in its declared order.
fn rank(state: &str) -> usize {
    const STATES: [&str; 6] = ["BASIC", "SILVER", "VIP", "OPEN", "CLOSING", "CLOSED"];
    STATES
        .iter()
        .position(|known| *known == state)
        .unwrap_or(STATES.len())
}
