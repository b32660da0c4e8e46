//! The shipped examples, the schema, the list of settings.

use super::*;

#[test]
fn every_example_loads() {
    let secrets = Folder::new();
    secrets.write("mysql_password", "swordfish\n");
    secrets.write("redis_password", "sesame\n");
    secrets.write("sentinel_password", "sesame\r\n");
    let mounted = |name: &str| match name {
        "CREDENTIALS_DIRECTORY" => Some(secrets.0.path().display().to_string()),
        _ => environment(name),
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(repository().join("jobs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        // Mounted secrets are where this test can put them.
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("/run/secrets", secrets.0.path().to_str().unwrap());
        let folder = Folder::new();
        folder.write("sql/top_bid.sql", &read("sql/top_bid.sql"));
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let job = job::load(&folder.write(&format!("jobs/{name}"), &text), &mounted)
            .unwrap_or_else(|e| panic!("{name}\n{e}"));
        assert_eq!(format!("{}.toml", job.name), name);
        assert!(!format!("{job:?}").contains("swordfish"));
        names.push(name);
    }
    assert_eq!(names.len(), 10, "{names:?}");
}

#[test]
fn the_auction_is_what_the_lab_writes() {
    let job = example("auction.toml");
    assert_eq!(job.limits.settle, Duration::from_millis(500));
    assert_eq!(job.limits.commit_margin, Duration::from_secs(5));
    let names: Vec<_> = job.caches.iter().map(|c| c.name.text.as_str()).collect();
    assert_eq!(
        names,
        [
            "profile",
            "balance",
            "points",
            "top-bid",
            "status",
            "closing-queue"
        ]
    );
    let [profile, balance, points, top_bid, status, queue] = job.caches.as_slice() else {
        panic!("six checks")
    };
    assert!(profile.has_direction() && profile.lazy && profile.absent == [b"__NULL__".to_vec()]);
    assert!(
        matches!(&profile.deletes, Deletes::Tombstone(Tombstone::DeletedAt(at)) if at.column.text == "deleted_at")
    );
    assert_eq!(
        profile.version.as_ref().unwrap().cache.to_string(),
        "/version"
    );
    assert_eq!(
        profile.ignore,
        [Locator::Pointer(vec!["lastSeen".to_owned()])]
    );
    assert_eq!(profile.fields[2].states, ["BASIC", "SILVER", "VIP"]);
    assert_eq!(profile.fields[3].form, Some(Form::Decimal));
    assert!(
        balance.fields[0].balance && balance.guard == Guard::RowLock && !balance.has_direction()
    );
    assert_eq!(balance.fields[0].cache, Locator::Whole);
    // The application deletes every key of a deleted user.
    let is_windowed =
        |check: &auditor::model::check::CacheCheck| matches!(check.deletes, Deletes::Tombstone(_));
    assert!(is_windowed(balance) && is_windowed(points));
    assert_eq!(
        (
            balance.subject.as_ref().unwrap().text.as_str(),
            balance.currency.as_deref()
        ),
        ("id", Some("KRW"))
    );
    assert_eq!(
        (points.writes, points.order),
        (Writes::Delta, Some(Order::SourceFirst))
    );
    assert_eq!(top_bid.fields[0].compare, Compare::AtLeast);
    assert_eq!(
        (top_bid.fields[2].follows, top_bid.fields[0].follows),
        (Some(0), None)
    );
    assert!(top_bid.ahead_ok);
    let Source::Sql {
        text,
        path,
        id,
        lock_sql,
        ..
    } = &top_bid.source
    else {
        panic!("by sql")
    };
    assert!(
        text.starts_with("SELECT auction_id") && text.ends_with("place = 1"),
        "{text}"
    );
    assert!(path.as_ref().unwrap().ends_with("sql/top_bid.sql"));
    assert_eq!(id[0].text, "auction_id");
    assert!(lock_sql.as_ref().unwrap().text.contains("(:ids)"));
    assert!(matches!(
        &top_bid.window,
        Some(Window::ChangedIds {
            form: TimeForm::Native,
            ..
        })
    ));
    assert_eq!(
        (status.value, status.fields[0].states.len()),
        (ValueKind::String, 3)
    );
    assert!(matches!(&queue.layout, Layout::RowPerMember(member) if member.text() == "{id}"));
    assert_eq!(
        (&queue.fields[0].cache, queue.fields[0].form),
        (&Locator::Score, Some(Form::EpochMillis))
    );
    assert!(queue.expect_present && queue.repair == RepairMode::Overwrite);
    assert!(
        matches!(&queue.source, Source::Table { explains: Some(w), .. } if w.text == "status = 'OPEN'")
    );
    let streams: Vec<_> = job
        .streams
        .iter()
        .map(|s| s.rows.name.text.as_str())
        .collect();
    assert_eq!(streams, ["bids", "quick-bids", "late-bids"]);
}

#[test]
fn the_schema_is_what_the_code_says() {
    let mut made = serde_json::to_string_pretty(&json_schema()).unwrap();
    made.push('\n');
    kept_true("jobs/schema.json", &made);
    assert!(
        json_schema()["properties"]["cache"]["items"]["properties"]["repair"]["enum"].is_array()
    );
}

#[test]
fn the_list_of_settings_is_what_the_code_says() {
    let readme = read("jobs/README.md");
    let begin = readme.find("writes them anew -->\n").unwrap() + "writes them anew -->\n".len();
    let end = readme.find("<!-- end of settings -->").unwrap();
    let made = format!(
        "{}\n{}\n{}",
        &readme[..begin],
        settings_markdown(),
        &readme[end..]
    );
    kept_true("jobs/README.md", &made);
    for key in [
        "`follows`",
        "`commit_margin`",
        "`sentinel_password`",
        "`replica_url`",
    ] {
        assert!(settings_markdown().contains(key), "{key}");
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// That a shipped file holds exactly `made`; UPDATE_SCHEMA=1 makes it so.
fn kept_true(path: &str, made: &str) {
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(repository().join(path), made).unwrap();
    }
    assert!(
        std::fs::read_to_string(repository().join(path)).unwrap_or_default() == made,
        "{path} is out of date: run UPDATE_SCHEMA=1 cargo test --test integration job_files"
    );
}
