//! Exact numbers: tolerances and bounds.

use bigdecimal::BigDecimal;

use crate::job::fault::Fault;
use crate::job::reader::Text;

/// MySQL's DECIMAL has 65 digits; sign and point come on top.
const LONGEST: usize = 67;

/// Plain digits with an optional sign and point. No exponents: nobody writes a tolerance in them, and
/// `1e999999999` would be a large number of zeros.
pub(in crate::job) fn parse(text: &Text) -> Result<BigDecimal, Fault> {
    let digits = text.value.strip_prefix(['-', '+']).unwrap_or(&text.value);
    let is_plain = !digits.is_empty()
        && text.value.len() <= LONGEST
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit());
    is_plain
        .then(|| text.value.parse().ok())
        .flatten()
        .ok_or_else(|| {
            text.fault(format!("{} is no plain decimal number", text.shown()))
                .hint("write digits with at most one point, in quotes: \"0.01\"")
        })
}

/// As [`parse`], but never below zero.
pub(in crate::job) fn parse_not_negative(text: &Text) -> Result<BigDecimal, Fault> {
    let number = parse(text)?;
    if number < 0 {
        return Err(text
            .fault(format!("{} is negative", text.shown()))
            .hint("write \"0\" or more"));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn plain_digits_only() {
        let text = |value: &str| Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        };
        assert_eq!(parse(&text("-0.010")).unwrap().to_string(), "-0.010");
        let long = "12345678901234567890123456789012345.123456789012345678901234567890";
        assert_eq!(parse(&text(long)).unwrap().to_string(), long);
        for wrong in [
            "", "1e3", ".5", "5.", "1.2.3", "0x10", "inf", "--1", "1 000",
        ] {
            assert!(parse(&text(wrong)).is_err(), "{wrong}");
        }
        assert!(parse_not_negative(&text("-0.01")).is_err());
        assert!(parse_not_negative(&text("0")).is_ok());
    }
}
