//! Who the masters are, asked of nodes that know it, do not, or are gone.

use auditor::lab::servers::{RedisOptions, RedisServer};
use auditor::model::secret::Secret;
use auditor::store::redis::{Redis, RedisError};

use super::{LIMIT, plain_cluster, spec_of};

#[tokio::test]
async fn any_node_leads_to_all_masters_and_a_dead_one_to_none() {
    let mut cluster = plain_cluster().await;
    let replica = cluster.replica(2).await.unwrap().port();
    let mut expected = Vec::new();
    for shard in 0..3 {
        let port = cluster.master(shard).await.unwrap().port();
        expected.push(format!("127.0.0.1:{port}"));
    }
    expected.sort();
    let masters = async |ports: &[u16]| {
        let redis = Redis::connect(&spec_of(ports), LIMIT).await?;
        let mut found: Vec<String> = redis
            .facts_of_all()
            .await?
            .into_iter()
            .map(|node| node.address)
            .collect();
        found.sort();
        Ok::<_, RedisError>(found)
    };
    assert_eq!(masters(&[replica]).await.unwrap(), expected);
    let dead = cluster.crash(0).await.unwrap();
    let error = masters(&[dead]).await.unwrap_err();
    assert!(matches!(error, RedisError::Unreachable(_)), "{error}");
    let now = masters(&[dead, replica]).await.unwrap();
    assert!(!now.contains(&format!("127.0.0.1:{dead}")), "{now:?}");
    assert_eq!(now.len(), 3);
}

#[tokio::test]
async fn a_server_alone_is_no_cluster_and_says_what_to_write() {
    let server = RedisServer::start(RedisOptions::default()).await.unwrap();
    let error = Redis::connect(&spec_of(&[server.port()]), LIMIT).await;
    let error = error.err().unwrap();
    assert!(
        matches!(&error, RedisError::Refused(why) if why.contains("redis://host:port")),
        "{error}"
    );
}

#[tokio::test]
async fn a_user_with_few_rights_reads_and_one_without_is_told_which() {
    let cluster = plain_cluster().await;
    let may = "reset on >pw resetkeys %R~* -@all +@read +@connection +info +time +role";
    let asks = "+cluster|info +cluster|shards +cluster|slots +cluster|nodes";
    for server in cluster.servers() {
        for (name, rights) in [
            ("reader", format!("{may} {asks}")),
            ("blind", may.to_owned()),
        ] {
            let line = format!("ACL SETUSER {name} {rights}");
            let words: Vec<&str> = line.split(' ').collect();
            server.command(&words).await.unwrap();
        }
        server.command(&["ACL", "LOG", "RESET"]).await.unwrap();
    }
    cluster.run::<()>(&["SET", "k", "v"]).await.unwrap();
    let login = |name: &str, password: &str| auditor::job::RedisSpec {
        user: Some(name.to_owned()),
        password: Some(Secret::new(password.to_owned())),
        ..spec_of(&cluster.ports())
    };
    let redis = Redis::connect(&login("reader", "pw"), LIMIT).await.unwrap();
    redis.read_strings(&[b"k".to_vec()]).await.unwrap();
    redis.facts_of_all().await.unwrap();
    redis.slot_layout().await.unwrap();
    for server in cluster.servers() {
        let denied = server.command(&["ACL", "LOG"]).await.unwrap();
        assert_eq!(
            denied,
            redis::Value::Array(Vec::new()),
            "nothing else was even tried"
        );
    }
    let refusal = async |name: &str, password: &str| {
        let error = Redis::connect(&login(name, password), LIMIT).await;
        match error.err().unwrap() {
            RedisError::Refused(why) => why,
            other => panic!("{other}"),
        }
    };
    assert!(refusal("blind", "pw").await.contains("cluster|shards"));
    let wrong = refusal("reader", "geheim").await;
    assert!(!wrong.contains("geheim"), "{wrong}");
}
