//! What the server keeps of histories that ended: an entry for each, written by the beat that noticed.

use crate::model::heartbeat::FoundBeat;
use crate::model::stream::Entry;
use crate::model::time::Micros;

/// One entry of the evidence stream: the heartbeat that was found, and what INFO said at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub found: FoundBeat,
    pub run_id: String,
    pub replication_id: String,
    /// Before the new beat.
    pub offset: i64,
    pub replication_id2: String,
    /// -1 without a former history.
    pub second_offset: i64,
    pub uptime_seconds: u64,
    /// That server's TIME.
    pub server_time: Micros,
}

impl Evidence {
    /// `None`: it is no entry of a beat. Fields that are not known here are a later version's.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let bytes = |name: &str| {
            let mut fields = entry.fields.iter();
            fields.find_map(|(field, value)| (field == name.as_bytes()).then_some(value))
        };
        let text = |name: &str| std::str::from_utf8(bytes(name)?).ok();
        Some(Self {
            found: FoundBeat::of(Some(bytes("found")?.to_vec())),
            run_id: text("run_id")?.to_owned(),
            replication_id: text("replication_id")?.to_owned(),
            offset: text("offset")?.parse().ok()?,
            replication_id2: text("replication_id2")?.to_owned(),
            second_offset: text("second_offset")?.parse().ok()?,
            uptime_seconds: text("uptime_seconds")?.parse().ok()?,
            server_time: Micros(text("micros")?.parse().ok()?),
        })
    }
}
