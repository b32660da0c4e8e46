//! After a planned write, judging again finds nothing; and nothing that is not ours has moved.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use proptest::prelude::*;

use super::plan_tests::{INTEGER, applied, plan, profile, top_bid};
use crate::model::check::Order;
use crate::model::column::ColumnType;
use crate::model::observation::Cached;
use crate::rules::testing::{found, hash, judge, row, value};

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
