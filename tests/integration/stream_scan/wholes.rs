//! What only the whole stream and the whole table show: duplicates and lost entries.

use auditor::model::stream::{Entry, IdRange, Identity, StreamId};
use auditor::rules::StreamJudge;
use auditor::rules::stream::{DuplicateBy, DuplicateCase, DuplicateSide};
use auditor::scan::streams::{
    DuplicateGroup, DuplicateLook, DuplicatePlaces, Duplicated, Duplicates, LostRow, LostSearch,
    Unpaced, entry_page, look_at_duplicates, look_at_lost,
};
use auditor::store::mysql::{KeyRange, Selection};

use super::{Bids, entry, id, none};

async fn entries(bids: &Bids) -> Vec<Entry> {
    bids.cache
        .entries(b"bids", IdRange::ALL, 10_000)
        .await
        .unwrap()
}

/// All groups of the whole stream and the whole table.
async fn groups(bids: &Bids, judge: &StreamJudge) -> Vec<DuplicateGroup> {
    let mut duplicates = Duplicates::create(bids.world.folder.path());
    for entry in entries(bids).await {
        if judge.belongs(&entry) {
            duplicates.push_entry(judge, &entry).unwrap();
        }
    }
    let rows = &judge.mapping().rows;
    let page = bids
        .source
        .page(rows, &KeyRange::default(), Selection::All, 10_000)
        .await
        .unwrap();
    for row in page.rows.iter() {
        duplicates.push_row(judge, row).unwrap();
    }
    duplicates.finish().unwrap().map(Result::unwrap).collect()
}

async fn look(bids: &Bids, judge: &StreamJudge, groups: &[DuplicateGroup]) -> DuplicateLook {
    look_at_duplicates(&bids.source, &bids.cache, judge, groups)
        .await
        .unwrap()
}

/// `case: first < extra`, a line each.
fn lines(look: &DuplicateLook) -> Vec<String> {
    let name = |what: &Duplicated| match what {
        Duplicated::Entry(entry) => entry.id.to_string(),
        Duplicated::Row { key, .. } => {
            format!("row {}", String::from_utf8_lossy(&key[0]))
        }
    };
    let pairs = look.pairs.iter();
    pairs
        .map(|pair| {
            let (first, extra) = (name(&pair.first), name(&pair.extra));
            format!("{:?}: {first} < {extra}", pair.case.by)
        })
        .collect()
}

async fn add_with(bids: &mut Bids, id: &str, bid: u64, more: &[&str]) {
    let mut words = entry(id, bid, "BID");
    words.extend(more.iter().map(|&word| word.to_owned()));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    bids.world.redis::<String>(&words).await;
}

#[tokio::test]
async fn one_identity_and_one_tuple_are_found_twice_in_the_stream_and_in_the_table() {
    let mut bids = Bids::start().await;
    bids.add("1-0", 1).await;
    bids.add("2-0", 2).await;
    bids.add("3-0", 1).await;
    bids.add("4-0", 1).await;
    // Another identity that says the same as bid 2; of two fields of one name the last one counts.
    add_with(&mut bids, "5-0", 2, &["bidId", "20"]).await;
    bids.add_as("6-0", 1, "VIEW").await;
    for identity in ["1", "1", "2", "20", "3"] {
        let bid = if identity == "20" {
            2
        } else {
            identity.parse().unwrap()
        };
        bids.persist_as(identity, bid).await;
    }
    let judge = bids.judge(|check| check.unique = vec![0, 1]).await;
    let found = groups(&bids, &judge).await;
    let looked = look(&bids, &judge, &found).await;
    assert_eq!(
        lines(&looked),
        [
            "Identity: 1-0 < 3-0",
            "Identity: 1-0 < 4-0",
            "Tuple: 2-0 < 5-0",
            "Identity: row 1 < row 2",
            "Tuple: row 3 < row 4",
        ]
    );
    assert!(looked.source.is_some());

    // What is gone at the second look was none.
    bids.world.redis::<()>(&["XDEL", "bids", "1-0"]).await;
    bids.world
        .sql("DELETE FROM bid WHERE n = 2; UPDATE bid SET amount = 9 WHERE n = 4")
        .await;
    let again = look(&bids, &judge, &found).await;
    assert_eq!(
        lines(&again),
        ["Identity: 3-0 < 4-0", "Tuple: 2-0 < 5-0"],
        "of the three that were one the second is first now"
    );
    let both: Vec<_> = looked
        .pairs
        .iter()
        .filter(|pair| again.pairs.iter().any(|other| pair.is_same(other)))
        .collect();
    assert_eq!(both.len(), 1);
}

#[tokio::test]
async fn an_entry_is_no_duplicate_of_the_one_it_was_requeued_from() {
    let mut bids = Bids::start().await;
    bids.add("1-0", 1).await;
    add_with(&mut bids, "2-0", 1, &["requeued_from", "1-0"]).await;
    add_with(&mut bids, "3-0", 1, &["requeued_from", "2-0"]).await;
    bids.add("4-0", 2).await;
    bids.add("5-0", 2).await;
    add_with(&mut bids, "6-0", 2, &["requeued_from", "5-0"]).await;
    // Both come from one that is gone.
    add_with(&mut bids, "7-0", 3, &["requeued_from", "1-9"]).await;
    add_with(&mut bids, "8-0", 3, &["requeued_from", "1-9"]).await;
    let judge = bids.judge(|check| check.unique = vec![0, 1]).await;
    let found = groups(&bids, &judge).await;
    assert_eq!(
        lines(&look(&bids, &judge, &found).await),
        ["Identity: 4-0 < 5-0"]
    );
    let by_id = bids
        .judge(|check| {
            check.unique = vec![0, 1];
            check.identity = Identity::EntryId;
        })
        .await;
    let found = groups(&bids, &by_id).await;
    assert_eq!(
        lines(&look(&bids, &by_id, &found).await),
        ["Tuple: 4-0 < 5-0"]
    );
}

#[tokio::test]
async fn a_digest_that_two_values_share_makes_no_duplicate() {
    let mut bids = Bids::start().await;
    for bid in 1..=2 {
        bids.add(&format!("{bid}-0"), bid).await;
        bids.persist(bid).await;
    }
    let judge = bids.judge(|check| check.unique = vec![0, 1]).await;
    assert!(groups(&bids, &judge).await.is_empty());
    let ids = vec![id("1-0"), id("2-0")];
    let keys = vec![vec![b"1".to_vec()], vec![b"2".to_vec()]];
    for by in [DuplicateBy::Identity, DuplicateBy::Tuple] {
        let sides = [
            (
                DuplicateSide::Entries,
                DuplicatePlaces::Entries(ids.clone()),
            ),
            (DuplicateSide::Rows, DuplicatePlaces::Rows(keys.clone())),
        ];
        for (side, places) in sides {
            let group = DuplicateGroup {
                case: DuplicateCase { side, by },
                places,
                more: 0,
                order: Vec::new(),
            };
            assert_eq!(look(&bids, &judge, &[group]).await.pairs, []);
        }
    }
}

/// Rows first, then the entries from `window` on, then the rest of the stream.
async fn lost(bids: &Bids, judge: &StreamJudge, window: &str) -> Vec<LostRow> {
    let mut search = LostSearch::create(bids.world.folder.path());
    let rows = &judge.mapping().rows;
    let page = bids
        .source
        .page(rows, &KeyRange::default(), Selection::All, 10_000)
        .await
        .unwrap();
    for row in page.rows.iter() {
        search.push_row(judge, row).unwrap();
    }
    let first = id(window);
    let range = IdRange {
        first,
        last: StreamId::MAX,
    };
    let dead = none(judge);
    let page = entry_page(&bids.source, &bids.cache, judge, &dead, range, 10_000)
        .await
        .unwrap();
    assert_eq!(page.next, None);
    for look in &page.looks {
        search.push_look(judge, look).unwrap();
    }
    let mut candidates = search.finish(judge).unwrap();
    assert_eq!(candidates.not_searched, 0);
    let older = IdRange {
        first: StreamId::MIN,
        last: first.previous().unwrap(),
    };
    candidates
        .search(&bids.source, &bids.cache, judge, older, &Unpaced)
        .await
        .unwrap();
    candidates.into_rows()
}

fn identities(rows: &[LostRow]) -> Vec<&str> {
    let texts = rows.iter().map(|row| std::str::from_utf8(&row.identity));
    texts.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_row_is_lost_only_if_no_entry_of_the_whole_stream_carries_it() {
    let mut bids = Bids::start().await;
    for bid in 1..=6 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    bids.add_as("7-0", 7, "VIEW").await;
    // The column takes `A`, `a` and `a ` for one identity.
    for (id, identity) in [("8-0", "ab"), ("1000-0", "CD"), ("1001-0", "ef")] {
        add_with(&mut bids, id, 1, &["bidId", identity]).await;
    }
    for identity in ["1", "3", "7", "8", "AB", "cd", "ef ", "gh"] {
        bids.persist_as(identity, 1).await;
    }
    bids.world
        .sql("INSERT INTO bid (bid_id, bidder_id, amount) VALUES (NULL, 1, 1)")
        .await;
    let judge = bids.judge(|_| {}).await;
    for window in ["4-0", "900-0", "2000-0", "0-1"] {
        let rows = lost(&bids, &judge, window).await;
        assert_eq!(identities(&rows), ["7", "8", "gh"], "{window}");
    }
    let rows = lost(&bids, &judge, "4-0").await;
    let looked = look_at_lost(&bids.source, &bids.cache, &judge, &rows)
        .await
        .unwrap();
    assert_eq!(looked.rows.len(), 3);
    bids.world
        .sql("DELETE FROM bid WHERE bid_id = '7'; UPDATE bid SET bid_id = '6' WHERE bid_id = '8'")
        .await;
    let looked = look_at_lost(&bids.source, &bids.cache, &judge, &rows)
        .await
        .unwrap();
    let still: Vec<LostRow> = looked.rows.into_iter().map(|(row, _)| row).collect();
    assert_eq!(identities(&still), ["gh"]);
}

#[tokio::test]
async fn with_the_entry_s_id_as_identity_a_row_is_looked_for_by_it() {
    let mut bids = Bids::start().await;
    for bid in 1..=4 {
        bids.add(&format!("{bid}-0"), bid).await;
    }
    for identity in ["1-0", "4-0", "4-1", "9-0", "no id"] {
        bids.persist_as(identity, 1).await;
    }
    let judge = bids.judge(|check| check.identity = Identity::EntryId).await;
    for window in ["3-0", "100-0"] {
        let rows = lost(&bids, &judge, window).await;
        assert_eq!(identities(&rows), ["4-1", "9-0"], "{window}");
    }
    let rows = lost(&bids, &judge, "3-0").await;
    bids.add("9-0", 9).await;
    let looked = look_at_lost(&bids.source, &bids.cache, &judge, &rows)
        .await
        .unwrap();
    let still: Vec<LostRow> = looked.rows.into_iter().map(|(row, _)| row).collect();
    assert_eq!(identities(&still), ["4-1"], "one came after all");
}
