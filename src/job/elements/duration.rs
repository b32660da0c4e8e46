//! `2s`, `30m`, `1h 30m`.

use std::time::Duration;

use crate::job::fault::Fault;
use crate::job::reader::Text;

/// Past a year a duration in a job file is a slip of the pen.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

pub(in crate::job) fn parse(text: &Text) -> Result<Duration, Fault> {
    let hint = "write a number with its unit: \"500ms\", \"2s\", \"30m\", \"1h\"";
    let duration = humantime::parse_duration(text.value.trim()).map_err(|e| {
        text.fault(format!("{} is no duration: {e}", text.shown()))
            .hint(hint)
    })?;
    // humantime's months and years are averages, which nobody means who writes them.
    if duration > LONGEST || text.value.contains("month") || text.value.contains('M') {
        return Err(text
            .fault(format!("{} is no duration for a job file", text.shown()))
            .hint(hint));
    }
    Ok(duration)
}

/// As [`parse`], for what makes no sense without time passing.
pub(in crate::job) fn parse_positive(text: &Text) -> Result<Duration, Fault> {
    let duration = parse(text)?;
    if duration.is_zero() {
        return Err(text
            .fault("the duration must be longer than zero")
            .hint("write \"2s\""));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn text(value: &str) -> Text {
        Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        }
    }

    #[test]
    fn units_are_needed() {
        assert_eq!(parse(&text("500ms")).unwrap(), Duration::from_millis(500));
        assert_eq!(parse(&text("1h 30m")).unwrap(), Duration::from_secs(5_400));
        assert_eq!(parse(&text("0s")).unwrap(), Duration::ZERO);
        for wrong in ["5", "", "-1s", "1 fortnight", "2 months", "1M", "400d"] {
            assert!(parse(&text(wrong)).is_err(), "{wrong}");
        }
        assert!(parse_positive(&text("0ms")).is_err());
    }

    #[test]
    fn a_substituted_value_is_not_repeated() {
        let secret = Text {
            substituted: true,
            ..text("hunter2")
        };
        assert!(!parse(&secret).unwrap_err().message.contains("hunter2"));
    }
}
