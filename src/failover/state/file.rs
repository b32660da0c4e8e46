//! Files that are whole at every moment, and the lock before them.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::StateError;

/// Whoever holds the lock writes some hundred kilobytes at most; past this he is stopped or stuck.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Held until it is dropped; the system takes it back from a process that ends.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the folder where it is missing, and waits for its lock.
    pub(super) fn take(folder: &Path) -> Result<Self, StateError> {
        fs::create_dir_all(folder).map_err(not_writable(folder))?;
        let path = folder.join("lock");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(not_writable(&path))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_LIMIT => {
                    thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StateError::Busy {
                        path,
                        seconds: LOCK_LIMIT.as_secs(),
                    });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(StateError::NotWritable { path, source });
                }
            }
        }
    }
}

/// The file's bytes; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::NotReadable {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Puts `bytes` in the place of the file, whole: whoever reads it meanwhile sees the old one or the new one, also after
/// the power failed. Needs the lock, because the file beside it has one name.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(not_writable(path))
}

pub(super) fn not_writable(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::NotWritable { path, source }
}
