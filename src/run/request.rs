//! What a run is asked to do, typed: nothing here can contradict itself.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::job::{Job, Rate};
use crate::model::check::CacheCheck;
use crate::model::outcome::RunVerdict;
use crate::model::progress::ProgressSink;
use crate::model::shard::Shard;
use crate::model::stream::StreamCheck;
use crate::plan::window::{Audience, WindowText};

/// One subcommand with its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    Scan(ScanRequest),
    Repair(RepairRequest),
    Run(RunRequest),
    Undo(UndoRequest),
    Checkpoint(CheckpointRequest),
    Status(StatusRequest),
    Report(ReportRequest),
    /// Prints a rule's documentation.
    Explain {
        rule: String,
    },
    /// Prints the JSON Schema of job files.
    Schema,
    #[cfg(feature = "lab")]
    Demo,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ScanRequest {
    pub job_path: PathBuf,
    pub scope: Scope,
    /// Which part of it; the limits of the job are divided among the shards.
    pub shard: Shard,
    /// Names of checks, each once; empty: all of them.
    pub only: Vec<String>,
    pub output: PathBuf,
    /// Instead of the job's `max_keys_per_second`.
    pub rate: Option<Rate>,
    /// Instead of the job's `time_budget`.
    pub time_budget: Option<Duration>,
    pub format: Format,
    /// The command line, for the record.
    pub arguments: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RepairRequest {
    pub scan: ScanRequest,
    pub mode: RepairRun,
    /// Instead of the job's `max_repairs`.
    pub max_repairs: Option<u64>,
    pub control: Control,
}

/// What cron asks for: the failover is looked for, and its window repaired with the consent of the job file.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRequest {
    pub job_path: PathBuf,
    pub output: PathBuf,
    /// Instead of the job's `max_keys_per_second`.
    pub rate: Option<Rate>,
    /// Instead of the job's `time_budget`; bounds the wait for one master too.
    pub time_budget: Option<Duration>,
    pub format: Format,
    pub arguments: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoRequest {
    pub job_path: PathBuf,
    /// A run id, or the folder of a run.
    pub run: String,
    pub consent: Consent,
    pub output: PathBuf,
    pub format: Format,
    pub arguments: Vec<String>,
}

/// A heartbeat through each master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRequest {
    pub job_path: PathBuf,
    /// `None`: once.
    pub every: Option<Duration>,
    pub format: Format,
}

/// Who holds the lease, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRequest {
    pub job_path: PathBuf,
    /// Where the runs' folders lie.
    pub output: PathBuf,
    pub format: Format,
}

/// Which runs are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRequest {
    /// Run ids, beginnings of run ids, or folders of runs; empty: the newest finished run of each job.
    pub runs: Vec<String>,
    /// Where the runs lie, and the merged report goes.
    pub output: PathBuf,
    pub format: Format,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// What changed since the window began.
    Window(WindowText),
    /// Everything; a window then only says which losses belong to the failover.
    Full(Option<WindowText>),
    /// One key or row, printed from both sides.
    One(Target, Option<WindowText>),
    /// The findings of an earlier run: its id or folder.
    EarlierRun(String, Option<WindowText>),
    /// What an interrupted run was asked for and did not come to: its id or folder; `None`: the newest.
    Rest(Option<String>),
}

impl Scope {
    /// Whether anything is looked for, and not only looked at.
    pub(super) fn sweeps(&self) -> bool {
        !matches!(self, Scope::One(..) | Scope::EarlierRun(..))
    }
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The bytes of a Redis key; the check is the one whose template it fits.
    Key(Vec<u8>),
    /// The parts of a row id in template order; needs one check.
    Id(Vec<Vec<u8>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairRun {
    /// The plan is printed, nothing is written.
    DryRun,
    Write(Consent),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    Given,
    /// A person at the terminal is asked.
    Ask,
}

/// What a control sample with too many mismatches means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Refuses,
    /// `--accept-control`: counted, reported, overridden.
    Accepted,
    /// Everything may be wrong, because the server came back empty or from an old snapshot: none is drawn.
    NotApplicable,
}

/// How the summary on stdout is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// How a subcommand ended; the exit code follows from it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A subcommand that judges nothing did what it was asked.
    Done,
    Verdict(RunVerdict),
    /// The arguments or the job file are wrong; the text says how and is not yet printed.
    BadRequest(String),
    /// Nothing could be judged; the text says why and is not yet printed.
    NothingJudged(String),
    /// Another run of this job holds the lease; the text says what is known of it.
    LeaseHeld(String),
}

/// What a run may ask a person.
pub trait Confirm: Send + Sync {
    /// Whether the person says yes; no answer is no. Blocks until there is one: call it where
    /// blocking is allowed, and between stages, so that no bar is in the way.
    fn confirm(&self, question: &str) -> bool;
}

/// Everything by which a run meets the person or machine that started it.
pub struct Console {
    pub out: Box<dyn Write + Send>,
    pub progress: Arc<dyn ProgressSink>,
    pub confirm: Arc<dyn Confirm>,
    pub audience: Audience,
    /// Becomes true when the run has to end: it then stops at the next slice and reports truthfully.
    pub stop: watch::Receiver<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("there is no check `{name}` in this job; there are {known}")]
    NoSuchCheck { name: String, known: String },
    #[error("--id needs one check: name it with --only; this job has {known}")]
    IdNeedsOneCheck { known: String },
}

impl Scope {
    pub fn window(&self) -> Option<&WindowText> {
        match self {
            Scope::Window(window) => Some(window),
            Scope::Rest(_) => None,
            Scope::Full(window) | Scope::One(_, window) | Scope::EarlierRun(_, window) => {
                window.as_ref()
            }
        }
    }
}

impl ScanRequest {
    /// The cache checks of `job` that were asked for, in the order of the file; none where only streams
    /// were.
    pub fn select<'j>(&self, job: &'j Job) -> Result<Vec<&'j Arc<CacheCheck>>, RequestError> {
        self.refuse_selection(job)?;
        Ok(job
            .caches
            .iter()
            .filter(|check| self.is_selected(&check.name.text))
            .collect())
    }

    /// The stream checks of `job` that were asked for, in the order of the file; none where only caches
    /// were.
    pub fn select_streams<'j>(
        &self,
        job: &'j Job,
    ) -> Result<Vec<&'j Arc<StreamCheck>>, RequestError> {
        self.refuse_selection(job)?;
        Ok(job
            .streams
            .iter()
            .filter(|check| self.is_selected(&check.name.text))
            .collect())
    }

    /// Names are asked of both kinds: after `--only` either may stand, and an id needs one of either.
    fn refuse_selection(&self, job: &Job) -> Result<(), RequestError> {
        let known = || {
            let names: Vec<_> = names(job).map(|name| format!("`{name}`")).collect();
            names.join(", ")
        };
        if let Some(name) = self
            .only
            .iter()
            .find(|asked| !names(job).any(|name| name == **asked))
        {
            return Err(RequestError::NoSuchCheck {
                name: name.clone(),
                known: known(),
            });
        }
        let selected = names(job).filter(|name| self.is_selected(name)).count();
        if matches!(self.scope, Scope::One(Target::Id(_), _)) && selected != 1 {
            return Err(RequestError::IdNeedsOneCheck { known: known() });
        }
        Ok(())
    }

    fn is_selected(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|asked| asked == name)
    }
}

/// Of every check, the caches first.
fn names(job: &Job) -> impl Iterator<Item = &str> {
    let caches = job.caches.iter().map(|check| check.name.text.as_str());
    caches.chain(job.streams.iter().map(|check| check.name.text.as_str()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::job::{CheckpointSpec, Endpoint, Limits, MysqlSpec, RedisSpec, TlsFiles};
    use crate::model::check::{
        Deletes, Expiry, Guard, Layout, Named, RepairMode, RepairOrphans, Source, ValueKind, Writes,
    };
    use crate::model::secret::Secret;
    use crate::model::stream::{
        Identity, OnPersisted, OnRewound, OnSkipped, OnTrimmed, OnUnpersisted,
    };
    use crate::model::template::Template;

    fn check(name: &str) -> Arc<CacheCheck> {
        let named = |text: &str| Named {
            text: text.to_owned(),
            span: 0..0,
        };
        Arc::new(CacheCheck {
            name: named(name),
            key: Template::parse("k:{id}").unwrap(),
            key_span: 0..0,
            value: ValueKind::String,
            layout: Layout::KeyPerRow,
            source: Source::Table {
                table: named("t"),
                explains: None,
            },
            window: None,
            deletes: Deletes::Never,
            version: None,
            fields: Vec::new(),
            ignore: Vec::new(),
            lazy: false,
            expiry: Expiry::Any,
            ttl: None,
            absent: Vec::new(),
            expect_present: false,
            order: None,
            writes: Writes::Set,
            ahead_ok: false,
            subject: None,
            currency: None,
            repair: RepairMode::Report,
            repair_orphans: RepairOrphans::Report,
            guard: Guard::Auto,
            settle: Duration::ZERO,
            cache_delay: Duration::ZERO,
        })
    }

    fn stream(name: &str) -> Arc<StreamCheck> {
        let rows = check(name);
        Arc::new(StreamCheck {
            name: rows.name.clone(),
            key: b"s".to_vec(),
            key_span: 0..0,
            group: b"g".to_vec(),
            matches: Vec::new(),
            identity: Identity::EntryId,
            identity_column: rows.name.clone(),
            rows,
            constants: Vec::new(),
            proof_sql: None,
            rejected_sql: None,
            may_leave_no_row: false,
            unique: Vec::new(),
            orphan_after: Duration::ZERO,
            max_deliveries: None,
            on_persisted: OnPersisted::Report,
            on_unpersisted: OnUnpersisted::Report,
            on_skipped: OnSkipped::Report,
            on_rewound: OnRewound::Report,
            on_trimmed: OnTrimmed::Report,
            keeps_entries: false,
            raise_last_id: false,
            dead_letter: None,
            money: None,
        })
    }

    /// Names that begin with `s` are streams.
    fn job(names: &[&str]) -> Job {
        Job {
            text: "".into(),
            name: "auction".into(),
            path: "job.toml".into(),
            config_hash: String::new(),
            time_zone: None,
            state_dir: "state".into(),
            full_repair: false,
            checkpoint: CheckpointSpec::of_job("auction"),
            mysql: MysqlSpec {
                url: Secret::new(""),
                tls: TlsFiles::default(),
            },
            mysql_replica: None,
            redis_replicas: Vec::new(),
            redis: RedisSpec {
                endpoint: Endpoint::Tcp {
                    host: "h".into(),
                    port: 1,
                },
                user: None,
                password: None,
                database: 0,
                tls: false,
                tls_files: TlsFiles::default(),
                sentinel_user: None,
                sentinel_password: None,
            },
            limits: Limits::default(),
            caches: of_kind(names, false).map(check).collect(),
            streams: of_kind(names, true).map(stream).collect(),
        }
    }

    fn of_kind<'n>(names: &[&'n str], is_stream: bool) -> impl Iterator<Item = &'n str> {
        let names = names.iter().copied();
        names.filter(move |name| name.starts_with('s') == is_stream)
    }

    /// Names of the checks selected, streams after caches, or the refusal.
    fn selected(names: &[&str], only: &[&str], scope: Scope) -> Result<Vec<String>, String> {
        let request = ScanRequest {
            job_path: "job.toml".into(),
            scope,
            shard: Shard::WHOLE,
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            output: "output".into(),
            rate: None,
            time_budget: None,
            format: Format::Text,
            arguments: Vec::new(),
        };
        let job = job(names);
        let caches = request.select(&job).map_err(|fault| fault.to_string());
        let streams = request
            .select_streams(&job)
            .map_err(|fault| fault.to_string());
        assert_eq!(caches.as_ref().err(), streams.as_ref().err());
        let mut found: Vec<_> = caches?.iter().map(|c| c.name.text.clone()).collect();
        found.extend(streams?.iter().map(|s| s.name.text.clone()));
        Ok(found)
    }

    #[test]
    fn selects_in_the_order_of_the_file() {
        let full = || Scope::Full(None);
        assert_eq!(
            selected(&["a", "b", "c"], &[], full()).unwrap(),
            ["a", "b", "c"]
        );
        assert_eq!(
            selected(&["a", "b", "c"], &["c", "a"], full()).unwrap(),
            ["a", "c"]
        );
        let fault = selected(&["a", "b"], &["a", "d"], full()).unwrap_err();
        assert_eq!(
            fault,
            "there is no check `d` in this job; there are `a`, `b`"
        );
    }

    #[test]
    fn caches_and_streams_share_their_names() {
        let full = || Scope::Full(None);
        let names = ["s1", "a", "s2", "b"];
        assert_eq!(
            selected(&names, &[], full()).unwrap(),
            ["a", "b", "s1", "s2"]
        );
        assert_eq!(selected(&names, &["s2"], full()).unwrap(), ["s2"]);
        assert_eq!(selected(&names, &["s1", "b"], full()).unwrap(), ["b", "s1"]);
        assert_eq!(
            selected(&names, &["s3"], full()).unwrap_err(),
            "there is no check `s3` in this job; there are `a`, `b`, `s1`, `s2`"
        );
        let id = || Scope::One(Target::Id(vec![b"1-0".to_vec()]), None);
        assert_eq!(selected(&["s1"], &[], id()).unwrap(), ["s1"]);
        assert_eq!(selected(&names, &["s1"], id()).unwrap(), ["s1"]);
        assert!(selected(&["a", "s1"], &[], id()).is_err());
        assert!(selected(&names, &["a", "s1"], id()).is_err());
    }

    #[test]
    fn an_id_belongs_to_one_check() {
        let id = || Scope::One(Target::Id(vec![b"7".to_vec()]), None);
        assert_eq!(selected(&["a"], &[], id()).unwrap(), ["a"]);
        assert_eq!(selected(&["a", "b"], &["b"], id()).unwrap(), ["b"]);
        let fault = selected(&["a", "b"], &[], id()).unwrap_err();
        assert!(
            fault.contains("--only") && fault.contains("`a`, `b`"),
            "{fault}"
        );
        let key = Scope::One(Target::Key(b"k:7".to_vec()), None);
        assert_eq!(selected(&["a", "b"], &[], key).unwrap(), ["a", "b"]);
    }
}
