//! Exact decimals, compared from their text: no float, no big integer, no expansion of exponents.

use std::cmp::Ordering;
use std::str::FromStr;

use bigdecimal::{BigDecimal, RoundingMode};

/// Exponents beyond this are refused: nobody stores them, and a sum of positions must not overflow.
const EXPONENT_MAX: i64 = 1_000_000_000_000;

/// Numbers with more digits than this, before or after the point, are compared but never calculated with.
const CALCULABLE_DIGITS_MAX: usize = 2_000;

/// A decimal number as its digits lie in the text it was parsed from.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a> {
    negative: bool,
    /// Without leading zeros.
    integer: &'a [u8],
    /// Without trailing zeros.
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    /// Parses `[+-]digits[.digits][e[+-]digits]`, where either run of digits may be empty but not
    /// both. `None` for anything else, also for NaN, infinities and surrounding space.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = match text.first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (integer, rest) = split_digits(rest);
        let (fraction, rest) = match rest {
            [b'.', tail @ ..] => split_digits(tail),
            _ => (&rest[..0], rest),
        };
        if integer.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', tail @ ..] => parse_exponent(tail)?,
            _ => return None,
        };
        let leading = integer.iter().take_while(|d| **d == b'0').count();
        let trailing = fraction.iter().rev().take_while(|d| **d == b'0').count();
        Some(Self {
            negative,
            integer: &integer[leading..],
            fraction: &fraction[..fraction.len() - trailing],
            exponent,
        })
    }

    pub fn is_zero(&self) -> bool {
        self.integer.is_empty() && self.fraction.is_empty()
    }

    /// Below zero; `-0` is not.
    pub fn is_negative(&self) -> bool {
        self.negative && !self.is_zero()
    }

    /// Orders by value, exactly.
    pub fn compare(&self, other: &Number<'_>) -> Ordering {
        match (self.sign(), other.sign()) {
            (left, right) if left != right => left.cmp(&right),
            (0, _) => Ordering::Equal,
            (1, _) => self.compare_size(other),
            _ => other.compare_size(self),
        }
    }

    /// Digits after the point, trailing zeros not counted.
    pub fn scale(&self) -> i64 {
        if self.is_zero() {
            return 0;
        }
        let trailing = match self.fraction {
            [] => self
                .integer
                .iter()
                .rev()
                .take_while(|d| **d == b'0')
                .count(),
            _ => 0,
        };
        (length(self.fraction) - length(&self.integer[..trailing]) - self.exponent).max(0)
    }

    /// For calculating; `None` where the number is too long or too large to calculate with. What is
    /// too small is taken as zero.
    pub fn to_big(&self) -> Option<BigDecimal> {
        let limit = i64::try_from(CALCULABLE_DIGITS_MAX).expect("a small constant");
        if self.is_zero() || self.first_digit_at() < -limit {
            return Some(BigDecimal::from(0));
        }
        let digits = self.integer.len() + self.fraction.len();
        if self.first_digit_at() > limit || digits > CALCULABLE_DIGITS_MAX {
            return None;
        }
        let mut text = Vec::with_capacity(digits + 24);
        if self.negative {
            text.push(b'-');
        }
        text.push(b'0');
        text.extend_from_slice(self.integer);
        text.extend_from_slice(self.fraction);
        text.extend_from_slice(format!("e{}", self.exponent - length(self.fraction)).as_bytes());
        BigDecimal::from_str(std::str::from_utf8(&text).ok()?).ok()
    }

    /// Exact plain text of a whole number, e.g. `12` for `12.00` or `1.2e1`; `None` where it is not
    /// whole or too large to write out.
    pub fn to_integer_text(&self) -> Option<String> {
        if self.scale() > 0 {
            return None;
        }
        Some(self.to_big()?.with_scale(0).to_plain_string())
    }

    /// Digits without zeros at either end, and the exponent: `1.10`, `1.1` and `11e-1` are `11e-1`, zero is `0e0`.
    /// Equal numbers, and no others, have equal bytes.
    pub fn canonical(&self) -> Vec<u8> {
        if self.is_zero() {
            return b"0e0".to_vec();
        }
        let mut text = Vec::with_capacity(self.integer.len() + self.fraction.len() + 8);
        if self.negative {
            text.push(b'-');
        }
        text.extend_from_slice(self.integer);
        let is_leading = |d: &&u8| self.integer.is_empty() && **d == b'0';
        text.extend(self.fraction.iter().skip_while(is_leading));
        let zeros = text.iter().rev().take_while(|d| **d == b'0').count();
        text.truncate(text.len() - zeros);
        let exponent = self.exponent - length(self.fraction)
            + i64::try_from(zeros).expect("a slice is never that long");
        text.extend_from_slice(format!("e{exponent}").as_bytes());
        text
    }

    fn sign(&self) -> i8 {
        match (self.is_zero(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    /// Position of the first digit that is not zero, counted from the point: 1 for `5`, 0 for `0.5`.
    fn first_digit_at(&self) -> i64 {
        let position = if self.integer.is_empty() {
            -length(&self.fraction[..self.fraction.iter().take_while(|d| **d == b'0').count()])
        } else {
            length(self.integer)
        };
        position + self.exponent
    }

    fn compare_size(&self, other: &Number<'_>) -> Ordering {
        let by_size = self.first_digit_at().cmp(&other.first_digit_at());
        if by_size.is_ne() {
            return by_size;
        }
        let mut left = self.digits();
        let mut right = other.digits();
        loop {
            match (left.next(), right.next()) {
                (None, None) => return Ordering::Equal,
                (a, b) => {
                    let by_digit = a.unwrap_or(b'0').cmp(&b.unwrap_or(b'0'));
                    if by_digit.is_ne() {
                        return by_digit;
                    }
                }
            }
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        let zeros = if self.integer.is_empty() {
            self.fraction.iter().take_while(|d| **d == b'0').count()
        } else {
            0
        };
        self.integer.iter().chain(&self.fraction[zeros..]).copied()
    }
}

/// Whether `left` and `right` lie at most `tolerance` apart.
pub fn is_within(left: &Number<'_>, right: &Number<'_>, tolerance: &BigDecimal) -> bool {
    match (left.to_big(), right.to_big()) {
        (Some(left), Some(right)) => (left - right).abs() <= *tolerance,
        _ => false,
    }
}

/// `number` with at most `scale` digits after the point, halves away from zero; plain text.
pub fn rounded(number: &Number<'_>, scale: u32) -> Option<String> {
    let rounded = number
        .to_big()?
        .with_scale_round(i64::from(scale), RoundingMode::HalfUp);
    Some(rounded.to_plain_string())
}

/// `minuend - subtrahend`, exact, plain text; `None` where either cannot be calculated with.
pub fn difference(minuend: &Number<'_>, subtrahend: &Number<'_>) -> Option<String> {
    Some((minuend.to_big()? - subtrahend.to_big()?).to_plain_string())
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|b| b.is_ascii_digit()).count())
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().try_fold(0i64, |size, digit| {
        Some(size * 10 + i64::from(digit - b'0')).filter(|size| *size <= EXPONENT_MAX)
    })?;
    Some(if negative { -size } else { size })
}

fn length(digits: &[u8]) -> i64 {
    i64::try_from(digits.len()).expect("a slice is shorter than i64::MAX")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    fn order(left: &str, right: &str) -> Ordering {
        Number::parse(left.as_bytes())
            .unwrap()
            .compare(&Number::parse(right.as_bytes()).unwrap())
    }

    #[test]
    fn equal_values_in_other_spellings() {
        for (left, right) in [
            ("100", "1e2"),
            ("100", "100.0"),
            ("-0", "0"),
            ("0.00", "-0e9"),
            ("+7", "007"),
            (".5", "0.50"),
            ("12e-1", "1.2"),
            ("18446744073709551617", "18446744073709551617.000"),
            ("1e2000000000", "10e1999999999"),
        ] {
            assert_eq!(order(left, right), Ordering::Equal, "{left} {right}");
            let canonical = |text: &str| Number::parse(text.as_bytes()).unwrap().canonical();
            assert_eq!(canonical(left), canonical(right), "{left} {right}");
        }
    }

    #[test]
    fn neighbours_are_told_apart() {
        for (less, more) in [
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551615", "18446744073709551616"),
            (
                "0.123456789012345678901234567890",
                "0.123456789012345678901234567891",
            ),
            ("-2", "-1"),
            ("-1", "0"),
            ("99", "100"),
            ("0.09", "0.1"),
            ("5", "1e2000000000"),
            ("-1e2000000000", "1e-2000000000"),
        ] {
            assert_eq!(order(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(order(more, less), Ordering::Greater, "{more} {less}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in [
            "", "-", ".", "e5", "1e", "1e+", "nan", "inf", " 1", "1 ", "0x10", "1_000", "--1",
        ] {
            assert!(Number::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Number::parse(b"1e99999999999999999999").is_none());
    }

    #[test]
    fn calculates_within_bounds() {
        let number = |text: &'static str| Number::parse(text.as_bytes()).unwrap();
        let cent = BigDecimal::from_str("0.01").unwrap();
        assert!(is_within(&number("1.00"), &number("1.01"), &cent));
        assert!(!is_within(&number("1.00"), &number("1.0100001"), &cent));
        assert!(!is_within(&number("1"), &number("1e2000000000"), &cent));
        assert!(is_within(&number("0"), &number("1e-2000000000"), &cent));
        assert_eq!(rounded(&number("1.235"), 2).unwrap(), "1.24");
        assert_eq!(rounded(&number("-1.235"), 2).unwrap(), "-1.24");
        assert_eq!(difference(&number("10"), &number("12.50")).unwrap(), "-2.5");
        assert_eq!(number("12.00").to_integer_text().unwrap(), "12");
        assert_eq!(number("1.5").to_integer_text(), None);
        assert_eq!(number("1200e-2").scale(), 0);
        assert_eq!(number("1.20").scale(), 1);
    }

    proptest! {
        #[test]
        fn agrees_with_big_decimals(a in "-?[0-9]{1,12}(\\.[0-9]{1,9})?(e-?[0-9]{1,2})?", b in "-?[0-9]{1,12}(\\.[0-9]{1,9})?(e-?[0-9]{1,2})?") {
            let expected = BigDecimal::from_str(&a).unwrap().cmp(&BigDecimal::from_str(&b).unwrap());
            prop_assert_eq!(order(&a, &b), expected);
            let left = Number::parse(a.as_bytes()).unwrap();
            prop_assert_eq!(left.to_big().unwrap(), BigDecimal::from_str(&a).unwrap());
            let right = Number::parse(b.as_bytes()).unwrap();
            prop_assert_eq!(left.canonical() == right.canonical(), expected.is_eq());
            let (digits, scale) = left.to_big().unwrap().normalized().into_bigint_and_exponent();
            prop_assert_eq!(left.canonical(), format!("{digits}e{}", -scale).into_bytes());
        }
    }
}
