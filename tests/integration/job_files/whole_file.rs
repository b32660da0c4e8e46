//! The file as a whole: positions, several faults, substitution, secrets, stores, limits, the hash.

use super::*;

#[test]
fn defaults() {
    let job = load(&format!(
        "{STORES}[[cache]]\nname = \"c\"\nkey = \"k:{{id}}\"\nvalue = \"integer\"\ntable = \"t\"\n\
         changed_at = \"at\"\ndeletes = \"never\"\nfields = [{{ column = \"n\" }}]\n"
    ))
    .unwrap();
    assert_eq!(job.state_dir, Path::new("state"));
    assert_eq!(job.limits.max_keys_per_second, Rate::PerSecond(50_000));
    assert_eq!(
        (job.limits.min_replicas, job.limits.time_budget),
        (None, None)
    );
    let check = &job.caches[0];
    assert_eq!(
        (check.order, check.writes, check.guard),
        (None, Writes::Set, Guard::Auto)
    );
    assert_eq!((check.repair, check.lazy), (RepairMode::Report, false));
    assert_eq!(
        (check.settle, check.cache_delay),
        (job.limits.settle, job.limits.cache_delay)
    );
    assert_eq!(&job.text[check.key_span.clone()], "\"k:{id}\"");
    assert_eq!(&job.text[check.name.span.clone()], "\"c\"");
    assert_eq!(&job.text[check.fields[0].column.span.clone()], "\"n\"");
}

#[test]
fn every_fault_of_a_file_at_once_with_its_line() {
    let text = "nmae = \"j\"\n\n[mysql]\nurl = \"${NOPE}\"\n\n[redis]\nurl = \"redis://h\"\ndb = \"0\"\n\n\
                [limits]\nsettle = \"2 parsecs\"\n\n[[cache]]\nname = \"C\"\nkey = \"k:{id\"\nvalue = \"jsn\"\n\
                lasy = true\ntable = \"t\"\ndeletes = \"never\"\n";
    let faults = load(text).unwrap_err();
    let shown = faults.to_string();
    let at: Vec<_> = faults
        .faults()
        .iter()
        .map(|f| (faults.position(f), f.message.as_str()))
        .collect();
    let expected = [
        ((1, 1), "the job file has no `name`"),
        ((1, 1), "unknown key `nmae` in the job file"),
        ((4, 7), "the environment variable `NOPE` is not set"),
        (
            (8, 6),
            "`db` must be an integer from 0 to 2147483647, not a string",
        ),
        ((11, 10), "`2 parsecs` is no duration"),
        ((14, 8), "`C` is no name"),
        ((15, 7), "`{` at byte 2 is never closed"),
        ((16, 9), "`jsn` is no value of `value`"),
        ((17, 1), "unknown key `lasy` in a [[cache]]"),
    ];
    assert_eq!(at.len(), expected.len(), "{shown}");
    for ((position, message), (expected_position, expected_message)) in at.iter().zip(expected) {
        assert_eq!(*position, expected_position, "{message}");
        assert!(message.starts_with(expected_message), "{message}");
    }
    for hint in [
        "did you mean `name`?",
        "did you mean `lazy`?",
        "did you mean \"json\"?",
    ] {
        assert!(shown.contains(hint), "{shown}");
    }
    assert!(shown.contains("j.toml:17:1"), "{shown}");
}

#[test]
fn a_syntax_error_beside_the_others() {
    let faults = load("name = \"j\"\nstate_dir = \n[mysql]\nurl = 5\n").unwrap_err();
    let lines: Vec<_> = faults
        .faults()
        .iter()
        .map(|f| faults.position(f).0)
        .collect();
    assert!(lines.contains(&2) && lines.contains(&4), "{faults}");
    assert_eq!(
        lines.iter().filter(|line| **line == 2).count(),
        1,
        "{faults}"
    );
    let twice = load(&format!("{STORES}name = \"k\"\n")).unwrap_err();
    assert!(twice.to_string().contains("duplicate key"), "{twice}");
}

#[test]
fn later_additions_are_refused_and_never_ignored() {
    for (text, setting) in [
        ("[matrix]\n", "matrix"),
        ("[[cache]]\ncodec = \"gzip\"\n", "codec"),
        ("[[cache]]\nprefix_bytes = 4\n", "prefix_bytes"),
        ("[[cache]]\nvalue = \"opaque\"\n", "value = \"opaque\""),
        ("[[cache]]\ndeletes = \"binlog\"\n", "deletes = \"binlog\""),
    ] {
        let shown = load(text).unwrap_err().to_string();
        let line = shown
            .lines()
            .find(|l| l.contains("not supported yet"))
            .unwrap_or_default();
        assert!(line.contains(setting), "{shown}");
    }
}

#[test]
fn the_checkpoint_is_read_and_has_its_defaults() {
    let check = "[[cache]]\nname = \"c\"\nkey = \"k:{id}\"\nvalue = \"string\"\ntable = \"t\"\nchanged_at = \"u\"\n\
        deletes = \"never\"\nfields = [{ column = \"v\" }]\n";
    let job = load(&format!("{STORES}{check}")).unwrap();
    assert_eq!(job.checkpoint.prefix, "auditor:j");
    assert_eq!(job.checkpoint.evidence_max, 1_000);
    assert_eq!(
        job.state_folder(),
        job.path.parent().unwrap().join("state/j"),
        "whoever calls from wherever means the same folder"
    );
    let own = format!("{STORES}[checkpoint]\nprefix = \"a:b\"\nevidence_max = 10\n{check}");
    let job = load(&own).unwrap();
    assert_eq!(job.checkpoint.prefix, "a:b");
    assert_eq!(job.checkpoint.evidence_max, 10);
    for (prefix, faults) in [("", 4), ("{a}", 4), ("a", 3)] {
        let wrong =
            format!("{STORES}[checkpoint]\nprefix = \"{prefix}\"\nevidence_max = 0\nevery = 1\n");
        assert_eq!(load(&wrong).unwrap_err().faults().len(), faults, "{prefix}");
    }
}

#[test]
fn secrets_are_in_no_fault_and_no_debug_output() {
    let folder = Folder::new();
    folder.write("jobs/secret", "hunter2\n");
    let path = folder.write(
        "jobs/j.toml",
        "name = \"j\"\n[mysql]\nurl = \"mysql://root:geheim@h:x/d\"\n[redis]\nurl = \"${REDIS}\"\n\
         password = \"${file:secret}\"\nuser = \"app\"\nsentinel_password = \"sesame\"\n",
    );
    let environment = |name: &str| (name == "REDIS").then(|| "redis://:swordfish@h:x".to_owned());
    let faults = job::load(&path, &environment).unwrap_err();
    let shown = format!("{faults}{faults:?}");
    for secret in ["hunter2", "geheim", "swordfish", "sesame"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("port"), "{shown}");

    let minimal = example("minimal.toml");
    assert_eq!(minimal.mysql.url.reveal(), environment_url());
    assert!(!format!("{minimal:?}").contains("hunter2"));
}

fn environment_url() -> String {
    environment("MYSQL_URL").unwrap()
}

#[test]
fn stores() {
    let with = |redis: &str| {
        let check = "[[cache]]\nname = \"c\"\nkey = \"k:{id}\"\nvalue = \"set\"\nmember = \"{id}\"\ntable = \"t\"\ndeletes = \"scan\"\n";
        load(&format!(
            "name = \"j\"\n[mysql]\nurl = \"mysql://h/d\"\n[redis]\n{redis}\n{check}"
        ))
    };
    let job = with("url = \"redis-sentinel://a,b:1/m\"\nuser = \"u\"\npassword = \"p\"\nsentinel_password = \"s\"\ndb = 2").unwrap();
    assert!(
        matches!(&job.redis.endpoint, Endpoint::Sentinel { nodes, master } if nodes.len() == 2 && master == "m")
    );
    assert_eq!(job.redis.password.as_ref().unwrap().reveal(), "p");
    assert_eq!(job.redis.database, 2);
    for (redis, part) in [
        ("url = \"redis://h\"\nsentinel_user = \"u\"", "no Sentinel"),
        (
            "url = \"redis://h\"\ntls_ca = \"ca.pem\"",
            "does not ask for TLS",
        ),
        ("url = \"rediss://h\"\ntls_cert = \"c.pem\"", "no `tls_key`"),
        (
            "url = \"redis://u:p@h\"\npassword = \"q\"",
            "the URL has a password too",
        ),
        ("url = \"redis://h/1\"\ndb = 2", "different databases"),
        ("url = \"redis://h\"\ndb = -1", "an integer from 0"),
    ] {
        let faults = with(redis).unwrap_err();
        assert_eq!(faults.faults().len(), 1, "{faults}");
        assert!(faults.to_string().contains(part), "{faults}");
    }
}

#[test]
fn limits() {
    let with = |limits: &str| {
        let text = std::fs::read_to_string(repository().join("jobs/minimal.toml")).unwrap();
        load(&format!("{text}\n[limits]\n{limits}\n"))
    };
    let job = with("settle = \"1s\"\nmax_keys_per_second = \"unlimited\"\nmax_invalidations_per_second = 7\nmin_replicas = 0\nmax_control_mismatch = 1\ntime_budget = \"1h\"\nmax_repairs = 0").unwrap();
    assert_eq!(job.limits.max_keys_per_second, Rate::Unlimited);
    assert_eq!(job.limits.max_invalidations_per_second, Rate::PerSecond(7));
    assert_eq!(
        (job.limits.min_replicas, job.limits.max_repairs),
        (Some(0), 0)
    );
    assert_eq!(job.caches[0].settle, Duration::from_secs(1));
    for wrong in [
        "settle = \"0s\"",
        "settle = 2",
        "max_keys_per_second = 0",
        "max_keys_per_second = \"lots\"",
        "max_control_mismatch = 1.5",
        "max_control_mismatch = -0.1",
        "control_sample = 0",
        "keep_runs = 0",
        "min_replicas = -1",
        "max_threads_running = 9999999999",
        "time_budget = \"0s\"",
    ] {
        let faults = with(wrong).unwrap_err();
        assert_eq!(faults.faults().len(), 1, "{faults}");
    }
}

#[test]
fn the_hash_follows_the_file_and_its_statements_but_not_the_environment() {
    let folder = Folder::new();
    let text = format!(
        "{}[[cache]]\nname = \"c\"\nkey = \"k:{{id}}\"\nvalue = \"integer\"\nsql = \"s.sql\"\nid = \"id\"\n\
         deletes = \"never\"\nfields = [{{ column = \"n\" }}]\n",
        STORES.replace("redis://h", "${REDIS_URL}")
    );
    let path = folder.write("j.toml", &text);
    folder.write("s.sql", "SELECT id, n FROM t");
    let hash = |environment: &dyn Fn(&str) -> Option<String>| {
        job::load(&path, environment).unwrap().config_hash
    };
    let first = hash(&environment);
    assert_eq!(first.len(), 64);
    assert_eq!(first, hash(&|_| Some("redis://elsewhere".to_owned())));
    folder.write("s.sql", "SELECT id, n + 1 AS n FROM t");
    let second = hash(&environment);
    assert_ne!(first, second);
    folder.write("j.toml", &format!("{text}# a comment\n"));
    assert_ne!(second, hash(&environment));
}

#[test]
fn a_file_that_cannot_be_read() {
    let folder = Folder::new();
    let missing = job::load(&folder.0.path().join("no.toml"), &environment)
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("cannot be read") && missing.contains("no.toml"),
        "{missing}"
    );
    let path = folder.0.path().join("latin.toml");
    std::fs::write(&path, b"name = \"j\"\nx = \"\xe9\"\n").unwrap();
    let latin = job::load(&path, &environment).unwrap_err();
    assert_eq!(latin.position(&latin.faults()[0]), (2, 6));
    let unreadable = check("sql = \"sql/no.sql\"\ntable =\nid = \"id\"")
        .unwrap_err()
        .to_string();
    assert!(
        unreadable.matches("sql/no.sql").count() >= 3,
        "{unreadable}"
    );
}

#[test]
fn faults_found_against_the_live_schema_are_shown_at_their_line() {
    let job = example("minimal.toml");
    let column = &job.caches[0].fields[0].column;
    let fault = job::Fault::new(
        column.span.clone(),
        "the table `users` has no column `balance`",
    );
    let shown = job.faults(vec![fault]).to_string();
    assert!(
        shown.contains("minimal.toml:20:") && shown.contains("fields = [{ column"),
        "{shown}"
    );
}

#[test]
fn a_file_cut_anywhere_gives_faults_and_no_panic() {
    let text = std::fs::read_to_string(repository().join("jobs/auction.toml")).unwrap();
    let folder = Folder::new();
    folder.write("sql/top_bid.sql", "SELECT auction_id FROM bid");
    for cut in (0..text.len())
        .step_by(7)
        .filter(|cut| text.is_char_boundary(*cut))
    {
        // A file without its end, and one without its middle.
        for broken in [
            text[..cut].to_owned(),
            format!("{}{}", &text[..cut], &text[(cut + 40).min(text.len())..]),
        ] {
            let path = folder.write("jobs/j.toml", &broken);
            if let Err(faults) = job::load(&path, &environment) {
                assert!(!faults.faults().is_empty(), "{broken}");
                assert!(!faults.to_string().contains("hunter2"), "{broken}");
            }
        }
    }
}
