//! One setting, one file: its parser, its message, its tests.

pub(super) mod decimal;
pub(super) mod duration;
pub(super) mod identity;
pub(super) mod locator;
pub(super) mod mysql_url;
pub(super) mod name;
pub(super) mod plain;
pub(super) mod prefix;
pub(super) mod rate;
pub(super) mod read_url;
pub(super) mod redis_url;
pub(super) mod source_name;
pub(super) mod sql;
pub(super) mod sql_file;
pub(super) mod sql_grouping;
pub(super) mod sql_tokens;
pub(super) mod template;
pub(super) mod url;
pub(super) mod word;
pub(super) mod zone;
