//! The state folder: bounded, whole at every moment, never mended by forgetting.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use auditor::failover::state::{StateError, StateFolder};
use auditor::failover::{Change, Handled, Sample};
use auditor::model::slots::{Slot, SlotSet};
use auditor::model::time::Micros;

use super::*;

const SECOND: i64 = 1_000_000;
const START: i64 = 1_763_700_000_000_000;

fn sample(second: i64, history: &str) -> Sample {
    Sample {
        seen_at: Micros(START + second * SECOND + 123),
        address: "127.0.0.1:6379".into(),
        slots: SlotSet::all(),
        beat: Heartbeat {
            beat_at: Micros(START + second * SECOND),
            run_id: format!("{history}{}", "0".repeat(39)),
            replication_id: format!("{history}{}", "1".repeat(39)),
            offset: second * 100,
        },
    }
}

fn change(second: i64, history: &str) -> Change {
    Change {
        noticed_at: Micros(START + second * SECOND),
        found: Some(sample(second - 1, "a").beat),
        address: "127.0.0.1:6379".into(),
        slots: [3, 4, 5, 16_383]
            .into_iter()
            .filter_map(Slot::new)
            .collect(),
        run_id: history.into(),
        replication_id: history.into(),
        replication_id2: "a".into(),
        second_offset: 17,
        uptime_seconds: 3,
        server_time: Micros(START + second * SECOND),
    }
}

fn handled(second: i64, history: &str) -> Handled {
    Handled {
        replication_id: history.into(),
        run_id: history.into(),
        slots: SlotSet::all(),
        handled_at: Micros(START + second * SECOND),
    }
}

fn folder() -> (Site, StateFolder) {
    let site = Site::new("redis://127.0.0.1:1", "");
    let folder = StateFolder::open(&site.job());
    (site, folder)
}

#[test]
fn what_is_put_in_comes_out_and_reading_makes_nothing() {
    let (site, folder) = folder();
    assert_eq!(folder.read().unwrap(), Remembered::default());
    assert!(
        !site.path().join("state").exists(),
        "reading writes nothing"
    );
    folder.add_sample(&sample(1, "a")).unwrap();
    folder.add_sample(&sample(2, "a")).unwrap();
    folder.add_change(&change(3, "b")).unwrap();
    folder.mark_handled(&[handled(4, "b")]).unwrap();
    folder.set_audited_until(Micros(START)).unwrap();
    let wanted = Remembered {
        samples: vec![sample(1, "a"), sample(2, "a")],
        changes: vec![change(3, "b")],
        handled: vec![handled(4, "b")],
        audited_until: Some(Micros(START)),
    };
    assert_eq!(folder.read().unwrap(), wanted);
    folder.set_audited_until(Micros(START + 5)).unwrap();
    assert_eq!(
        folder.read().unwrap().audited_until,
        Some(Micros(START + 5))
    );
    let mut files: Vec<_> = fs::read_dir(site.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["lock", "samples.jsonl", "state.json"]);
}

#[test]
fn a_mark_of_a_clock_that_was_ahead_yields_to_the_next_run() {
    let (_site, folder) = folder();
    let ahead = [handled(90, "b"), handled(90, "c")];
    folder.mark_handled(&ahead).unwrap();
    folder.mark_handled(&[handled(9, "b")]).unwrap();
    let mut former = handled(9, "c");
    former.handled_at.0 -= 1;
    let known = folder.read().unwrap();
    assert_eq!(known.handled, [former, handled(9, "b")]);
}

#[test]
fn two_memories_become_one() {
    let (_site, folder) = folder();
    folder.add_change(&change(3, "b")).unwrap();
    let without = Change {
        found: None,
        ..change(2, "b")
    };
    folder.add_change(&without).unwrap();
    folder.add_change(&change(5, "b")).unwrap();
    let known = folder.read().unwrap();
    assert_eq!(
        known.changes,
        [change(3, "b")],
        "whoever found it first, and found more"
    );
    folder
        .mark_handled(&[handled(4, "b"), handled(9, "b"), handled(6, "c")])
        .unwrap();
    assert_eq!(
        folder.read().unwrap().handled,
        [handled(6, "c"), handled(9, "b")]
    );

    let older = Remembered {
        samples: vec![sample(1, "a")],
        audited_until: Some(Micros(1)),
        ..Remembered::default()
    };
    let newer = Remembered {
        samples: vec![sample(0, "a"), sample(1, "a")],
        audited_until: Some(Micros(2)),
        ..Remembered::default()
    };
    let both = newer.clone().united(older.clone());
    assert_eq!(both, older.clone().united(newer.clone()));
    assert_eq!(both.samples, newer.samples);
    assert_eq!(both.audited_until, Some(Micros(1)), "the older one counts");
    folder.take_in(older.clone()).unwrap();
    folder.take_in(newer).unwrap();
    let known = folder.read().unwrap();
    assert_eq!(known.samples, both.samples);
    assert_eq!(
        known.audited_until,
        Some(Micros(1)),
        "an own one is not moved by others"
    );
}

#[test]
fn changes_and_handled_histories_are_bounded() {
    let (_site, folder) = folder();
    for number in 0..103 {
        folder
            .add_change(&change(number, &format!("c{number}")))
            .unwrap();
    }
    let marks: Vec<_> = (0..1_003)
        .map(|number| handled(number, &format!("c{number}")))
        .collect();
    folder.mark_handled(&marks).unwrap();
    let known = folder.read().unwrap();
    assert_eq!((known.changes.len(), known.handled.len()), (100, 1_000));
    assert_eq!(known.changes[0], change(3, "c3"), "the oldest go");
    assert_eq!(known.handled[0], handled(3, "c3"));
}

#[test]
fn a_week_of_beats_fits_and_the_end_of_every_history_stays_exact() {
    let (site, folder) = folder();
    let week = 7 * 24 * 3_600;
    let failover = week / 2;
    let path = site.state().join("samples.jsonl");
    let mut most = 0;
    let mut batch = Vec::new();
    // A beat a second at the ends of both histories, where it matters; elsewhere one in ten seconds is as thinned.
    let is_near = |second: i64, end: i64| (end - 1_000..end).contains(&second);
    for second in 0..week {
        if second % 10 != 0 && !is_near(second, failover) && !is_near(second, week) {
            continue;
        }
        let history = if second < failover { "a" } else { "b" };
        batch.push(sample(second, history));
        if batch.len() == 1_000 || second == week - 1 {
            folder.add_samples(&batch).unwrap();
            most = most.max(fs::metadata(&path).unwrap().len());
            batch.clear();
        }
    }
    assert!(most < 900 * 1024, "{most} bytes");
    let kept = folder.read().unwrap().samples;
    let has = |second: i64, history: &str| kept.contains(&sample(second, history));
    for second in failover - 170..failover {
        assert!(has(second, "a"), "{} s before the end", failover - second);
    }
    for second in week - 170..week {
        assert!(has(second, "b"), "{} s before now", week - second);
    }
    let gaps = kept
        .windows(2)
        .map(|pair| pair[1].seen_at.0 - pair[0].seen_at.0);
    assert!(gaps.max().unwrap() <= 31 * 60 * SECOND);
    assert!(
        kept[0].seen_at.0 < START + 3_600 * SECOND,
        "back to the beginning"
    );
}

#[test]
fn a_torn_last_line_is_cut_off_and_nothing_else() {
    let (site, folder) = folder();
    folder.add_sample(&sample(1, "a")).unwrap();
    folder.add_sample(&sample(2, "a")).unwrap();
    let path = site.state().join("samples.jsonl");
    let whole = fs::read(&path).unwrap();
    let second = whole[..whole.len() - 1]
        .iter()
        .rposition(|&b| b == b'\n')
        .unwrap()
        + 1;
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let left = folder.read().unwrap().samples;
        let complete = whole[..cut].iter().filter(|&&b| b == b'\n').count();
        assert_eq!(left.len(), complete.saturating_sub(1), "cut at {cut}");
        folder.add_sample(&sample(3, "a")).unwrap();
        let after = folder.read().unwrap().samples;
        assert_eq!(after.len(), left.len() + 1, "cut at {cut}");
        assert_eq!(after.last(), Some(&sample(3, "a")));
    }
    assert!(second > 0);
}

#[test]
fn damage_is_an_error_and_stays_as_it_is() {
    let (site, folder) = folder();
    folder.add_sample(&sample(1, "a")).unwrap();
    folder.add_change(&change(1, "b")).unwrap();
    let good = |name: &str| fs::read_to_string(site.state().join(name)).unwrap();
    let (samples, state) = (good("samples.jsonl"), good("state.json"));
    let cases = [
        ("samples.jsonl", "not ours\n".to_owned(), "damaged"),
        ("samples.jsonl", "not ours".to_owned(), "damaged"),
        (
            "samples.jsonl",
            samples.replace("\"version\":1", "\"version\":2"),
            "version 2",
        ),
        (
            "samples.jsonl",
            samples.replace("\"shop\"", "\"other\""),
            "job \"other\"",
        ),
        ("samples.jsonl", format!("{samples}garbage\n"), "line 3 of"),
        (
            "samples.jsonl",
            samples.replace("2025-", "20-5-"),
            "line 2 of",
        ),
        ("state.json", String::new(), "damaged"),
        ("state.json", "\0\0\0\0".to_owned(), "damaged"),
        ("state.json", state[..state.len() / 2].to_owned(), "damaged"),
        (
            "state.json",
            state.replace("\"version\": 1", "\"version\": 7"),
            "version 7",
        ),
        ("state.json", state.replace("16383", "16384"), "damaged"),
        ("state.json", samples.replace('\n', ""), "damaged"),
    ];
    for (name, text, said) in cases {
        let path = site.state().join(name);
        fs::write(&path, &text).unwrap();
        let fault = folder.read().unwrap_err();
        assert!(fault.to_string().contains(said), "{text:?}: {fault}");
        assert!(
            fault.to_string().contains(&path.display().to_string()),
            "{fault}"
        );
        // A garbled line in the middle of the samples is met by whoever reads, not by whoever appends.
        let is_line = text.starts_with(&samples[..20])
            && text.contains("version\":1")
            && said != "job \"other\"";
        if name == "samples.jsonl" && !is_line {
            folder.add_sample(&sample(2, "a")).unwrap_err();
        }
        if name == "state.json" {
            folder.add_change(&change(2, "c")).unwrap_err();
            folder.mark_handled(&[handled(1, "b")]).unwrap_err();
            folder.set_audited_until(Micros(1)).unwrap_err();
        }
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            text,
            "it is left as it is"
        );
        let good = if name == "state.json" {
            &state
        } else {
            &samples
        };
        fs::write(&path, good).unwrap();
    }
    folder.read().unwrap();
}

/// Counts a writer off when it ends, however it ends.
struct Ended<'w>(&'w AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn writers_at_once_lose_nothing() {
    let (_site, folder) = folder();
    let writers = 4;
    let each = 100;
    let writing = AtomicUsize::new(writers);
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (folder, writing) = (folder.clone(), &writing);
            scope.spawn(move || {
                let _ended = Ended(writing);
                for number in 0..each {
                    let second = i64::try_from(writer * each + number).unwrap();
                    folder.add_sample(&sample(second, "a")).unwrap();
                    if number % 10 == 0 {
                        folder
                            .add_change(&change(second, &format!("c{second}")))
                            .unwrap();
                    }
                }
            });
        }
        // Whoever reads meanwhile takes no lock, and sees whole files.
        while writing.load(Ordering::Relaxed) > 0 {
            folder.read().unwrap();
        }
    });
    let known = folder.read().unwrap();
    assert_eq!(known.samples.len(), 400);
    assert_eq!(known.changes.len(), 40);
}

#[test]
fn a_lock_that_is_not_given_back_is_an_error() {
    let (site, folder) = folder();
    folder.add_sample(&sample(1, "a")).unwrap();
    let lock = fs::File::options()
        .append(true)
        .open(site.state().join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let fault = folder.add_sample(&sample(2, "a")).unwrap_err();
    assert!(matches!(fault, StateError::Busy { .. }), "{fault}");
    assert_eq!(
        folder.read().unwrap().samples.len(),
        1,
        "reading needs no lock"
    );
    drop(lock);
    folder.add_sample(&sample(2, "a")).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_names_the_setting() {
    let (site, folder) = folder();
    fs::File::create(site.path().join("state"))
        .unwrap()
        .write_all(b"x")
        .unwrap();
    let fault = folder.add_sample(&sample(1, "a")).unwrap_err();
    assert!(fault.to_string().contains("state_dir"), "{fault}");
}

#[tokio::test]
async fn a_damaged_folder_stops_no_heartbeat_and_is_4() {
    let redis = server(None, &[]).await;
    let site = Site::new(&redis.url(), "");
    assert_eq!(site.checkpoint(&[]).code, Some(0));
    let path = site.state().join("state.json");
    fs::write(&path, "garbage").unwrap();
    let before = heartbeat(&redis).await;
    let run = site.checkpoint(&[]);
    assert_eq!(run.code, Some(4), "{run:?}");
    assert!(run.stderr.contains("state.json is damaged"), "{run:?}");
    assert!(heartbeat(&redis).await.beat_at > before.beat_at);
    assert_eq!(fs::read_to_string(&path).unwrap(), "garbage");
}
