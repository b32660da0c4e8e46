//! `--every`: until SIGTERM, through everything that happens to the master.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::{Arc, Mutex};

use auditor::lab::proxy::{Mode, Proxy};
use auditor::lab::servers::SentinelGroup;

use super::*;

/// A running sidecar and what it has said so far.
pub struct Sidecar {
    child: Child,
    stderr: Arc<Mutex<String>>,
    stdout: Arc<Mutex<String>>,
}

impl Sidecar {
    pub fn start(site: &Site, arguments: &[&str]) -> Self {
        let mut child = site
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = gathered(child.stderr.take().unwrap());
        let stdout = gathered(child.stdout.take().unwrap());
        Self {
            child,
            stderr,
            stdout,
        }
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    pub async fn says(&self, words: &str) {
        let cause = format!("the sidecar says {words:?}");
        let said = wait::until(cause, LIMIT, async || self.stderr().contains(words));
        said.await
            .unwrap_or_else(|fault| panic!("{fault}; it said {}", self.stderr()));
    }

    /// SIGTERM, waited for; its exit code.
    pub async fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").arg(pid).status().unwrap();
        assert!(killed.success());
        let child = Mutex::new(&mut self.child);
        let status = || child.lock().unwrap().try_wait().unwrap();
        wait::until("the sidecar ends", LIMIT, async || status().is_some())
            .await
            .unwrap();
        status().unwrap().code()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gathered(stream: impl std::io::Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&text);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut heard = heard.lock().unwrap();
            heard.push_str(&line);
            heard.push('\n');
        }
    });
    text
}

/// Waits until `count` more beats of the process that now is the master lie in the folder.
async fn beats_on(site: &Site, redis: &RedisServer, count: usize) {
    let run_id = redis.info("run_id").await.unwrap().unwrap();
    let of_it = || {
        let samples = site.remembered().samples;
        samples.iter().filter(|s| s.beat.run_id == run_id).count()
    };
    let before = of_it();
    wait::until("it beats", LIMIT, async || of_it() >= before + count)
        .await
        .unwrap();
}

#[tokio::test]
async fn it_beats_until_it_is_told_to_stop_and_says_so_once() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    let sidecar = Sidecar::start(&site, &["--every", "100ms"]);
    wait::until("it has said something", LIMIT, async || {
        !sidecar.stdout().is_empty()
    })
    .await
    .unwrap();
    beats_on(&site, &redis, 5).await;
    assert_eq!(sidecar.stdout().lines().count(), 1, "{}", sidecar.stdout());
    assert!(text(&redis, STATE).await.is_some());
    let samples = site.remembered().samples;
    // However late single beats come on a busy machine, there are no more of them than ticks.
    let span = samples[samples.len() - 1].beat.beat_at.0 - samples[0].beat.beat_at.0;
    let ticks = span / 100_000 + 2;
    assert!(
        samples.len() as i64 <= ticks,
        "not more often than it was told"
    );
    assert_eq!(sidecar.stop().await, Some(0));
}

#[tokio::test]
async fn it_outlives_its_redis_and_tells_what_came_back() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    let sidecar = Sidecar::start(&site, &["--every", "100ms", "--format", "json"]);
    beats_on(&site, &redis, 2).await;
    redis.kill().unwrap();
    sidecar.says("no heartbeat").await;
    redis.restart().await.unwrap();
    sidecar.says("`auditor run`").await;
    beats_on(&site, &redis, 2).await;
    assert_eq!(site.remembered().changes.len(), 1);
    assert_eq!(site.remembered().changes[0].found, None);
    let lost = sidecar.stderr().matches("WARN no heartbeat").count();
    assert_eq!(
        lost,
        1,
        "once, however often it tried: {}",
        sidecar.stderr()
    );
    let lines: Vec<serde_json::Value> = sidecar
        .stdout()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(!lines[1]["failures"].as_array().unwrap().is_empty());
    assert_eq!(lines[2]["changes"].as_array().unwrap().len(), 1);
    assert_eq!(sidecar.stop().await, Some(0));
}

#[tokio::test]
async fn a_damaged_folder_is_said_once_and_the_beats_go_on() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    assert_eq!(site.checkpoint(&[]).code, Some(0));
    std::fs::write(site.state().join("state.json"), "garbage").unwrap();
    let sidecar = Sidecar::start(&site, &["--every", "100ms"]);
    sidecar.says("state.json is damaged").await;
    for _ in 0..5 {
        let before = heartbeat(&redis).await;
        wait::until("it beats on", LIMIT, async || {
            heartbeat(&redis).await != before
        })
        .await
        .unwrap();
    }
    let said = sidecar.stderr().matches("is damaged").count();
    assert_eq!(said, 1, "{}", sidecar.stderr());
    assert_eq!(sidecar.stop().await, Some(0));
}

#[tokio::test]
async fn it_stops_while_its_redis_hangs() {
    let redis = server(None, &[]).await;
    let proxy = Proxy::start(redis.port()).await.unwrap();
    let site = Site::new(&format!("redis://127.0.0.1:{}", proxy.port()), "");
    let sidecar = Sidecar::start(&site, &["--every", "100ms"]);
    beats_on(&site, &redis, 2).await;
    proxy.set_mode(Mode::BlackHole);
    sidecar.says("no heartbeat").await;
    proxy.set_mode(Mode::Pass);
    beats_on(&site, &redis, 2).await;
    proxy.set_mode(Mode::BlackHole);
    assert_eq!(sidecar.stop().await, Some(0));
    assert_eq!(site.remembered().changes, [], "a pause is no failover");
}

#[tokio::test]
async fn a_refusal_at_the_start_is_3() {
    let options = RedisOptions {
        password: Some("hush".into()),
        ..RedisOptions::default()
    };
    let redis = RedisServer::start(options).await.unwrap();
    let site = Site::new(&format!("redis://127.0.0.1:{}", redis.port()), "");
    let run = site.checkpoint(&["--every", "100ms"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    let run = site.checkpoint(&["--every", "0s"]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[tokio::test]
async fn it_follows_the_sentinels_to_the_new_master() {
    let master = server(None, &[]).await;
    let spare = replica(None, &master).await;
    let group = SentinelGroup::start(master.port(), "mymaster")
        .await
        .unwrap();
    group.wait_until_ready(1).await.unwrap();
    let site = Site::new(&group.url(), "");
    let sidecar = Sidecar::start(&site, &["--every", "100ms"]);
    beats_on(&site, &master, 3).await;
    in_time(&master, &spare).await;
    stall(&spare).await;
    let replicated = heartbeat(&spare).await;
    beats_on(&site, &master, 3).await;
    master.kill().unwrap();
    spare.command(&["CLIENT", "UNPAUSE"]).await.unwrap();
    assert_eq!(
        group.wait_for_new_master(master.port()).await.unwrap(),
        spare.port()
    );
    sidecar.says("took over").await;
    beats_on(&site, &spare, 2).await;
    let remembered = site.remembered();
    assert_eq!(remembered.changes.len(), 1, "{remembered:?}");
    let change = &remembered.changes[0];
    let found = change.found.as_ref().unwrap();
    assert!(found.beat_at >= replicated.beat_at, "{change:?}");
    let lost = |at: i64| at >= change.second_offset;
    let of_old = remembered
        .samples
        .iter()
        .filter(|s| s.beat.replication_id == change.replication_id2);
    let offsets: Vec<i64> = of_old.map(|sample| sample.beat.offset).collect();
    assert!(
        offsets.iter().filter(|at| lost(**at)).count() >= 2,
        "beats of the stalled time are lost and remembered: {offsets:?} {change:?}"
    );
    // The offset is that before the beat: of the first lost beat it may just have been replicated.
    let first_lost = offsets.iter().find(|at| **at > found.offset).unwrap();
    assert!(
        found.offset < change.second_offset && *first_lost + 1 >= change.second_offset,
        "the one that was found is the last that was replicated: {offsets:?} {change:?}"
    );
    assert_eq!(sidecar.stop().await, Some(0));
}

/// Waits until the replica holds any heartbeat of this master.
async fn in_time(master: &RedisServer, spare: &RedisServer) {
    let wanted = heartbeat(master).await.replication_id;
    wait::until("a heartbeat is replicated", LIMIT, async || {
        text(spare, HEARTBEAT)
            .await
            .is_some_and(|found| found.contains(&wanted))
    })
    .await
    .unwrap();
}
