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
}

/// `[since, until)`. `since`, less the margins, selects what is audited; `until` only attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    pub since: Micros,
    pub until: Option<Micros>,
}
