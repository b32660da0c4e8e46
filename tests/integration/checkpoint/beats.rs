//! The script alone: what it finds, what it keeps, what it refuses.

use auditor::failover::Sample;
use auditor::lab::proxy::{Mode, Proxy};
use auditor::store::redis::Standing;

use super::*;

/// Someone remembers one sample of a history that is no more.
fn remembers(beat: &Heartbeat) -> Remembered {
    Remembered {
        samples: vec![Sample {
            seen_at: beat.beat_at,
            address: "before:1".into(),
            slots: auditor::model::slots::SlotSet::all(),
            beat: beat.clone(),
        }],
        ..Remembered::default()
    }
}

#[tokio::test]
async fn the_first_beat_after_a_failover_keeps_the_one_it_finds() {
    for program in RedisProgram::present().unwrap() {
        let master = server(Some(&program), &[]).await;
        let spare = replica(Some(&program), &master).await;
        let site = Site::new(&master.url(), "");
        let job = site.job();
        let sampler = masters(&job).await;
        let first = beat(&sampler, &job, &Remembered::default()).await.unwrap();
        assert_eq!(first.change, None, "{program:?}: there was none before");
        assert_eq!(heartbeat(&master).await, first.sample.beat, "{program:?}");
        let second = beat(&sampler, &job, &Remembered::default()).await.unwrap();
        assert!(second.sample.beat.beat_at > first.sample.beat.beat_at);
        assert!(second.sample.beat.offset > first.sample.beat.offset);
        assert_eq!((second.change, length(&master, EVIDENCE).await), (None, 0));
        in_step(&master, &spare).await;
        stall(&spare).await;
        let lost = beat(&sampler, &job, &Remembered::default()).await.unwrap();
        fail_over(&master, &spare).await;

        site.write_job(&spare.url(), "");
        let job = site.job();
        let sampler = masters(&job).await;
        let known = remembers(&lost.sample.beat);
        let after = beat(&sampler, &job, &known).await.unwrap();
        let change = after.change.unwrap();
        assert_eq!(
            change.found.as_ref(),
            Some(&second.sample.beat),
            "{program:?}: the last that was replicated"
        );
        assert_eq!(change.replication_id2, lost.sample.beat.replication_id);
        assert!(change.second_offset > second.sample.beat.offset);
        // The offset is that before the beat, so whatever came before the first lost beat may just have been replicated.
        assert!(change.second_offset <= lost.sample.beat.offset + 1);
        assert_eq!(heartbeat(&spare).await, after.sample.beat);
        assert_eq!(change.run_id, after.sample.beat.run_id);
        let kept = sampler[0].evidence(10).await.unwrap();
        assert_eq!(kept.len(), 1, "{program:?}");
        assert_eq!(kept[0].found.beat(), Some(&second.sample.beat));

        let mut known = known.united(remembers(&after.sample.beat));
        known.changes.push(change);
        let again = beat(&sampler, &job, &known).await.unwrap();
        assert_eq!(again.change, None, "{program:?}");
        assert_eq!(length(&spare, EVIDENCE).await, 1);
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_loses_no_evidence_and_a_second_beat_is_harmless() {
    let master = server(None, &[]).await;
    let spare = replica(None, &master).await;
    let site = Site::new(&master.url(), "");
    let job = site.job();
    let sampler = masters(&job).await;
    let first = beat(&sampler, &job, &Remembered::default()).await.unwrap();
    in_step(&master, &spare).await;
    fail_over(&master, &spare).await;

    let proxy = Proxy::start(spare.port()).await.unwrap();
    site.write_job(&format!("redis://127.0.0.1:{}", proxy.port()), "");
    let job = site.job();
    let sampler = masters(&job).await;
    // Known to the server, so that the beat is one request.
    let script = include_str!("../../../src/store/redis/lua/checkpoint.lua");
    spare.command(&["SCRIPT", "LOAD", script]).await.unwrap();
    let known = remembers(&first.sample.beat);
    proxy.set_mode(Mode::DropReplies);
    let unknown = beat(&sampler, &job, &known).await.unwrap_err();
    assert!(matches!(unknown, RedisError::Unreachable(_)), "{unknown}");
    assert!(proxy.dropped_reply_bytes() > 0);
    proxy.cut_connections();
    proxy.set_mode(Mode::Pass);
    let written = heartbeat(&spare).await;
    assert_ne!(written.replication_id, first.sample.beat.replication_id);

    let sampler = masters(&job).await;
    let again = beat(&sampler, &job, &known).await.unwrap();
    let changes = sampler::changes_in_evidence(&sampler).await.unwrap();
    assert_eq!(changes.len(), 1, "kept once, however often it beats");
    assert_eq!(changes[0].found.as_ref(), Some(&first.sample.beat));
    assert_eq!(changes[0].replication_id, again.sample.beat.replication_id);
    // Without having read the evidence, the second beat would still see that the sampled master is gone.
    assert!(
        again
            .change
            .is_some_and(|change| change.is_same(&changes[0]))
    );
}

#[tokio::test]
async fn a_replica_is_refused_and_nothing_is_written_on_it() {
    for program in RedisProgram::present().unwrap() {
        let master = server(Some(&program), &[]).await;
        let spare = server(Some(&program), &[]).await;
        let site = Site::new(&spare.url(), "");
        let job = site.job();
        let sampler = masters(&job).await;
        beat(&sampler, &job, &Remembered::default()).await.unwrap();
        let port = master.port().to_string();
        spare
            .command(&["REPLICAOF", "127.0.0.1", &port])
            .await
            .unwrap();
        spare
            .command(&["CONFIG", "SET", "replica-read-only", "no"])
            .await
            .unwrap();
        wait::until("the replica is in step", LIMIT, async || {
            text(&spare, HEARTBEAT).await.is_none()
        })
        .await
        .unwrap();
        let fault = beat(&sampler, &job, &Remembered::default())
            .await
            .unwrap_err();
        assert!(
            matches!(&fault, RedisError::TopologyChanged(said) if said.contains("no master")),
            "{program:?}: {fault}"
        );
        let kept = sampler[0].keep_copy(None, b"x").await.unwrap_err();
        assert!(matches!(kept, RedisError::TopologyChanged(_)), "{kept}");
        assert_eq!(text(&spare, HEARTBEAT).await, None);
        assert_eq!(text(&spare, STATE).await, None);
        let fault = sampler::connect(&job).await.err().unwrap();
        assert!(matches!(fault, RedisError::TopologyChanged(_)), "{fault}");
        let run = site.checkpoint(&[]);
        assert_eq!(run.code, Some(3), "{run:?}");
        assert!(run.stderr.contains("is a replica"), "{run:?}");
    }
}

#[tokio::test]
async fn the_evidence_is_capped_and_keeps_the_latest() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "evidence_max = 3");
    let job = site.job();
    let sampler = masters(&job).await;
    for number in 1..=5 {
        let planted = format!("auditor-heartbeat 1 {number} aa bb {number} later words");
        redis.command(&["SET", HEARTBEAT, &planted]).await.unwrap();
        let change = beat(&sampler, &job, &Remembered::default())
            .await
            .unwrap()
            .change;
        let found = change.unwrap().found.unwrap();
        assert_eq!((found.beat_at.0, found.offset), (number, number));
    }
    let kept = sampler[0].evidence(10).await.unwrap();
    let numbers: Vec<i64> = kept
        .iter()
        .map(|entry| entry.found.beat().unwrap().offset)
        .collect();
    assert_eq!(numbers, [3, 4, 5], "oldest first");
    let latest = sampler[0].evidence(1).await.unwrap();
    assert_eq!(latest, kept[2..]);
}

#[tokio::test]
async fn what_is_no_heartbeat_is_said_and_kept_but_never_crashes() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    let job = site.job();
    let sampler = masters(&job).await;
    for garbage in [
        &b"\xff\x00 not ours"[..],
        b"",
        b"auditor-heartbeat 2 of a later form",
        b"auditor-heartbeat 1 1 aa bb 5x",
    ] {
        let mut connection = redis.connect().await.unwrap();
        let mut set = redis::cmd("SET");
        let () = set
            .arg(HEARTBEAT)
            .arg(garbage)
            .query_async(&mut connection)
            .await
            .unwrap();
        let beaten = beat(&sampler, &job, &Remembered::default()).await.unwrap();
        let warning = beaten.warning.unwrap();
        assert!(
            warning.contains(&garbage.escape_ascii().to_string()),
            "{warning}"
        );
        assert_eq!(beaten.change.unwrap().found, None);
        let kept = sampler[0].evidence(1).await.unwrap();
        let bytes = auditor::failover::FoundBeat::Unreadable(garbage.to_vec());
        assert_eq!(kept[0].found, bytes);
        assert_eq!(heartbeat(&redis).await, beaten.sample.beat);
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_somebody_elses_and_stays() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    let job = site.job();
    redis.command(&["HSET", HEARTBEAT, "f", "v"]).await.unwrap();
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(
        run.stderr.contains(HEARTBEAT) && run.stderr.contains("prefix"),
        "{run:?}"
    );
    redis.command(&["DEL", HEARTBEAT]).await.unwrap();

    let planted = "auditor-heartbeat 1 1 aa bb 1";
    redis.command(&["SET", HEARTBEAT, planted]).await.unwrap();
    let sampler = masters(&job).await;
    redis.command(&["SET", EVIDENCE, "a string"]).await.unwrap();
    let fault = beat(&sampler, &job, &Remembered::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&fault, RedisError::Refused(said) if said.contains(EVIDENCE)),
        "{fault}"
    );
    assert_eq!(
        text(&redis, HEARTBEAT).await.unwrap(),
        planted,
        "what cannot be kept is not overwritten"
    );
}

#[tokio::test]
async fn what_another_master_wrote_is_no_evidence() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    let sampler = masters(&site.job()).await;
    let planted = "auditor-heartbeat 1 1 aa bb 1";
    redis.command(&["SET", HEARTBEAT, planted]).await.unwrap();
    let others = ["cc".to_owned(), "bb".to_owned()];
    let answer = sampler[0].beat(&others, 10).await.unwrap();
    assert_eq!(answer.standing, Standing::Foreign);
    assert_eq!(length(&redis, EVIDENCE).await, 0);
    assert_eq!(heartbeat(&redis).await, answer.beat());
}
