//! Entries of any bytes and any size, consumers of any name, and entries that may leave no row.

use super::{INSERT, PATIENCE, REQUEUE, line};
use crate::support::World;
use crate::support::bids::{DEAD, GONE, GROUP, STREAM, id};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// No text in any encoding, and it needs to be escaped everywhere.
const CONSUMER: &[u8] = b"gone\xff\x00,\"\n";

fn bid(identity: &[u8], amount: &[u8]) -> Fields {
    let fields: [(&[u8], &[u8]); 5] = [
        (b"type", b"BID_SAVE"),
        (b"bidId", identity),
        (b"auctionId", b"7"),
        (b"bidderId", b"12"),
        (b"amount", amount),
    ];
    fields.map(|(n, v)| (n.to_vec(), v.to_vec())).to_vec()
}

/// A bid, and everything else that Redis takes for fields; names that occur twice, of which the last counts.
fn odd_bid() -> Fields {
    let mut fields = vec![
        (b"bidId".to_vec(), b"not this one".to_vec()),
        (b"amount".to_vec(), b"no number".to_vec()),
        (Vec::new(), Vec::new()),
        (b"\xff\xfe\x00name".to_vec(), b"\x80\r\nvalue".to_vec()),
        (b"empty".to_vec(), Vec::new()),
        (b"large".to_vec(), vec![b'\xf0'; 64 * 1024]),
    ];
    fields.extend((0..2_000).map(|n| (format!("f{n}").into_bytes(), vec![b'v'; 8])));
    fields.extend(bid(b"b6", b"77.25"));
    fields
}

impl World {
    async fn add_fields(&mut self, number: u32, fields: &Fields) {
        let mut add = redis::cmd("XADD");
        add.arg(STREAM).arg(id(number));
        for (name, value) in fields {
            add.arg(&name[..]).arg(&value[..]);
        }
        add.query_async::<String>(&mut self.cache).await.unwrap();
    }

    async fn fields_of(&mut self, stream: &str, at: usize) -> Fields {
        let entries: Vec<(String, Vec<Vec<u8>>)> = self.redis(&["XRANGE", stream, "-", "+"]).await;
        let pairs = entries[at].1.chunks(2);
        pairs.map(|p| (p[0].clone(), p[1].clone())).collect()
    }

    /// Three bids that are done, and these, in the hands of a consumer that is gone because nobody lists it alive.
    async fn with_odd(settings: &str, odd: &[Fields]) -> Self {
        let mut world = Self::open_bids(&format!("{settings}{PATIENCE}")).await;
        world.group().await;
        world.done(1..=3).await;
        for (fields, number) in odd.iter().zip(6..) {
            world.add_fields(number, fields).await;
        }
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(CONSUMER);
        read.arg("COUNT")
            .arg(100)
            .arg("STREAMS")
            .arg(STREAM)
            .arg(">");
        let mut cache = world.cache.clone();
        read.query_async::<redis::Value>(&mut cache).await.unwrap();
        // It did what it did an hour ago.
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(STREAM).arg(GROUP).arg(CONSUMER).arg(0);
        for number in (6..).take(odd.len()) {
            claim.arg(id(number));
        }
        claim.arg("IDLE").arg(3_600_000).arg("JUSTID");
        claim.query_async::<redis::Value>(&mut cache).await.unwrap();
        world.wait_until_silent().await;
        world
    }

    async fn pending_ids(&mut self) -> Vec<String> {
        let words = ["XPENDING", STREAM, GROUP, "-", "+", "1000"];
        let rows: Vec<(String, Vec<u8>, u64, u64)> = self.redis(&words).await;
        rows.into_iter().map(|row| row.0).collect()
    }
}

#[tokio::test]
async fn a_bid_among_two_thousand_fields_of_any_bytes_is_inserted() {
    let mut world = World::with_odd(INSERT, &[odd_bid()]).await;
    // Another group, by whatever name, is nothing to an insert.
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(STREAM).arg(b"\xff\xfe").arg("0");
    create
        .query_async::<()>(&mut world.cache.clone())
        .await
        .unwrap();
    let run = world.repair_full().expect(0);
    let settled = line("orphan-pending", 6, "insert applied");
    assert_eq!(run.report().settled(), [settled]);
    let select =
        "SELECT CONCAT(auction_id, '/', bidder_id, '/', amount) FROM bid WHERE bid_id = 'b6'";
    assert_eq!(world.sql_text(select).await.as_deref(), Some("7/12/77.25"));
    assert!(world.pending_ids().await.is_empty());
    assert_eq!(world.fields_of(STREAM, 3).await, odd_bid());
    world.scan_full().expect(0);
}

#[tokio::test]
async fn a_bid_among_two_thousand_fields_of_any_bytes_is_moved_whole() {
    let mut world = World::with_odd(REQUEUE, &[odd_bid()]).await;
    let run = world.repair_full().expect(0);
    let settled = line("orphan-pending", 6, "requeue applied");
    assert_eq!(run.report().settled(), [settled]);
    let mut expected = odd_bid();
    expected.push((b"requeued_from".to_vec(), id(6).into_bytes()));
    assert_eq!(world.fields_of(STREAM, 3).await, expected);
    assert!(world.pending_ids().await.is_empty());
    assert_eq!(world.entries_count().await, 4);

    let settings = INSERT.replace("max_deliveries = 2", "max_deliveries = 1");
    let mut world = World::with_odd(&settings, &[odd_bid()]).await;
    let mut claim = redis::cmd("XCLAIM");
    claim.arg(STREAM).arg(GROUP).arg(CONSUMER).arg(0).arg(id(6));
    claim.arg("IDLE").arg(3_600_000).arg("RETRYCOUNT").arg(9);
    claim
        .query_async::<redis::Value>(&mut world.cache.clone())
        .await
        .unwrap();
    world.wait_until_silent().await;
    let run = world.repair_full().expect(0);
    let settled = line("poison-pending", 6, "dead-letter applied");
    assert_eq!(run.report().settled(), [settled]);
    let mut expected = odd_bid();
    expected.push((b"original_stream".to_vec(), STREAM.as_bytes().to_vec()));
    expected.push((b"original_id".to_vec(), id(6).into_bytes()));
    assert_eq!(world.fields_of(DEAD, 0).await, expected);
}

/// What no row can hold is refused by itself; its neighbours go in.
#[tokio::test]
async fn values_that_no_column_takes_are_refused_one_by_one() {
    let odd = [
        bid(b"b6", b"100.50"),
        bid(b"b7", b""),
        bid(b"b8", b"\xff\xfe"),
        bid(b"b\xff9", b"100.50"),
        bid(&[b'x'; 64 * 1024], b"100.50"),
        bid(b"b11", b"1e400"),
        bid(b"b12", b"100.50"),
    ];
    let mut world = World::with_odd(INSERT, &odd).await;
    let run = world.repair_full().expect(1);
    let settled = run.report().settled();
    let refused = |l: &&String| l.ends_with("refused") || l.ends_with("failed");
    assert_eq!(settled.iter().filter(refused).count(), 5, "{settled:?}");
    for number in [6, 12] {
        let applied = line("orphan-pending", number, "insert applied");
        assert!(settled.contains(&applied), "{settled:?}");
        assert_eq!(world.rows_of(number).await, "1");
    }
    assert_eq!(world.pending_ids().await, [7, 8, 9, 10, 11].map(id));
    let rows = world.sql_text("SELECT COUNT(*) FROM bid").await;
    assert_eq!(rows.as_deref(), Some("5"));
}

impl World {
    async fn entries_count(&mut self) -> i64 {
        self.redis(&["XLEN", STREAM]).await
    }
}

/// A bid that the application turned down left nothing behind: no row says nothing about it.
#[tokio::test]
async fn an_entry_that_may_leave_no_row_is_not_missed() {
    let settings = "may_leave_no_row = true\n";
    let mut world = World::damaged(&format!("{settings}{REQUEUE}"), 0).await;
    world.ack(8).await;
    let run = world.repair_full().expect(0);
    assert_eq!(
        run.report().settled(),
        [
            line("orphan-pending", 7, "requeue applied"),
            line("unacked-persisted", 6, "ack applied"),
        ],
        "8 was turned down, as far as anybody knows"
    );
    assert_eq!(world.entries_count().await, 6);

    world.bids_job(
        "may_leave_no_row = true\non_unpersisted = \"insert\"\ninsert_is_enough = true\n",
    );
    world.scan_full().expect(2);
    assert!(world.pending().await.iter().all(|p| p.1 != GONE));
}
