//! The written twins of samples, changes and handled histories. Instants are RFC 3339 in UTC with microseconds.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::StateError;
use crate::failover::{Change, Handled, Heartbeat, Remembered, Sample};
use crate::model::slots::{Slot, SlotSet};
use crate::model::time::Micros;

/// The form's version. Fields may be added within one; readers leave unknown ones alone.
pub(super) const VERSION: u64 = 1;

/// The first thing in every file and copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// `state` or `samples`.
    pub(super) auditor: String,
    pub(super) version: u64,
    pub(super) job: String,
}

/// `state.json`, and with samples the copy in Redis.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StateRecord {
    auditor: String,
    version: u64,
    job: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audited_until: Option<String>,
    #[serde(default)]
    pub(super) changes: Vec<ChangeRecord>,
    #[serde(default)]
    pub(super) handled: Vec<HandledRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) samples: Vec<SampleRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SampleRecord {
    seen_at: String,
    address: String,
    /// Left out where it is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slots: Option<String>,
    beat: BeatRecord,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BeatRecord {
    at: String,
    run_id: String,
    replication_id: String,
    offset: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChangeRecord {
    noticed_at: String,
    found: Option<BeatRecord>,
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slots: Option<String>,
    run_id: String,
    replication_id: String,
    replication_id2: String,
    second_offset: i64,
    uptime_seconds: u64,
    server_time: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HandledRecord {
    replication_id: String,
    run_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slots: Option<String>,
    handled_at: String,
}

impl Header {
    pub(super) fn new(kind: &str, job: &str) -> Self {
        Self {
            auditor: kind.to_owned(),
            version: VERSION,
            job: job.to_owned(),
        }
    }

    /// Reads the header of `text`, which may be more than a header, and refuses another kind, version or job.
    pub(super) fn check(text: &[u8], kind: &str, job: &str, place: &str) -> Result<(), StateError> {
        let found: Self = parse(text, place)?;
        if found.auditor != kind {
            return Err(damaged(place, &format!("it holds no {kind} of auditor")));
        }
        if found.version != VERSION {
            return Err(StateError::OtherVersion {
                place: place.to_owned(),
                version: found.version,
            });
        }
        if found.job != job {
            return Err(StateError::OtherJob {
                place: place.to_owned(),
                found: found.job,
            });
        }
        Ok(())
    }
}

impl StateRecord {
    pub(super) fn of(job: &str, remembered: &Remembered) -> Self {
        let header = Header::new("state", job);
        Self {
            auditor: header.auditor,
            version: header.version,
            job: header.job,
            audited_until: remembered.audited_until.map(Micros::to_rfc3339),
            changes: remembered.changes.iter().map(ChangeRecord::of).collect(),
            handled: remembered.handled.iter().map(HandledRecord::of).collect(),
            samples: remembered.samples.iter().map(SampleRecord::of).collect(),
        }
    }

    /// Reads a whole state; `place` is for messages.
    pub(super) fn read(text: &[u8], job: &str, place: &str) -> Result<Remembered, StateError> {
        Header::check(text, "state", job, place)?;
        let record: Self = parse(text, place)?;
        let read = || {
            Some(Remembered {
                samples: all(&record.samples, SampleRecord::read)?,
                changes: all(&record.changes, ChangeRecord::read)?,
                handled: all(&record.handled, HandledRecord::read)?,
                audited_until: match &record.audited_until {
                    Some(text) => Some(Micros::from_rfc3339(text)?),
                    None => None,
                },
            })
        };
        read().ok_or_else(|| damaged(place, "an instant or a slot in it is none"))
    }
}

impl SampleRecord {
    pub(super) fn of(sample: &Sample) -> Self {
        Self {
            seen_at: sample.seen_at.to_rfc3339(),
            address: sample.address.clone(),
            slots: slots_text(&sample.slots),
            beat: BeatRecord::of(&sample.beat),
        }
    }

    pub(super) fn read(&self) -> Option<Sample> {
        self.read_with(&mut HashMap::new())
    }

    /// The same, where many say one after the other that they had the same slots: `known` are those that were read before.
    pub(super) fn read_with(&self, known: &mut HashMap<String, SlotSet>) -> Option<Sample> {
        let had = match &self.slots {
            None => SlotSet::all(),
            Some(text) => match known.get(text) {
                Some(slots) => slots.clone(),
                None => {
                    let slots = slots(Some(text))?;
                    known.insert(text.clone(), slots.clone());
                    slots
                }
            },
        };
        Some(Sample {
            seen_at: Micros::from_rfc3339(&self.seen_at)?,
            address: self.address.clone(),
            slots: had,
            beat: self.beat.read()?,
        })
    }
}

impl BeatRecord {
    fn of(beat: &Heartbeat) -> Self {
        Self {
            at: beat.beat_at.to_rfc3339(),
            run_id: beat.run_id.clone(),
            replication_id: beat.replication_id.clone(),
            offset: beat.offset,
        }
    }

    fn read(&self) -> Option<Heartbeat> {
        Some(Heartbeat {
            beat_at: Micros::from_rfc3339(&self.at)?,
            run_id: self.run_id.clone(),
            replication_id: self.replication_id.clone(),
            offset: self.offset,
        })
    }
}

impl ChangeRecord {
    fn of(change: &Change) -> Self {
        Self {
            noticed_at: change.noticed_at.to_rfc3339(),
            found: change.found.as_ref().map(BeatRecord::of),
            address: change.address.clone(),
            slots: slots_text(&change.slots),
            run_id: change.run_id.clone(),
            replication_id: change.replication_id.clone(),
            replication_id2: change.replication_id2.clone(),
            second_offset: change.second_offset,
            uptime_seconds: change.uptime_seconds,
            server_time: change.server_time.to_rfc3339(),
        }
    }

    fn read(&self) -> Option<Change> {
        Some(Change {
            noticed_at: Micros::from_rfc3339(&self.noticed_at)?,
            found: match &self.found {
                Some(beat) => Some(beat.read()?),
                None => None,
            },
            address: self.address.clone(),
            slots: slots(self.slots.as_deref())?,
            run_id: self.run_id.clone(),
            replication_id: self.replication_id.clone(),
            replication_id2: self.replication_id2.clone(),
            second_offset: self.second_offset,
            uptime_seconds: self.uptime_seconds,
            server_time: Micros::from_rfc3339(&self.server_time)?,
        })
    }
}

impl HandledRecord {
    fn of(handled: &Handled) -> Self {
        Self {
            replication_id: handled.replication_id.clone(),
            run_id: handled.run_id.clone(),
            slots: slots_text(&handled.slots),
            handled_at: handled.handled_at.to_rfc3339(),
        }
    }

    fn read(&self) -> Option<Handled> {
        Some(Handled {
            replication_id: self.replication_id.clone(),
            run_id: self.run_id.clone(),
            slots: slots(self.slots.as_deref())?,
            handled_at: Micros::from_rfc3339(&self.handled_at)?,
        })
    }
}

pub(super) fn parse<'t, T: Deserialize<'t>>(text: &'t [u8], place: &str) -> Result<T, StateError> {
    serde_json::from_slice(text).map_err(|fault| damaged(place, &fault.to_string()))
}

pub(super) fn damaged(place: &str, reason: &str) -> StateError {
    StateError::Damaged {
        place: place.to_owned(),
        reason: reason.to_owned(),
    }
}

fn all<R, T>(records: &[R], read: impl Fn(&R) -> Option<T>) -> Option<Vec<T>> {
    records.iter().map(read).collect()
}

fn slots_text(slots: &SlotSet) -> Option<String> {
    (!slots.is_all()).then(|| slots.to_string())
}

/// `0-5460 10000`, as `SlotSet` prints itself.
fn slots(text: Option<&str>) -> Option<SlotSet> {
    let Some(text) = text else {
        return Some(SlotSet::all());
    };
    let mut set = SlotSet::none();
    for part in text.split_ascii_whitespace() {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for number in first.parse::<u16>().ok()?..=last.parse::<u16>().ok()? {
            set.add(Slot::new(number)?);
        }
    }
    Some(set)
}
