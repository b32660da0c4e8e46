//! Asking several who should all know, without waiting for one that is gone.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

/// Whoever has not answered this long after enough others did is not waited for; on a slow network twice as long as
/// those took. Those that are late may be the only ones that know of a failover already, and nothing but a node that is
/// gone makes anybody wait for this.
const GRACE: Duration = Duration::from_millis(300);

/// The answers, in the order of the questions. All of them, if none of them is late; else those that came until a little
/// after `is_enough`.
pub(super) async fn answers<T>(
    questions: impl IntoIterator<Item = impl Future<Output = T>>,
    is_enough: impl Fn(&[(usize, T)]) -> bool,
) -> Vec<T> {
    let numbered = questions.into_iter().enumerate();
    let mut open: FuturesUnordered<_> = numbered
        .map(|(number, question)| async move { (number, question.await) })
        .collect();
    let began = Instant::now();
    let mut came: Vec<(usize, T)> = Vec::new();
    let mut deadline = None;
    loop {
        let next = match deadline {
            None => open.next().await,
            Some(deadline) => timeout_at(deadline, open.next()).await.unwrap_or_default(),
        };
        let Some(answer) = next else { break };
        came.push(answer);
        if deadline.is_none() && is_enough(&came) {
            let now = Instant::now();
            deadline = Some(now + GRACE.max(2 * (now - began)));
        }
    }
    came.sort_by_key(|(number, _)| *number);
    came.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// Answers when it was asked so often; 0: never.
    async fn at(turn: u32) -> u32 {
        if turn == 0 {
            pending::<()>().await;
        }
        for _ in 1..turn {
            tokio::task::yield_now().await;
        }
        turn
    }

    #[tokio::test]
    async fn who_never_answers_is_waited_for_only_until_enough_others_did() {
        let two = |came: &[(usize, u32)]| came.len() >= 2;
        for (questions, expected) in [
            (vec![3, 1, 2], vec![3, 1, 2]),
            (vec![0, 1, 2], vec![1, 2]),
            // A little later than enough.
            (vec![9, 1, 0, 2], vec![9, 1, 2]),
            (vec![1], vec![1]),
        ] {
            let came = answers(questions.into_iter().map(at), two);
            let came = tokio::time::timeout(Duration::from_secs(30), came).await;
            assert_eq!(came.ok(), Some(expected));
        }
        let limit = Duration::from_millis(200);
        let alone = tokio::time::timeout(limit, answers([at(0), at(1)], two)).await;
        assert!(alone.is_err(), "one of two is not enough");
    }
}
