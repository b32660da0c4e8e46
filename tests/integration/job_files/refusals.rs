//! What a `[[cache]]` may not say: one fault each, with its reason and its way out.

use super::*;

#[test]
fn names() {
    let shown = load(&format!("{STORES}{0}{0}", "[[cache]]\nname = \"c\"\nkey = \"k:{id}\"\nvalue = \"set\"\nmember = \"{m}\"\ntable = \"t\"\ndeletes = \"scan\"\n"))
        .unwrap_err()
        .to_string();
    assert!(shown.contains("two checks are named `c`"), "{shown}");
    refused("name = \"a/b\"", "is no name");
    refused("name = \"topology\"", "no check can be named `topology`");
}

#[test]
fn sources() {
    refused("table =", "neither `table` nor `sql`");
    refused("sql = \"SELECT id, n FROM t\"", "both `table` and `sql`");
    refused("id = \"id\"", "a table's ids come from its keys");
    refused(
        "lock_sql = \"SELECT id FROM t WHERE id IN (:ids)\"",
        "`lock_sql` belongs to `sql`",
    );
    refused("table = \"a.b.c\"", "no table name");
    refused("where = \"a = 1; DROP TABLE t\"", "more than one statement");
    let sql = |lines: &str| format!("table =\n{lines}");
    refused(&sql("sql = \"SELECT id, n FROM t\""), "`sql` needs `id`");
    refused(
        &sql("sql = \"SELECT id, n FROM t\"\nid = []"),
        "`sql` needs `id`",
    );
    refused(
        &sql("sql = \"SELECT id, n FROM t\"\nid = [\"id\", \"ID\"]"),
        "named twice",
    );
    refused(
        &sql("sql = \"SELECT x, n FROM t\"\nid = \"x\""),
        "no key shows the id `x`",
    );
    refused(
        &sql("sql = \"SELECT id, n FROM t\"\nid = \"id\"\nwhere = \"a = 1\""),
        "`where` belongs to `table`",
    );
    refused(
        &sql("sql = \"SELECT id, n FROM t LIMIT 5\"\nid = \"id\""),
        "LIMIT",
    );
    refused(
        &sql("sql = \"SELECT id, MAX(n) AS n FROM t GROUP BY x\"\nid = \"id\""),
        "GROUP BY does not hold the id `id`",
    );
    refused(
        &sql("sql = \"\"\"\nSELECT id, n\nFROM t FOR UPDATE\"\"\"\nid = \"id\""),
        "line 2 of the statement",
    );
    let job = taken(&sql("sql = \"SELECT id, n FROM t;\"\nid = \"id\""));
    assert!(
        matches!(&job.caches[0].source, Source::Sql { text, lock_sql: None, .. } if text == "SELECT id, n FROM t")
    );
}

#[test]
fn windows_and_deletes() {
    refused(
        "changed_ids = \"SELECT id FROM t WHERE at >= :since\"",
        "both `changed_at` and `changed_ids`",
    );
    refused(
        "changed_at =\nchanged_ids = \"SELECT id FROM t\"",
        "does not use `:since`",
    );
    refused(
        "changed_at = { column = \"at\", as = \"epoch-ms\", time_zone = \"UTC\" }",
        "no time zone",
    );
    refused(
        "changed_at = { column = \"at\", time_zone = \"KST\" }",
        "is no time zone",
    );
    refused("deletes =", "has no `deletes`");
    refused("deletes = \"tombstone\"", "how a tombstone looks");
    refused("deleted_at = \"gone\"", "`deletes` does not say so");
    refused(
        "deletes = \"scan\"\ndeleted = \"gone = 1\"",
        "`deletes` does not say so",
    );
    refused(
        "deletes = \"tombstone\"\ndeleted_at = \"gone\"\ndeleted = \"gone = 1\"",
        "both `deleted_at` and `deleted`",
    );
    refused(
        "deletes = \"tombstone\"\ndeleted = \"WHERE gone = 1\"",
        "begins with WHERE",
    );
    assert!(taken("changed_at =").caches[0].window.is_none());
    let job = taken(
        "changed_at = { column = \"m\", as = \"epoch-s\" }\ndeletes = \"tombstone\"\ndeleted = \"gone = 1\"",
    );
    assert!(
        matches!(&job.caches[0].window, Some(Window::ChangedAt(at)) if at.form == TimeForm::EpochSeconds)
    );
    let job = taken(
        "changed_at =\nchanged_ids = { sql = \"SELECT id FROM t WHERE m >= :since\", time_zone = \"Asia/Seoul\" }",
    );
    assert!(matches!(
        &job.caches[0].window,
        Some(Window::ChangedIds {
            form: TimeForm::Zoned(_),
            ..
        })
    ));
}

#[test]
fn layouts() {
    refused("key = \"k\"", "one key would stand for every row");
    refused("key = \"{id:%08d}\"", "not supported yet");
    refused("member = \"{id}\"", "belongs to a zset or a set");
    refused("field = \"{id}\"", "belongs to a hash of rows");
    refused(
        "value = \"zset\"\nfields =\nscore = { column = \"n\" }",
        "needs `member`",
    );
    refused(
        "value = \"zset\"\nfields =\nmember = \"{id}\"",
        "a zset needs `score`",
    );
    refused(
        "value = \"zset\"\nmember = \"{id}\"\nscore = { column = \"n\" }",
        "a zset has no fields",
    );
    refused("value = \"set\"\nmember = \"{id}\"", "a set has no fields");
    refused(
        "value = \"set\"\nfields =\nmember = \"x\"",
        "one member would stand for every row",
    );
    refused(
        "value = \"set\"\nfields =\nmember = \"{id}\"\nfield = \"{id}\"",
        "use `member`",
    );
    refused("score = { column = \"n\" }", "only a zset has a score");
    refused(
        "value = \"hash\"\nkey = \"k\"\nfield = \"{id}\"\nfields =",
        "exactly one field",
    );
    taken("value = \"zset\"\nkey = \"k\"\nfields =\nmember = \"{id}\"\nscore = { column = \"n\" }");
    taken("value = \"set\"\nkey = \"k\"\nfields =\nmember = \"{id}\"");
    taken("value = \"hash\"\nkey = \"k\"\nfield = \"{id}\"");
}

#[test]
fn fields() {
    refused("fields =", "exactly one field");
    refused(
        "fields = [{ column = \"a\" }, { column = \"b\" }]",
        "exactly one field",
    );
    refused(
        "fields = [{ cache = \"/a\", column = \"a\" }]",
        "no parts to name",
    );
    refused("fields = [{ }]", "a field has no `column`");
    refused("value = \"json\"", "this field has no `cache`");
    refused(
        "value = \"json\"\nfields = [{ cache = \"name\", column = \"n\" }]",
        "write \"/name\"",
    );
    refused(
        "value = \"json\"\nfields = [{ cache = \"\", column = \"n\" }]",
        "no JSON pointer",
    );
    refused(
        "value = \"json\"\nfields =",
        "nothing in this value is compared",
    );
    refused(
        "value = \"json\"\nfields = [{ cache = \"/a\", column = \"n\" }, { cache = \"/a/b\", column = \"m\" }]",
        "the same place",
    );
    refused(
        "value = \"json\"\nfields = [{ cache = \"/a\", column = \"n\" }]\nignore = [\"/a\"]",
        "the same place",
    );
    refused(
        "value = \"hash\"\nfields = [{ cache = \"v\", column = \"n\" }]\nversion = { cache = \"v\", column = \"v\" }",
        "the same place",
    );
    refused("value = \"string\"\nignore = [\"/a\"]", "members to ignore");
    refused(
        "version = { cache = \"/v\", column = \"v\" }",
        "holds a version",
    );
    refused(
        "fields = [{ column = \"n\", compare = \"atleast\" }]",
        "did you mean \"at-least\"?",
    );
    refused(
        "fields = [{ column = \"n\", as = \"text\" }]",
        "does not fit",
    );
    refused(
        "value = \"string\"\nfields = [{ column = \"n\", as = \"hex\", compare = \"at-most\" }]",
        "no order to compare by",
    );
    refused(
        "value = \"string\"\nfields = [{ column = \"n\", as = \"text\", tolerance = \"1\" }]",
        "needs a number",
    );
    refused(
        "value = \"string\"\nfields = [{ column = \"n\", as = \"bool\", balance = true }]",
        "a balance is a number",
    );
    refused(
        "value = \"string\"\nfields = [{ column = \"n\", as = \"text\", time_zone = \"UTC\" }]",
        "no time zone",
    );
    refused(
        "fields = [{ column = \"n\", min = \"5\", max = \"1\" }]",
        "below `min`",
    );
    refused(
        "fields = [{ column = \"n\", tolerance = -1 }]",
        "is negative",
    );
    refused(
        "fields = [{ column = \"n\", scale = 31 }]",
        "from 0 to 30, not 31",
    );
    refused(
        "value = \"string\"\nfields = [{ column = \"n\", states = [\"A\"] }]",
        "at least two states",
    );
    refused(
        "value = \"string\"\nfields = [{ column = \"n\", states = [\"A\", \"B\", \"A\"] }]",
        "listed twice",
    );
    refused(
        "value = \"string\"\nfields = [{ column = \"n\", states = [\"A\", \"B\"], compare = \"at-least\" }]",
        "each give an order",
    );
    refused(
        "fields = [{ column = \"n\", states = [\"A\", \"B\"] }]",
        "states are words",
    );
    let job = taken(
        "value = \"decimal\"\nfields = [{ column = \"n\", tolerance = 0.01, min = -1, scale = 2 }]",
    );
    assert_eq!(
        job.caches[0].fields[0]
            .tolerance
            .as_ref()
            .unwrap()
            .to_string(),
        "0.01"
    );
}

#[test]
fn one_mistake_is_not_reported_as_two() {
    refused(
        "repair = \"overwrite\"\nahead_ok = true\nfields = [{ column = \"n\", compare = \"atleast\" }]",
        "did you mean \"at-least\"?",
    );
    refused(
        "repair = \"overwrite\"\norder = \"source\"",
        "no value of `order`",
    );
    refused(
        "repair = \"overwrite\"\nfields = [\"n\"]",
        "an array of tables",
    );
    refused(
        "key = \"k:{id\"\nvalue = \"zset\"\nfields =\nmember = \"{id}\"\nscore = { column = \"n\" }",
        "never closed",
    );
}

#[test]
fn followers() {
    let hash = |fields: &str| format!("value = \"hash\"\nfields = [{fields}]");
    let price = "{ cache = \"p\", column = \"p\", compare = \"at-least\" }";
    refused(
        &hash(&format!("{price}, {{ cache = \"b\", column = \"b\" }}")),
        "does not tell old from new",
    );
    refused(
        &hash(&format!(
            "{price}, {{ cache = \"b\", column = \"b\", follows = \"x\" }}"
        )),
        "no field has `x`",
    );
    refused(
        &hash(&format!(
            "{price}, {{ cache = \"b\", column = \"b\", follows = \"b\" }}"
        )),
        "follow itself",
    );
    refused(
        &hash(&format!(
            "{price}, {{ cache = \"b\", column = \"b\", follows = \"p\" }}, {{ cache = \"c\", column = \"c\", follows = \"b\" }}"
        )),
        "there are no chains",
    );
    refused(
        &hash(
            "{ cache = \"a\", column = \"a\" }, { cache = \"b\", column = \"b\", follows = \"a\" }",
        ),
        "the leader does not tell",
    );
    refused(
        &hash(&format!(
            "{price}, {{ cache = \"b\", column = \"b\", compare = \"at-most\", follows = \"p\" }}"
        )),
        "follows nobody",
    );
    taken(&hash(&format!(
        "{{ cache = \"b\", column = \"b\", follows = \"p\" }}, {price}"
    )));
    // A version speaks for the whole value.
    taken(
        "value = \"json\"\nversion = { cache = \"/v\", column = \"v\" }\nfields = [{ cache = \"/p\", column = \"p\", compare = \"at-least\" }, { cache = \"/b\", column = \"b\" }]",
    );
}

#[test]
fn repairs() {
    let directed = "fields = [{ column = \"n\", compare = \"at-least\" }]\n";
    refused("repair = \"overwrite\"", "nothing says which side is right");
    refused(
        "repair = \"overwrite\"\norder = \"cache-first\"",
        "the cache is written first and nothing tells",
    );
    taken("repair = \"overwrite\"\norder = \"source-first\"");
    taken(&format!(
        "{directed}repair = \"overwrite\"\norder = \"cache-first\""
    ));
    taken(&format!("{directed}repair = \"overwrite\""));
    refused(
        "repair = \"invalidate\"\norder = \"source-first\"",
        "nobody would refill",
    );
    refused(
        &format!("{directed}repair = \"invalidate\"\nlazy = true\norder = \"cache-first\""),
        "may be the only one",
    );
    taken("repair = \"invalidate\"\norder = \"source-first\"\nlazy = true");
    refused(
        "repair_orphans = \"invalidate\"\norder = \"cache-first\"",
        "still to come",
    );
    refused("guard = \"cas\"", "(ABA)");
    taken(&format!("{directed}guard = \"cas\""));
    refused("ahead_ok = true", "tells ahead from behind");
    taken(&format!("{directed}ahead_ok = true"));
    let sql = "table =\nsql = \"SELECT id, n FROM t\"\nid = \"id\"\norder = \"source-first\"\n";
    refused(&format!("{sql}repair = \"overwrite\""), "lock_sql");
    refused(
        &format!("{sql}{directed}repair = \"overwrite\"\nguard = \"row-lock\""),
        "lock_sql",
    );
    taken(&format!("{sql}{directed}repair = \"overwrite\""));
    taken(&format!(
        "{sql}repair = \"overwrite\"\nlock_sql = \"SELECT id FROM t WHERE id IN (:ids)\""
    ));
    refused(&format!("{sql}lock_sql = \"SELECT id FROM t\""), "`:ids`");
}

#[test]
fn expiry_money_and_counters() {
    refused("expiry = \"none\"\nttl = \"1h\"", "do not expire");
    refused(
        "expiry = \"required\"\nrepair = \"overwrite\"\norder = \"source-first\"",
        "nothing says when",
    );
    taken("expiry = \"required\"");
    refused("currency = \"KRW\"", "no balance");
    refused(
        "value = \"set\"\nfields =\nmember = \"{id}\"\nabsent = [\"\"]",
        "take `absent` out",
    );
    let delta = "writes = \"delta\"\norder = \"source-first\"\n";
    taken(&format!("{delta}repair = \"overwrite\""));
    taken(&format!(
        "{delta}value = \"hash\"\nfields = [{{ cache = \"n\", column = \"n\" }}]"
    ));
    refused("writes = \"delta\"", "only if MySQL is written first");
    refused(&format!("{delta}value = \"decimal\""), "written by INCRBY");
    refused(
        &format!(
            "{delta}value = \"hash\"\nfields = [{{ cache = \"n\", column = \"n\", as = \"text\" }}]"
        ),
        "written by INCRBY",
    );
    refused(
        &format!(
            "{delta}value = \"hash\"\nfields = [{{ cache = \"n\", column = \"n\" }}]\nversion = {{ cache = \"v\", column = \"v\" }}"
        ),
        "together with a delta",
    );
    refused(
        &format!("{delta}lazy = true\nrepair = \"invalidate\""),
        "begin again at zero",
    );
}
