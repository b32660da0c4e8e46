//! Job files: every example loads, the schema and the list of settings are what the code says, and a
//! file with many faults shows them all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use auditor::job::{self, Endpoint, Job, JobFaults, Rate, json_schema, settings_markdown};
use auditor::model::check::{
    Compare, Deletes, Form, Guard, Layout, Locator, Order, RepairMode, Source, TimeForm, Tombstone,
    ValueKind, Window, Writes,
};

/// What the examples ask of the environment.
fn environment(name: &str) -> Option<String> {
    match name {
        "MYSQL_URL" => Some("mysql://root:hunter2@127.0.0.1:3306/auction".to_owned()),
        "REDIS_URL" => Some("redis://127.0.0.1:6379".to_owned()),
        _ => None,
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn example(name: &str) -> Job {
    job::load(&repository().join("jobs").join(name), &environment).unwrap_or_else(|e| panic!("{e}"))
}

/// A job file of its own folder, so that relative paths can be tried.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn load(text: &str) -> Result<Job, JobFaults> {
    let folder = Folder::new();
    job::load(&folder.write("jobs/j.toml", text), &environment)
}

const STORES: &str = "name = \"j\"\nmysql.url = \"mysql://h/d\"\nredis.url = \"redis://h\"\n";

/// A job with one check, in which `lines` replace or complete a plain integer of a table.
fn check(lines: &str) -> Result<Job, JobFaults> {
    let base = [
        "name = \"c\"",
        "key = \"k:{id}\"",
        "value = \"integer\"",
        "table = \"t\"",
        "changed_at = \"at\"",
        "deletes = \"never\"",
        "fields = [{ column = \"n\" }]",
    ];
    let given: Vec<&str> = lines
        .lines()
        .filter_map(|line| line.split_once(" =").map(|l| l.0))
        .collect();
    let mut text = format!("{STORES}[[cache]]\n");
    for line in base {
        let name = line.split_once(" =").unwrap().0;
        if !given.contains(&name) {
            text.push_str(line);
            text.push('\n');
        }
    }
    // A bare name takes a setting of the base out.
    for line in lines.lines().filter(|line| !line.ends_with(" =")) {
        text.push_str(line);
        text.push('\n');
    }
    load(&text)
}

/// The messages of a check's faults, each with its hint.
fn faults(lines: &str) -> Vec<String> {
    match check(lines) {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .faults()
            .iter()
            .map(|f| format!("{} | {}", f.message, f.hint.as_deref().unwrap_or("")))
            .collect(),
    }
}

/// That a check has exactly one fault, which says `part`.
#[track_caller]
fn refused(lines: &str, part: &str) {
    let faults = faults(lines);
    assert_eq!(faults.len(), 1, "{lines}\n{faults:#?}");
    assert!(faults[0].contains(part), "{lines}\n{faults:#?}");
}

#[track_caller]
fn taken(lines: &str) -> Job {
    check(lines).unwrap_or_else(|e| panic!("{lines}\n{e}"))
}

mod examples;
mod refusals;
mod replicas;
mod streams;
mod whole_file;
