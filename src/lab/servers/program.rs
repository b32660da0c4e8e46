//! Finding server programs, with the package to install when there is none.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::lab::LabError;

/// Debian puts servers where an ordinary user's PATH does not lead.
const FOLDERS_BESIDE_PATH: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// The first `name` on PATH or in a system folder; `hint` says which package brings it.
pub(super) fn find(name: &'static str, hint: &'static str) -> Result<PathBuf, LabError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(FOLDERS_BESIDE_PATH.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or(LabError::Missing {
            program: name,
            hint,
        })
}

/// Whether this process is root, which MySQL refuses to be started by without being told so.
pub(super) fn is_root() -> bool {
    own_user() == Some(0)
}

/// The numeric user this process runs as.
pub(super) fn own_user() -> Option<u32> {
    std::fs::metadata("/proc/self")
        .ok()
        .map(|facts| facts.uid())
}

/// The last lines of a log, for an error message.
pub(super) fn log_tail(log: &Path) -> String {
    const LINES: usize = 15;
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
