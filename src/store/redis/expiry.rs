//! When keys expire, as an absolute instant of the server's clock.

use std::sync::atomic::{AtomicBool, Ordering};

use ::redis::{Pipeline, Value};

use super::error::RedisError;
use super::nodes::Nodes;
use super::{info, reply};
use crate::model::observation::KeyExpiry;

/// TIME, PTTL, TIME.
const OLD_COMMANDS: usize = 3;

/// The clock ticks between two neighbouring commands once in some hundred times.
const OLD_ATTEMPTS: usize = 4;

/// A key's expiry, or that there is no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    NoKey,
    Expiry(KeyExpiry),
}

/// Asks by PEXPIRETIME, which Redis has since 7.0; older servers are asked for PTTL and TIME.
#[derive(Debug, Default)]
pub(super) struct ExpiryReader {
    is_old: AtomicBool,
}

impl ExpiryReader {
    /// Adds the questions for `keys` to a pipeline, if the server can be asked that way: one answer
    /// each, to be handed to `finish`.
    pub(super) fn ask<'a>(&self, pipeline: &mut Pipeline, keys: impl Iterator<Item = &'a [u8]>) {
        if !self.is_old.load(Ordering::Relaxed) {
            for key in keys {
                pipeline.cmd("PEXPIRETIME").arg(key);
            }
        }
    }

    /// Reads what `ask` got for `keys`, or asks again in the old way.
    pub(super) async fn finish(
        &self,
        nodes: &Nodes,
        keys: &[&[u8]],
        answers: Vec<Value>,
    ) -> Result<Vec<Found>, RedisError> {
        let is_unknown = answers.iter().any(is_unknown_command);
        if is_unknown {
            self.is_old.store(true, Ordering::Relaxed);
        }
        if is_unknown || answers.len() != keys.len() {
            return ask_old(nodes, keys).await;
        }
        answers
            .into_iter()
            .map(|answer| {
                let answer = reply::accepted(nodes.address(), answer)?;
                found(reply::integer(&answer), 0)
                    .ok_or_else(|| RedisError::unexpected(nodes.address(), "PEXPIRETIME"))
            })
            .collect()
    }
}

/// PTTL counts from now, so the instant is known exactly only if the clock read the same millisecond
/// before and after; otherwise the same key would seem to expire at two instants in two looks.
async fn ask_old(nodes: &Nodes, keys: &[&[u8]]) -> Result<Vec<Found>, RedisError> {
    let unexpected = || RedisError::unexpected(nodes.address(), "PTTL");
    let address = nodes.address();
    let mut results: Vec<Option<Found>> = vec![None; keys.len()];
    for attempt in 1..=OLD_ATTEMPTS {
        let open: Vec<usize> = (0..keys.len()).filter(|&i| results[i].is_none()).collect();
        let mut pipeline = ::redis::pipe();
        for &index in &open {
            pipeline
                .cmd("TIME")
                .cmd("PTTL")
                .arg(keys[index])
                .cmd("TIME");
        }
        let asked = open.iter().flat_map(|&index| [keys[index]; OLD_COMMANDS]);
        let mut answers = nodes.many_at(&pipeline, asked).await?.into_iter();
        for index in open {
            let triple: Vec<Value> = answers.by_ref().take(OLD_COMMANDS).collect();
            let [before, left, after] =
                <[Value; OLD_COMMANDS]>::try_from(triple).map_err(|_| unexpected())?;
            let clock = |answer| info::instant(address, reply::accepted(address, answer)?);
            let (before, after) = (clock(before)?.0 / 1_000, clock(after)?.0 / 1_000);
            let left = reply::integer(&reply::accepted(address, left)?);
            let answer = found(left, before).ok_or_else(unexpected)?;
            let is_exact = before == after || left.is_some_and(i64::is_negative);
            if is_exact || attempt == OLD_ATTEMPTS {
                results[index] = Some(answer);
            }
        }
    }
    results
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(unexpected)
}

/// -1: no expiry; -2: no key; else milliseconds from `base`.
fn found(answer: Option<i64>, base: i64) -> Option<Found> {
    match answer? {
        -2 => Some(Found::NoKey),
        -1 => Some(Found::Expiry(KeyExpiry::Never)),
        millis if millis >= 0 => Some(Found::Expiry(KeyExpiry::AtMillis(base + millis))),
        _ => None,
    }
}

fn is_unknown_command(value: &Value) -> bool {
    matches!(value, Value::ServerError(error)
        if error.details().is_some_and(|details| details.starts_with("unknown command")))
}
