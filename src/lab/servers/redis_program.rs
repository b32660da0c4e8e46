//! Which Redis and Valkey programs are there to be started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::find;
use crate::lab::LabError;

const INSTALLED: &str = "install the Debian package redis-server (as `make setup` does)";
const UNPACKED: &str = "run `make setup`, which unpacks one under .cache/servers";

/// Which of the servers that answer as Redis does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisFlavor {
    /// The `redis-server` of this system, from PATH.
    Installed,
    /// The newest Redis that Debian packages, as `make setup` unpacks it.
    Current,
    Valkey,
}

/// A server program and what it says of itself.
#[derive(Debug, Clone)]
pub struct RedisProgram {
    pub flavor: RedisFlavor,
    pub path: PathBuf,
    /// The whole line of `--version`.
    pub version: String,
}

impl RedisFlavor {
    pub const ALL: [RedisFlavor; 3] = [Self::Installed, Self::Current, Self::Valkey];
}

impl RedisProgram {
    /// Finds a program of this flavour, or says what to install.
    pub fn find(flavor: RedisFlavor) -> Result<Self, LabError> {
        let path = match flavor {
            RedisFlavor::Installed => find("redis-server", INSTALLED)?,
            RedisFlavor::Current => unpacked("redis/redis-server")?.ok_or(LabError::Missing {
                program: "a current redis-server",
                hint: UNPACKED,
            })?,
            RedisFlavor::Valkey => match unpacked("valkey/valkey-server")? {
                Some(path) => path,
                None => find("valkey-server", UNPACKED)?,
            },
        };
        Self::at(flavor, path)
    }

    /// All that are there. The installed one must be; without one of the others less is tested, which `make test`
    /// says in its last lines.
    pub fn present() -> Result<Vec<Self>, LabError> {
        let mut programs = vec![Self::find(RedisFlavor::Installed)?];
        for flavor in [RedisFlavor::Current, RedisFlavor::Valkey] {
            match Self::find(flavor) {
                Ok(program) => programs.push(program),
                Err(LabError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(programs)
    }

    fn at(flavor: RedisFlavor, path: PathBuf) -> Result<Self, LabError> {
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .map_err(LabError::io(format!("run {} --version", path.display())))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || version.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(LabError::Unfit(format!(
                "{} --version failed: {said}",
                path.display()
            )));
        }
        Ok(Self {
            flavor,
            path,
            version,
        })
    }
}

/// A launcher that `make setup` left below the project's folder, or below the current one.
fn unpacked(launcher: &str) -> Result<Option<PathBuf>, LabError> {
    let folders = [Path::new(""), Path::new(env!("CARGO_MANIFEST_DIR"))];
    folders
        .into_iter()
        .map(|folder| folder.join(".cache/servers").join(launcher))
        .find(|path| path.is_file())
        .map(|path| std::path::absolute(path).map_err(LabError::io("find the current folder")))
        .transpose()
}
