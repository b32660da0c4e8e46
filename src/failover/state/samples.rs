//! `samples.jsonl`: a header, then one line for each beat, appended. A last line without its end was torn by a crash and does
//! not count; anything else that is no sample is damage.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::StateError;
use super::file::{self, not_writable};
use super::record::{Header, SampleRecord, damaged, parse};
use super::thin::{fitting, histories_in, thinned};
use crate::failover::Sample;
use crate::model::time::Micros;

/// Past it the file is written anew, thinned: for each master, up to [`MASTERS_COUNTED`].
const LENGTH_MAX: u64 = 640 * 1024;
/// What is left of it then for each, at most, so that it is not written anew with every beat.
const LENGTH_KEPT: usize = 448 * 1024;
/// Of a larger Cluster each master has less: whoever asks what happened reads the whole file.
const MASTERS_COUNTED: usize = 4;
/// The end of the file in which present masters are counted.
const COUNTED_LENGTH: u64 = 64 * 1024;
/// A sample of a Cluster whose slots lie scattered has the longest line.
const LINE_MAX: u64 = 256 * 1024;

/// Every sample of the file, oldest first; none where there is no file.
pub(super) fn read(path: &Path, job: &str) -> Result<Vec<Sample>, StateError> {
    match file::read(path)? {
        Some(bytes) => decode(&bytes, job, &place(path)),
        None => Ok(Vec::new()),
    }
}

/// Appends. Needs the lock.
pub(super) fn append(path: &Path, job: &str, samples: &[Sample]) -> Result<(), StateError> {
    let mut file = File::options()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
        .map_err(not_writable(path))?;
    let length = mend(&mut file, path, job)?;
    let mut text = Vec::new();
    if length == 0 {
        text = line(&Header::new("samples", job));
    }
    for sample in samples {
        text.extend(line(&SampleRecord::of(sample)));
    }
    // One call, so that a reader sees whole lines; no fsync: a sample is worth no more than the next one, and what a
    // process wrote outlives it.
    file.write_all(&text).map_err(not_writable(path))?;
    let length = length + text.len() as u64;
    if length <= LENGTH_MAX {
        return Ok(());
    }
    let masters = masters_in(&mut file).map_err(not_writable(path))?;
    if length > LENGTH_MAX * masters as u64 {
        let all = thinned(read(path, job)?, Micros::now());
        file::replace(path, &encode(all, job, LENGTH_KEPT * masters))?;
    }
    Ok(())
}

/// How many histories the last lines are of, as far as that counts.
fn masters_in(file: &mut File) -> std::io::Result<usize> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(COUNTED_LENGTH)))?;
    let mut tail = Vec::new();
    file.take(COUNTED_LENGTH).read_to_end(&mut tail)?;
    let lines = tail.split(|&byte| byte == b'\n').skip(1);
    let samples = lines.filter_map(|text| parse::<SampleRecord>(text, "").ok()?.read());
    let samples: Vec<Sample> = samples.collect();
    Ok(histories_in(&samples).clamp(1, MASTERS_COUNTED))
}

/// Cuts off a torn last line; how long the file is then. Refuses a file that is not ours.
fn mend(file: &mut File, path: &Path, job: &str) -> Result<u64, StateError> {
    let length = file.seek(SeekFrom::End(0)).map_err(not_writable(path))?;
    if length == 0 {
        return Ok(0);
    }
    let mut piece = |from: u64, count: u64| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let head = piece(0, LINE_MAX).map_err(not_writable(path))?;
    let Some(end) = head.iter().position(|&byte| byte == b'\n') else {
        if line(&Header::new("samples", job)).starts_with(&head) {
            file.set_len(0).map_err(not_writable(path))?;
            return Ok(0);
        }
        return Err(damaged(&place(path), "it has no header"));
    };
    Header::check(&head[..end], "samples", job, &place(path))?;
    let from = length.saturating_sub(LINE_MAX);
    let tail = piece(from, LINE_MAX).map_err(not_writable(path))?;
    let Some(last) = tail.iter().rposition(|&byte| byte == b'\n') else {
        return Err(damaged(&place(path), "its last line has no end"));
    };
    let whole = from + last as u64 + 1;
    if whole < length {
        file.set_len(whole).map_err(not_writable(path))?;
    }
    Ok(whole)
}

fn decode(bytes: &[u8], job: &str, place: &str) -> Result<Vec<Sample>, StateError> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n');
    let Some(whole) = whole else {
        let is_torn = line(&Header::new("samples", job)).starts_with(bytes);
        return match is_torn {
            true => Ok(Vec::new()),
            false => Err(damaged(place, "it has no header")),
        };
    };
    let mut lines = bytes[..whole].split(|&byte| byte == b'\n');
    Header::check(lines.next().unwrap_or_default(), "samples", job, place)?;
    let mut samples = Vec::new();
    let mut known = HashMap::new();
    for (number, text) in lines.enumerate() {
        let place = format!("line {} of {place}", number + 2);
        let sample = parse::<SampleRecord>(text, &place)?.read_with(&mut known);
        samples.push(sample.ok_or_else(|| damaged(&place, "an instant or a slot in it is none"))?);
    }
    samples.sort_by_key(|sample| sample.seen_at);
    Ok(samples)
}

/// Those of `samples` that fit into `length_max`.
fn encode(samples: Vec<Sample>, job: &str, length_max: usize) -> Vec<u8> {
    let mut length = 0;
    let kept = fitting(samples, |sample| {
        length += line(&SampleRecord::of(sample)).len();
        length <= length_max
    });
    let mut text = line(&Header::new("samples", job));
    for sample in &kept {
        text.extend(line(&SampleRecord::of(sample)));
    }
    text
}

fn line(record: &impl serde::Serialize) -> Vec<u8> {
    let mut text =
        serde_json::to_vec(record).expect("a record of texts and numbers can be written");
    text.push(b'\n');
    text
}

fn place(path: &Path) -> String {
    path.display().to_string()
}
