//! Two at once: Sentinel's hook runs on every Sentinel, and cron may run too.

use std::process::{Child, Stdio};

use super::*;

fn start(night: &Night) -> Child {
    let mut command = night.command(&["run", "job.toml"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

async fn ended(night: &Night, child: Child) -> Run {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    Run::of(output.await.unwrap().unwrap(), night.world.folder.path())
}

async fn night_with_loss() -> Night {
    let mut night = Night::with_replicas(1).await;
    night.begin().await;
    in_step(&night.world.redis, &night.world.replicas[0]).await;
    stall(&night.world.replicas[0]).await;
    night.rename(4..=6).await;
    night.fail_over_to(0, &night.world.redis).await;
    night
}

#[tokio::test]
async fn one_of_three_repairs_and_the_others_say_why_not() {
    let night = night_with_loss().await;
    let children = [start(&night), start(&night), start(&night)];
    let mut repairs = 0;
    for child in children {
        let run = ended(&night, child).await;
        match run.code {
            Some(5) => assert!(run.stderr.contains("holds the lease"), "{}", run.stderr),
            Some(0) if run.stdout.starts_with("nothing to do") => {}
            Some(0) => {
                repairs += 1;
                assert_eq!(run.report().lines(), repaired(4..=6));
            }
            _ => drop(run.expect(0)),
        }
    }
    assert_eq!(repairs, 1);
    assert_eq!(night.folders().len(), 1);
}

#[tokio::test]
async fn while_one_repairs_another_is_turned_away() {
    let night = night_with_loss().await;
    night.edit_job("settle = \"100ms\"", "settle = \"4s\"");
    let first = start(&night);
    night.world.has_begun().await;
    let second = night.run().await.expect(5);
    assert!(
        second.stderr.contains("holds the lease"),
        "{}",
        second.stderr
    );
    let first = ended(&night, first).await.expect(0);
    assert_eq!(first.report().lines(), repaired(4..=6));
}
