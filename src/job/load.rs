//! From a file to a [`Job`].

use std::path::Path;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::build;
use super::fault::{Fault, JobFaults};
use super::raw::RawFile;
use super::reader::Reader;
use super::spec::Job;

/// Reads `path`, filling `${NAME}` from `environment`. Relative paths in the file start at its folder.
///
/// # Errors
///
/// Everything that is wrong with the file, at once.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Job, JobFaults> {
    let bytes = std::fs::read(path).map_err(|error| {
        let fault = Fault::new(0..0, format!("the job file cannot be read: {error}"))
            .hint("name a TOML file; jobs/minimal.toml is a small one");
        JobFaults::new(path, "", vec![fault])
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let readable = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let fault = Fault::new(
            valid..valid,
            format!("byte {valid} of the job file is not UTF-8"),
        )
        .hint("save the file as UTF-8");
        JobFaults::new(path, &readable, vec![fault])
    })?;
    parse(path, &text, environment)
}

/// As [`load`], for a text that stands for the file at `path`.
fn parse(
    path: &Path,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Job, JobFaults> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut reader = Reader::new(folder, environment);
    let (root, errors) = DeTable::parse_recoverable(text);
    reader.is_whole = errors.is_empty();
    let raw = RawFile::read(&mut reader, &root);
    let hash = config_hash(text, &reader.sql_files);
    let job = build::build(&raw, &mut reader, path.to_owned(), text, hash);
    let mut faults = reader.faults;
    let broken: Vec<_> = errors.iter().map(|e| e.span().unwrap_or(0..0)).collect();
    // What the parser made of a broken line is its guess: one fault per such line is enough.
    faults.retain(|fault| {
        !broken
            .iter()
            .any(|span| is_same_line(text, span.start, fault.span.start))
    });
    faults.extend(
        errors
            .iter()
            .zip(broken)
            .map(|(error, span)| Fault::new(span, error.message().to_owned())),
    );
    match job {
        Some(job) if faults.is_empty() => Ok(job),
        _ => Err(JobFaults::new(path, text, faults)),
    }
}

impl Job {
    /// Faults that only the live schema shows, at their places in this job's file.
    pub fn faults(&self, faults: Vec<Fault>) -> JobFaults {
        JobFaults::new(&self.path, &self.text, faults)
    }
}

/// SHA-256 of the file and of every SQL file, each with its name and length, so that no two
/// configurations run together into one.
fn config_hash(text: &str, sql_files: &[(String, String)]) -> String {
    let mut hash = Sha256::new();
    for (name, content) in std::iter::once(("", text)).chain(
        sql_files
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_str())),
    ) {
        for part in [name, content] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hex::encode(hash.finalize())
}

fn is_same_line(text: &str, a: usize, b: usize) -> bool {
    let (from, to) = (a.min(b).min(text.len()), a.max(b).min(text.len()));
    !text.as_bytes()[from..to].contains(&b'\n')
}
