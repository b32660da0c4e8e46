//! Sums over exposures: by currency, by check, by customer; exact decimals.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use bigdecimal::num_bigint::Sign;

use crate::report::money::Money;

/// Sums of the exposures that were added; one entry for each currency, check and currency, customer and
/// currency.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    pub currencies: BTreeMap<String, Sum>,
    /// By check, then currency.
    pub checks: BTreeMap<(String, String), Sum>,
    /// By currency, then customer.
    pub subjects: BTreeMap<(String, String), Sum>,
    pub exposures: u64,
}

/// What exposures come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub exposures: u64,
    /// Of these: nobody saw them right again.
    pub open: u64,
    /// Deltas above zero: the customer was shown too little.
    pub too_little: Money,
    /// Deltas below zero.
    pub too_much: Money,
}

/// One exposure, as cells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amount<'a> {
    pub subject: &'a str,
    pub check: &'a str,
    pub currency: &'a str,
    /// Exact decimal text, or empty.
    pub delta: &'a str,
    pub is_open: bool,
}

impl Totals {
    pub(super) fn add(&mut self, amount: Amount<'_>) {
        self.exposures += 1;
        let currency = amount.currency.to_owned();
        let check = (amount.check.to_owned(), currency.clone());
        let subject = (currency.clone(), amount.subject.to_owned());
        self.currencies.entry(currency).or_default().add(amount);
        self.checks.entry(check).or_default().add(amount);
        self.subjects.entry(subject).or_default().add(amount);
    }

    /// The currencies; what has none comes last.
    pub(super) fn money_first(&self) -> impl Iterator<Item = &str> {
        let named = self.currencies.keys().filter(|c| !c.is_empty());
        let unnamed = self.currencies.keys().filter(|c| c.is_empty());
        named.chain(unnamed).map(String::as_str)
    }

    /// How many customers there are, in whatever currencies.
    pub(super) fn customers(&self) -> usize {
        let names: BTreeSet<&str> = self
            .subjects
            .keys()
            .map(|(_, name)| name.as_str())
            .collect();
        names.len()
    }

    /// Customers of one currency, the largest absolute sum first; what cannot be summed may be larger than
    /// anything.
    pub(super) fn largest_first(&self, currency: &str) -> Vec<(&str, &Sum)> {
        let mut subjects: Vec<(&str, Weighed<'_>)> = self
            .subjects
            .range((currency.to_owned(), String::new())..)
            .take_while(|((of, _), _)| of == currency)
            .map(|((_, subject), sum)| (subject.as_str(), Weighed::of(sum)))
            .collect();
        subjects.sort_by(|a, b| b.1.compare(&a.1).then_with(|| a.0.cmp(b.0)));
        subjects
            .into_iter()
            .map(|(subject, sum)| (subject, sum.sum))
            .collect()
    }
}

impl Sum {
    fn add(&mut self, amount: Amount<'_>) {
        self.exposures += 1;
        self.open += u64::from(amount.is_open);
        if amount.delta.is_empty() {
            return;
        }
        match Money::parse(amount.delta) {
            Money::Sum(delta) if delta.sign() == Sign::Minus => {
                self.too_much.add_all(&Money::Sum(delta))
            }
            delta => self.too_little.add_all(&delta),
        }
    }

    /// True less served, over everything.
    pub(super) fn delta(&self) -> Money {
        let mut delta = self.too_little.clone();
        delta.add_all(&self.too_much);
        delta
    }
}

/// A sum with its size, computed once for sorting.
struct Weighed<'a> {
    sum: &'a Sum,
    size: Money,
}

impl<'a> Weighed<'a> {
    fn of(sum: &'a Sum) -> Self {
        let size = match sum.delta() {
            Money::Sum(delta) => Money::Sum(delta.abs()),
            other => other,
        };
        Self { sum, size }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let rank = |money: &Money| match money {
            Money::None => 0,
            Money::Sum(_) => 1,
            Money::Unsummable => 2,
        };
        match (&self.size, &other.size) {
            (Money::Sum(one), Money::Sum(other)) => one.cmp(other),
            (one, other) => rank(one).cmp(&rank(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(rows: &[(&str, &str, &str, &str)]) -> Totals {
        let mut totals = Totals::default();
        for (subject, check, currency, delta) in rows.iter().copied() {
            totals.add(Amount {
                subject,
                check,
                currency,
                delta,
                is_open: subject == "7",
            });
        }
        totals
    }

    #[test]
    fn sums_are_exact_by_currency_check_and_customer() {
        let totals = totals(&[
            ("7", "balance", "KRW", "18446744073709551616"),
            ("7", "points", "", "-0.000000000000000000000001"),
            ("7", "points", "KRW", "-0.000000000000000000000001"),
            ("8", "balance", "USD", "2.50"),
            ("8", "profile", "", ""),
        ]);
        assert_eq!(totals.exposures, 5);
        let won = &totals.currencies["KRW"];
        assert_eq!(
            (won.exposures, won.open, won.delta().cell().as_str()),
            (2, 2, "18446744073709551615.999999999999999999999999")
        );
        assert_eq!(won.too_little.cell(), "18446744073709551616");
        assert_eq!(won.too_much.cell(), "-0.000000000000000000000001");
        let of = |check: &str, currency: &str| {
            totals.checks[&(check.to_owned(), currency.to_owned())]
                .delta()
                .cell()
        };
        assert_eq!(of("balance", "KRW"), "18446744073709551616");
        assert_eq!(of("balance", "USD"), "2.50");
        assert_eq!(of("profile", ""), "");
        assert_eq!(totals.subjects.len(), 4);
    }

    #[test]
    fn the_largest_absolute_sum_comes_first_within_its_currency() {
        let totals = totals(&[
            ("a", "c", "KRW", "9"),
            ("b", "c", "KRW", "-10"),
            ("c", "c", "KRW", ""),
            ("d", "c", "KRW", "1e5000"),
            ("e", "c", "KRW", "100"),
            ("e", "c", "KRW", "-100"),
            ("f", "c", "KRWX", "1000"),
            ("g", "c", "KRW", "9.0"),
        ]);
        let order: Vec<&str> = totals
            .largest_first("KRW")
            .into_iter()
            .map(|(subject, _)| subject)
            .collect();
        assert_eq!(order, ["d", "b", "a", "g", "e", "c"]);
    }
}
