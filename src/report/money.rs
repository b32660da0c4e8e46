//! Sums of money: exact, or not given at all.

use std::str::FromStr;

use bigdecimal::BigDecimal;

/// A sum that is exact or not given at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Money {
    /// Nothing was added yet.
    #[default]
    None,
    Sum(BigDecimal),
    /// A delta was no number, or had more digits than [`DIGITS_MAX`].
    Unsummable,
}

/// DECIMAL holds 65 digits and a JSON number any exponent: adding `1` to `1e2000000000` would
/// fill the memory with zeros. No currency needs more than this.
const DIGITS_MAX: i64 = 1_000;

impl Money {
    /// Exact decimal text.
    pub(super) fn parse(delta: &str) -> Self {
        number(delta).map_or(Money::Unsummable, Money::Sum)
    }

    /// Adds exact decimal text.
    pub(super) fn add(&mut self, delta: &str) {
        self.add_all(&Money::parse(delta));
    }

    /// Adds another sum.
    pub(super) fn add_all(&mut self, other: &Money) {
        *self = match (std::mem::take(self), other) {
            (so_far, Money::None) => so_far,
            (Money::None, other) => other.clone(),
            (Money::Sum(sum), Money::Sum(other)) => Money::Sum(sum + other),
            (Money::Unsummable, _) | (_, Money::Unsummable) => Money::Unsummable,
        };
    }

    /// Plain decimal text; empty where there is no sum.
    pub(super) fn cell(&self) -> String {
        match self {
            Money::Sum(sum) => sum.to_plain_string(),
            Money::None | Money::Unsummable => String::new(),
        }
    }
}

fn number(text: &str) -> Option<BigDecimal> {
    BigDecimal::from_str(text).ok().filter(|n| {
        let (digits, scale) = n.as_bigint_and_exponent();
        scale.abs() <= DIGITS_MAX && digits.bits() <= DIGITS_MAX.unsigned_abs() * 4
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(deltas: &[&str]) -> Money {
        let mut money = Money::default();
        deltas.iter().for_each(|delta| money.add(delta));
        money
    }

    #[test]
    fn sums_are_exact_or_not_given() {
        assert_eq!(sum(&[]).cell(), "");
        assert_eq!(
            sum(&["9223372036854775808", "-0.0000000000000000000001"]).cell(),
            "9223372036854775807.9999999999999999999999"
        );
        assert_eq!(sum(&["1.10", "-1.10"]).cell(), "0.00");
        for never in ["", "many", "1e2000000000"] {
            assert_eq!(sum(&["1", never, "2"]), Money::Unsummable, "{never:?}");
        }
    }

    #[test]
    fn sums_of_sums_are_sums() {
        let mut total = sum(&["1.5"]);
        total.add_all(&sum(&[]));
        total.add_all(&sum(&["-2"]));
        assert_eq!(total.cell(), "-0.5");
        total.add_all(&Money::Unsummable);
        total.add("1");
        assert_eq!(total, Money::Unsummable);
    }
}
