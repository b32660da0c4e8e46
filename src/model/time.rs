//! Instants as every room exchanges them.

/// Microseconds since the Unix epoch, UTC. Whose clock it was is said where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

impl Micros {
    /// This host's clock.
    pub fn now() -> Self {
        Self(chrono::Utc::now().timestamp_micros())
    }

    pub fn minus(self, duration: std::time::Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// RFC 3339 in UTC with microseconds, e.g. `2026-11-21T14:03:00.000001Z`.
    pub fn to_rfc3339(self) -> String {
        chrono::DateTime::from_timestamp_micros(self.0).map_or_else(
            || format!("@{}us", self.0),
            |t| t.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        )
    }

    /// What [`Micros::to_rfc3339`] gave; `None` for anything that is no instant.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        if let Some(micros) = text.strip_prefix('@').and_then(|t| t.strip_suffix("us")) {
            return micros.parse().ok().map(Self);
        }
        // Unlike `parse_from_rfc3339` this takes years of five digits, which a DATETIME of the last
        // hours of 9999 has in UTC.
        let instant: chrono::DateTime<chrono::Utc> = text.parse().ok()?;
        Some(Self(instant.timestamp_micros()))
    }
}

/// `[since, until)`. `since`, less the margins, selects what is audited; `until` only attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    pub since: Micros,
    pub until: Option<Micros>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instant_comes_back_from_its_text() {
        let last_of_9999 = 253_402_300_799_999_999;
        for micros in [
            0,
            1,
            -1,
            1_763_700_000_000_001,
            last_of_9999,
            last_of_9999 + 1,
            i64::MAX,
            i64::MIN,
        ] {
            let instant = Micros(micros);
            assert_eq!(Micros::from_rfc3339(&instant.to_rfc3339()), Some(instant));
        }
        for other in ["", "once", "@us", "2026-11-21", "2026-11-21T14:03:00"] {
            assert_eq!(Micros::from_rfc3339(other), None, "{other:?}");
        }
    }
}
