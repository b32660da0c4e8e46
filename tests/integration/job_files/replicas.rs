//! `replica_url` and `read_url`: where sweeps read.

use super::*;

const CHECK: &str = "[[cache]]\nname = \"c\"\nkey = \"k:{id}\"\nvalue = \"integer\"\ntable = \"t\"\n\
     changed_at = \"at\"\ndeletes = \"never\"\nfields = [{ column = \"n\" }]\n";

fn stores(mysql: &str, redis: &str) -> Result<Job, JobFaults> {
    load(&format!(
        "name = \"j\"\n[mysql]\nurl = \"mysql://u:p@h/d\"\n{mysql}\n[redis]\n{redis}\n{CHECK}"
    ))
}

#[track_caller]
fn fault(mysql: &str, redis: &str, part: &str) {
    let shown = stores(mysql, redis).unwrap_err().to_string();
    assert!(shown.contains(part), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

const MASTER: &str = "url = \"redis://h/3\"\nuser = \"app\"\npassword = \"geheim\"";

#[test]
fn a_replica_takes_what_the_master_has() {
    let job = stores(
        "replica_url = \"mysql://u:q@r:3307/d\"\ntls_ca = \"ca.pem\"",
        &format!(
            "{MASTER}\nread_url = \"redis://r1, rediss://:own@r2:6380/3\"\ntls_ca = \"rca.pem\""
        ),
    )
    .unwrap_or_else(|e| panic!("{e}"));
    let replica = job.mysql_replica.unwrap();
    assert_eq!(replica.url.reveal(), "mysql://u:q@r:3307/d");
    assert_eq!(replica.tls.ca, job.mysql.tls.ca);
    let [first, second] = job.redis_replicas.as_slice() else {
        panic!("{:?}", job.redis_replicas);
    };
    assert_eq!(first.user.as_deref(), Some("app"));
    assert_eq!(first.password.as_ref().unwrap().reveal(), "geheim");
    assert_eq!((first.database, second.database), (3, 3));
    assert_eq!((first.tls, second.tls), (false, true));
    assert_eq!(second.user, None, "a password of its own is another login");
    assert_eq!(second.password.as_ref().unwrap().reveal(), "own");
    assert_eq!(second.tls_files.ca, job.redis.tls_files.ca);
    assert!(!format!("{:?}", job.redis_replicas).contains("geheim"));
}

#[test]
fn without_them_sweeps_read_the_masters() {
    for (mysql, redis) in [("", ""), ("replica_url = \"\"", "read_url = \"\"")] {
        let job = stores(mysql, &format!("{MASTER}\n{redis}")).unwrap_or_else(|e| panic!("{e}"));
        assert!(job.mysql_replica.is_none() && job.redis_replicas.is_empty());
    }
}

#[test]
fn what_cannot_be_a_replica_of_these_is_refused() {
    fault(
        "replica_url = \"mysql://u:hunter2@r/other\"",
        MASTER,
        "name different databases",
    );
    fault(
        "replica_url = \"mysql://u:hunter2@r,s/d\"",
        MASTER,
        "[mysql] replica_url names several hosts",
    );
    fault("replica_url = \"r/d\"", MASTER, "no URL");
    let reads = |urls: &str| format!("{MASTER}\nread_url = \"{urls}\"");
    fault(
        "",
        &reads("redis://:hunter2@r/4"),
        "name different databases",
    );
    fault("", &reads("redis-sentinel://s/m"), "does not name a node");
    fault("", &reads("redis://r1,r2"), "several hosts");
    fault("", &reads("redis://r1,http://u:hunter2@r2"), "begins with");
    fault(
        "",
        "url = \"redis-cluster://h1,h2\"\nread_url = \"redis://r1\"",
        "in a Cluster",
    );
    let files = "tls_ca = \"ca.pem\"";
    fault("", &format!("{MASTER}\n{files}"), "does not ask for TLS");
}
