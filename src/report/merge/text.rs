//! What stdout gets of a merged report: read by people who answer for money.

use std::io::{self, Write};

use super::record::MergeRecord;
use super::sums::SplitRecord;
use super::totals::{Sum, Totals};
use crate::model::outcome::RunVerdict;
use crate::report::money::Money;

/// Customers shown of each currency; all of them are in the file.
const SUBJECTS_MAX: usize = 50;

/// The report in lines for a person; the last one says where it lies.
pub fn write_merge_text(out: &mut dyn Write, record: &MergeRecord) -> io::Result<()> {
    writeln!(out, "job      {}", record.job)?;
    for merged in &record.runs {
        let run = &merged.run;
        let dry = if run.is_dry_run { " (dry run)" } else { "" };
        writeln!(
            out,
            "run      {} {}{dry}, {}, begun {}: {} finding(s), {} exposure(s) not seen before",
            run.run_id,
            run.command,
            run.verdict,
            run.started_at,
            run.findings,
            merged.new_exposures,
        )?;
    }
    for split in &record.splits {
        write_split(out, split)?;
    }
    for merged in &record.runs {
        if merged.run.verdict == RunVerdict::Partial.name() {
            writeln!(
                out,
                "note     run {} was partial: what it did not look at is not in these sums",
                merged.run.run_id
            )?;
        }
    }
    if record.places_repeated > 0 {
        writeln!(
            out,
            "note     {} value(s) were wrong more than once, and right in between; each time counts",
            record.places_repeated
        )?;
    }
    if record.counted.exposures > 0 {
        writeln!(
            out,
            "\nIn the audited window (delta: true less served; above zero the customer was shown too little):"
        )?;
        write_totals(out, &record.counted)?;
        for currency in record.counted.money_first() {
            write_subjects(out, &record.counted, currency)?;
        }
    }
    if record.apart.exposures > 0 {
        writeln!(
            out,
            "\nNot counted above, because nothing puts it into the window (attribution outside or unknown):"
        )?;
        write_totals(out, &record.apart)?;
    }
    writeln!(
        out,
        "\n{} exposure(s) of {} customer(s) in the window, {} apart; report in {}",
        record.counted.exposures,
        record.counted.customers(),
        record.apart.exposures,
        record.folder.display()
    )
}

/// Shards, and runs that went on from one another, in the words of one run.
fn write_split(out: &mut dyn Write, split: &SplitRecord) -> io::Result<()> {
    let runs = split.run_ids.len();
    writeln!(
        out,
        "together {runs} run(s) of {} shard(s): {} (exit {})",
        split.shards,
        split.verdict.name(),
        split.verdict.exit_code()
    )?;
    for check in &split.checks {
        let c = &check.coverage;
        writeln!(
            out,
            "  {}: {} observed, {} agree, {} confirmed, {} transient, {} hot, {} unknown, {} skipped",
            check.name,
            c.observed,
            c.matched,
            c.confirmed,
            c.transient,
            c.hot,
            c.unknown,
            c.skipped
        )?;
    }
    for index in &split.missing {
        writeln!(
            out,
            "note     shard {index}/{} is missing: what it would have looked at is not in these sums",
            split.shards
        )?;
    }
    for run in &split.gone {
        writeln!(
            out,
            "note     run {run}, which another went on from, is missing: what it found is not in these sums"
        )?;
    }
    Ok(())
}

fn write_totals(out: &mut dyn Write, totals: &Totals) -> io::Result<()> {
    let currencies = totals
        .money_first()
        .map(|currency| line("all checks", currency, &totals.currencies[currency]));
    let checks = totals
        .checks
        .iter()
        .map(|((check, currency), sum)| line(check, currency, sum));
    write_table(out, "check", &currencies.chain(checks).collect::<Vec<_>>())
}

fn write_subjects(out: &mut dyn Write, totals: &Totals, currency: &str) -> io::Result<()> {
    let largest_first = totals.largest_first(currency);
    let lines: Vec<Line> = largest_first
        .iter()
        .take(SUBJECTS_MAX)
        .map(|(subject, sum)| line(subject, currency, sum))
        .collect();
    writeln!(out)?;
    write_table(out, "customer", &lines)?;
    match largest_first.len().saturating_sub(SUBJECTS_MAX) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} more in compensation.csv"),
    }
}

/// Who, currency, exposures, without a known end, delta, too little, too much.
type Line = [String; 7];

fn line(who: &str, currency: &str, sum: &Sum) -> Line {
    [
        who.to_owned(),
        if currency.is_empty() { "-" } else { currency }.to_owned(),
        sum.exposures.to_string(),
        sum.open.to_string(),
        amount(&sum.delta()),
        amount(&sum.too_little),
        amount(&sum.too_much),
    ]
}

/// Plain and exact.
fn amount(money: &Money) -> String {
    match money {
        Money::Sum(_) => money.cell(),
        Money::None => "-".to_owned(),
        Money::Unsummable => "not summable".to_owned(),
    }
}

/// Text to the left, numbers to the right.
fn write_table(out: &mut dyn Write, who: &str, lines: &[Line]) -> io::Result<()> {
    let title = [
        who,
        "currency",
        "exposures",
        "no end known",
        "delta",
        "too little",
        "too much",
    ]
    .map(str::to_owned);
    let width = |column: usize| {
        let cells = lines.iter().chain([&title]);
        cells
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    for line in [&title].into_iter().chain(lines) {
        let cells: Vec<String> = line
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::totals::Amount;
    use super::*;

    fn told(count: usize) -> String {
        let mut totals = Totals::default();
        for customer in 0..count {
            totals.add(Amount {
                subject: &format!("c{customer}"),
                check: "balance",
                currency: "KRW",
                delta: &customer.to_string(),
                is_open: false,
            });
        }
        let mut out = Vec::new();
        write_subjects(&mut out, &totals, "KRW").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_fifty_are_shown_and_the_rest_is_counted() {
        let all = told(50);
        assert_eq!(all.lines().count(), 2 + 50);
        assert!(all.lines().nth(2).unwrap().contains("c49 "), "{all}");
        let cut = told(53);
        assert_eq!(cut.lines().count(), 2 + 50 + 1);
        assert_eq!(
            cut.lines().last().unwrap(),
            "  … and 3 more in compensation.csv"
        );
        assert!(!cut.contains("c2 "), "the smallest are left out: {cut}");
    }
}
