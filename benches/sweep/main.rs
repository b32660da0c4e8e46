//! How fast is an audit of a million rows, beside what the servers' own clients take for the same rows
//! and keys? `make bench`; what it prints and what was measured is in `benches/README.md`.
//!
//! A number of one run means little on another machine; the ratios inside one run do.

mod floor;
#[path = "../shared/measured.rs"]
mod measured;
mod shards;
mod shop;
mod verdict;

use std::io::Write;
use std::process::ExitCode;

use shop::{Shop, Workload};
use verdict::Line;

/// Rows of the large table, unless `AUDITOR_BENCH_ROWS` says otherwise.
const ROWS: u64 = 1_000_000;
/// Rows that change before the windowed run.
const CHANGED_ROWS: u64 = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo says so to a bench; anything else (`cargo test --all-targets`) only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let rows = std::env::var("AUDITOR_BENCH_ROWS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ROWS);
    match bench(rows).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("the bench stopped: {fault}"));
            ExitCode::FAILURE
        }
    }
}

async fn bench(rows: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut shop = Shop::open().await?;
    say(&shop.told());
    let mut lines = Vec::new();
    let mut small = None;
    for count in [rows / 10, rows] {
        shop.fill_to(count).await?;
        say(&format!("\n{count} rows, scan --full"));
        let floor = floor::measure(&shop, Workload::All)?;
        let run = shop.audit(&["--full"]).await?;
        run.expect_findings(2 * shop::stale_among(count))?;
        say(&run.told());
        say(&floor.told());
        match small.take() {
            // Of the small run only the memory counts: of so short a run the start is a third.
            None => small = Some(run),
            Some(small) => {
                say(&shards::measure(&shop, &run.folder)?.told());
                lines.push(Line::of_full(count, &run, &floor));
                lines.push(Line::of_memory(&small, &run));
            }
        }
    }
    let lost = shop.change(CHANGED_ROWS).await?;
    say(&format!(
        "\n{rows} rows of which {CHANGED_ROWS} changed, scan --since"
    ));
    let floor = floor::measure(&shop, Workload::Changed)?;
    let run = shop.audit(&["--since", shop::SINCE]).await?;
    run.expect_findings(lost)?;
    say(&run.told());
    say(&floor.told());
    lines.push(Line::of_window(&run));
    say("");
    lines.iter().for_each(|line| say(&line.to_string()));
    if std::env::args().any(|argument| argument == "--hold") {
        say(&shop.how_to_run_it());
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

fn say(text: &str) {
    // A closed terminal does not change what was measured.
    let _ = writeln!(std::io::stdout(), "{text}");
}
