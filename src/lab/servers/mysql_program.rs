//! Which MariaDB or MySQL program is there to be started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::mysql::Flavor;
use super::program::find;
use crate::lab::LabError;

const MARIADB_PACKAGE: &str = "install the Debian package mariadb-server (as `make setup` does)";
const MYSQL_PACKAGE: &str = "run `make setup`, which unpacks one under .cache/servers, or install a package \
     mysql-server-core, or name a mysqld by the environment variable AUDITOR_MYSQLD";

/// Where `make setup` leaves a launcher of the MySQL it unpacked, below the project's folder.
const UNPACKED: &str = ".cache/servers/mysql/mysqld";

/// A server program and what it says of itself.
#[derive(Debug, Clone)]
pub struct MysqlProgram {
    pub flavor: Flavor,
    pub path: PathBuf,
    /// The whole line of `--version`.
    pub version: String,
}

impl MysqlProgram {
    /// Finds a program of this flavour, or says what to install.
    pub fn find(flavor: Flavor) -> Result<Self, LabError> {
        match flavor {
            Flavor::MariaDb => Self::at(flavor, find("mariadbd", MARIADB_PACKAGE)?),
            Flavor::MySql => Self::find_mysql(),
        }
    }

    /// The first flavour that is installed: MariaDB, which starts quicker, before MySQL.
    pub fn find_any() -> Result<Self, LabError> {
        Self::find(Flavor::MariaDb).or_else(|_| Self::find(Flavor::MySql)).map_err(|_| LabError::Missing {
            program: "a MySQL or MariaDB server",
            hint: "install the Debian package mariadb-server or mysql-server (as `make setup` does)",
        })
    }

    fn find_mysql() -> Result<Self, LabError> {
        if let Some(named) = std::env::var_os("AUDITOR_MYSQLD") {
            return Self::at(Flavor::MySql, named.into());
        }
        let unpacked = [
            PathBuf::from(UNPACKED),
            Path::new(env!("CARGO_MANIFEST_DIR")).join(UNPACKED),
        ];
        if let Some(launcher) = unpacked.into_iter().find(|path| path.is_file()) {
            let launcher =
                std::path::absolute(launcher).map_err(LabError::io("find the current folder"))?;
            return Self::at(Flavor::MySql, launcher);
        }
        let found = Self::at(Flavor::MySql, find("mysqld", MYSQL_PACKAGE)?)?;
        // MariaDB's packages install their server under this name as well.
        if found.version.contains("MariaDB") {
            return Err(LabError::Missing {
                program: "a MySQL server (the mysqld here is MariaDB)",
                hint: MYSQL_PACKAGE,
            });
        }
        Ok(found)
    }

    fn at(flavor: Flavor, path: PathBuf) -> Result<Self, LabError> {
        let output = Command::new(&path)
            .args(["--no-defaults", "--version"])
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
