//! The copy of the state in Redis: for a folder that got lost with its volume.

use super::StateError;
use super::record::StateRecord;
use super::thin::sparse;
use crate::failover::Remembered;
use crate::model::time::Micros;

/// The copy's bytes: compact JSON, with few samples.
pub fn encode_copy(job: &str, remembered: Remembered) -> Vec<u8> {
    let copied = Remembered {
        samples: sparse(remembered.samples, Micros::now()),
        ..remembered
    };
    serde_json::to_vec(&StateRecord::of(job, &copied))
        .expect("a record of texts and numbers can be written")
}

/// Reads a copy; `place` names it in errors.
pub fn decode_copy(text: &[u8], job: &str, place: &str) -> Result<Remembered, StateError> {
    StateRecord::read(text, job, place)
}
