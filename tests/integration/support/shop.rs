//! A small shop: users with a versioned profile and a balance, in both stores.

use super::World;

/// The two checks of the shop.
pub const CHECKS: &str = r#"
[[cache]]
name = "profile"
key = "user:{id}:profile"
value = "json"
table = "users"
changed_at = "updated_at"
deletes = "tombstone"
deleted_at = "deleted_at"
version = { cache = "/version", column = "version" }
fields = [{ cache = "/name", column = "name" }, { cache = "/secret", column = "secret", redact = true }]
ignore = ["/lastSeen"]
order = "source-first"
lazy = true
repair = "overwrite"

[[cache]]
name = "balance"
key = "user:{id}:balance"
value = "integer"
table = "users"
changed_at = "updated_at"
deletes = "never"
fields = [{ column = "balance", balance = true }]
subject = "id"
currency = "KRW"
order = "source-first"
repair = "overwrite"
"#;

/// Small tables have more losses than a control sample should accept.
pub const LIMITS: &str = "max_control_mismatch = 1.0";

/// A table of the ten digits, for making many rows of it.
const DIGITS: &str = "(SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 \
     UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";

impl World {
    /// Users 1 to `count` at version 5 with a balance of 100, both stores agreeing, at rest for an hour.
    pub async fn open_shop(&mut self, count: u32) {
        self.job_with_limits(LIMITS, CHECKS);
        self.sql(&format!(
            "DROP TABLE IF EXISTS users;
             CREATE TABLE users (id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL, secret VARCHAR(40) NOT NULL,
               balance BIGINT NOT NULL, version BIGINT NOT NULL,
               updated_at DATETIME(6) NOT NULL, deleted_at DATETIME(6) NULL, KEY (updated_at), KEY (deleted_at));
             INSERT INTO users SELECT n, CONCAT('name ', n), 'hush', 100, 5, UTC_TIMESTAMP(6) - INTERVAL 1 HOUR, NULL
               FROM (SELECT 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS n
                     FROM {DIGITS} a, {DIGITS} b, {DIGITS} c, {DIGITS} d) AS ids WHERE n <= {count}"
        ))
        .await;
        let mut all = redis::pipe();
        for id in 1..=count {
            all.set(profile_key(id), profile(id, 5)).ignore();
            all.set(balance_key(id), 100).ignore();
        }
        all.query_async::<()>(&mut self.cache).await.unwrap();
    }

    pub async fn get(&mut self, key: &str) -> Option<String> {
        self.redis(&["GET", key]).await
    }

    pub async fn set(&mut self, key: &str, value: &str) {
        self.redis(&["SET", key, value]).await
    }
}

pub fn profile_key(id: u32) -> String {
    format!("user:{id}:profile")
}

pub fn balance_key(id: u32) -> String {
    format!("user:{id}:balance")
}

/// The document of `id` as the application wrote it at `version`; the current one is 5.
pub fn profile(id: u32, version: u32) -> String {
    let name = if version == 5 {
        format!("name {id}")
    } else {
        "old".to_owned()
    };
    format!(r#"{{"version":{version},"name":"{name}","secret":"hush","lastSeen":7}}"#)
}

/// Every key with its type, content and expiry.
pub async fn snapshot(world: &mut World) -> Vec<String> {
    let mut keys: Vec<String> = world.redis(&["KEYS", "*"]).await;
    keys.sort();
    let mut all = Vec::new();
    for key in keys {
        let kind: String = world.redis(&["TYPE", &key]).await;
        let expiry: i64 = world.redis(&["PEXPIRETIME", &key]).await;
        let content = match kind.as_str() {
            "string" => vec![world.get(&key).await.unwrap()],
            "hash" => {
                let fields: std::collections::BTreeMap<String, String> =
                    world.redis(&["HGETALL", &key]).await;
                fields
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect()
            }
            "zset" => {
                world
                    .redis(&["ZRANGE", &key, "0", "-1", "WITHSCORES"])
                    .await
            }
            _ => {
                let mut members: Vec<String> = world.redis(&["SMEMBERS", &key]).await;
                members.sort();
                members
            }
        };
        all.push(format!("{key} {kind} {expiry} {content:?}"));
    }
    all
}
