//! Two looks that agree and still prove nothing.

use auditor::lab::servers::Flavor;
use auditor::model::finding::Verdict;
use auditor::rules::Decision;

use super::hands::Hands;
use super::locks::{BALANCE, world_of};

#[tokio::test]
async fn a_value_that_flips_between_two_looks_is_not_confirmed() {
    let mut world = world_of(Flavor::MariaDb, &[90]).await;
    let hands = Hands::of(&world, BALANCE).await;
    let target = hands.targets().await.remove(0);
    let mut looks = vec![hands.look(&target).await];
    assert!(matches!(hands.decide(&looks), Decision::LookAgain { .. }));

    // Right in between, and the same bytes beside the same balance again when it is looked at.
    for balance in [100, 90] {
        let update = format!(
            "UPDATE users SET balance = {balance}, updated_at = '2026-01-01 00:00:{balance}'"
        );
        world
            .sql(&update.replace(":100'", ":01'").replace(":90'", ":02'"))
            .await;
    }
    looks.push(later(hands.look(&target).await));
    assert!(
        matches!(hands.decide(&looks), Decision::LookAgain { .. }),
        "the row has moved between the looks"
    );

    // Where it stays so, it is confirmed; where the application comes after all, it was lag.
    let mut at_rest = looks.clone();
    at_rest.push(later(later(hands.look(&target).await)));
    assert!(matches!(
        hands.decide(&at_rest),
        Decision::Settled {
            verdict: Verdict::Confirmed,
            look: 2,
            ..
        }
    ));
    world.redis::<()>(&["SET", "user:1:balance", "90"]).await;
    looks.push(later(hands.look(&target).await));
    assert!(matches!(
        hands.decide(&looks),
        Decision::Settled {
            verdict: Verdict::Transient,
            ..
        }
    ));
}

/// The same look as if it had been taken an hour later: far enough from the others, whatever the job says.
fn later(mut look: auditor::model::observation::Look) -> auditor::model::observation::Look {
    look.at = look.at.plus(std::time::Duration::from_secs(3_600));
    look
}
