//! Sweeps that read replicas: what they find, what they must not touch, and when they are refused.

mod keys;
mod rows;
mod streams;
mod waiting;

use std::path::Path;
use std::process::Command;

use auditor::lab::servers::{Flavor, MysqlOptions, MysqlServer};

use crate::support::shop::{CHECKS, LIMITS};
use crate::support::{DATABASE, Run, World};

/// The shop's job, with `mysql` and `redis` as further lines of their tables.
fn job(world: &World, mysql: &str, redis: &str, limits: &str) {
    let path = world.job_with_limits(&format!("{LIMITS}\n{limits}"), CHECKS);
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("[redis]\n", &format!("{mysql}\n[redis]\n{redis}\n"));
    std::fs::write(&path, text).unwrap();
}

/// A line that lets the replica at `port` be read for rows.
fn rows_at(port: u16) -> String {
    format!("replica_url = \"mysql://root@127.0.0.1:{port}/{DATABASE}\"")
}

/// A line that lets the nodes at `ports` be read for keys.
fn keys_at(ports: &[u16]) -> String {
    let urls: Vec<String> = ports
        .iter()
        .map(|port| format!("redis://127.0.0.1:{port}"))
        .collect();
    format!("read_url = \"{}\"", urls.join(", "))
}

/// A world whose primary logs, and a replica of it.
async fn replicated(flavor: Flavor, redis_replicas: usize) -> (World, MysqlServer) {
    let started = async |server_id| {
        let options = MysqlOptions::replicating(flavor, server_id);
        MysqlServer::start_with(options).await.unwrap()
    };
    let (primary, replica) = (started(1).await, started(2).await);
    replica.follow(&primary).await.unwrap();
    (World::around(primary, redis_replicas).await, replica)
}

fn ended(mut command: Command, folder: &Path) -> Run {
    Run::of(command.output().unwrap(), folder)
}

/// The remarks of a run, as one text.
fn remarks(run: &Run) -> String {
    run.report().run["remarks"].to_string()
}
