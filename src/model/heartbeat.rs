//! A moment of one replication history, as it lies in Redis under the heartbeat's key.

use super::time::Micros;

/// The word every heartbeat begins with, and the version of the form behind it.
const MAGIC: &str = "auditor-heartbeat";
const VERSION: &str = "1";

/// One beat, as it lies in Redis: a moment of one history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// By that server's TIME.
    pub beat_at: Micros,
    pub run_id: String,
    pub replication_id: String,
    /// `master_repl_offset` just before the beat was written.
    pub offset: i64,
}

/// What lies under the heartbeat's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBeat {
    /// No such key.
    Nothing,
    Beat(Heartbeat),
    /// Bytes that are no heartbeat of a version that is known here.
    Unreadable(Vec<u8>),
}

impl Heartbeat {
    /// `auditor-heartbeat 1 <micros> <run id> <replication id> <offset>`; whatever follows is a later version's and left
    /// alone. `None`: something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
        if words.next()? != MAGIC || words.next()? != VERSION {
            return None;
        }
        let beat_at = Micros(words.next()?.parse().ok()?);
        let (run_id, replication_id) = (words.next()?, words.next()?);
        let offset = words.next()?.parse().ok()?;
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
        (is_id(run_id) && is_id(replication_id)).then(|| Self {
            beat_at,
            run_id: run_id.to_owned(),
            replication_id: replication_id.to_owned(),
            offset,
        })
    }

    /// What [`Heartbeat::decode`] reads. The sampler's script writes the same on the server.
    pub fn encode(&self) -> String {
        format!(
            "{MAGIC} {VERSION} {} {} {} {}",
            self.beat_at.0, self.run_id, self.replication_id, self.offset
        )
    }
}

impl FoundBeat {
    /// What the bytes under the key are; `None`: there is no key.
    pub fn of(bytes: Option<Vec<u8>>) -> Self {
        match bytes {
            None => Self::Nothing,
            Some(bytes) => match Heartbeat::decode(&bytes) {
                Some(beat) => Self::Beat(beat),
                None => Self::Unreadable(bytes),
            },
        }
    }

    pub fn beat(&self) -> Option<&Heartbeat> {
        match self {
            Self::Beat(beat) => Some(beat),
            Self::Nothing | Self::Unreadable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_comes_back_from_its_text() {
        let beat = Heartbeat {
            beat_at: Micros(1_763_700_000_000_001),
            run_id: "0af".into(),
            replication_id: "d5d3".into(),
            offset: i64::MAX,
        };
        let text = beat.encode();
        assert_eq!(Heartbeat::decode(text.as_bytes()), Some(beat.clone()));
        let later = format!("{text} of-a-later-version");
        assert_eq!(Heartbeat::decode(later.as_bytes()), Some(beat));
    }

    #[test]
    fn anything_else_is_no_heartbeat_and_keeps_its_bytes() {
        for other in [
            &b""[..],
            b"auditor-heartbeat",
            b"auditor-heartbeat 2 1 a b 3",
            b"auditor-heartbeat 1 x a b 3",
            b"auditor-heartbeat 1 1 a b",
            b"auditor-heartbeat 1 1 a b three",
            b"auditor-heartbeat 1 1 a  3",
            b"auditor-heartbeat 1 1 no-hex b 3",
            b"heartbeat 1 1 a b 3",
            b"auditor-heartbeat 1 1 a b\xff 3",
        ] {
            let found = FoundBeat::of(Some(other.to_vec()));
            assert_eq!(found, FoundBeat::Unreadable(other.to_vec()));
        }
        assert_eq!(FoundBeat::of(None), FoundBeat::Nothing);
    }
}
