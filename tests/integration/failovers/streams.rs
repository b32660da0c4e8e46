//! The streams of a job: nobody tells since when, and everything a failover did to them is found.

use super::*;
use crate::support::bidding::{self, Bidding, Settling};

const BEATS: &str = "auditor:bidding:heartbeat";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_did_to_streams_and_groups_is_found_and_settled() {
    let mut bidding = Bidding::start(2, Some("mymaster"), Settling::Requeue).await;
    let every = ["checkpoint", "--every", "200ms"];
    let mut sidecar = bidding.command(&every, &[]);
    sidecar.stdout(Stdio::null()).stderr(Stdio::null());
    let _sidecar = sidecar.spawn().unwrap();
    wait::until("the sidecar beats", LIMIT, async || {
        text(bidding.stage.cluster.master(), BEATS).await.is_some()
    })
    .await
    .unwrap();
    bidding.auditor(&["run"]).await.expect(0);
    let played = bidding.stage.play(3, 71).await.unwrap();
    bidding.wait_until_gone().await;

    let truth = bidding.truth(&bidding.worlds().await);
    let planted = bidding.planted(&played.facts);
    assert!(planted.len() > 20, "{planted:?}");
    // Duplicates and the like are for people to decide.
    let run = bidding.auditor(&["run"]).await.expect(1);
    let report = run.report();
    let found = bidding::found(&report);
    let missed: BTreeSet<_> = planted.difference(&found).collect();
    assert_eq!(missed, BTreeSet::new(), "{run:?}");
    let wrong: BTreeSet<_> = found.difference(&truth).collect();
    assert_eq!(wrong, BTreeSet::new(), "{run:?}");
    assert_eq!(told(&report), ("promotion".into(), "heartbeat".into()));

    let left = bidding.truth(&bidding.worlds().await);
    let for_people = Layout::ALL.iter().flat_map(|layout| {
        let rules = bidding.left(*layout).into_iter();
        rules.map(|rule| (layout.stream().to_owned(), rule.to_owned()))
    });
    let for_people: BTreeSet<_> = for_people.collect();
    let unsettled = left
        .iter()
        .filter(|(check, rule, _)| !for_people.contains(&(check.clone(), rule.clone())));
    assert_eq!(unsettled.collect::<Vec<_>>(), Vec::<&bidding::Named>::new());
    let again = bidding.auditor(&["run"]).await.expect(0);
    let nothing = "nothing to do: no failover";
    assert!(again.stdout.starts_with(nothing), "{again:?}");
}
