//! Every script that writes something other than a hash.

use auditor::model::check::{Locator, ValueKind};
use auditor::model::observation::{Cached, KeyExpiry};
use auditor::store::redis::{Write, WriteReply};
use bytes::Bytes;
use redis::Value;

use super::bench::{Bench, FAR, FAR_MILLIS, b, replace};
use super::{mapping, member, reader};

#[tokio::test]
async fn a_string_is_replaced_only_as_judged_and_keeps_its_expiry() {
    let mut bench = Bench::start().await;
    bench.run("SET", &[b"k", b"old", b"PXAT", FAR]).await;
    assert_eq!(
        bench.apply(replace(b"k", b"old", b"new")).await,
        WriteReply::Applied
    );
    assert_eq!(bench.get(b"k").await.unwrap(), b"new");
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"k"]).await,
        Value::Int(FAR_MILLIS)
    );

    assert_eq!(
        bench.apply(replace(b"k", b"old", b"newer")).await,
        WriteReply::Changed
    );
    assert_eq!(bench.get(b"k").await.unwrap(), b"new");
    assert_eq!(
        bench.apply(replace(b"gone", b"", b"new")).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.get(b"gone").await,
        None,
        "an absent string is not an empty one"
    );
    bench.run("RPUSH", &[b"list", b"x"]).await;
    bench
        .is_refused(replace(b"list", b"old", b"new"), "WRONGTYPE")
        .await;
    assert_eq!(
        bench.run("TYPE", &[b"list"]).await,
        Value::SimpleString("list".into())
    );
}

#[tokio::test]
async fn bytes_pass_through_unharmed() {
    let mut bench = Bench::start().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let reversed: Vec<u8> = (0..=255).rev().collect();
    bench.run("SET", &[&every_byte, &every_byte]).await;
    let write = Write::ReplaceString {
        key: every_byte.clone(),
        judged: Bytes::from(every_byte.clone()),
        new: Bytes::from(reversed.clone()),
    };
    assert_eq!(bench.apply(write).await, WriteReply::Applied);
    assert_eq!(bench.get(&every_byte).await.unwrap(), reversed);

    bench.run("SET", &[b"empty", b""]).await;
    assert_eq!(
        bench.apply(replace(b"empty", b"", b"x")).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(replace(b"empty", b"x", b"")).await,
        WriteReply::Applied
    );
    assert_eq!(bench.get(b"empty").await.unwrap(), b"");
}

#[tokio::test]
async fn a_string_is_created_only_where_nothing_is() {
    let mut bench = Bench::start().await;
    let create = |key: &[u8], ttl_millis| Write::CreateString {
        key: key.to_vec(),
        new: b("v".as_bytes()),
        ttl_millis,
    };
    assert_eq!(
        bench.apply(create(b"lasting", None)).await,
        WriteReply::Applied
    );
    assert_eq!(bench.run("PTTL", &[b"lasting"]).await, Value::Int(-1));
    assert_eq!(
        bench.apply(create(b"ending", Some(100_000))).await,
        WriteReply::Applied
    );
    let Value::Int(left) = bench.run("PTTL", &[b"ending"]).await else {
        panic!("PTTL gives a number")
    };
    assert!((1..=100_000).contains(&left), "{left}");
    assert_eq!(
        bench.apply(create(b"ending", None)).await,
        WriteReply::Changed
    );
    bench.run("SADD", &[b"set", b"x"]).await;
    assert_eq!(bench.apply(create(b"set", None)).await, WriteReply::Changed);
    bench
        .is_refused(create(b"never", Some(0)), "a time to live")
        .await;
    assert_eq!(bench.get(b"never").await, None);
}

#[tokio::test]
async fn a_string_is_deleted_or_added_to_only_as_judged() {
    let mut bench = Bench::start().await;
    let delete = |judged: &'static [u8]| Write::DeleteString {
        key: b"k".to_vec(),
        judged: b(judged),
    };
    bench.run("SET", &[b"k", b"v"]).await;
    assert_eq!(bench.apply(delete(b"other")).await, WriteReply::Changed);
    assert_eq!(bench.apply(delete(b"v")).await, WriteReply::Applied);
    assert_eq!(bench.apply(delete(b"v")).await, WriteReply::Changed);

    let add = |judged: &'static [u8], gap| Write::AddToString {
        key: b"n".to_vec(),
        judged: b(judged),
        gap,
    };
    bench
        .run("SET", &[b"n", b"9007199254740993", b"PXAT", FAR])
        .await;
    assert_eq!(
        bench.apply(add(b"9007199254740992", 1)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench
            .apply(add(b"9007199254740993", 9_007_199_254_740_995))
            .await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.get(b"n").await.unwrap(),
        b"18014398509481988",
        "exact past 2^53"
    );
    assert_eq!(
        bench.apply(add(b"18014398509481988", i64::MIN)).await,
        WriteReply::Applied
    );
    assert_eq!(bench.get(b"n").await.unwrap(), b"-9205357638345293820");
    bench
        .is_refused(add(b"-9205357638345293820", i64::MIN), "ERR")
        .await;
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"n"]).await,
        Value::Int(FAR_MILLIS)
    );
    assert_eq!(bench.apply(add(b"gone", 1)).await, WriteReply::Changed);
}

#[tokio::test]
async fn scores_and_members_are_written_only_as_judged() {
    let mut bench = Bench::start().await;
    bench.run("ZADD", &[b"z", b"0.1", b"m"]).await;
    bench.run("PEXPIREAT", &[b"z", FAR]).await;
    let set = |member: &[u8], judged: Option<&[u8]>, new: &'static [u8]| Write::SetScore {
        key: b"z".to_vec(),
        member: member.to_vec(),
        judged: judged.map(Bytes::copy_from_slice),
        new: b(new),
    };
    // 0.10000000000000001 on Redis 7, 0.1 on Redis 8 and Valkey 9: only what was read is right.
    let scores = mapping(ValueKind::Zset, Some("{id}"), &[Locator::Score]);
    let redis = reader(&bench.server).await;
    let states = redis.read(&scores, &[member("z", "m")], false).await;
    let Cached::Value(score) = states.unwrap().remove(0).cached else {
        panic!("the member is there")
    };
    assert_eq!(
        bench.apply(set(b"m", None, b"2")).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.apply(set(b"m", Some(b"1e-1"), b"2")).await,
        WriteReply::Changed,
        "the same number, but not as ZSCORE prints it"
    );
    assert_eq!(
        bench.apply(set(b"m", Some(&score), b"1732150000123")).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(set(b"n\xff", None, b"-inf")).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(set(b"o", Some(b"1"), b"2")).await,
        WriteReply::Changed
    );
    bench.is_refused(set(b"o", None, b"ten"), "ERR").await;
    assert_eq!(
        bench.run("ZSCORE", &[b"z", b"m"]).await,
        Value::BulkString(b"1732150000123".to_vec())
    );
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"z"]).await,
        Value::Int(FAR_MILLIS)
    );

    let remove = |judged: &'static [u8]| Write::RemoveScore {
        key: b"z".to_vec(),
        member: b"m".to_vec(),
        judged: b(judged),
    };
    assert_eq!(bench.apply(remove(b"1")).await, WriteReply::Changed);
    assert_eq!(
        bench.apply(remove(b"1732150000123")).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(remove(b"1732150000123")).await,
        WriteReply::Changed
    );

    let in_set = |present| Write::SetMember {
        key: b"s".to_vec(),
        member: b"m\x00".to_vec(),
        present,
    };
    assert_eq!(bench.apply(in_set(false)).await, WriteReply::Changed);
    assert_eq!(bench.apply(in_set(true)).await, WriteReply::Applied);
    assert_eq!(bench.apply(in_set(true)).await, WriteReply::Changed);
    assert_eq!(
        bench.run("SISMEMBER", &[b"s", b"m\x00"]).await,
        Value::Int(1)
    );
    assert_eq!(bench.apply(in_set(false)).await, WriteReply::Applied);
}

#[tokio::test]
async fn an_expiry_is_set_only_where_none_is() {
    let mut bench = Bench::start().await;
    let expire = |key: &[u8], judged: Option<&'static [u8]>| Write::SetExpiry {
        key: key.to_vec(),
        judged: judged.map(b),
        ttl_millis: 100_000,
    };
    bench.run("SET", &[b"k", b"v"]).await;
    bench.run("SADD", &[b"s", b"m"]).await;
    assert_eq!(
        bench.apply(expire(b"k", Some(b"w"))).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.apply(expire(b"k", Some(b"v"))).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.apply(expire(b"k", Some(b"v"))).await,
        WriteReply::Changed,
        "it has one now"
    );
    assert_eq!(bench.apply(expire(b"s", None)).await, WriteReply::Applied);
    assert_eq!(
        bench.apply(expire(b"gone", None)).await,
        WriteReply::Changed
    );
    let persist = Write::Persist { key: b"k".to_vec() };
    assert_eq!(bench.apply(persist.clone()).await, WriteReply::Applied);
    assert_eq!(bench.run("PTTL", &[b"k"]).await, Value::Int(-1));
    assert_eq!(bench.apply(persist).await, WriteReply::Changed);
}

#[tokio::test]
async fn a_string_is_put_back_with_its_expiry_unless_that_has_passed() {
    let mut bench = Bench::start().await;
    let restore =
        |judged: Option<&'static [u8]>, old: Option<&'static [u8]>, expiry| Write::RestoreString {
            key: b"k".to_vec(),
            judged: judged.map(b),
            old: old.map(b),
            expiry,
        };
    let at = KeyExpiry::AtMillis(FAR_MILLIS);
    assert_eq!(
        bench.apply(restore(Some(b"x"), Some(b"old"), at)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench
            .apply(restore(None, Some(b"old"), KeyExpiry::AtMillis(1)))
            .await,
        WriteReply::Changed
    );
    assert_eq!(bench.get(b"k").await, None);
    assert_eq!(
        bench.apply(restore(None, Some(b""), at)).await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"k"]).await,
        Value::Int(FAR_MILLIS)
    );
    assert_eq!(
        bench.apply(restore(None, Some(b"old"), at)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench
            .apply(restore(Some(b""), Some(b"2"), KeyExpiry::Unread))
            .await,
        WriteReply::Applied
    );
    assert_eq!(
        bench.run("PEXPIRETIME", &[b"k"]).await,
        Value::Int(FAR_MILLIS)
    );
    assert_eq!(
        bench
            .apply(restore(Some(b"2"), Some(b"3"), KeyExpiry::Never))
            .await,
        WriteReply::Applied
    );
    assert_eq!(bench.run("PTTL", &[b"k"]).await, Value::Int(-1));
    assert_eq!(bench.get(b"k").await.unwrap(), b"3");
    assert_eq!(
        bench.apply(restore(Some(b"2"), None, at)).await,
        WriteReply::Changed
    );
    assert_eq!(
        bench.apply(restore(Some(b"3"), None, at)).await,
        WriteReply::Applied
    );
    assert_eq!(bench.get(b"k").await, None);
}
