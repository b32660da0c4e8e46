//! A versioned profile of each user, as few members as can be.

pub const PROFILE: &str = r#"
[[cache]]
name = "profile"
key = "user:{id}:profile"
value = "json"
table = "users"
changed_at = "updated_at"
deletes = "never"
version = { cache = "/version", column = "version" }
fields = [{ cache = "/name", column = "name" }]
repair = "overwrite"
"#;

/// What the row says at version 1, and at version 2.
pub const OLD: &str = r#"{"version":1,"name":"old"}"#;
pub const NEW: &str = r#"{"version":2,"name":"new"}"#;
