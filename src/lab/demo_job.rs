//! The auction's job file, carried in the program, so that the demo runs from any folder.

use std::path::{Path, PathBuf};

use super::LabError;

const JOB: &str = include_str!("../../jobs/auction.toml");
const TOP_BID: &str = include_str!("../../sql/top_bid.sql");

/// Where the part about caches ends.
const STREAMS: &str = "# -- streams";

/// Lays the job file and the statement it names below `folder`; gives the job file's path.
pub fn write_to(folder: &Path) -> Result<PathBuf, LabError> {
    write(folder, JOB)
}

/// The same without its streams, for a stage that has none.
pub fn write_caches_to(folder: &Path) -> Result<PathBuf, LabError> {
    let caches = JOB.split_once(STREAMS).map(|(caches, _)| caches);
    write(
        folder,
        caches.expect("the job file has a part about streams"),
    )
}

fn write(folder: &Path, text: &str) -> Result<PathBuf, LabError> {
    let job = folder.join("jobs").join("auction.toml");
    for (path, text) in [
        (&job, text),
        (&folder.join("sql").join("top_bid.sql"), TOP_BID),
    ] {
        let parent = path.parent().expect("both lie in a folder");
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(path, text))
            .map_err(LabError::io(format!("write {}", path.display())))?;
    }
    Ok(job)
}
