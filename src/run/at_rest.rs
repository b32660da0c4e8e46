//! Waiting until the slots of a Cluster stay where they are.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::RunError;
use super::ground::Ground;
use crate::scan::ScanError;
use crate::store::redis::SlotLayout;

/// A few slots are moved in less; a resharding of thousands takes longer than anyone should wait here.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);

/// Whether keys stay where they are.
pub(super) enum Rest {
    /// There is no Cluster, and nothing moves.
    Alone,
    /// As the slots are shared out.
    Still(SlotLayout),
    /// Slots that were on their way all the time.
    Moving(String),
}

/// Waits, within a bound, until no slot is on its way; why is shown. Asked to stop, it waits no longer. Slots that went to
/// a master to which there is no connection are an error, after which the run connects anew.
pub(super) async fn rest(ground: &Ground) -> Result<Rest, RunError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Some(layout) = layout(ground).await? else {
            return Ok(Rest::Alone);
        };
        let unclaimed = layout.unclaimed().map(|slots| slots.to_string());
        let moving = match &unclaimed {
            Some(slots) => slots.clone(),
            None => layout.moving().join(" "),
        };
        if moving.is_empty() || ground.stop.is_requested() {
            ground.progress.waiting(None);
            return Ok(Rest::Still(layout));
        }
        if Instant::now() >= deadline {
            ground.progress.waiting(None);
            return match unclaimed {
                Some(slots) => Err(RunError::TopologyChanged(format!(
                    "the slots {slots} went to a master that was none before"
                ))),
                None => Ok(Rest::Moving(moving)),
            };
        }
        let why = format!("slots of the Cluster are moving ({moving}), and keys with them");
        ground.progress.waiting(Some(&why));
        let pause = PAUSE.mul_f64(rand::rng().random_range(0.75..1.25));
        tokio::time::sleep(pause).await;
    }
}

/// Which slots moved since `before`, or how they did; `None`: none.
pub(super) async fn changes_since(
    ground: &Ground,
    before: Option<&SlotLayout>,
) -> Result<Option<String>, RunError> {
    let now = layout(ground).await?;
    if now.as_ref() == before {
        return Ok(None);
    }
    let moving = now.map(|now| now.moving().join(" ")).unwrap_or_default();
    Ok(Some(match moving.is_empty() {
        true => "some have another owner now".to_owned(),
        false => moving,
    }))
}

async fn layout(ground: &Ground) -> Result<Option<SlotLayout>, RunError> {
    let layout = ground.stores.cache.slot_layout().await;
    Ok(layout.map_err(ScanError::from)?)
}
