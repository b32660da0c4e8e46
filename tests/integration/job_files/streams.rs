//! `[[stream]]`: what is read, and what is refused, with its reason and its way out.

use auditor::model::stream::{
    Identity, OnPersisted, OnRewound, OnSkipped, OnTrimmed, OnUnpersisted, StreamCheck,
};

use super::*;

/// The least a stream takes, less what `lines` replace; a bare name takes a setting out.
fn stream_text(lines: &str) -> String {
    let base = [
        "name = \"bids\"",
        "key = \"bid-stream\"",
        "group = \"bid-group\"",
        "identity = \"bidId\"",
        "table = \"bid\"",
        "identity_column = \"bid_id\"",
        "columns = { amount = \"amount\" }",
    ];
    let given: Vec<&str> = lines
        .lines()
        .filter_map(|line| line.split_once(" =").map(|l| l.0))
        .collect();
    let kept = base
        .into_iter()
        .filter(|line| !given.contains(&line.split_once(" =").unwrap().0));
    let added = lines.lines().filter(|line| !line.ends_with(" ="));
    let all: Vec<&str> = kept.chain(added).collect();
    format!("[[stream]]\n{}\n", all.join("\n"))
}

fn load_stream(lines: &str) -> Result<Job, JobFaults> {
    load(&format!("{STORES}{}", stream_text(lines)))
}

#[track_caller]
fn stream(lines: &str) -> StreamCheck {
    let job = load_stream(lines).unwrap_or_else(|e| panic!("{lines}\n{e}"));
    StreamCheck::clone(&job.streams[0])
}

/// That a stream has exactly one fault, with this message, at this part of the file, and this hint.
#[track_caller]
fn refused(lines: &str, place: &str, message: &str, hint: &str) {
    let faults = load_stream(lines).expect_err(lines);
    let shown = faults.to_string();
    let [fault] = faults.faults() else {
        panic!("{lines}\n{shown}")
    };
    assert_eq!(fault.message, message, "{lines}");
    let found = fault.hint.as_deref().unwrap_or_default();
    assert!(found.contains(hint), "{lines}\n{found}");
    let text = &faults.text()[fault.span.clone()];
    assert!(text.starts_with(place), "{lines}\n{text}\n{shown}");
}

#[test]
fn what_holds_unless_it_is_said() {
    let check = stream("");
    assert_eq!(
        (check.key.as_slice(), check.group.as_slice()),
        (b"bid-stream".as_slice(), b"bid-group".as_slice())
    );
    assert!(check.matches.is_empty());
    assert_eq!(check.identity, Identity::Field(b"bidId".to_vec()));
    assert_eq!(check.orphan_after, Duration::from_secs(60));
    assert_eq!(check.max_deliveries, Some(10));
    assert_eq!(
        (check.on_persisted, &check.on_unpersisted, check.on_skipped),
        (
            OnPersisted::Report,
            &OnUnpersisted::Report,
            OnSkipped::Report
        )
    );
    assert_eq!(
        (check.on_rewound, check.on_trimmed),
        (OnRewound::Report, OnTrimmed::Report)
    );
    assert!(!check.keeps_entries && !check.raise_last_id && !check.may_leave_no_row);
    assert_eq!((check.dead_letter, check.money), (None, None));
    assert!(check.unique.is_empty() && check.proof_sql.is_none() && check.rejected_sql.is_none());
    let rows = &check.rows;
    assert_eq!(
        (rows.settle, rows.cache_delay),
        (Duration::from_secs(2), Duration::from_secs(5))
    );
    assert_eq!(
        (rows.key.text(), rows.value, &rows.layout),
        ("{bid_id}", ValueKind::Hash, &Layout::KeyPerRow)
    );
    assert_eq!(
        (rows.order, rows.repair),
        (Some(Order::SourceFirst), RepairMode::Report)
    );
    assert!(rows.window.is_none() && matches!(rows.deletes, auditor::model::check::Deletes::Never));
}

#[test]
fn the_example_says_everything() {
    let job = example("stream.toml");
    let [check] = job.streams.as_slice() else {
        panic!("one stream")
    };
    assert!(job.caches.is_empty());
    assert_eq!(check.matches, [(b"type".to_vec(), b"BID_SAVE".to_vec())]);
    let fields: Vec<_> = check
        .rows
        .fields
        .iter()
        .map(|f| (f.column.text.as_str(), f.cache.to_string(), f.form))
        .collect();
    assert_eq!(
        fields,
        [
            ("auction_id", "auctionId".to_owned(), None),
            ("bidder_id", "bidderId".to_owned(), None),
            ("amount", "amount".to_owned(), None),
            ("created_at", "at".to_owned(), Some(Form::EpochMillis)),
        ]
    );
    assert_eq!(check.constants, [const { None }; 4]);
    assert_eq!(
        (check.unique.as_slice(), check.money),
        (&[0, 1, 2][..], Some(2))
    );
    assert_eq!(
        (check.on_persisted, &check.on_unpersisted, check.on_rewound),
        (OnPersisted::Ack, &OnUnpersisted::Insert, OnRewound::Advance)
    );
    assert_eq!(
        check.dead_letter.as_deref(),
        Some(&b"{bid-stream}:dead"[..])
    );
    assert_eq!(check.rows.subject.as_ref().unwrap().text, "bidder_id");
    assert_eq!(check.rows.currency.as_deref(), Some("KRW"));
    assert!(
        matches!(&check.rows.window, Some(Window::ChangedAt(at)) if at.column.text == "created_at")
    );
    assert_eq!(&job.text[check.key_span.clone()], "\"bid-stream\"");
    assert_eq!(&job.text[check.identity_column.span.clone()], "\"bid_id\"");
    assert_eq!(
        &job.text[check.rows.fields[2].column.span.clone()],
        "amount"
    );

    let job = example("stream-entry-id.toml");
    let check = &job.streams[0];
    assert_eq!(check.identity, Identity::EntryId);
    assert!(check.raise_last_id && check.on_unpersisted == OnUnpersisted::Requeue);
}

#[test]
fn columns_in_the_order_of_the_file_with_their_spellings() {
    let check = stream(
        "columns = { z = \"z\", kind = { constant = \"BID\" }, at = { field = \"t\", as = \"datetime\", \
         time_zone = \"Asia/Seoul\", null = \"-\", redact = true }, bid_id = \"bidId\" }\n\
         match = { type = \"A\", \"other field\" = \"\" }\nunique = [\"AT\"]\nmoney = \"z\"",
    );
    let names: Vec<_> = check
        .rows
        .fields
        .iter()
        .map(|f| f.column.text.as_str())
        .collect();
    assert_eq!(names, ["z", "kind", "at", "bid_id"]);
    assert_eq!(check.constants, [None, Some(b"BID".to_vec()), None, None]);
    assert_eq!(
        check.rows.fields[1].cache,
        Locator::HashField(b"kind".to_vec())
    );
    let at = &check.rows.fields[2];
    assert_eq!(at.cache, Locator::HashField(b"t".to_vec()));
    assert_eq!(
        (at.form, at.null.as_deref(), at.redact),
        (Some(Form::DateTime), Some(&b"-"[..]), true)
    );
    assert_eq!(at.time_zone.unwrap().name(), "Asia/Seoul");
    assert_eq!((check.unique, check.money), (vec![2], Some(0)));
    assert_eq!(
        check.matches,
        [
            (b"type".to_vec(), b"A".to_vec()),
            (b"other field".to_vec(), Vec::new())
        ]
    );
    // As a table of its own, and with dotted keys.
    let check = stream("columns =\ncolumns.b = \"x\"\n[stream.columns.a]\nfield = \"y\"");
    let names: Vec<_> = check
        .rows
        .fields
        .iter()
        .map(|f| f.column.text.as_str())
        .collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn statements_of_proof() {
    let check = stream(
        "proof_sql = \"SELECT b FROM e WHERE b IN (:ids);\"\nrejected_sql = \"SELECT b FROM r WHERE b IN (:ids)\"",
    );
    assert_eq!(
        check.proof_sql.unwrap().text,
        "SELECT b FROM e WHERE b IN (:ids)"
    );
    assert!(check.rejected_sql.unwrap().text.contains("FROM r"));
    let folder = Folder::new();
    folder.write(
        "sql/proof.sql",
        "-- both effects\nSELECT b\nFROM e WHERE b IN (:ids)\n;\n",
    );
    let text = format!("{STORES}{}", stream_text("proof_sql = \"sql/proof.sql\""));
    let job = job::load(&folder.write("jobs/j.toml", &text), &environment).unwrap();
    let proof = job.streams[0].proof_sql.clone().unwrap();
    assert_eq!(proof.text, "SELECT b\nFROM e WHERE b IN (:ids)");
    assert_eq!(&job.text[proof.span], "\"sql/proof.sql\"");
    folder.write("sql/proof.sql", "SELECT b FROM e WHERE b IN (:ids) AND 1");
    let changed = job::load(&folder.0.path().join("jobs/j.toml"), &environment).unwrap();
    assert_ne!(job.config_hash, changed.config_hash);

    refused(
        "proof_sql = \"SELECT b FROM e\"",
        "\"SELECT",
        "the statement does not use `:ids`",
        "WHERE id IN (:ids)",
    );
    refused(
        "rejected_sql = \"SELECT b FROM e WHERE b = :ids\"",
        "\"SELECT",
        "`:ids` is a list of identities and cannot stand here",
        "IN (:ids)",
    );
    refused(
        "proof_sql = \"\"\"\nSELECT b FROM e WHERE b IN (:ids);\nDELETE FROM e\"\"\"",
        "\"\"\"",
        "line 1 of the statement: there is more than one statement",
        "one SELECT",
    );
    refused(
        "proof_sql = \"sql/none.sql\"",
        "\"sql/none.sql\"",
        "the SQL file cannot be read",
        "sql/none.sql",
    );
}

#[test]
fn what_must_be_there() {
    for (setting, doc) in [
        ("name", "the check's name"),
        ("key", "the stream's key"),
        ("group", "the consumer group"),
        ("identity", "what names an entry's effect"),
        ("table", "the table the entries end in"),
        ("identity_column", "the column that holds the identity"),
    ] {
        refused(
            &format!("{setting} ="),
            "[[stream]]",
            &format!("a [[stream]] has no `{setting}`"),
            doc,
        );
    }
    // Not the columns: with an identity of its own the row's being there is proof.
    assert!(stream("columns =").rows.fields.is_empty());
}

#[test]
fn names_and_kinds() {
    refused(
        "idenity_column = \"x\"",
        "idenity_column",
        "unknown key `idenity_column` in a [[stream]]",
        "did you mean `identity_column`?",
    );
    refused(
        "group = \"\"",
        "\"\"",
        "the name is empty",
        "as Redis knows it",
    );
    refused(
        "identity = \"$ID\"",
        "\"$ID\"",
        "`$ID` is no identity",
        "\"$id\"",
    );
    refused(
        "identity_column = \"bid id\"",
        "\"bid id\"",
        "the identity column `bid id` has a name that no template can hold",
        "view",
    );
    refused(
        "match = { type = 5 }",
        "5",
        "`match.type` must be a string, not an integer",
        "",
    );
    refused(
        "match = { \"\" = \"x\" }",
        "\"\"",
        "the field has no name",
        "match = {",
    );
    refused(
        "match = \"BID_SAVE\"",
        "\"BID_SAVE\"",
        "`match` must be a table of strings, not a string",
        "",
    );
    refused(
        "max_deliveries = 0",
        "0",
        "`max_deliveries` must be an integer of at least 1, not 0",
        "",
    );
    refused(
        "orphan_after = \"0s\"",
        "\"0s\"",
        "the duration must be longer than zero",
        "2s",
    );
    refused(
        "on_unpersisted = \"reque\"",
        "\"reque\"",
        "`reque` is no value of `on_unpersisted`",
        "did you mean \"requeue\"?",
    );
    refused(
        "on_persisted = \"insert\"",
        "\"insert\"",
        "`insert` is no value of `on_persisted`",
        "\"ack\", \"report\"",
    );
    refused(
        "key = \"auction:{bid_id}\"",
        "\"auction:{bid_id}\"",
        "a stream's key has no placeholders",
        "[[stream]] of its own",
    );
    refused(
        "dead_letter = \"bid-stream\"",
        "\"bid-stream\"",
        "the dead letters would lie in the stream itself",
        "\"{bid-stream}:dead\"",
    );
    stream("key = \"{tag}:bids\"\ndead_letter = \"{tag}:dead\"");
}

#[test]
fn columns() {
    refused(
        "columns = { a = \"a\", b = 7 }",
        "7",
        "`columns.b` must be a string or a table, not an integer",
        "",
    );
    refused(
        "columns = { a = { } }",
        "{",
        "column `a` has neither `field` nor `constant`",
        "field = \"amount\"",
    );
    refused(
        "columns = { a = { field = \"x\", constant = \"y\" } }",
        "\"y\"",
        "column `a` has both `field` and `constant`",
        "keep one",
    );
    refused(
        "columns = { a = { field = \"x\", scale = 2 } }",
        "scale",
        "unknown key `scale` in a column",
        "known keys: field, constant, as, time_zone, null, redact",
    );
    refused(
        "columns = { a = \"\" }",
        "\"\"",
        "the hash field has no name",
        "the field's name",
    );
    refused(
        "columns = { a = \"a\", A = \"b\" }",
        "A",
        "column `A` is named twice",
        "without case",
    );
    refused(
        "columns = { \"t.a\" = \"a\" }",
        "\"t.a\"",
        "`t.a` is no column name",
        "without its table",
    );
    refused(
        "columns = { a = { field = \"a\", as = \"integer\", time_zone = \"UTC\" } }",
        "\"UTC\"",
        "`integer` has no time zone",
        "take `time_zone` out",
    );
    refused(
        "columns = { bid_id = \"other\" }",
        "\"other\"",
        "the identity column is filled by `identity`, and not by this",
        "take it out",
    );
    refused(
        "identity = \"$id\"\ncolumns = { bid_id = \"bidId\" }",
        "\"bidId\"",
        "the identity column is filled by `identity`, and not by this",
        "take it out",
    );
    refused(
        "columns = { bid_id = { field = \"bidId\", as = \"hex\" } }",
        "\"hex\"",
        "an identity is looked up as the entry spells it, not as `hex`",
        "take `as` out",
    );
    refused(
        "unique = [\"amount\", \"bidder\"]",
        "\"bidder\"",
        "`bidder` is not among `columns`",
        "add it there",
    );
    refused(
        "unique = [\"amount\", \"Amount\"]",
        "\"Amount\"",
        "`Amount` is named twice in `unique`",
        "each once",
    );
    refused(
        "unique = [\"bid_id\"]",
        "\"bid_id\"",
        "`bid_id` is the identity itself",
        "never occurs",
    );
    refused(
        "columns = { k = { constant = \"x\" } }\nunique = [\"k\"]",
        "\"k\"",
        "`unique` holds constants only, so that every entry would be a duplicate",
        "differ",
    );
    refused(
        "money = \"price\"",
        "\"price\"",
        "`price` is not among `columns`",
        "add it there",
    );
    refused(
        "columns = { amount = { field = \"amount\", as = \"text\" } }\nmoney = \"amount\"",
        "\"text\"",
        "`money` is a number, and this column is not spelled as one",
        "decimal",
    );
    refused(
        "currency = \"KRW\"",
        "\"KRW\"",
        "a currency, but no money",
        "money = \"amount\"",
    );
}

#[test]
fn inserts() {
    let enough = "insert_is_enough = true\non_persisted = \"ack\"\n";
    for (setting, other) in [
        ("on_unpersisted", "on_skipped"),
        ("on_skipped", "on_unpersisted"),
    ] {
        let insert = format!("{setting} = \"insert\"\n");
        for not_enough in ["", "insert_is_enough = false"] {
            refused(
                &format!("{insert}on_persisted = \"ack\"\n{not_enough}"),
                "\"insert\"",
                "nothing says that one row is all that a consumer does for an entry",
                "insert_is_enough = true",
            );
        }
        refused(
            &format!("{insert}{enough}columns ="),
            "\"insert\"",
            "nothing says what is inserted",
            "columns = {",
        );
        refused(
            &format!("{insert}{enough}may_leave_no_row = true"),
            "\"insert\"",
            "a missing row proves nothing here, so an entry that was rejected would be inserted",
            "use \"requeue\" or \"report\"",
        );
        refused(
            &format!("{insert}{enough}rejected_sql = \"SELECT b FROM r WHERE b IN (:ids)\""),
            "\"insert\"",
            "an entry without a row may yet be rejected, and an insert would make it accepted",
            "use \"requeue\" or \"report\"",
        );
        let check = stream(&format!("{insert}{enough}{other} = \"requeue\""));
        assert!(check.inserts());
    }
    // Nobody is told twice of one mistake.
    refused(
        "on_unpersisted = \"insert\"\non_persisted = \"ack\"\ninsert_is_enough = \"yes\"",
        "\"yes\"",
        "`insert_is_enough` must be true or false, not a string",
        "",
    );
    assert!(!stream(enough).inserts());
    for unfinished in ["", "on_persisted = \"report\"\n"] {
        refused(
            &format!("{unfinished}on_unpersisted = \"insert\"\ninsert_is_enough = true"),
            "\"insert\"",
            "a run that is cut off between an insert and its acknowledgement would leave the message for ever",
            "on_persisted = \"ack\"",
        );
    }
    // What was skipped has no message to be acknowledged.
    assert!(stream("on_skipped = \"insert\"\ninsert_is_enough = true").inserts());
}

#[test]
fn whom_to_compensate_is_said_by_the_entry_too() {
    refused(
        "subject = \"bidder\"\nmoney = \"amount\"",
        "\"bidder\"",
        "the subject is not among `columns`, so of an entry without a row nobody knows whom to compensate",
        "add it there",
    );
    let with = "columns = { amount = \"amount\", Bidder = \"b\" }\nsubject = \"bidder\"\nmoney = \"amount\"";
    assert!(stream(with).rows.subject.is_some());
    assert!(stream("subject = \"bidder\"").rows.subject.is_some());
}

#[test]
fn entry_ids() {
    refused(
        "identity = \"$id\"\ncolumns =",
        "\"$id\"",
        "after a failover an entry id may come back with another payload, and without `columns` nobody \
         would see it",
        "columns = {",
    );
    refused(
        "raise_last_id = true",
        "true",
        "no row carries an entry id, so nothing says how far to raise the last one",
        "identity = \"$id\"",
    );
    assert!(stream("identity = \"$id\"\nraise_last_id = true").raise_last_id);
    assert!(!stream("raise_last_id = false").raise_last_id);
}

#[test]
fn missing_rows_and_claims() {
    refused(
        "may_leave_no_row = true\nrejected_sql = \"SELECT b FROM r WHERE b IN (:ids)\"",
        "true",
        "this check has both `rejected_sql` and `may_leave_no_row`",
        "keep rejected_sql",
    );
    refused(
        "may_leave_no_row = true\non_skipped = \"requeue\"",
        "\"requeue\"",
        "a missing row proves nothing here, so no entry is ever found skipped",
        "rejected_sql",
    );
    assert!(stream("may_leave_no_row = true\non_unpersisted = \"requeue\"").may_leave_no_row);
    refused(
        "on_unpersisted = \"claim\"",
        "\"claim\"",
        "nothing says who gets the entries",
        "claim_to = \"recovery-1\"",
    );
    for lines in ["", "on_unpersisted = \"requeue\"\n"] {
        refused(
            &format!("{lines}claim_to = \"r\""),
            "\"r\"",
            "a consumer is named, but `on_unpersisted` does not hand entries over",
            "on_unpersisted = \"claim\"",
        );
    }
    assert_eq!(
        stream("on_unpersisted = \"claim\"\nclaim_to = \"r\"").on_unpersisted,
        OnUnpersisted::Claim(b"r".to_vec())
    );
}

#[test]
fn two_checks_of_one_stream() {
    let both = |first: &str, second: &str| {
        let second = stream_text(&format!("name = \"other\"\n{second}"));
        load(&format!("{STORES}{}{second}", stream_text(first)))
    };
    let bid = "match = { type = \"BID\", v = \"1\" }";
    for (first, second) in [
        ("", ""),
        (bid, ""),
        (bid, bid),
        (bid, "match = { type = \"BID\" }"),
        (bid, "match = { kind = \"VIEW\" }"),
    ] {
        let faults = both(first, second).expect_err(second);
        let [fault] = faults.faults() else {
            panic!("{faults}")
        };
        assert_eq!(
            fault.message,
            "the stream check `bids` may claim the same entries"
        );
        assert!(fault.hint.as_ref().unwrap().contains("proof_sql"));
        assert!(faults.position(fault).0 > 12, "{faults}");
    }
    for (first, second) in [
        (bid, "match = { type = \"VIEW\" }"),
        (bid, "match = { v = \"2\" }"),
        ("", "group = \"other\""),
        ("", "key = \"other\""),
    ] {
        assert_eq!(both(first, second).unwrap().streams.len(), 2, "{second}");
    }
}

#[test]
fn names_are_shared_with_caches() {
    let cache = "[[cache]]\nname = \"bids\"\nkey = \"k:{id}\"\nvalue = \"integer\"\ntable = \"t\"\n\
                 deletes = \"never\"\nfields = [{ column = \"n\" }]\n";
    for text in [
        format!("{STORES}{}{cache}", stream_text("")),
        format!("{STORES}{cache}{}", stream_text("")),
    ] {
        let faults = load(&text).unwrap_err();
        let [fault] = faults.faults() else {
            panic!("{faults}")
        };
        assert_eq!(fault.message, "two checks are named `bids`");
        // The second one is the one to be renamed.
        assert_eq!(fault.span.start, text.rfind("\"bids\"").unwrap());
    }
}

#[test]
fn every_fault_of_a_stream_at_once() {
    let text = format!(
        "{STORES}[[stream]]\nname = \"B\"\nkey = \"\"\ngruop = \"g\"\nmatch = {{ a = 1, b = true }}\n\
         identity = \"$x\"\ntable = \"a.b.c\"\nidentity_column = \"id\"\ncolumns = {{ a = 1, b = {{ }}, c = [] }}\n\
         proof_sql = \"SELECT 1\"\nunique = [\"z\"]\norphan_after = \"soon\"\non_unpersisted = \"claim\"\n\
         on_trimmed = \"drop\"\ncurrency = \"KRW\"\n"
    );
    let faults = load(&text).unwrap_err();
    let found: Vec<_> = faults
        .faults()
        .iter()
        .map(|f| (faults.position(f).0, f.message.as_str()))
        .collect();
    let expected = [
        (4, "a [[stream]] has no `group`"),
        (5, "`B` is no name"),
        (6, "the name is empty"),
        (7, "unknown key `gruop` in a [[stream]]"),
        (8, "`match.a` must be a string, not an integer"),
        (8, "`match.b` must be a string, not a boolean"),
        (9, "`$x` is no identity"),
        (10, "`a.b.c` is no table name"),
        (
            12,
            "`columns.a` must be a string or a table, not an integer",
        ),
        (12, "`columns.c` must be a string or a table, not an array"),
        (13, "the statement does not use `:ids`"),
        (15, "`soon` is no duration"),
        (16, "nothing says who gets the entries"),
        (17, "`drop` is no value of `on_trimmed`"),
        (18, "a currency, but no money"),
    ];
    assert_eq!(found.len(), expected.len(), "{faults}");
    for ((line, message), (expected_line, expected_message)) in found.iter().zip(expected) {
        assert_eq!(
            (*line, message.starts_with(expected_message)),
            (expected_line, true),
            "{message}"
        );
    }
}

#[test]
fn a_stream_cut_anywhere_gives_faults_and_no_panic() {
    let text = std::fs::read_to_string(repository().join("jobs/stream.toml")).unwrap();
    for cut in (0..text.len())
        .step_by(11)
        .filter(|cut| text.is_char_boundary(*cut))
    {
        let after = (cut + 40).min(text.len());
        let broken = [
            text[..cut].to_owned(),
            format!("{}{}", &text[..cut], text.get(after..).unwrap_or_default()),
        ];
        for broken in broken {
            if let Err(faults) = load(&broken) {
                assert!(!faults.faults().is_empty(), "{broken}");
            }
        }
    }
}
