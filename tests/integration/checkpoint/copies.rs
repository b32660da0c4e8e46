//! The state's copy in Redis: a folder that is lost comes back from it.

use auditor::failover::Handled;
use auditor::failover::state::{StateFolder, encode_copy};
use auditor::model::slots::SlotSet;
use auditor::model::time::Micros;

use super::*;

fn handled(history: &str) -> Handled {
    Handled {
        replication_id: history.into(),
        run_id: history.into(),
        slots: SlotSet::all(),
        handled_at: Micros(1),
    }
}

#[tokio::test]
async fn a_lost_folder_comes_back_from_the_copy() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    site.checkpoint(&[]);
    let folder = StateFolder::open(&site.job());
    folder.mark_handled(&[handled("aa")]).unwrap();
    folder.set_audited_until(Micros(5)).unwrap();
    redis.restart().await.unwrap();
    assert_eq!(site.checkpoint(&[]).code, Some(0));
    let before = site.remembered();
    assert_eq!(before.changes.len(), 1);
    std::fs::remove_dir_all(site.state()).unwrap();
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        !run.stderr.contains("WARN"),
        "old changes are no news: {run:?}"
    );
    let after = site.remembered();
    assert_eq!(after.changes, before.changes);
    assert_eq!(after.handled, before.handled);
    assert_eq!(
        after.audited_until, None,
        "only runs put that into the copy"
    );
    assert_eq!(after.samples[..2], before.samples);
    assert_eq!(after.samples.len(), 3);
}

#[tokio::test]
async fn two_writers_of_a_copy_keep_what_both_know() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    let job = site.job();
    let sampler = masters(&job).await;
    let known = |history: &str, audited_until: Option<i64>| Remembered {
        handled: vec![handled(history)],
        audited_until: audited_until.map(Micros),
        ..Remembered::default()
    };
    sampler::keep_copies(&sampler, &job, &known("aa", Some(7)))
        .await
        .unwrap();
    sampler::keep_copies(&sampler, &job, &known("bb", None))
        .await
        .unwrap();
    let copy = sampler::copies(&sampler, &job).await.unwrap();
    assert_eq!(copy.handled, [handled("aa"), handled("bb")]);
    assert_eq!(
        copy.audited_until,
        Some(Micros(7)),
        "who knows of none takes none away"
    );
    sampler::keep_copies(&sampler, &job, &known("aa", Some(9)))
        .await
        .unwrap();
    let copy = sampler::copies(&sampler, &job).await.unwrap();
    assert_eq!(
        copy.audited_until,
        Some(Micros(9)),
        "it moves with its owner"
    );

    // Read before the other wrote: refused, whatever it would have said.
    let stale = text(&redis, STATE).await.unwrap();
    sampler::keep_copies(&sampler, &job, &known("cc", None))
        .await
        .unwrap();
    let newest = text(&redis, STATE).await.unwrap();
    let kept = sampler[0]
        .keep_copy(Some(stale.as_bytes()), b"mine")
        .await
        .unwrap();
    assert_eq!(kept, auditor::store::redis::Kept::Changed);
    assert_eq!(text(&redis, STATE).await.unwrap(), newest);
}

#[tokio::test]
async fn a_copy_of_another_job_or_form_is_left_alone() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    let other = String::from_utf8(encode_copy("other", Remembered::default())).unwrap();
    let later = other
        .replace("\"version\":1", "\"version\":2")
        .replace("other", "shop");
    for (text_there, said) in [
        (other.as_str(), "job \"other\""),
        (&later, "version 2"),
        ("x", "damaged"),
    ] {
        redis.command(&["SET", STATE, text_there]).await.unwrap();
        let run = site.checkpoint(&[]);
        assert_eq!(
            run.code,
            Some(0),
            "the heartbeat itself was written: {run:?}"
        );
        assert!(
            run.stderr.contains(said) && run.stderr.contains(STATE),
            "{run:?}"
        );
        assert_eq!(text(&redis, STATE).await.unwrap(), text_there);
    }
    assert_eq!(site.remembered().samples.len(), 3);
}

#[tokio::test]
async fn a_copy_stays_small() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    site.checkpoint(&[]);
    let mut remembered = site.remembered();
    let sample = remembered.samples[0].clone();
    for second in 1..20_000 {
        let mut next = sample.clone();
        next.seen_at = Micros(sample.seen_at.0 + second * 1_000_000);
        next.beat.replication_id = format!("{:x}", second / 100);
        remembered.samples.push(next);
    }
    let last = remembered.samples.last().cloned();
    let copy = encode_copy("shop", remembered);
    assert!(copy.len() < 40 * 1024, "{}", copy.len());
    let read = auditor::failover::state::decode_copy(&copy, "shop", "here").unwrap();
    assert_eq!(read.samples.last().cloned(), last);
}
