//! The source's store against real servers, the same scenes on MariaDB and on MySQL.

mod access;
mod evidence;
mod fixture;
mod inserts;
mod keys;
mod locks;
mod refusals;
mod replicas;
mod schemas;
mod sql_sources;
mod streams;
mod windows;

/// Runs an async scene on both families of servers, each a test of its own.
macro_rules! on_both {
    ($($scene:ident),+ $(,)?) => {
        mod mariadb {
            $(#[tokio::test]
            async fn $scene() {
                super::$scene(auditor::lab::servers::Flavor::MariaDb).await;
            })+
        }
        mod mysql {
            $(#[tokio::test]
            async fn $scene() {
                super::$scene(auditor::lab::servers::Flavor::MySql).await;
            })+
        }
    };
}
use on_both;
