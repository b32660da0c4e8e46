//! What stdout gets at the end: the run in a few lines, the verdict last.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use super::run_json::{CheckRecord, RunRecord, WindowRecord};
use super::topology_json::TopologyFindingRecord;
use crate::model::outcome::RunVerdict;

/// The run in lines for a person; the last one is the verdict and where the report lies.
pub fn write_text(out: &mut dyn Write, record: &RunRecord, folder: &Path) -> io::Result<()> {
    if let Some(window) = &record.window {
        let until = window.until.map_or("now".to_owned(), |t| t.to_rfc3339());
        writeln!(
            out,
            "window   {} to {until} ({})",
            window.since.to_rfc3339(),
            found(window)
        )?;
        if let Some(explanation) = &window.explanation {
            writeln!(out, "failover {explanation}")?;
        }
    }
    for check in &record.checks {
        write_check(out, check)?;
    }
    write_topology(out, &record.topology_findings)?;
    for limit in &record.limits_hit {
        writeln!(out, "limit    {limit}")?;
    }
    for remark in &record.remarks {
        writeln!(out, "note     {remark}")?;
    }
    if record.undo_records > 0 {
        writeln!(
            out,
            "undo     {} in {}",
            record.undo_records,
            folder.join("undo.jsonl").display()
        )?;
    }
    let verdict = match (record.verdict, record.is_dry_run) {
        (RunVerdict::Consistent, _) if record.findings() == 0 => "consistent: nothing was found",
        (RunVerdict::Consistent, _) => "consistent: what was found is no longer wrong",
        (RunVerdict::FindingsRemain, true) => {
            "findings remain: this was a dry run, nothing was written"
        }
        (RunVerdict::FindingsRemain, false) => "findings remain",
        (RunVerdict::Partial, _) => "partial: not everything was looked at",
        (RunVerdict::NothingJudged, _) => "nothing was judged",
    };
    writeln!(
        out,
        "{verdict} (exit {}); report in {}",
        record.exit_code,
        folder.display()
    )
}

/// The run as one JSON object on one line: `run.json`, and `folder`.
pub fn write_json(out: &mut dyn Write, record: &RunRecord, folder: &Path) -> io::Result<()> {
    let mut run = serde_json::to_value(record)?;
    run["folder"] = folder.to_string_lossy().into();
    serde_json::to_writer(&mut *out, &run)?;
    writeln!(out)
}

/// What is wrong with the nodes in full; advice about settings by their names.
fn write_topology(out: &mut dyn Write, findings: &[TopologyFindingRecord]) -> io::Result<()> {
    let (advice, wrong): (Vec<_>, Vec<_>) = findings.iter().partition(|f| f.setting.is_some());
    for finding in wrong {
        let over = if finding.settled_at.is_some() {
            " (over by now)"
        } else {
            ""
        };
        writeln!(
            out,
            "topology {} ({}){over}: {}",
            finding.rule, finding.severity, finding.reason
        )?;
    }
    let settings = advice.iter();
    let settings = settings.filter_map(|f| Some((f.setting.as_ref()?, f.value.as_ref()?)));
    // Several masters have them in common, as a rule.
    let named: BTreeSet<String> = settings
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let named: Vec<String> = named.into_iter().collect();
    if !named.is_empty() {
        writeln!(
            out,
            "advice   unsafe-config: {} (see findings.csv)",
            named.join(", ")
        )?;
    }
    Ok(())
}

/// How the window was found and how sure that is.
fn found(window: &WindowRecord) -> String {
    match &window.sureness {
        Some(sureness) => format!("found by {}, {sureness}", window.found_by),
        None => window.found_by.clone(),
    }
}

fn write_check(out: &mut dyn Write, check: &CheckRecord) -> io::Result<()> {
    let coverage = &check.coverage;
    let seconds = check.took.as_secs_f64();
    writeln!(
        out,
        "{}: {} observed in {seconds:.1} s, {} agree, {} confirmed, {} transient, {} hot, {} unknown, {} skipped",
        check.name,
        coverage.observed,
        coverage.matched,
        coverage.confirmed,
        coverage.transient,
        coverage.hot,
        coverage.unknown,
        coverage.skipped,
    )?;
    for count in &check.findings {
        write!(
            out,
            "  {:<20} {:<8} {:<9} {:>8}",
            count.rule, count.severity, count.verdict, count.count
        )?;
        if count.verdict == "confirmed" {
            write!(
                out,
                "   repaired {}, left {}",
                count.repaired,
                count.count - count.repaired.min(count.count)
            )?;
        }
        writeln!(out)?;
    }
    if coverage.lost_race + coverage.refused > 0 {
        writeln!(
            out,
            "  of the repairs {} were refused and {} lost the race to a newer value",
            coverage.refused, coverage.lost_race
        )?;
    }
    if let Some(control) = check.control.as_ref().filter(|c| c.is_refused) {
        writeln!(
            out,
            "  control sample: {} of {} pairs outside the window are wrong (allowed {}): the mapping is doubted",
            control.mismatched, control.sampled, control.allowed
        )?;
    }
    check
        .not_searched
        .iter()
        .try_for_each(|what| writeln!(out, "  not searched: {what}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use uuid::Uuid;

    use super::super::run_json::tests::record;
    use super::*;

    fn text(record: &RunRecord) -> String {
        let mut out = Vec::new();
        write_text(&mut out, record, Path::new("output/auction/1")).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_last_line_is_the_verdict_and_the_folder() {
        insta::with_settings!({snapshot_path => "../../tests/fixtures/report", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!("summary", text(&record(Uuid::nil())));
        });
    }

    #[test]
    fn every_verdict_has_words_of_its_own() {
        let mut last_lines: Vec<String> = [
            RunVerdict::Consistent,
            RunVerdict::FindingsRemain,
            RunVerdict::Partial,
            RunVerdict::NothingJudged,
        ]
        .into_iter()
        .map(|verdict| {
            let run = RunRecord {
                verdict,
                exit_code: verdict.exit_code(),
                ..record(Uuid::nil())
            };
            text(&run).lines().last().unwrap().to_owned()
        })
        .collect();
        assert!(last_lines[0].contains("exit 0") && last_lines[3].contains("exit 3"));
        last_lines.dedup();
        assert_eq!(last_lines.len(), 4);
    }

    #[test]
    fn a_machine_gets_the_run_and_its_folder_on_one_line() {
        let mut out = Vec::new();
        write_json(
            &mut out,
            &record(Uuid::nil()),
            Path::new("output/auction/1"),
        )
        .unwrap();
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
        let run: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(run["folder"], "output/auction/1");
        assert_eq!(run["verdict"], "findings-remain");
        assert_eq!(run["checks"][0]["coverage"]["observed"].to_string(), "1000");
    }
}
