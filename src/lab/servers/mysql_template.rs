//! An initialised data folder, made once per machine and server version and copied for every start:
//! initialising takes seconds, copying does not.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::mysql::Flavor;
use super::mysql_program::MysqlProgram;
use super::program::{find, is_root, own_user};
use crate::lab::LabError;

/// Raised when the way of initialising changes, so that an older template is not taken.
const REVISION: u32 = 1;

/// A redo log that is quick to copy; both initialising and running must agree on it.
pub(super) fn redo_log_option(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::MariaDb => "--innodb-log-file-size=16M",
        Flavor::MySql => "--innodb-redo-log-capacity=32M",
    }
}

/// Fills `data` (which must not exist) with a freshly initialised, or copied, data folder.
pub(super) fn fill(program: &MysqlProgram, data: &Path) -> Result<(), LabError> {
    let Some(shelf) = shelf() else {
        return initialise(program, data);
    };
    let template = shelf.join(template_name(program));
    if !template.is_dir() {
        let fresh = tempfile::tempdir_in(&shelf).map_err(LabError::io("make a template folder"))?;
        let made = fresh.path().join("data");
        initialise(program, &made)?;
        // Another process may have been quicker; its template is as good as ours.
        if let Err(error) = std::fs::rename(&made, &template)
            && !template.is_dir()
        {
            return Err(LabError::Io {
                action: "keep the initialised data folder".into(),
                source: error,
            });
        }
    }
    copy_folder(&template, data).map_err(LabError::io("copy the initialised data folder"))?;
    // It holds MySQL's `server_uuid`: without it every server of the lab gets one of its own.
    match std::fs::remove_file(data.join("auto.cnf")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LabError::Io {
            action: "forget the identity of the copied data folder".into(),
            source: error,
        }),
        _ => Ok(()),
    }
}

/// A folder that only we can write; none where somebody else owns that name.
fn shelf() -> Option<PathBuf> {
    let user = own_user()?;
    let shelf = std::env::temp_dir().join(format!("auditor-lab-{user}"));
    let _ = std::fs::DirBuilder::new().mode(0o700).create(&shelf);
    let facts = std::fs::symlink_metadata(&shelf).ok()?;
    let is_ours = facts.is_dir() && facts.uid() == user && facts.mode() & 0o077 == 0;
    is_ours.then_some(shelf)
}

fn template_name(program: &MysqlProgram) -> String {
    let mut hasher = DefaultHasher::new();
    (&program.path, &program.version, REVISION).hash(&mut hasher);
    format!("{:?}-{:016x}", program.flavor, hasher.finish())
}

fn initialise(program: &MysqlProgram, data: &Path) -> Result<(), LabError> {
    let folder = format!("--datadir={}", data.display());
    let mut command = match program.flavor {
        Flavor::MariaDb => {
            let installer = find(
                "mariadb-install-db",
                "install the Debian package mariadb-server",
            )?;
            let mut command = Command::new(installer);
            command.args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ]);
            command
        }
        Flavor::MySql => {
            let mut command = Command::new(&program.path);
            command.args(["--no-defaults", "--initialize-insecure"]);
            command
        }
    };
    command.arg(folder).arg(redo_log_option(program.flavor));
    if is_root() {
        command.arg("--user=root");
    }
    let output = command
        .output()
        .map_err(LabError::io("initialise a data folder"))?;
    if output.status.success() {
        return Ok(());
    }
    let log = [output.stdout, output.stderr].concat();
    Err(LabError::NotStarted {
        server: program.flavor.program_name(),
        reason: "its data folder could not be initialised".into(),
        log: String::from_utf8_lossy(&log).into_owned(),
    })
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
