//! What the reader says of streams, by commands that change nothing.

use auditor::lab::servers::RedisFlavor;
use auditor::model::stream::{IdRange, StreamId, StreamState};
use auditor::store::redis::{Redis, RedisError};
use redis::Value;

use super::{G, HUGE, LIMIT, S, id, on_each, spec_of_user};

#[tokio::test]
async fn a_stream_is_told_from_no_key_and_from_another_type() {
    on_each(async |stand| {
        let state = async || stand.redis.stream_state(S).await.unwrap();
        assert_eq!(state().await, StreamState::Missing);
        stand.run("RPUSH s x").await;
        assert_eq!(state().await, StreamState::WrongType("list".into()));
        stand.run("DEL s").await;

        stand.fill(3).await;
        stand.run("XGROUP CREATE s other 2-1").await;
        stand.deliver("c", 2).await;
        let facts = stand.facts().await;
        assert_eq!((facts.length, facts.last_generated), (3, id(3)));
        assert_eq!((facts.first, facts.last), (Some(id(1)), Some(id(3))));
        assert_eq!(facts.groups.len(), 2);
        let group = facts.group(G).unwrap();
        assert_eq!((group.last_delivered, group.pending), (id(2), 2));
        assert_eq!((group.consumers, group.entries_read), (1, Some(2)));
        let other = facts.group(b"other").unwrap();
        assert_eq!((other.last_delivered, other.entries_read), (id(2), None));

        stand.run("XTRIM s MAXLEN 0").await;
        let facts = stand.facts().await;
        assert_eq!((facts.length, facts.first, facts.last), (0, None, None));
        assert_eq!(facts.last_generated, id(3), "an empty stream remembers");
    })
    .await;
}

#[tokio::test]
async fn ids_at_the_end_of_64_bits_are_read_exactly() {
    on_each(async |stand| {
        let ids = [(1, u64::MAX), (HUGE, 0), (HUGE, HUGE), (u64::MAX, u64::MAX)]
            .map(|(millis, sequence)| StreamId::new(millis, sequence));
        stand.run("XGROUP CREATE s g 0 MKSTREAM").await;
        for id in ids {
            stand.run(&format!("XADD s {id} f v")).await;
        }
        stand.deliver("c", 3).await;
        let facts = stand.facts().await;
        assert_eq!((facts.first, facts.last), (Some(ids[0]), Some(ids[3])));
        assert_eq!(facts.group(G).unwrap().last_delivered, ids[2]);
        let read: Vec<StreamId> = stand.entries(S).await.iter().map(|e| e.id).collect();
        assert_eq!(read, ids);
        let pending: Vec<StreamId> = stand.pending().await.iter().map(|p| p.id).collect();
        assert_eq!(pending, ids[..3]);
        let range = IdRange {
            first: ids[1].next().unwrap(),
            last: ids[2],
        };
        let part = stand.redis.entries(S, range, 9).await.unwrap();
        assert_eq!(part.iter().map(|e| e.id).collect::<Vec<_>>(), [ids[2]]);
        let part = stand.redis.pending(S, G, range, 9).await.unwrap().unwrap();
        assert_eq!(part.iter().map(|p| p.id).collect::<Vec<_>>(), [ids[2]]);
    })
    .await;
}

#[tokio::test]
async fn consumers_say_when_they_last_tried_and_got() {
    on_each(async |stand| {
        let consumers = async || stand.redis.consumers(S, G).await.unwrap();
        assert_eq!(consumers().await, None, "no key");
        stand.run("XADD s 1-1 f v").await;
        assert_eq!(consumers().await, None, "no group");
        stand.run("XGROUP CREATE s g 0").await;
        assert_eq!(consumers().await, Some(Vec::new()));
        stand.deliver("busy", 1).await;
        stand.run("XGROUP CREATECONSUMER s g idler").await;
        stand.rest("busy", 20).await;
        let busy = stand.consumer("busy").await;
        assert_eq!(busy.pending, 1);
        let knows_inactive = stand.flavor != RedisFlavor::Installed;
        if knows_inactive {
            assert!(busy.inactive_millis.unwrap() >= busy.idle_millis);
        }
        let idler = stand.consumer("idler").await;
        assert_eq!((idler.pending, idler.inactive_millis), (0, None));
    })
    .await;
}

#[tokio::test]
async fn ranges_of_entries_are_whole_whatever_the_pieces() {
    on_each(async |stand| {
        assert_eq!(stand.entries(S).await, [], "no key");
        let every_byte: Vec<u8> = (0..=255).collect();
        stand
            .run_bytes(&[b"XADD", S, b"1-1", &every_byte, b"", b"f", b"1", b"f", b"2"])
            .await;
        let mut pipeline = redis::pipe();
        for number in 2..=2_500 {
            pipeline.cmd("XADD").arg(S).arg(id(number).to_string());
            pipeline.arg("f").arg(number);
        }
        let _: Value = pipeline.query_async(&mut stand.own.clone()).await.unwrap();

        let entries = stand.entries(S).await;
        assert_eq!(entries.len(), 2_500);
        assert!((1..).zip(&entries).all(|(number, e)| e.id == id(number)));
        let first: Vec<(&[u8], &[u8])> = entries[0]
            .fields
            .iter()
            .map(|(n, v)| (&n[..], &v[..]))
            .collect();
        assert_eq!(
            first,
            [(&every_byte[..], &b""[..]), (b"f", b"1"), (b"f", b"2")]
        );
        assert_eq!(entries[0].field(b"f").unwrap(), "2", "the last one counts");
        assert_eq!(entries[2_499].field(b"f").unwrap(), "2500");

        let range = |first, last| IdRange { first, last };
        for (range, limit, expected) in [
            (range(id(10), id(12)), 9, vec![10, 11, 12]),
            (range(id(10), id(12)), 2, vec![10, 11]),
            (range(id(10), id(12)), 0, vec![]),
            (range(id(12), id(10)), 9, vec![]),
            (range(id(2_500).next().unwrap(), StreamId::MAX), 9, vec![]),
            (
                range(id(400), StreamId::MAX),
                1_001,
                (400..=1_400).collect(),
            ),
        ] {
            let found = stand.redis.entries(S, range, limit).await.unwrap();
            let found: Vec<u64> = found.iter().map(|entry| entry.id.millis).collect();
            assert_eq!(found, expected, "{range:?} {limit}");
        }

        stand.run("XDEL s 7-1").await;
        let ids: Vec<StreamId> = [2_500, 7, 9_999, 1].map(id).to_vec();
        let found = stand.redis.entries_by_id(S, &ids).await.unwrap();
        let found: Vec<Option<StreamId>> = found.iter().map(|e| e.as_ref().map(|e| e.id)).collect();
        assert_eq!(found, [Some(id(2_500)), None, None, Some(id(1))]);
        assert_eq!(
            stand.redis.entries_by_id(b"none", &ids).await.unwrap(),
            vec![None; 4]
        );
        let all: Vec<StreamId> = (1..=2_500).map(id).collect();
        let found = stand.redis.entries_by_id(S, &all).await.unwrap();
        assert_eq!(found.iter().flatten().count(), 2_499);
    })
    .await;
}

#[tokio::test]
async fn entries_of_megabytes_are_asked_for_few_at_a_time() {
    on_each(async |stand| {
        let heavy = vec![b'x'; 1 << 20];
        for number in 1..=40 {
            let id = id(number).to_string();
            stand
                .run_bytes(&[b"XADD", S, id.as_bytes(), b"f", &heavy])
                .await;
        }
        stand.run("CONFIG RESETSTAT").await;
        assert_eq!(stand.entries(S).await.len(), 40);
        let stats = stand.run("INFO commandstats").await;
        let Value::BulkString(stats) = stats else {
            panic!("INFO gives text")
        };
        let stats = String::from_utf8(stats).unwrap();
        let calls = stats.split("cmdstat_xrange:calls=").nth(1).unwrap();
        let calls: u32 = calls.split(',').next().unwrap().parse().unwrap();
        assert!(calls >= 8, "{calls} answers for 40 MB");
    })
    .await;
}

#[tokio::test]
async fn the_pending_list_is_read_whole_without_touching_it() {
    on_each(async |stand| {
        let pending = async |range, limit| stand.redis.pending(S, G, range, limit).await.unwrap();
        assert_eq!(pending(IdRange::ALL, 9).await, None, "no key");
        assert_eq!(
            stand.redis.pending_by_id(S, G, &[id(1)]).await.unwrap(),
            None
        );
        stand.fill(2_300).await;
        assert_eq!(pending(IdRange::ALL, 9).await, Some(Vec::new()));
        assert_eq!(
            stand
                .redis
                .pending(S, b"none", IdRange::ALL, 0)
                .await
                .unwrap(),
            None
        );
        stand.deliver("a", 2_000).await;
        stand.deliver("b", 300).await;
        stand
            .run("XCLAIM s g b 0 5-1 IDLE 70000 RETRYCOUNT 7 JUSTID")
            .await;
        stand.run("XDEL s 6-1").await;

        let before = stand.changes().await;
        let rows = pending(IdRange::ALL, 10_000).await.unwrap();
        assert_eq!(rows.len(), 2_300);
        assert!((1..).zip(&rows).all(|(number, row)| row.id == id(number)));
        assert_eq!(
            (rows[3].consumer.as_slice(), rows[3].deliveries),
            (&b"a"[..], 1)
        );
        assert_eq!(
            (rows[4].consumer.as_slice(), rows[4].deliveries),
            (&b"b"[..], 7)
        );
        assert!((70_000..90_000).contains(&rows[4].idle_millis));
        assert_eq!(rows[2_299].consumer, b"b");

        let range = |first, last| IdRange {
            first: id(first),
            last: id(last),
        };
        for (range, limit, expected) in [
            (range(5, 7), 9, vec![5, 6, 7]),
            (range(5, 7), 2, vec![5, 6]),
            (range(5, 7), 0, vec![]),
            (range(7, 5), 9, vec![]),
            (range(2_299, 9_999), 1_000, vec![2_299, 2_300]),
            (range(3, 9_999), 1_001, (3..=1_003).collect()),
        ] {
            let found: Vec<u64> = pending(range, limit)
                .await
                .unwrap()
                .iter()
                .map(|r| r.id.millis)
                .collect();
            assert_eq!(found, expected, "{range:?} {limit}");
        }
        let found = stand
            .redis
            .pending_by_id(S, G, &[id(6), id(9_999), id(5)])
            .await;
        let found = found.unwrap().unwrap();
        let of = |index: usize| found[index].as_ref().map(|row| (row.id, row.deliveries));
        assert_eq!(
            (of(0), of(1), of(2)),
            (Some((id(6), 1)), None, Some((id(5), 7)))
        );
        assert_eq!(stand.changes().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_user_who_only_reads_can_read_all_of_it_and_a_lesser_one_is_told_what_he_lacks() {
    on_each(async |stand| {
        stand.fill(2).await;
        stand.deliver("c", 1).await;
        let connect = async |user: &str| {
            let spec = spec_of_user(stand.server.port(), user);
            Redis::connect(&spec, LIMIT).await.unwrap()
        };
        stand.run("ACL SETUSER reader on >secret ~* +@read +@connection +info +time +role").await;
        let reader = connect("reader").await;
        assert!(reader.stream_state(S).await.unwrap().facts().is_some());
        assert_eq!(reader.consumers(S, G).await.unwrap().unwrap().len(), 1);
        assert_eq!(reader.entries(S, IdRange::ALL, 9).await.unwrap().len(), 2);
        assert_eq!(reader.entries_by_id(S, &[id(2)]).await.unwrap().len(), 1);
        assert_eq!(reader.pending(S, G, IdRange::ALL, 9).await.unwrap().unwrap().len(), 1);
        assert!(reader.pending_by_id(S, G, &[id(1)]).await.unwrap().unwrap()[0].is_some());

        stand.run("ACL SETUSER lesser on >secret ~* +@connection +info +time +role +type").await;
        let lesser = connect("lesser").await;
        for error in [
            lesser.stream_state(S).await.unwrap_err(),
            lesser.consumers(S, G).await.unwrap_err(),
            lesser.entries(S, IdRange::ALL, 9).await.unwrap_err(),
            lesser.entries_by_id(S, &[id(2)]).await.unwrap_err(),
            lesser.pending(S, G, IdRange::ALL, 9).await.unwrap_err(),
            lesser.pending_by_id(S, G, &[id(1)]).await.unwrap_err(),
        ] {
            assert!(
                matches!(&error, RedisError::Refused(said) if said.contains("NOPERM") && said.contains("XPENDING")),
                "{error}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn another_type_and_a_dead_server_are_errors_not_absences() {
    on_each(async |stand| {
        stand.run("RPUSH s x").await;
        let is_wrong_type = |error: RedisError| error.to_string().contains("WRONGTYPE");
        let redis = &stand.redis;
        assert!(is_wrong_type(
            redis.entries(S, IdRange::ALL, 9).await.unwrap_err()
        ));
        assert!(is_wrong_type(
            redis.entries_by_id(S, &[id(1)]).await.unwrap_err()
        ));
        assert!(is_wrong_type(redis.consumers(S, G).await.unwrap_err()));
        assert!(is_wrong_type(
            redis.pending(S, G, IdRange::ALL, 9).await.unwrap_err()
        ));
        stand.server.kill().unwrap();
        let error = redis.stream_state(S).await.unwrap_err();
        assert!(matches!(error, RedisError::Unreachable(_)), "{error}");
        let error = redis.pending_by_id(S, G, &[id(1)]).await.unwrap_err();
        assert!(matches!(error, RedisError::Unreachable(_)), "{error}");
    })
    .await;
}
