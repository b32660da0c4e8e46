//! An integer of at least 1, or `unlimited`.

use super::word::RATE;
use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::job::spec::Rate;

pub(in crate::job) fn parse(text: &Text) -> Result<Rate, Fault> {
    if let Some((_, rate)) = RATE.iter().find(|(word, _)| *word == text.value) {
        return Ok(*rate);
    }
    match text.value.parse::<u32>() {
        Ok(number) if number > 0 => Ok(Rate::PerSecond(number)),
        _ => Err(text
            .fault(format!("{} is no rate", text.shown()))
            .hint(format!(
                "write a number from 1 to {}, or \"unlimited\"",
                u32::MAX
            ))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn numbers_and_the_one_word() {
        let parse = |value: &str| {
            parse(&Text {
                value: value.to_owned(),
                span: 0..1,
                substituted: false,
            })
        };
        assert_eq!(parse("50000").unwrap(), Rate::PerSecond(50_000));
        assert_eq!(parse("unlimited").unwrap(), Rate::Unlimited);
        for wrong in ["0", "-1", "Unlimited", "", "4294967296"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
