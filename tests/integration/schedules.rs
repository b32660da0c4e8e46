//! The scheduling files of `jobs/`: valid by Kubernetes' published schemas and systemd's own check, with arguments, job
//! files, secrets and exit codes that are this program's.

use std::path::{Path, PathBuf};

use auditor::cli::Invocation;
use auditor::job::{self, Job};
use auditor::plan::window::Audience;

mod crontab;
mod hook;
mod image;
mod kubernetes;
mod nights;
mod pods;
mod schemas;
mod sentinels;
mod systemd;
mod yaml;

/// The job that every scheduling file starts, as `/etc/auditor/scheduled.toml`.
const JOB: &str = "jobs/scheduled.toml";
/// What that job reads from the folder that `CREDENTIALS_DIRECTORY` names.
const SECRETS: [&str; 2] = ["mysql_password", "redis_password"];

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Why the program itself would refuse these arguments (without its name), if it would.
fn refusal(arguments: &[String]) -> Option<String> {
    let line = std::iter::once("auditor".to_owned()).chain(arguments.iter().cloned());
    Invocation::from_args(line, Audience::Machine)
        .err()
        .map(|refusal| refusal.to_string())
}

/// Loads the text of a job file where a scheduler laid `secrets` into one folder and named it.
fn load(text: &str, secrets: &[String], variable: &str) -> Result<Job, String> {
    let folder = tempfile::tempdir().unwrap();
    for name in secrets {
        std::fs::write(folder.path().join(name), "geheim\n").unwrap();
    }
    let path = folder.path().join("job.toml");
    std::fs::write(&path, text).unwrap();
    let named = folder.path().display().to_string();
    let environment = |name: &str| (name == variable).then(|| named.clone());
    job::load(&path, &environment).map_err(|faults| faults.to_string())
}
