//! Every shape that can be read, and everything that can be wrong with it.

use auditor::lab::servers::RedisServer;
use auditor::model::check::{Locator, ValueKind};
use auditor::model::observation::{Cached, CachedState, KeyExpiry, Subject};
use auditor::store::redis::{Redis, RedisError};
use bytes::Bytes;

use super::{
    hash_field, key, mapping, member, plain_server, reader, run, server_with, with_version,
};

const GONE: Cached = Cached::Missing { key_exists: false };
const NOT_IN_IT: Cached = Cached::Missing { key_exists: true };

fn value(bytes: &'static [u8]) -> Cached {
    Cached::Value(Bytes::from_static(bytes))
}

fn wrong(name: &str) -> Cached {
    Cached::WrongType(name.into())
}

async fn read(
    redis: &Redis,
    mapping: &auditor::model::mapping::Mapping,
    subjects: &[Subject],
) -> Vec<Cached> {
    let states = redis.read(mapping, subjects, false).await.unwrap();
    assert!(states.iter().all(|state| state.expiry == KeyExpiry::Unread));
    states.into_iter().map(|state| state.cached).collect()
}

async fn of_every_type(server: &RedisServer) {
    run(server, "SET", &[b"string", b"v"]).await;
    run(
        server,
        "HSET",
        &[
            b"hash",
            b"f",
            b"1",
            b"version",
            b"9007199254740993",
            b"empty",
            b"",
        ],
    )
    .await;
    run(
        server,
        "ZADD",
        &[b"zset", b"1732150000123", b"m", b"0.5", b"n", b"inf", b"i"],
    )
    .await;
    run(server, "SADD", &[b"set", b"m"]).await;
    run(server, "RPUSH", &[b"list", b"x"]).await;
}

#[tokio::test]
async fn strings_are_told_from_nothing_and_from_other_types() {
    let server = plain_server().await;
    of_every_type(&server).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    run(&server, "SET", &[b"\xff\xfe:\x00", &every_byte]).await;
    run(&server, "SET", &[b"nothing", b""]).await;

    let subjects = [
        &b"string"[..],
        b"absent",
        b"\xff\xfe:\x00",
        b"hash",
        b"nothing",
        b"list",
        b"string",
    ]
    .map(key);
    let mapping = mapping(ValueKind::Json, None, &[Locator::Whole]);
    let got = read(&reader(&server).await, &mapping, &subjects).await;
    let expected = [
        value(b"v"),
        GONE,
        Cached::Value(Bytes::from(every_byte)),
        wrong("hash"),
        value(b""),
        wrong("list"),
        value(b"v"),
    ];
    assert_eq!(got, expected);
}

#[tokio::test]
async fn documents_give_the_version_first_and_then_the_fields_in_order() {
    let server = plain_server().await;
    of_every_type(&server).await;
    run(&server, "HSET", &[b"bare", b"unmapped", b"1"]).await;
    let fields = ["empty", "f", "absent"].map(hash_field);
    let mapping = with_version(
        mapping(ValueKind::Hash, None, &fields),
        hash_field("version"),
    );

    let subjects = ["hash", "none", "string", "bare"].map(key);
    let got = read(&reader(&server).await, &mapping, &subjects).await;
    let fields = |values: [Option<&'static [u8]>; 4]| {
        Cached::Fields(values.map(|v| v.map(Bytes::from_static)).to_vec())
    };
    let expected = [
        fields([Some(b"9007199254740993"), Some(b""), Some(b"1"), None]),
        GONE,
        wrong("string"),
        fields([None; 4]),
    ];
    assert_eq!(
        got, expected,
        "a hash without any mapped field is there all the same"
    );
}

#[tokio::test]
async fn members_are_told_from_keys() {
    let server = plain_server().await;
    of_every_type(&server).await;
    let redis = reader(&server).await;
    let asked = |type_name: &'static str| {
        ["m", "none"]
            .map(|m| member(type_name, m))
            .into_iter()
            .chain([member("absent", "m"), member("string", "m")])
    };

    let scores = mapping(ValueKind::Zset, Some("{id}"), &[Locator::Score]);
    let mut subjects: Vec<Subject> = asked("zset").collect();
    subjects.extend([member("zset", "n"), member("zset", "i")]);
    let got = read(&redis, &scores, &subjects).await;
    let expected = [
        value(b"1732150000123"),
        NOT_IN_IT,
        GONE,
        wrong("string"),
        value(b"0.5"),
        value(b"inf"),
    ];
    assert_eq!(got, expected);

    let members = mapping(ValueKind::Set, Some("{id}"), &[]);
    let got = read(&redis, &members, &asked("set").collect::<Vec<_>>()).await;
    assert_eq!(got, [value(b"1"), NOT_IN_IT, GONE, wrong("string")]);

    let rows = mapping(ValueKind::Hash, Some("{id}"), &[Locator::Whole]);
    let subjects = [
        member("hash", "empty"),
        member("hash", "none"),
        member("absent", "f"),
        member("set", "f"),
        member("hash", "f"),
    ];
    let got = read(&redis, &rows, &subjects).await;
    assert_eq!(
        got,
        [value(b""), NOT_IN_IT, GONE, wrong("set"), value(b"1")]
    );
}

#[tokio::test]
async fn a_member_must_be_named_and_a_shape_must_fit() {
    let server = plain_server().await;
    let redis = reader(&server).await;
    let scores = mapping(ValueKind::Zset, Some("{id}"), &[Locator::Score]);
    let error = redis
        .read(&scores, &[key("zset")], false)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("without a member"), "{error}");
    let bare = mapping(ValueKind::Zset, None, &[Locator::Score]);
    let error = redis.read(&bare, &[key("zset")], false).await.unwrap_err();
    assert!(matches!(error, RedisError::Protocol(_)), "{error}");
}

#[tokio::test]
async fn expiries_are_absolute_whatever_the_server_can_say() {
    for lines in [&[][..], &["rename-command PEXPIRETIME \"\""]] {
        let server = server_with(lines).await;
        let at: &[u8] = b"4102444800123";
        run(&server, "SET", &[b"lasting", b"v"]).await;
        run(&server, "SET", &[b"ending", b"v", b"PXAT", at]).await;
        run(&server, "ZADD", &[b"queue", b"1", b"m"]).await;
        run(&server, "PEXPIREAT", &[b"queue", at]).await;
        let redis = reader(&server).await;
        let state = |cached, expiry| CachedState { cached, expiry };

        let strings = mapping(ValueKind::String, None, &[Locator::Whole]);
        let subjects = ["lasting", "ending", "absent", "queue"].map(key);
        let expected = [
            state(value(b"v"), KeyExpiry::Never),
            state(value(b"v"), KeyExpiry::AtMillis(4_102_444_800_123)),
            state(GONE, KeyExpiry::Never),
            state(wrong("zset"), KeyExpiry::AtMillis(4_102_444_800_123)),
        ];
        for _ in 0..2 {
            assert_eq!(
                redis.read(&strings, &subjects, true).await.unwrap(),
                expected,
                "{lines:?}"
            );
        }

        let scores = mapping(ValueKind::Zset, Some("{id}"), &[Locator::Score]);
        let subjects = [
            member("queue", "m"),
            member("queue", "n"),
            member("absent", "m"),
        ];
        let expected = [
            state(value(b"1"), KeyExpiry::AtMillis(4_102_444_800_123)),
            state(NOT_IN_IT, KeyExpiry::AtMillis(4_102_444_800_123)),
            state(GONE, KeyExpiry::Never),
        ];
        assert_eq!(
            redis.read(&scores, &subjects, true).await.unwrap(),
            expected,
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn five_thousand_keys_come_back_in_order() {
    let server = plain_server().await;
    let mut connection = server.connect().await.unwrap();
    let mut pipeline = redis::pipe();
    for index in (0..5_000).filter(|index| index % 7 != 0) {
        pipeline
            .cmd("SET")
            .arg(format!("k:{index}"))
            .arg(format!("value {index}"));
    }
    pipeline.exec_async(&mut connection).await.unwrap();

    let redis = reader(&server).await;
    let names: Vec<Vec<u8>> = (0..5_000)
        .map(|index| format!("k:{index}").into_bytes())
        .collect();
    let expected: Vec<Option<Bytes>> = (0..5_000)
        .map(|index| (index % 7 != 0).then(|| Bytes::from(format!("value {index}"))))
        .collect();
    assert_eq!(redis.read_strings(&names).await.unwrap(), expected);

    let strings = mapping(ValueKind::String, None, &[Locator::Whole]);
    let subjects: Vec<Subject> = names.iter().map(key).collect();
    let expected: Vec<Cached> = expected
        .into_iter()
        .map(|v| v.map_or(GONE, Cached::Value))
        .collect();
    assert_eq!(read(&redis, &strings, &subjects).await, expected);

    let types = redis.types(&names).await.unwrap();
    assert_eq!(
        (types.len(), types[0].as_str(), types[1].as_str()),
        (5_000, "none", "string")
    );
}

#[tokio::test]
async fn values_of_sixteen_megabytes_come_whole() {
    let server = plain_server().await;
    let big: Vec<u8> = (0..16 << 20)
        .map(|index: usize| (index * 31 % 251) as u8)
        .collect();
    let names: Vec<Vec<u8>> = (0..12)
        .map(|index| format!("big:{index}").into_bytes())
        .collect();
    for name in &names {
        run(&server, "SET", &[name, &big]).await;
    }
    let redis = reader(&server).await;
    let got = redis.read_strings(&names).await.unwrap();
    assert!(
        got.iter()
            .all(|value| value.as_deref() == Some(big.as_slice()))
    );
    run(&server, "HSET", &[b"hash", b"a", &big, b"b", b""]).await;
    let documents = mapping(ValueKind::Hash, None, &[hash_field("a"), hash_field("b")]);
    let got = read(&redis, &documents, &[key("hash")]).await;
    assert_eq!(
        got,
        [Cached::Fields(vec![
            Some(Bytes::from(big)),
            Some(Bytes::new())
        ])]
    );
}

#[tokio::test]
async fn whole_hashes_hold_every_field() {
    let server = plain_server().await;
    of_every_type(&server).await;
    let redis = reader(&server).await;
    let keys = [b"hash".to_vec(), b"absent".to_vec(), b"string".to_vec()];
    let mut got = redis.whole_hashes(&keys).await.unwrap();
    got[0].sort();
    let pair = |name: &'static [u8], value: &'static [u8]| {
        (Bytes::from_static(name), Bytes::from_static(value))
    };
    let whole = vec![
        pair(b"empty", b""),
        pair(b"f", b"1"),
        pair(b"version", b"9007199254740993"),
    ];
    assert_eq!(got, [whole, Vec::new(), Vec::new()]);
}

#[tokio::test]
async fn scans_find_all_that_is_there() {
    let server = plain_server().await;
    let mut connection = server.connect().await.unwrap();
    let mut pipeline = redis::pipe();
    for index in 0..3_000 {
        pipeline.cmd("SET").arg(format!("k:{index}")).arg("");
        pipeline.cmd("SET").arg(format!("other:{index}")).arg("");
        pipeline
            .cmd("ZADD")
            .arg("zset")
            .arg(index)
            .arg(format!("m{index}"));
        pipeline
            .cmd("HSET")
            .arg("hash")
            .arg(format!("m{index}"))
            .arg(index);
        pipeline.cmd("SADD").arg("set").arg(format!("m{index}"));
    }
    pipeline.cmd("SET").arg(b"k:\xff\x00").arg("");
    pipeline.exec_async(&mut connection).await.unwrap();
    let redis = reader(&server).await;

    let (mut walk, mut keys) = (redis.walk_keys(None), std::collections::BTreeSet::new());
    while !walk.is_done() {
        keys.extend(redis.scan_keys(&mut walk, b"k:*").await.unwrap());
    }
    assert_eq!(keys.len(), 3_001);
    assert!(keys.contains(&b"k:\xff\x00"[..]) && keys.iter().all(|key| key.starts_with(b"k:")));

    for (value, name) in [
        (ValueKind::Zset, "zset"),
        (ValueKind::Hash, "hash"),
        (ValueKind::Set, "set"),
    ] {
        let mapping = mapping(value, Some("m{id}"), &[]);
        let (mut cursor, mut members) = (0, std::collections::BTreeSet::new());
        loop {
            let page = redis
                .scan_members(&mapping, name.as_bytes(), cursor)
                .await
                .unwrap();
            members.extend(page.items);
            cursor = page.next;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(members.len(), 3_000, "{name}");
        assert!(
            members.iter().all(|member| member.starts_with(b"m")),
            "{name}: names, not values"
        );
        for nothing in ["absent", "k:1"] {
            let page = redis
                .scan_members(&mapping, nothing.as_bytes(), 0)
                .await
                .unwrap();
            assert_eq!(
                (page.next, page.items.len()),
                (0, 0),
                "{nothing} has no members"
            );
        }
    }
}

/// Sweeps run on tasks of their own.
#[tokio::test]
async fn reading_moves_between_threads() {
    let server = plain_server().await;
    run(&server, "SET", &[b"a", b"1"]).await;
    let redis = reader(&server).await;
    let task = tokio::spawn(async move {
        let strings = mapping(ValueKind::String, None, &[Locator::Whole]);
        let states = redis.read(&strings, &[key("a")], true).await?;
        let values = redis.read_strings(&[b"a".to_vec()]).await?;
        redis.whole_hashes(&[b"b".to_vec()]).await?;
        redis.types(&[b"b".to_vec()]).await?;
        Ok::<_, RedisError>((states.len(), values))
    });
    let (count, values) = task.await.unwrap().unwrap();
    assert_eq!((count, values), (1, vec![Some(Bytes::from_static(b"1"))]));
}
