//! The house's rules, read off the source text: arrows between rooms, sizes, rule completeness.
//!
//! Standard library only, so that it runs in milliseconds. Every probe is a function from text to
//! complaints, and is itself tested on a text that breaks it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One source file: its path below the package, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

/// Rooms with their floor: an arrow may point to a lower floor, or, one way only, along its own.
const ROOMS: [(&str, u8); 13] = [
    ("model", 0),
    ("rules", 1),
    ("report", 1),
    ("job", 2),
    ("plan", 3),
    ("store", 3),
    ("scan", 4),
    ("repair", 4),
    ("failover", 4),
    ("lab", 5),
    ("run", 6),
    ("cli", 7),
    ("main", 8),
];

const LINES_MAX: usize = 400;

const HEADINGS: [&str; 4] = [
    "Detects",
    "How it comes about",
    "Why it matters",
    "Repair and its safety",
];

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = rust_files(&root.join("src"), "src");
    assert!(
        sources.len() > 10,
        "the sources were not found under {}",
        root.display()
    );
    let complaints = complaints(&sources);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn complaints(sources: &[Source]) -> Vec<String> {
    let mut all = arrows(sources);
    for source in sources {
        all.extend(oversized(source));
        all.extend(forbidden_name(source));
        all.extend(foreign_crates(source));
        all.extend(serialised_model(source));
        all.extend(included_files(source));
        all.extend(forbidden_words(source));
    }
    all.extend(incomplete_rules(sources));
    all
}

/// Upward arrows, two-way arrows on one floor, and rooms nobody declared.
fn arrows(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut edges = BTreeSet::new();
    for source in sources {
        let Some(from) = room(&source.path) else {
            continue;
        };
        let Some(from_floor) = floor(from) else {
            complaints.push(format!(
                "{}: the room `{from}` has no floor in tests/tidy.rs",
                source.path
            ));
            continue;
        };
        for to in crate_paths(&code(&source.text)) {
            let Some(to_floor) = floor(&to) else { continue };
            if to_floor > from_floor {
                complaints.push(format!(
                    "{}: `{from}` must not look up to `{to}`",
                    source.path
                ));
            } else if to != from {
                edges.insert((from.to_owned(), to));
            }
        }
    }
    for (from, to) in &edges {
        if from < to && edges.contains(&(to.clone(), from.clone())) {
            complaints.push(format!(
                "`{from}` and `{to}` look at each other: one arrow must go"
            ));
        }
    }
    complaints
}

fn oversized(source: &Source) -> Option<String> {
    let lines = source
        .text
        .lines()
        .take_while(|l| l.trim() != "#[cfg(test)]")
        .count();
    let path = &source.path;
    (lines > LINES_MAX)
        .then(|| format!("{path}: {lines} lines without its tests, {LINES_MAX} at most"))
}

fn forbidden_name(source: &Source) -> Option<String> {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    ["errors.rs", "utils.rs", "types.rs", "helpers.rs"]
        .contains(&name)
        .then(|| format!("{}: name it by what it holds", source.path))
}

/// The drivers' crates outside `store` and `lab`. A module of ours with a driver's name is told
/// apart by the `use` that brings it in.
fn foreign_crates(source: &Source) -> Vec<String> {
    if matches!(room(&source.path), Some("store" | "lab")) {
        return Vec::new();
    }
    let code = code(&source.text);
    ["sqlx", "redis"]
        .into_iter()
        .filter(|name| {
            let is_module = crate_items(&code).iter().any(|item| {
                item.strip_prefix("store::")
                    .is_some_and(|i| i == *name || i == format!("{name}::self"))
            });
            code.lines().any(|line| {
                paths_of(line, name).any(|before| match before {
                    "" => !is_module,
                    before => before == "::",
                })
            })
        })
        .map(|name| {
            format!(
                "{}: only store and lab may use the crate `{name}`",
                source.path
            )
        })
        .collect()
}

fn serialised_model(source: &Source) -> Option<String> {
    let is_serialised = code(&source.text)
        .lines()
        .any(|l| l.contains("serde") || (l.contains("derive(") && l.contains("Serialize")));
    (room(&source.path) == Some("model") && is_serialised).then(|| {
        format!(
            "{}: nothing in model is serialised; give the output a twin",
            source.path
        )
    })
}

/// SQL and Lua outside the rooms that own them.
fn included_files(source: &Source) -> Vec<String> {
    let may = |what: &str| match what {
        ".sql" => source.path.starts_with("src/store/mysql") || room(&source.path) == Some("lab"),
        _ => source.path.starts_with("src/store/redis"),
    };
    let code = code(&source.text);
    let included: Vec<&str> = ["include_str!", "include_bytes!"]
        .into_iter()
        .flat_map(|open| code.split(open).skip(1))
        .filter_map(|after| after.split(')').next())
        .collect();
    [".sql", ".lua"]
        .into_iter()
        .filter(|what| {
            !may(what)
                && included
                    .iter()
                    .any(|name| name.contains(&format!("{what}\"")))
        })
        .map(|what| {
            format!(
                "{}: {what} files are included by their store only",
                source.path
            )
        })
        .collect()
}

fn forbidden_words(source: &Source) -> Vec<String> {
    let prints = !matches!(room(&source.path), Some("cli" | "main"));
    let code = code(&source.text);
    // Spelled in two halves, so that this file does not hold them.
    [
        (
            concat!("print", "ln!("),
            prints,
            "write to the writer that was handed in",
        ),
        (
            concat!("eprint", "ln!("),
            prints,
            "log, or write to the writer that was handed in",
        ),
        (
            concat!("#[all", "ow("),
            true,
            "say #[expect(…, reason = …)]",
        ),
        (
            concat!("#![all", "ow("),
            true,
            "say #![expect(…, reason = …)]",
        ),
        (concat!("to", "do!("), true, "build it"),
        (concat!("dbg", "!("), true, "take it out"),
    ]
    .into_iter()
    .filter(|(word, counts, _)| {
        *counts
            && code
                .match_indices(word)
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
    .map(|(word, _, hint)| format!("{}: `{word}`: {hint}", source.path))
    .collect()
}

/// Rule files without their line in the catalog, their four headings or their tests.
fn incomplete_rules(sources: &[Source]) -> Vec<String> {
    let catalog = sources
        .iter()
        .find(|s| s.path == "src/rules/catalog.rs")
        .map_or("", |s| &s.text);
    let mut complaints = Vec::new();
    for source in sources {
        let parts: Vec<&str> = source.path.split('/').collect();
        let ["src", "rules", "cache" | "stream" | "topology", file] = parts[..] else {
            continue;
        };
        let Some(name) = file.strip_suffix(".rs").filter(|name| *name != "mod") else {
            continue;
        };
        let mut missing = |what: String| complaints.push(format!("{}: {what}", source.path));
        let place = format!("{}::{name}::RULE", parts[2]);
        let is_listed = code(catalog)
            .lines()
            .any(|line| line.trim_start_matches([' ', '&']).starts_with(&place));
        if !is_listed {
            missing("no line in src/rules/catalog.rs".to_owned());
        }
        let id = format!("RuleId(\"{}\")", name.replace('_', "-"));
        if !code(&source.text).contains(&id) {
            missing(format!("its id is not its name: no `{id}`"));
        }
        for heading in HEADINGS {
            let is_there = source.text.lines().any(|line| {
                line.strip_prefix("//!").is_some_and(|l| {
                    l.trim().starts_with('#') && l.trim_matches(['#', ' ', '.', ':']) == heading
                })
            });
            if !is_there {
                missing(format!("no heading `//! # {heading}`"));
            }
        }
        if !source.text.contains("#[cfg(test)]") {
            missing("no test module".to_owned());
        }
    }
    complaints
}

/// The room a file stands in; `None` for `lib.rs`, the map.
fn room(path: &str) -> Option<&str> {
    let below = path.strip_prefix("src/")?;
    match below.split_once('/') {
        Some((room, _)) => Some(room),
        None if below == "lib.rs" => None,
        None => below.strip_suffix(".rs"),
    }
}

fn floor(room: &str) -> Option<u8> {
    ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, floor)| *floor)
}

/// The text before the tests, without comments.
fn code(text: &str) -> String {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .map(|line| &line[..comment_start(line)])
        .collect::<Vec<_>>()
        .join("\n")
}

/// Where a line's comment begins: at the first `//` outside a string.
fn comment_start(line: &str) -> usize {
    let quotes = |text: &str| {
        text.replace("\\\"", "")
            .replace("'\"'", "")
            .matches('"')
            .count()
    };
    line.match_indices("//")
        .map(|(at, _)| at)
        .find(|at| quotes(&line[..*at]) % 2 == 0)
        .unwrap_or(line.len())
}

/// First segments of every `crate::…` path, grouped imports included.
fn crate_paths(code: &str) -> BTreeSet<String> {
    crate_items(code)
        .into_iter()
        .map(|item| item.split("::").next().unwrap_or_default().to_owned())
        .collect()
}

/// Every path after `crate::` (in `main.rs` after `auditor::`), groups taken apart.
fn crate_items(code: &str) -> BTreeSet<String> {
    let mut items = BTreeSet::new();
    for root in ["crate::", "auditor::"] {
        for (at, _) in code.match_indices(root) {
            if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                let after: String = code[at + root.len()..]
                    .chars()
                    .filter(|c| *c != '\n')
                    .collect();
                expand("", &after, &mut items);
            }
        }
    }
    items
}

/// Reads one path, or one group in braces, off the start of `text`; gives what follows it.
fn expand<'t>(prefix: &str, text: &'t str, items: &mut BTreeSet<String>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest, items).trim_start();
            match rest.strip_prefix(',') {
                Some(after) if after.trim_start().starts_with('}') => rest = after.trim_start(),
                Some(after) => {
                    rest = after;
                    continue;
                }
                None => {}
            }
            return rest.strip_prefix('}').unwrap_or("");
        }
    }
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    match text[end..].strip_prefix("::") {
        Some(rest) => expand(&format!("{path}::"), rest, items),
        None => {
            items.insert(path);
            let rest = text[end..].trim_start();
            match rest.strip_prefix("as ") {
                Some(alias) => alias
                    .trim_start()
                    .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
                None => rest,
            }
        }
    }
}

/// What stands before each `name::` or `use name;` of a line: `""` for a path that begins with
/// it, `"::"` for the crate said outright, else something that makes it a module of ours.
fn paths_of<'l>(line: &'l str, name: &'l str) -> impl Iterator<Item = &'static str> + 'l {
    let is_import =
        line.trim_start().starts_with("use ") || line.trim_start().starts_with("pub use ");
    line.match_indices(name).filter_map(move |(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let is_path =
            after.starts_with("::") || (before.trim_end() == "use" && after.starts_with(';'));
        if !is_path || before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '"') {
            return None;
        }
        let is_absolute = before
            .strip_suffix("::")
            .is_some_and(|b| !b.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>'));
        Some(match before {
            b if is_absolute && b.ends_with("::") => "::",
            b if b.ends_with("::") => "module",
            // A group of ours, `use crate::store::{redis::Redis}`, which rustfmt may break over lines.
            b if is_import && b.trim_end().ends_with(['{', ',']) => "group",
            b if b.trim().is_empty() && after.trim_end().ends_with(',') => "group",
            _ => "",
        })
    })
}

fn rust_files(folder: &Path, name: &str) -> Vec<Source> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()))
        .map(|entry| entry.expect("a folder's entries can be read").path())
        .collect();
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        let below = format!(
            "{name}/{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        if path.is_dir() {
            files.extend(rust_files(&path, &below));
        } else if below.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{below}: {fault}"));
            files.push(Source { path: below, text });
        }
    }
    files
}

/// The complaints about a house of these files.
fn of(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> = files
        .iter()
        .map(|(path, text)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    complaints(&sources)
}

#[track_caller]
fn complains(files: &[(&str, &str)], part: &str) {
    let complaints = of(files);
    assert!(
        complaints.len() == 1 && complaints[0].contains(part),
        "{complaints:?}"
    );
}

#[track_caller]
fn is_fine(files: &[(&str, &str)]) {
    assert_eq!(of(files), Vec::<String>::new());
}

#[test]
fn sees_an_upward_arrow() {
    complains(
        &[("src/model/a.rs", "use crate::job::Job;")],
        "`model` must not look up to `job`",
    );
    complains(
        &[("src/scan/a.rs", "fn f(x: crate::run::X) {}")],
        "`scan` must not look up to `run`",
    );
    complains(
        &[("src/job/a.rs", "use crate::{model::X, store::{mysql::Y}};")],
        "look up to `store`",
    );
    complains(
        &[(
            "src/job/a.rs",
            "use crate::{\n    model::X,\n    cli::Y,\n};",
        )],
        "look up to `cli`",
    );
    complains(
        &[("src/plan/a.rs", "use crate::{model::{x::A as B, C}, scan};")],
        "look up to `scan`",
    );
    is_fine(&[
        ("src/run/a.rs", "use crate::{model::X, scan::Y, lab::Z};"),
        ("src/lib.rs", "pub mod cli;"),
    ]);
    is_fine(&[(
        "src/model/a.rs",
        "// see crate::job::Job\n/// [`crate::cli`]\nuse crate::model::X;",
    )]);
    is_fine(&[(
        "src/model/a.rs",
        "fn f() {}\n#[cfg(test)]\nmod tests { use crate::job::Job; }",
    )]);
    complains(&[("src/attic/a.rs", "")], "`attic` has no floor");
    is_fine(&[(
        "src/main.rs",
        "fn main() { auditor::cli::start(auditor::run::execute) }",
    )]);
}

#[test]
fn sees_two_rooms_that_look_at_each_other() {
    let scan = ("src/scan/a.rs", "use crate::repair::X;");
    is_fine(&[scan]);
    complains(
        &[scan, ("src/repair/a.rs", "use crate::scan::Y;")],
        "look at each other",
    );
}

#[test]
fn sees_an_oversized_file() {
    let long = "x();\n".repeat(LINES_MAX + 1);
    complains(&[("src/scan/a.rs", &long)], "401 lines");
    let tested = format!("{}#[cfg(test)]\n{long}", "x();\n".repeat(LINES_MAX));
    is_fine(&[("src/scan/a.rs", &tested)]);
}

#[test]
fn sees_a_name_that_says_nothing() {
    for name in ["errors", "utils", "types", "helpers"] {
        complains(
            &[(&format!("src/scan/{name}.rs"), "")],
            "name it by what it holds",
        );
    }
}

#[test]
fn sees_a_driver_outside_the_store() {
    for text in [
        "use sqlx::Row;",
        "use redis::{Client, Value};",
        "use redis;",
        "use ::redis::Client;",
        "fn f(v: &redis::Value) {}",
        "fn f(v: (u8, redis::Value)) {}",
        "fn f(v: Vec<redis::Value>) { x(\"http://\") }",
        "fn f() { x(redis::cmd(1)) }",
        "use crate::store::redis;\nfn f(c: ::redis::Client) {}",
    ] {
        complains(&[("src/repair/a.rs", text)], "only store and lab");
        is_fine(&[("src/store/redis/a.rs", text), ("src/lab/a.rs", text)]);
    }
    for text in [
        "use crate::store::redis::{Redis, Writer};",
        "use crate::store::{mysql::Mysql, redis::Redis};",
        "use crate::store::{\n    mysql::Mysql,\n    redis::{Redis, Writer},\n};",
        "use crate::store::redis;\nfn f(r: &redis::Redis) {}",
        "use crate::store::{mysql, redis};\nfn f(r: &redis::Redis) {}",
        "use crate::store;\nfn f(r: &store::redis::Redis) {}",
        "let url = \"redis://h\"; // redis::Client is not used",
    ] {
        is_fine(&[("src/repair/a.rs", text)]);
    }
}

#[test]
fn sees_a_serialised_model() {
    complains(
        &[("src/model/a.rs", "#[derive(Debug, Serialize)]\nstruct A;")],
        "nothing in model",
    );
    complains(
        &[("src/model/a.rs", "use serde::Deserialize;")],
        "nothing in model",
    );
    is_fine(&[("src/report/a.rs", "#[derive(Debug, Serialize)]\nstruct A;")]);
}

#[test]
fn sees_sql_and_lua_in_the_wrong_room() {
    let sql = "const A: &str = include_str!(\"a.sql\");";
    let lua = "const A: &str = include_str!(\n    \"lua/a.lua\"\n);";
    complains(&[("src/scan/a.rs", sql)], ".sql");
    complains(&[("src/store/redis/a.rs", sql)], ".sql");
    complains(&[("src/lab/a.rs", lua)], ".lua");
    is_fine(&[
        ("src/store/mysql/a.rs", sql),
        ("src/lab/a.rs", sql),
        ("src/store/redis/a.rs", lua),
    ]);
}

#[test]
fn sees_words_that_are_not_said_here() {
    for (word, part) in [
        (concat!("print", "ln!(\"x\");"), "writer that was handed in"),
        (
            concat!("eprint", "ln!(\"x\");"),
            "writer that was handed in",
        ),
        (concat!("#[all", "ow(dead_code)]"), "say #[expect"),
        (concat!("#![all", "ow(dead_code)]"), "say #![expect"),
        (concat!("to", "do!()"), "build it"),
        (concat!("dbg", "!(x)"), "take it out"),
    ] {
        complains(&[("src/scan/a.rs", word)], part);
    }
    is_fine(&[("src/cli/a.rs", concat!("print", "ln!(\"x\");"))]);
    is_fine(&[("src/scan/a.rs", "#[expect(dead_code, reason = \"x\")]")]);
}

const RULE: &str = "//! # Detects\n//! # How it comes about\n//! # Why it matters\n\
                    //! # Repair and its safety\nid: RuleId(\"value-mismatch\"),\n#[cfg(test)]\nmod tests {}";

#[test]
fn sees_a_rule_without_its_line_headings_or_tests() {
    let catalog = (
        "src/rules/catalog.rs",
        "&cache::value_mismatch::RULE,\n// cache::lost_expiry\n",
    );
    is_fine(&[
        catalog,
        ("src/rules/cache/value_mismatch.rs", RULE),
        ("src/rules/cache/mod.rs", ""),
    ]);
    let named = |id: &str| RULE.replace("value-mismatch", id);
    let unlisted = [
        ("src/rules/cache/lost_expiry.rs", named("lost-expiry")),
        ("src/rules/cache/mismatch.rs", named("mismatch")),
        // Listed as a rule of caches is not listed as one of streams.
        (
            "src/rules/stream/value_mismatch.rs",
            named("value-mismatch"),
        ),
    ];
    for (path, text) in &unlisted {
        complains(&[catalog, (path, text)], "no line in src/rules/catalog.rs");
    }
    let misnamed = named("mismatch");
    complains(
        &[catalog, ("src/rules/cache/value_mismatch.rs", &misnamed)],
        "its id is not its name",
    );
    let streams = ("src/rules/catalog.rs", "stream::orphan_pending::RULE,");
    let orphan = named("orphan-pending");
    is_fine(&[streams, ("src/rules/stream/orphan_pending.rs", &orphan)]);
    for heading in HEADINGS {
        let without = RULE.replace(heading, "Something else");
        complains(
            &[catalog, ("src/rules/cache/value_mismatch.rs", &without)],
            heading,
        );
    }
    let untested = RULE.replace("#[cfg(test)]", "");
    complains(
        &[catalog, ("src/rules/cache/value_mismatch.rs", &untested)],
        "no test module",
    );
}
