//! IANA time zones.

use chrono_tz::Tz;

use crate::job::fault::Fault;
use crate::job::reader::Text;

pub(in crate::job) fn parse(text: &Text) -> Result<Tz, Fault> {
    text.value.parse().map_err(|_| {
        text.fault(format!("{} is no time zone", text.shown()))
            .hint("write an IANA name such as \"Asia/Seoul\" or \"UTC\": offsets and short names are ambiguous")
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn names_but_no_offsets() {
        let text = |value: &str| Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        };
        assert_eq!(parse(&text("Asia/Seoul")).unwrap(), Tz::Asia__Seoul);
        assert!(parse(&text("KST")).is_err());
        assert!(parse(&text("+09:00")).is_err());
    }
}
