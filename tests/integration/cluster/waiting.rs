//! Waiting for a Cluster is shown as long as it lasts.

use std::sync::{Arc, Mutex};

use auditor::lab::wait;
use auditor::model::progress::ProgressSink;

use super::{LIMIT, keys_in, plain_cluster, reader, slot};

#[derive(Default)]
struct Heard(Mutex<Vec<Option<String>>>);

impl Heard {
    fn last(&self) -> Option<Option<String>> {
        self.0.lock().unwrap().last().cloned()
    }
}

impl ProgressSink for Heard {
    fn begin(&self, _check: &str, _stage: &str, _total: Option<u64>) {}
    fn advance(&self, _count: u64) {}
    fn waiting(&self, reason: Option<&str>) {
        self.0.lock().unwrap().push(reason.map(str::to_owned));
    }
    fn done(&self) {}
}

#[tokio::test]
async fn a_cluster_that_is_down_is_waited_for_and_why_is_shown() {
    let cluster = plain_cluster().await;
    let key = keys_in(&cluster, 1, "key", 1).remove(0);
    cluster.run::<()>(&["SET", &key, "v"]).await.unwrap();
    let heard = Arc::new(Heard::default());
    let progress: Arc<dyn ProgressSink> = heard.clone();
    let redis = reader(&cluster).await;
    redis.show_waiting_to(&progress);
    let owner = cluster.master(1).await.unwrap();
    let number = slot(&key).number().to_string();
    // A slot without a master: all of them are closed.
    owner
        .command(&["CLUSTER", "DELSLOTS", &number])
        .await
        .unwrap();
    let asked = vec![key.into_bytes()];
    let reading = tokio::spawn(async move { redis.read_strings(&asked).await });
    wait::until(
        "the reason is shown",
        LIMIT,
        async || matches!(heard.last(), Some(Some(why)) if why.contains("CLUSTERDOWN")),
    )
    .await
    .unwrap();
    owner
        .command(&["CLUSTER", "ADDSLOTS", &number])
        .await
        .unwrap();
    let read = reading.await.unwrap().unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(heard.last(), Some(None), "it is over");
}
