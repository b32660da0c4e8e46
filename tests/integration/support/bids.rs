//! Bids: a stream, a group, and the table in which its entries end.

use std::collections::BTreeMap;
use std::time::Duration;

use auditor::lab::servers::Flavor;
use auditor::lab::wait;

use super::World;

pub const STREAM: &str = "bid-stream";
pub const GROUP: &str = "bid-group";
pub const DEAD: &str = "bid-stream:dead";
/// The consumer that dies.
pub const GONE: &str = "gone";
/// The one that does not.
pub const ALIVE: &str = "alive";

/// The check; what `{settings}` stands for comes last.
const CHECK: &str = r#"
[[stream]]
name = "bids"
key = "bid-stream"
group = "bid-group"
match = { type = "BID_SAVE" }
identity = "bidId"
table = "bid"
identity_column = "bid_id"
columns = { auction_id = "auctionId", bidder_id = "bidderId", amount = "amount" }
changed_at = "created_at"
subject = "bidder_id"
money = "amount"
currency = "KRW"
"#;

/// Small streams have more losses than a control sample should accept.
pub const LIMITS: &str = "max_control_mismatch = 1.0";

impl World {
    /// An empty table and no stream; a job with the settings of one check after its common ones. A consumer is gone
    /// after 300 ms.
    pub async fn open_bids(settings: &str) -> Self {
        Self::open_bids_with(0, settings).await
    }

    /// The same on a master with so many replicas.
    pub async fn open_bids_with(replicas: usize, settings: &str) -> Self {
        let mut world = Self::with_replicas(Flavor::MariaDb, replicas).await;
        world.bids_job(settings);
        world
            .sql(
                "CREATE TABLE bid (id BIGINT AUTO_INCREMENT PRIMARY KEY, bid_id VARCHAR(40) NOT NULL,
                   auction_id BIGINT NOT NULL, bidder_id BIGINT NOT NULL, amount DECIMAL(18,2) NOT NULL,
                   created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)), UNIQUE KEY (bid_id), KEY (created_at))",
            )
            .await;
        world
    }

    pub fn bids_job(&self, settings: &str) {
        let orphan_after = if settings.contains("orphan_after") {
            ""
        } else {
            "orphan_after = \"300ms\"\n"
        };
        self.job_with_limits(LIMITS, &format!("{CHECK}{orphan_after}{settings}\n"));
    }

    /// The group, from the very beginning.
    pub async fn group(&mut self) {
        self.redis::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM"])
            .await;
    }

    /// Bid `number`, with an id that was given an hour ago; its id.
    pub async fn add(&mut self, number: u32) -> String {
        self.add_of(number, "100.50").await
    }

    pub async fn add_of(&mut self, number: u32, amount: &str) -> String {
        let id = id(number);
        let (bid, bidder) = (format!("b{number}"), (10 + number % 3).to_string());
        let words = [
            "XADD",
            STREAM,
            &id,
            "type",
            "BID_SAVE",
            "bidId",
            &bid,
            "auctionId",
            "7",
            "bidderId",
            &bidder,
            "amount",
            amount,
        ];
        self.redis(&words).await
    }

    /// The row in which bid `number` ends, an hour old.
    pub async fn save(&mut self, number: u32) {
        self.save_of(number, "100.50").await;
    }

    pub async fn save_of(&mut self, number: u32, amount: &str) {
        let bidder = 10 + number % 3;
        self.sql(&format!(
            "INSERT INTO bid (bid_id, auction_id, bidder_id, amount, created_at)
             VALUES ('b{number}', 7, {bidder}, {amount}, UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)"
        ))
        .await;
    }

    /// Gives the next `count` entries to `consumer`.
    pub async fn read(&mut self, consumer: &str, count: u32) {
        let count = count.to_string();
        let words = [
            "XREADGROUP",
            "GROUP",
            GROUP,
            consumer,
            "COUNT",
            &count,
            "STREAMS",
            STREAM,
            ">",
        ];
        self.redis::<redis::Value>(&words).await;
    }

    pub async fn ack(&mut self, number: u32) {
        let acked: i64 = self.redis(&["XACK", STREAM, GROUP, &id(number)]).await;
        assert_eq!(acked, 1);
    }

    /// Bids that went the whole way: added, read, saved and acknowledged.
    pub async fn done(&mut self, numbers: std::ops::RangeInclusive<u32>) {
        for number in numbers {
            self.add(number).await;
            self.read("worker", 1).await;
            self.save(number).await;
            self.ack(number).await;
        }
    }

    /// Waits until the consumer has been silent for as long as the job takes for dead.
    pub async fn wait_until_gone(&mut self, consumer: &str) {
        let cache = self.redis.connect().await.unwrap();
        let is_gone = || {
            let mut cache = cache.clone();
            async move {
                let mut ask = redis::cmd("XINFO");
                ask.arg(&["CONSUMERS", STREAM, GROUP]);
                let all: Vec<BTreeMap<String, redis::Value>> =
                    ask.query_async(&mut cache).await.unwrap();
                let name = redis::Value::BulkString(consumer.into());
                let named = all.iter().find(|c| c["name"] == name);
                named.is_none_or(|c| matches!(c["idle"], redis::Value::Int(idle) if idle > 350))
            }
        };
        wait::until("the consumer is gone", Duration::from_secs(20), is_gone)
            .await
            .unwrap();
    }

    /// Ids of what is pending, each with its consumer.
    pub async fn pending(&mut self) -> Vec<(String, String)> {
        let rows: Vec<(String, String, u64, u64)> = self
            .redis(&["XPENDING", STREAM, GROUP, "-", "+", "1000"])
            .await;
        rows.into_iter()
            .map(|(id, owner, ..)| (id, owner))
            .collect()
    }

    /// Ids and fields of what a stream holds.
    pub async fn entries(&mut self, stream: &str) -> Vec<(String, Vec<String>)> {
        self.redis(&["XRANGE", stream, "-", "+"]).await
    }

    /// How many rows carry this bid.
    pub async fn rows_of(&mut self, number: u32) -> String {
        let select = format!("SELECT COUNT(*) FROM bid WHERE bid_id = 'b{number}'");
        self.sql_text(&select).await.unwrap()
    }

    /// Up to where the group has read.
    pub async fn cursor(&mut self) -> String {
        let groups: Vec<BTreeMap<String, redis::Value>> =
            self.redis(&["XINFO", "GROUPS", STREAM]).await;
        redis::from_redis_value(groups[0]["last-delivered-id"].clone()).unwrap()
    }
}

/// The id of bid `number`: a second of the year 2025 each.
pub fn id(number: u32) -> String {
    format!("{}-0", 1_750_000_000_000 + u64::from(number) * 1_000)
}
