//! After a planned write, judging again finds nothing; and nothing that is not ours has moved.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use proptest::prelude::*;

use super::plan_tests::{INTEGER, plan};
use crate::model::check::*;
use crate::model::column::ColumnType;
use crate::model::observation::{Cached, CachedState};
use crate::rules::testing::*;
use crate::store::redis::Write;

proptest! {
    #[test]
    fn a_repaired_document_agrees(
        cached_version in 0u8..4, source_version in 0u8..4,
        name in "[a-c\"\\\\é]{0,2}", cached_name in prop::option::of("[a-c]{0,2}"),
        score in prop::option::of(0i64..3), cached_score in prop::option::of(0i64..3), seen: u32,
    ) {
        let judge = judge(profile(), &[ColumnType::Text, INTEGER]);
        let score = score.map(|s| s.to_string());
        let live = row(&source_version.to_string(), &[Some(&name), score.as_deref()]);
        let name_member = cached_name.map_or(String::new(), |n| format!("\"name\":\"{n}\","));
        let score_member = cached_score.map_or("{}".to_owned(), |s| format!("{{\"score\":\"{s}\"}}"));
        let kept = format!("\"lastSeen\":{seen}e-3");
        let state = value(&format!("{{{name_member}\"version\":{cached_version},{kept},\"at\":{score_member}}}"));
        let objections = found(&judge, Some(&live), &state);
        match plan(&judge, Some(&live), &state, None) {
            Ok(step) => {
                prop_assert!(cached_version <= source_version && !objections.is_empty());
                let after = applied(&step.write, &state, &[]);
                prop_assert!(judge.agrees(Some(live.as_ref()), &after), "{after:?}");
                let Cached::Value(bytes) = &after.cached else { panic!("it was overwritten: {after:?}") };
                prop_assert!(std::str::from_utf8(bytes).unwrap().contains(&kept));
            }
            Err(_) => prop_assert!(cached_version > source_version || objections.is_empty()),
        }
    }

    #[test]
    fn directed_fields_never_fall(
        cached in [prop::option::of(0i64..4), prop::option::of(0i64..4)], bidder in prop::option::of("[ab]?"),
        source in [prop::option::of(0i64..4), prop::option::of(0i64..4)], winner in prop::option::of("[ab]"),
        source_first: bool, ahead_ok: bool,
    ) {
        let mut spec = top_bid();
        spec.ahead_ok = ahead_ok;
        spec.order = Some(if source_first { Order::SourceFirst } else { Order::CacheFirst });
        let judge = judge(spec, &[INTEGER, INTEGER, ColumnType::Text]);
        let text = |n: Option<i64>| n.map(|n| n.to_string());
        let cells = [text(source[0]), text(source[1]), winner];
        let live = row("1", &[cells[0].as_deref(), cells[1].as_deref(), cells[2].as_deref()]);
        let fields = [text(cached[0]), text(cached[1]), bidder];
        let state = hash(&[fields[0].as_deref(), fields[1].as_deref(), fields[2].as_deref()]);
        found(&judge, Some(&live), &state);
        if let Ok(step) = plan(&judge, Some(&live), &state, None) {
            let names = ["price", "count", "bidder"].map(Bytes::from);
            let after = applied(&step.write, &state, &names);
            let Cached::Fields(now) = &after.cached else { panic!("fields stay fields") };
            for index in 0..2 {
                let now = now[index].as_ref().map(|b| std::str::from_utf8(b).unwrap().parse::<i64>().unwrap());
                prop_assert!(now >= cached[index], "{step:?}");
            }
            if source_first {
                prop_assert!(judge.agrees(Some(live.as_ref()), &after), "{after:?}");
            }
        }
    }
}

/// The state after `write` was applied to what was judged.
pub(super) fn applied(write: &Write, state: &CachedState, names: &[Bytes]) -> CachedState {
    let cached = match (write, &state.cached) {
        (Write::ReplaceString { judged, new, .. }, Cached::Value(old)) if judged == old => {
            Cached::Value(new.clone())
        }
        (Write::CreateString { new, .. }, Cached::Missing { .. }) => Cached::Value(new.clone()),
        (Write::DeleteString { judged, .. }, Cached::Value(old)) if judged == old => {
            Cached::Missing { key_exists: false }
        }
        (Write::AddToString { judged, gap, .. }, Cached::Value(old)) if judged == old => {
            let sum = std::str::from_utf8(old).unwrap().parse::<i64>().unwrap() + gap;
            Cached::Value(Bytes::from(sum.to_string()))
        }
        (Write::SetHashFields { judged, fields, .. }, Cached::Fields(old)) => {
            assert!(
                judged
                    .iter()
                    .zip(names)
                    .zip(old)
                    .all(|((j, name), old)| j.0 == *name && j.1 == *old)
            );
            let of = |name: &Bytes| {
                fields
                    .iter()
                    .find(|(n, _)| n == name)
                    .map(|(_, v)| v.clone())
            };
            Cached::Fields(
                names
                    .iter()
                    .zip(old)
                    .map(|(n, old)| of(n).unwrap_or_else(|| old.clone()))
                    .collect(),
            )
        }
        (write, cached) => panic!("{write:?} does not fit {cached:?}"),
    };
    CachedState {
        cached,
        ..state.clone()
    }
}

pub(super) fn profile() -> CacheCheck {
    let mut spec = check(
        ValueKind::Json,
        vec![
            field(pointer("/name"), "name"),
            field(pointer("/at/score"), "score"),
        ],
    );
    spec.version = Some(VersionSpec {
        cache: pointer("/version"),
        column: named("version"),
    });
    spec.ignore = vec![pointer("/lastSeen")];
    spec
}

pub(super) fn top_bid() -> CacheCheck {
    let in_hash = |name: &str| field(Locator::HashField(name.as_bytes().to_vec()), name);
    let mut spec = check(
        ValueKind::Hash,
        vec![in_hash("price"), in_hash("count"), in_hash("bidder")],
    );
    spec.fields[0].compare = Compare::AtLeast;
    spec.fields[1].compare = Compare::AtLeast;
    spec.fields[2].follows = Some(0);
    spec.fields[2].null = Some(Vec::new());
    spec.order = Some(Order::CacheFirst);
    spec.ahead_ok = true;
    spec
}
