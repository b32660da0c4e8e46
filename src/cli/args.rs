//! The command line as clap reads it: raw, any combination.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Proves after a Redis failover what Redis lost against MySQL, repairs it without clobbering a
/// newer value, and writes the record.
#[derive(Debug, Parser)]
#[command(name = "auditor", version, after_help = super::ExitStatus::help())]
pub(super) struct RawArgs {
    #[command(subcommand)]
    pub(super) command: RawCommand,

    /// How log lines on stderr are written
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value = "text"
    )]
    pub(super) log: RawFormat,

    /// Log more; twice: everything
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(super) verbose: u8,

    /// Log warnings and errors only, show no progress
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum RawCommand {
    /// Find what Redis lost; writes nothing to either store
    Scan(RawScan),
    /// Find what Redis lost, and repair it where that is safe
    Repair(RawRepair),
    /// What cron calls: look whether there was a failover, and repair what it lost
    Run(RawRun),
    /// Put back what a repair replaced, where it is still as the repair left it
    Undo(RawUndo),
    /// Write a heartbeat through each Redis master, by which a later failover is dated
    Checkpoint(RawCheckpoint),
    /// Who repairs a job now, and how far its latest runs are
    Status(RawStatus),
    /// Put the runs of a job together: what each customer was served, in exact sums
    Report(RawReport),
    /// Print what a rule detects, how it comes about and how it is repaired
    Explain {
        /// A rule's id, e.g. version-regression
        #[arg(value_name = "RULE")]
        rule: String,
    },
    /// Print the JSON Schema of job files, for editors
    Schema,
    /// A real failover on this machine, from loss to report
    #[cfg(feature = "lab")]
    Demo,
}

#[derive(Debug, Args)]
pub(super) struct RawScan {
    /// The job file
    #[arg(value_name = "JOB")]
    pub(super) job: PathBuf,

    /// Look at what changed since then: 14:03, 15m, 2026-11-21T14:03:00+09:00, @1763700000; or "auto", which is
    /// the default: since the last failover that no run has dealt with
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) since: Option<String>,

    /// When the losses ended; only says which findings belong to the failover
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(super) until: Option<String>,

    /// Look at everything, in both directions
    #[arg(long)]
    pub(super) full: bool,

    /// Only this check; may be repeated
    #[arg(long, value_name = "CHECK")]
    pub(super) only: Vec<String>,

    /// Only this Redis key, spelled as in findings.csv (\xNN for other bytes, \\ for a backslash)
    #[arg(long, value_name = "KEY", conflicts_with = "id")]
    pub(super) key: Option<String>,

    /// Only this row id, spelled as in findings.csv (7, or 7,3 for a composite one)
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(super) id: Option<String>,

    /// Only the findings of an earlier run: its id or folder
    #[arg(long, value_name = "RUN")]
    pub(super) from: Option<String>,

    /// Where the run's folder is made
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub(super) output: PathBuf,

    /// Keys read a second, or "unlimited"; instead of the job's
    #[arg(long, value_name = "N")]
    pub(super) rate: Option<String>,

    /// Stop after this long and say what is left, e.g. 30m
    #[arg(long, value_name = "DURATION")]
    pub(super) time_budget: Option<String>,

    /// How the summary on stdout is written
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    pub(super) format: RawFormat,

    /// Only this part of everything, counted from 0, e.g. 0/4; default: JOB_COMPLETION_INDEX of AUDITOR_SHARDS
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<String>,

    /// Go on with an interrupted run, with its window and its checks: its id or folder; default: the newest
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "")]
    pub(super) resume: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RawRepair {
    #[command(flatten)]
    pub(super) scan: RawScan,

    /// Print what would be done, write nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,

    /// Repair at most this many; instead of the job's
    #[arg(long, value_name = "N")]
    pub(super) max_repairs: Option<u64>,

    /// Repair although the control sample says that the mapping is wrong
    #[arg(long)]
    pub(super) accept_control: bool,
}

#[derive(Debug, Args)]
pub(super) struct RawRun {
    /// The job file
    #[arg(value_name = "JOB")]
    pub(super) job: PathBuf,

    /// Where the run's folder is made, if there is something to repair
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub(super) output: PathBuf,

    /// Keys read a second, or "unlimited"; instead of the job's
    #[arg(long, value_name = "N")]
    pub(super) rate: Option<String>,

    /// Stop after this long and say what is left, e.g. 30m; also how long to wait for one master to be left
    #[arg(long, value_name = "DURATION")]
    pub(super) time_budget: Option<String>,

    /// How the summary on stdout is written
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    pub(super) format: RawFormat,
}

#[derive(Debug, Args)]
pub(super) struct RawUndo {
    /// The job file
    #[arg(value_name = "JOB")]
    pub(super) job: PathBuf,

    /// The run to take back: its id or folder
    #[arg(value_name = "RUN")]
    pub(super) run: String,

    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,

    /// Where the runs' folders lie
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub(super) output: PathBuf,

    /// How the summary on stdout is written
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    pub(super) format: RawFormat,
}

#[derive(Debug, Args)]
pub(super) struct RawCheckpoint {
    /// The job file
    #[arg(value_name = "JOB")]
    pub(super) job: PathBuf,

    /// Again and again until it is told to stop, e.g. 1s; without it once
    #[arg(long, value_name = "DURATION")]
    pub(super) every: Option<String>,

    /// How the line on stdout is written
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    pub(super) format: RawFormat,
}

#[derive(Debug, Args)]
pub(super) struct RawStatus {
    /// The job file
    #[arg(value_name = "JOB")]
    pub(super) job: PathBuf,

    /// Where the runs' folders lie
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub(super) output: PathBuf,

    /// How it is written
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    pub(super) format: RawFormat,
}

#[derive(Debug, Args)]
pub(super) struct RawReport {
    /// Runs of one job: ids, beginnings of ids, or folders; none: the newest finished run of each job
    #[arg(value_name = "RUN")]
    pub(super) runs: Vec<String>,

    /// Where the runs' folders lie, and the report's is made
    #[arg(long, value_name = "DIR", default_value = "output")]
    pub(super) output: PathBuf,

    /// How the summary on stdout is written
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    pub(super) format: RawFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RawFormat {
    Text,
    Json,
}
