//! How fast is an audit of a stream of five million entries with a million pending, beside what the servers' own
//! clients take for the same entries, pending ids and rows? `make bench`; what it prints and what was measured is in
//! `benches/README.md`.

mod floor;
mod market;
#[path = "../shared/measured.rs"]
mod measured;
mod verdict;

use std::io::Write;
use std::process::ExitCode;

use market::Market;
use verdict::Line;

/// Entries of the large stream, unless `AUDITOR_BENCH_ENTRIES` says otherwise.
const ENTRIES: u64 = 5_000_000;
/// How many of them are pending, unless `AUDITOR_BENCH_PENDING` says otherwise.
const PENDING: u64 = 1_000_000;
/// Entries that come before the windowed runs.
const NEW_ENTRIES: u64 = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo says so to a bench; anything else (`cargo test --all-targets`) only wants to know that it builds.
    if !is_asked("--bench") {
        return ExitCode::SUCCESS;
    }
    let entries = size("AUDITOR_BENCH_ENTRIES", ENTRIES);
    let pending = size("AUDITOR_BENCH_PENDING", PENDING.min(entries / 5));
    match bench(entries, pending).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("the bench stopped: {fault}"));
            ExitCode::FAILURE
        }
    }
}

async fn bench(entries: u64, pending: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut lines = Vec::new();
    let mut market = Market::open().await?;
    say(&market.told());
    let mut small = None;
    for parts in [10, 1] {
        let (entries, pending) = (entries / parts, pending / parts);
        market.fill(entries, pending).await?;
        say(&format!(
            "\n{entries} entries, {pending} pending, scan --full"
        ));
        let floor = floor::measure(&market)?;
        let run = market.audit(&["--full"]).await?;
        run.expect_findings(market.planted())?;
        say(&run.told());
        say(&floor.told());
        match small.take() {
            // Of the small run only the memory counts: of so short a run the start is a third.
            None => small = Some(run),
            Some(small) => {
                lines.push(Line::of_full(entries, pending, &run, &floor));
                lines.push(Line::of_memory("ten times the entries", &small, &run));
                small_and_large(&mut market, &mut lines, &run).await?;
            }
        }
    }
    say("");
    lines.iter().for_each(|line| say(&line.to_string()));
    if is_asked("--hold") {
        say(&market.how_to_run_it());
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

/// The windowed runs, and the one in which every acknowledgement was lost.
async fn small_and_large(
    market: &mut Market,
    lines: &mut Vec<Line>,
    full: &measured::Measured,
) -> Result<(), Box<dyn std::error::Error>> {
    let lost = market.add(NEW_ENTRIES).await?;
    say(&format!(
        "\n{NEW_ENTRIES} new entries, scan --since, the pending list as long as before"
    ));
    let run = market.audit(&["--since", market::SINCE]).await?;
    run.expect_findings(lost)?;
    say(&run.told());
    lines.push(Line::of_pending_window(market, &run));
    market.lose_every_acknowledgement().await?;
    say("\nevery acknowledgement lost: each pending entry has its row, scan --full");
    let run = market.audit(&["--full"]).await?;
    run.expect_findings(market.planted())?;
    say(&run.told());
    lines.push(Line::of_memory(
        "a finding for each pending entry",
        full,
        &run,
    ));
    market.forget_pending().await?;
    say(&format!(
        "\n{NEW_ENTRIES} new entries, scan --since, nothing pending"
    ));
    let run = market.audit(&["--since", market::SINCE]).await?;
    run.expect_findings(lost)?;
    say(&run.told());
    lines.push(Line::of_window(&run, NEW_ENTRIES));
    Ok(())
}

fn is_asked(word: &str) -> bool {
    std::env::args().any(|argument| argument == word)
}

fn size(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

fn say(text: &str) {
    // A closed terminal does not change what was measured.
    let _ = writeln!(std::io::stdout(), "{text}");
}
