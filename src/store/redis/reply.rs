//! Sending commands and taking their answers apart. Error replies stay values until somebody decides
//! whether they are data (WRONGTYPE) or a failure.

use std::time::Duration;

use ::redis::{Cmd, Pipeline, ServerError, Value};
use bytes::Bytes;

use super::connect::Link;
use super::error::RedisError;
use crate::store::{Backoff, Turn};

/// A server that runs somebody's script answers nothing else until that ends, or is killed; ours are short.
const BUSY_PATIENCE: Duration = Duration::from_secs(15);

/// One command; an error reply is an error.
pub(super) async fn one(link: &Link, command: &Cmd) -> Result<Value, RedisError> {
    let mut busy = Busy::of(link);
    loop {
        let value = link
            .connection
            .clone()
            .send_packed_command(command)
            .await
            .map_err(|error| RedisError::from_client(&link.address, &error))?;
        if !is_busy(&value) || !busy.is_waited_for().await {
            return accepted(&link.address, value);
        }
    }
}

/// A pipeline; one answer for every command, error replies among them.
pub(super) async fn many(link: &Link, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
    if pipeline.is_empty() {
        return Ok(Vec::new());
    }
    let mut answers = send(link, pipeline).await?;
    let mut busy = Busy::of(link);
    while answers.iter().any(is_busy) && busy.is_waited_for().await {
        // What was answered so was not run, so nothing runs twice.
        let open = (0..answers.len()).filter(|&at| is_busy(&answers[at]));
        let open: Vec<usize> = open.collect();
        let commands: Vec<&Cmd> = pipeline.cmd_iter().collect();
        let mut again = ::redis::pipe();
        for &at in &open {
            again.add_command(commands[at].clone());
        }
        for (at, answer) in open.into_iter().zip(send(link, &again).await?) {
            answers[at] = answer;
        }
    }
    Ok(answers)
}

async fn send(link: &Link, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
    link.connection
        .clone()
        .send_packed_commands(pipeline, 0, pipeline.len())
        .await
        .map_err(|error| RedisError::from_client(&link.address, &error))
}

/// Waiting for somebody's script.
struct Busy<'l> {
    link: &'l Link,
    begun: Option<(Backoff, Turn<'l>)>,
}

impl<'l> Busy<'l> {
    fn of(link: &'l Link) -> Self {
        Self { link, begun: None }
    }

    /// False when it was waited for long enough.
    async fn is_waited_for(&mut self) -> bool {
        let link = self.link;
        let (backoff, turn) = self.begun.get_or_insert_with(|| {
            let turn = link.waiting.begin("Redis");
            (Backoff::within(BUSY_PATIENCE), turn)
        });
        turn.because(&format!("{} is busy running a script (BUSY)", link.address));
        match backoff.next_pause() {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            None => false,
        }
    }
}

fn is_busy(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.code() == "BUSY")
}

/// An error reply turned into an error.
pub(super) fn accepted(address: &str, value: Value) -> Result<Value, RedisError> {
    match value {
        Value::ServerError(error) => Err(RedisError::from_server(address, &error)),
        value => Ok(value),
    }
}

/// Whether the command met a key of another type.
pub(super) fn is_wrong_type(error: &ServerError) -> bool {
    error.code() == "WRONGTYPE"
}

/// The elements of an array; `None` for nil or anything else.
pub(super) fn optional_array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Some(values),
        _ => None,
    }
}

/// A string's bytes, moved, not copied; `None` for nil or anything else.
pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Okay => Some(b"OK".to_vec()),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}

/// The strings of an array, nil for each that is missing.
pub(super) fn optional_strings(value: Value) -> Option<Vec<Option<Bytes>>> {
    let values = optional_array(value)?;
    Some(
        values
            .into_iter()
            .map(|v| bytes(v).map(Bytes::from))
            .collect(),
    )
}

pub(super) fn text(value: Value) -> Option<String> {
    bytes(value).and_then(|bytes| String::from_utf8(bytes).ok())
}

pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}

/// Names and values in turn, or a map. Servers add names with every release, so that whoever asks takes what he knows.
pub(super) fn named_values(value: Value) -> Option<impl Iterator<Item = (Vec<u8>, Value)>> {
    let pairs = match value {
        Value::Map(pairs) => pairs,
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            let mut pairs = Vec::with_capacity(flat.len() / 2);
            while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
                pairs.push((name, value));
            }
            pairs
        }
        _ => return None,
    };
    Some(
        pairs
            .into_iter()
            .filter_map(|(name, value)| Some((bytes(name)?, value))),
    )
}
