//! Redis, Valkey, Sentinel, MariaDB and MySQL on free loopback ports; every one dies with the process that
//! started it.

mod certificates;
mod mysql;
mod mysql_program;
mod mysql_template;
mod ports;
mod process;
mod program;
mod redis;
mod redis_program;
mod replication;
mod sentinel;

pub use self::certificates::Certificates;
pub use self::mysql::{Flavor, MysqlOptions, MysqlServer};
pub use self::mysql_program::MysqlProgram;
pub use self::ports::free_port;
pub use self::redis::{RedisOptions, RedisServer};
pub use self::redis_program::{RedisFlavor, RedisProgram};
pub use self::sentinel::{SentinelGroup, SentinelOptions};
