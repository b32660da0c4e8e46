//! Stores at rest, with keys and entries of every shape, and something lost of each.

use auditor::lab::servers::Flavor;

use crate::support::World;
use crate::support::bids::{self, GROUP, STREAM};

/// Users are several blocks of ids, with gaps: the cuts lie at multiples of this many users.
const BLOCK: u32 = 256;
const USERS: u32 = 5 * BLOCK + 100;
/// The id of user 1, and the gap between each two.
const STEP: u32 = 64;
const BIDS: u32 = 240;

const CHECKS: &str = r#"
[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "integer"
table = "users"
changed_at = "t"
deletes = "never"
fields = [{ column = "balance", balance = true }]
subject = "id"
currency = "KRW"
order = "source-first"
repair = "overwrite"
repair_orphans = "invalidate"

[[cache]]
name = "order"
key = "order:{id}"
value = "integer"
table = "orders"
changed_at = "t"
deletes = "never"
fields = [{ column = "amount" }]
order = "source-first"
repair = "overwrite"

[[cache]]
name = "cart"
key = "cart:{user_id}:{item_id}"
value = "integer"
table = "cart"
changed_at = "t"
deletes = "never"
fields = [{ column = "quantity" }]
order = "source-first"
repair = "overwrite"
repair_orphans = "invalidate"

[[cache]]
name = "stock"
key = "stock"
value = "hash"
field = "{sku}"
table = "stock"
changed_at = "t"
deletes = "scan"
fields = [{ column = "quantity" }]
order = "source-first"
repair = "overwrite"
repair_orphans = "invalidate"

[[cache]]
name = "nick"
key = "nick:{id}:{nick}"
value = "integer"
table = "nicks"
changed_at = "t"
deletes = "scan"
fields = [{ column = "points" }]
order = "source-first"
repair = "overwrite"

[[cache]]
name = "pair"
key = "pair:{one}:{two}"
value = "integer"
table = "pairs"
changed_at = "t"
deletes = "scan"
fields = [{ column = "points" }]
order = "source-first"
repair = "overwrite"

[[stream]]
name = "bids"
key = "bid-stream"
group = "bid-group"
match = { type = "BID_SAVE" }
identity = "bidId"
table = "bid"
identity_column = "bid_id"
columns = { auction_id = "auctionId", bidder_id = "bidderId", amount = "amount" }
unique = ["auction_id", "bidder_id", "amount"]
changed_at = "created_at"
keeps_entries = true
orphan_after = "300ms"
subject = "bidder_id"
money = "amount"
currency = "KRW"
"#;

impl World {
    pub async fn freeze(limits: &str) -> Self {
        let mut world = Self::start(Flavor::MariaDb).await;
        world.job_with_limits(&format!("max_control_mismatch = 1.0\n{limits}"), CHECKS);
        world.tables().await;
        world.keys().await;
        world.bid_stream().await;
        world
    }

    async fn tables(&mut self) {
        self.sql(&format!(
            "CREATE TABLE users (id BIGINT UNSIGNED PRIMARY KEY, balance BIGINT NOT NULL, t DATETIME(6) NOT NULL, KEY (t));
             INSERT INTO users SELECT {STEP} * seq, 100, '2026-01-01' FROM seq_1_to_{USERS};
             CREATE TABLE orders (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL, t DATETIME(6) NOT NULL);
             INSERT INTO orders SELECT (CAST(seq AS SIGNED) - 100) * 7000000000001, 5, '2026-01-01' FROM seq_1_to_300;
             CREATE TABLE cart (user_id INT, item_id VARCHAR(20), quantity INT NOT NULL, t DATETIME(6) NOT NULL, PRIMARY KEY (item_id, user_id));
             INSERT INTO cart SELECT seq % 50, CONCAT('item', seq DIV 50), 3, '2026-01-01' FROM seq_0_to_999;
             CREATE TABLE stock (sku VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, quantity INT NOT NULL, t DATETIME(6) NOT NULL);
             INSERT INTO stock SELECT CONCAT(IF(seq % 2, 'Sku', 'sKU'), seq), 4, '2026-01-01' FROM seq_1_to_300;
             CREATE TABLE nicks (id INT PRIMARY KEY, nick VARCHAR(20) NULL, points INT NOT NULL, t DATETIME(6) NOT NULL);
             INSERT INTO nicks SELECT seq, IF(seq % 9, CONCAT('n', seq), NULL), 6, '2026-01-01' FROM seq_1_to_300;
             CREATE TABLE pairs (one VARCHAR(20) COLLATE utf8mb4_bin, two VARCHAR(20) COLLATE utf8mb4_bin, points INT NOT NULL, t DATETIME(6) NOT NULL, PRIMARY KEY (one, two));
             INSERT INTO pairs SELECT IF(seq % 2, CONCAT('a:', seq), 'a'), IF(seq % 2, 'b:c', CONCAT(seq, ':b:c')), 6, '2026-01-01' FROM seq_1_to_280;
             CREATE TABLE bid (id BIGINT AUTO_INCREMENT PRIMARY KEY, bid_id VARCHAR(40) COLLATE utf8mb4_general_ci NOT NULL, auction_id BIGINT NOT NULL,
               bidder_id BIGINT NOT NULL, amount DECIMAL(18,2) NOT NULL, created_at DATETIME(6) NOT NULL, KEY (bid_id), KEY (created_at));
             ANALYZE TABLE users, orders, cart, stock, nicks, pairs, bid"
        ))
        .await;
    }

    async fn keys(&mut self) {
        let mut all = redis::pipe();
        for user in 1..=USERS {
            all.set(format!("user:{}:balance", STEP * user), balance(user))
                .ignore();
        }
        // No row explains these; some of their ids lie in blocks that no row has.
        for id in (1..=USERS + 40 * BLOCK)
            .step_by(97)
            .map(|user| STEP * user + 1)
        {
            all.set(format!("user:{id}:balance"), 1).ignore();
        }
        for number in 1..=300_i64 {
            let wrong = matches!(number, 10..=40 | 99..=103 | 250);
            let id = (number - 100) * 7_000_000_000_001;
            all.set(format!("order:{id}"), if wrong { 4 } else { 5 })
                .ignore();
        }
        for number in 0..1_000 {
            let wrong = matches!(number, 100..=180 | 500 | 502 | 504..=540);
            let key = format!("cart:{}:item{}", number % 50, number / 50);
            all.set(key, if wrong { 2 } else { 3 }).ignore();
        }
        for number in 300..=330 {
            all.set(format!("cart:{number}:item{number}"), 3).ignore();
        }
        for number in 1..=310 {
            let case = if number % 2 == 1 { "Sku" } else { "sKU" };
            let value = if (50..=70).contains(&number) { 3 } else { 4 };
            all.hset("stock", format!("{case}{number}"), value).ignore();
        }
        for number in 1..=320 {
            let value = if (50..=70).contains(&number) { 5 } else { 6 };
            all.set(format!("nick:{number}:n{number}"), value).ignore();
            // Which colon parts the two nobody knows.
            all.set(format!("pair:a:{}:b:c", number % 290), value)
                .ignore();
        }
        all.query_async::<()>(&mut self.cache).await.unwrap();
    }

    /// Bids that went the whole way, but for some.
    async fn bid_stream(&mut self) {
        self.group().await;
        let mut all = redis::pipe();
        for number in 1..=BIDS {
            // Some identities come twice, and some bids under two of them.
            let identity = if number % 40 == 0 { number - 7 } else { number };
            let amount = if number % 30 == 1 { 500 } else { number };
            let mut add = redis::cmd("XADD");
            add.arg(STREAM)
                .arg(bids::id(number))
                .arg(&["type", "BID_SAVE"]);
            add.arg("bidId").arg(format!("B{identity}"));
            add.arg(&["auctionId", "7", "bidderId", "11"])
                .arg("amount")
                .arg(amount);
            all.add_command(add).ignore();
            if number % 50 == 0 {
                let words = [
                    "XADD",
                    STREAM,
                    &bids::id(number).replace("-0", "-1"),
                    "type",
                    "CHAT",
                ];
                let mut other = redis::cmd(words[0]);
                other.arg(&words[1..]);
                all.add_command(other).ignore();
            }
        }
        all.query_async::<()>(&mut self.cache).await.unwrap();
        self.read("gone", BIDS).await;
        // Rows spell their identities otherwise; some are missing, some are other bids, some have no entry.
        self.sql(&format!(
            "INSERT INTO bid (bid_id, auction_id, bidder_id, amount, created_at)
               SELECT CONCAT('b', seq), 7, IF(seq % 70 = 3, 12, 11), IF(seq % 30 = 1, 500, seq), '2026-01-01'
               FROM seq_1_to_{BIDS} WHERE seq % 25 <> 4;
             INSERT INTO bid (bid_id, auction_id, bidder_id, amount, created_at)
               SELECT CONCAT('lost', seq), 8, 11, 1000 + seq, '2026-01-01' FROM seq_1_to_9;
             INSERT INTO bid (bid_id, auction_id, bidder_id, amount, created_at)
               SELECT CONCAT('b', seq * 11), 9, 11, seq, '2026-01-01' FROM seq_1_to_9"
        ))
        .await;
        let mut acks = redis::pipe();
        for number in (1..=BIDS).filter(|n| !matches!(n, 20..=29 | 54 | 104 | 200)) {
            acks.cmd("XACK")
                .arg(&[STREAM, GROUP, &bids::id(number)])
                .ignore();
        }
        // Pending without an entry.
        for number in [22, 25, 104] {
            acks.cmd("XDEL").arg(&[STREAM, &bids::id(number)]).ignore();
        }
        acks.query_async::<()>(&mut self.cache).await.unwrap();
        self.wait_until_gone("gone").await;
    }
}

/// What the cache holds: 100 where nothing was lost.
fn balance(user: u32) -> i64 {
    match user {
        // Across a cut, over a whole block and both its cuts, up to a cut, and from one.
        _ if (BLOCK - 3..BLOCK + 3).contains(&user) => 90,
        _ if (2 * BLOCK - 2..3 * BLOCK + 2).contains(&user) && user.is_multiple_of(4) => -5,
        _ if (2 * BLOCK - 2..3 * BLOCK + 2).contains(&user) => 80,
        _ if (4 * BLOCK - 2..4 * BLOCK).contains(&user) => 70,
        _ if (5 * BLOCK..5 * BLOCK + 2).contains(&user) => 60,
        7 | 9 | 10 => 50,
        _ => 100,
    }
}
