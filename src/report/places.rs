//! `places.csv`: where each finding stood in its sweep, for putting shards and resumed runs together.

use std::path::{Path, PathBuf};

use super::ReportError;
use super::csv_file::CsvFile;
use crate::model::finding::Finding;
use crate::model::slice::SliceOrder;

/// Appends rows to `places.csv.partial`: as many as `findings.csv` has, in its order.
pub struct PlacesWriter {
    file: CsvFile,
}

pub(super) const FILE_NAME: &str = "places.csv";

/// The columns, append-only.
pub(super) const COLUMNS: [&str; 4] = ["slice", "ordinal", "stream_id", "money_delta"];

impl PlacesWriter {
    pub(super) fn create(folder: &Path) -> Result<Self, ReportError> {
        let file = CsvFile::create(folder, FILE_NAME, &COLUMNS)?;
        Ok(Self { file })
    }

    /// Says where `finding` stood; `None`: nowhere, because it is about the nodes, or was asked for by its name.
    pub fn write(
        &mut self,
        finding: &Finding,
        slice: Option<&SliceOrder>,
    ) -> Result<(), ReportError> {
        self.file.write(&[
            slice.map(SliceOrder::to_string).unwrap_or_default(),
            finding.position.ordinal.to_string(),
            finding
                .stream_id
                .map(|id| id.to_string())
                .unwrap_or_default(),
            finding.money_delta.clone().unwrap_or_default(),
        ])
    }

    /// Hands the rows so far to the operating system.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        self.file.flush()
    }

    /// Puts the rows so far onto the disk.
    pub fn sync(&mut self) -> Result<(), ReportError> {
        self.file.sync()
    }

    /// Makes the file whole and gives its path.
    pub fn finish(self) -> Result<PathBuf, ReportError> {
        self.file.finish()
    }
}
