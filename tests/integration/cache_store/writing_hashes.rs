//! Scripts that write hashes: all of it or nothing.

use auditor::model::observation::KeyExpiry;
use auditor::store::redis::{Write, WriteReply};
use bytes::Bytes;
use redis::Value;

use super::bench::{Bench, FAR, b};

type Fields = Vec<(Bytes, Option<Bytes>)>;

fn fields(of: &[(&'static [u8], Option<&'static [u8]>)]) -> Fields {
    of.iter()
        .map(|(name, value)| (b(name), value.map(b)))
        .collect()
}

fn set(
    judged: &[(&'static [u8], Option<&'static [u8]>)],
    new: &[(&'static [u8], Option<&'static [u8]>)],
) -> Write {
    Write::SetHashFields {
        key: b"h".to_vec(),
        judged: fields(judged),
        fields: fields(new),
    }
}

async fn field(bench: &Bench, name: &[u8]) -> Option<Vec<u8>> {
    match bench.run("HGET", &[b"h", name]).await {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

#[tokio::test]
async fn fields_are_set_and_removed_only_if_all_are_as_judged() {
    let mut bench = Bench::start().await;
    bench
        .run(
            "HSET",
            &[b"h", b"a", b"1", b"b\x00\xff", b"", b"other", b"x"],
        )
        .await;
    bench.run("PEXPIREAT", &[b"h", FAR]).await;

    for judged in [
        [(&b"a"[..], Some(&b"1"[..])), (b"b\x00\xff", None)],
        [(b"a", Some(b"1")), (b"b\x00\xff", Some(b"x"))],
        [(b"a", Some(b"1")), (b"c", Some(b""))],
        [(b"a", None), (b"b\x00\xff", Some(b""))],
    ] {
        assert_eq!(
            bench.apply(set(&judged, &[(b"a", Some(b"2"))])).await,
            WriteReply::Changed
        );
    }
    assert_eq!(field(&bench, b"a").await.unwrap(), b"1");

    let judged = [
        (&b"a"[..], Some(&b"1"[..])),
        (b"b\x00\xff", Some(b"")),
        (b"c", None),
    ];
    let new = [
        (&b"a"[..], Some(&b""[..])),
        (b"b\x00\xff", None),
        (b"c", Some(b"\x00\xfe")),
    ];
    assert_eq!(bench.apply(set(&judged, &new)).await, WriteReply::Applied);
    assert_eq!(field(&bench, b"a").await.unwrap(), b"");
    assert_eq!(field(&bench, b"b\x00\xff").await, None);
    assert_eq!(field(&bench, b"c").await.unwrap(), b"\x00\xfe");
    assert_eq!(
        field(&bench, b"other").await.unwrap(),
        b"x",
        "what is not mapped is left alone"
    );

    let everything = [
        (&b"a"[..], Some(&b""[..])),
        (b"c", Some(b"\x00\xfe")),
        (b"other", Some(b"x")),
    ];
    let replaced = [
        (&b"a"[..], None),
        (b"c", None),
        (b"other", None),
        (b"new", Some(&b"1"[..])),
    ];
    assert_eq!(
        bench.apply(set(&everything, &replaced)).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"h"]).await,
        Value::Int(4_102_444_800_123),
        "it was never empty"
    );
}

#[tokio::test]
async fn a_hash_that_is_gone_is_not_half_created_and_another_type_is_left_alone() {
    let mut bench = Bench::start().await;
    let write = set(&[(b"a", Some(b"1"))], &[(b"a", Some(b"2"))]);
    assert_eq!(bench.apply(write.clone()).await, WriteReply::Changed);
    assert_eq!(bench.run("EXISTS", &[b"h"]).await, Value::Int(0));
    bench.run("SET", &[b"h", b"a string"]).await;
    bench.is_refused(write, "WRONGTYPE").await;
    assert_eq!(bench.get(b"h").await.unwrap(), b"a string");
}

#[tokio::test]
async fn a_hash_is_deleted_only_as_judged() {
    let mut bench = Bench::start().await;
    let delete = |judged: &[_]| Write::DeleteHash {
        key: b"h".to_vec(),
        judged: fields(judged),
    };
    bench.run("HSET", &[b"h", b"a", b"1"]).await;
    assert_eq!(
        bench.apply(delete(&[(b"a", Some(b"2"))])).await,
        WriteReply::Changed
    );
    bench.run("HSET", &[b"h", b"new", b"1"]).await;
    assert_eq!(
        bench
            .apply(delete(&[(b"a", Some(b"1")), (b"b", None)]))
            .await,
        WriteReply::Changed,
        "a field that nobody judged or journaled would go with it"
    );
    bench.run("HDEL", &[b"h", b"new"]).await;
    assert_eq!(
        bench
            .apply(delete(&[(b"a", Some(b"1")), (b"b", None)]))
            .await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(delete(&[(b"a", None)])).await,
        WriteReply::Changed,
        "somebody else deleted it"
    );
}

#[tokio::test]
async fn a_field_is_added_to_exactly() {
    let mut bench = Bench::start().await;
    let add = |judged: &'static [u8], gap| Write::AddToHashField {
        key: b"h".to_vec(),
        field: b("n".as_bytes()),
        judged: b(judged),
        gap,
    };
    bench.run("HSET", &[b"h", b"n", b"9007199254740993"]).await;
    assert_eq!(
        bench.apply(add(b"9007199254740992", 2)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.apply(add(b"9007199254740993", 2)).await,
        WriteReply::Applied
    );
    assert_eq!(field(&bench, b"n").await.unwrap(), b"9007199254740995");
    bench
        .is_refused(add(b"9007199254740995", i64::MAX), "ERR")
        .await;
}

#[tokio::test]
async fn a_whole_hash_of_any_size_is_put_back_where_nothing_is() {
    let mut bench = Bench::start().await;
    let many: Vec<(Bytes, Bytes)> = (0..5_000)
        .map(|i| (Bytes::from(format!("f{i}")), Bytes::from(format!("v{i}"))))
        .collect();
    let restore = |expiry| Write::RestoreHash {
        key: b"h".to_vec(),
        fields: many.clone(),
        expiry,
    };
    assert_eq!(
        bench.apply(restore(KeyExpiry::AtMillis(1))).await,
        WriteReply::Changed
    );
    assert_eq!(bench.run("EXISTS", &[b"h"]).await, Value::Int(0));
    assert_eq!(
        bench
            .apply(restore(KeyExpiry::AtMillis(4_102_444_800_123)))
            .await,
        WriteReply::Applied
    );
    assert_eq!(bench.run("HLEN", &[b"h"]).await, Value::Int(5_000));
    assert_eq!(field(&bench, b"f4999").await.unwrap(), b"v4999");
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"h"]).await,
        Value::Int(4_102_444_800_123)
    );
    assert_eq!(
        bench.apply(restore(KeyExpiry::Never)).await,
        WriteReply::Changed
    );
    bench.run("DEL", &[b"h"]).await;
    assert_eq!(
        bench.apply(restore(KeyExpiry::Never)).await,
        WriteReply::Applied
    );
    assert_eq!(bench.run("PTTL", &[b"h"]).await, Value::Int(-1));

    let judged: Fields = many
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect();
    let emptied: Fields = many
        .iter()
        .skip(1)
        .map(|(name, _)| (name.clone(), None))
        .collect();
    let write = Write::SetHashFields {
        key: b"h".to_vec(),
        judged,
        fields: emptied,
    };
    assert_eq!(
        bench.apply(write).await,
        WriteReply::Applied,
        "thousands of fields are no limit"
    );
    assert_eq!(bench.run("HLEN", &[b"h"]).await, Value::Int(1));
}

/// HSET clears a field's expiry, so servers that know such expiries are written by HSETEX. Redis 7
/// knows none, and is written by HSET.
#[tokio::test]
async fn fields_keep_their_own_expiry_where_the_server_has_such() {
    let mut bench = Bench::start().await;
    bench.run("HSET", &[b"h", b"a", b"1", b"n", b"41"]).await;
    let expire: [&str; 7] = ["HPEXPIREAT", "h", "4102444800123", "FIELDS", "2", "a", "n"];
    let has_field_expiries = bench.server.command(&expire).await.is_ok();
    let write = set(
        &[(b"a", Some(b"1"))],
        &[(b"a", Some(b"2")), (b"new", Some(b""))],
    );
    assert_eq!(bench.apply(write).await, WriteReply::Applied);
    let add = Write::AddToHashField {
        key: b"h".to_vec(),
        field: b(b"n"),
        judged: b(b"41"),
        gap: 1,
    };
    assert_eq!(bench.apply(add).await, WriteReply::Applied);
    assert_eq!(field(&bench, b"a").await.unwrap(), b"2");
    assert_eq!(field(&bench, b"n").await.unwrap(), b"42");
    assert_eq!(field(&bench, b"new").await.unwrap(), b"");
    if has_field_expiries {
        let ask: [&[u8]; 6] = [b"h", b"FIELDS", b"3", b"a", b"n", b"new"];
        let at = Value::Int(4_102_444_800_123);
        let expected = Value::Array(vec![at.clone(), at, Value::Int(-1)]);
        assert_eq!(bench.run("HPEXPIRETIME", &ask).await, expected);
    }
}
