//! A CSV file that has its name only once it is whole.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::ReportError;

/// `<name>.partial`, renamed to `<name>` by [`CsvFile::finish`]. RFC 4180: commas, CRLF, quotes
/// where needed.
pub(super) struct CsvFile {
    writer: csv::Writer<BufWriter<File>>,
    partial: PathBuf,
    whole: PathBuf,
}

impl CsvFile {
    /// Creates the file, which must not exist in either form, and writes its header.
    pub(super) fn create(folder: &Path, name: &str, header: &[&str]) -> Result<Self, ReportError> {
        let whole = folder.join(name);
        let partial = folder.join(format!("{name}.partial"));
        if whole.exists() {
            return Err(ReportError::Exists(whole));
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial)
            .map_err(not_writable(&partial))?;
        let mut file = Self {
            writer: writer_to(file),
            partial,
            whole,
        };
        file.write(header)?;
        Ok(file)
    }

    pub(super) fn write<T: AsRef<[u8]>>(&mut self, cells: &[T]) -> Result<(), ReportError> {
        self.writer
            .write_record(cells)
            .map_err(|fault| not_writable(&self.partial)(fault.into()))
    }

    /// Hands what was written to the operating system, so that a killed run leaves it behind.
    pub(super) fn flush(&mut self) -> Result<(), ReportError> {
        self.writer.flush().map_err(not_writable(&self.partial))
    }

    /// Puts what was written onto the disk.
    pub(super) fn sync(&mut self) -> Result<(), ReportError> {
        self.flush()?;
        let file = self.writer.get_ref().get_ref();
        file.sync_data().map_err(not_writable(&self.partial))
    }

    /// Makes the file whole without the rows of these numbers, the first below the header being 0.
    pub(super) fn finish_without(mut self, rows: &BTreeSet<u64>) -> Result<PathBuf, ReportError> {
        if rows.is_empty() {
            return self.finish();
        }
        self.flush()?;
        let rewritten = self.partial.with_extension("rewritten");
        let fault = not_writable(&rewritten);
        let file = File::create(&rewritten).map_err(&fault)?;
        let mut writer = writer_to(file);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_path(&self.partial)
            .map_err(|fault| unreadable(&self.partial)(fault.into()))?;
        let header_and_rows = [None].into_iter().chain((0..).map(Some));
        for (number, record) in header_and_rows.zip(reader.byte_records()) {
            let record = record.map_err(|fault| unreadable(&self.partial)(fault.into()))?;
            if number.is_none_or(|number| !rows.contains(&number)) {
                writer
                    .write_byte_record(&record)
                    .map_err(|cause| fault(cause.into()))?;
            }
        }
        writer.flush().map_err(&fault)?;
        std::fs::rename(&rewritten, &self.partial).map_err(&fault)?;
        self.writer = writer;
        self.finish()
    }

    /// Makes the file whole: on disk, under its final name.
    pub(super) fn finish(mut self) -> Result<PathBuf, ReportError> {
        self.flush()?;
        let fault = not_writable(&self.partial);
        self.writer.get_ref().get_ref().sync_all().map_err(&fault)?;
        std::fs::rename(&self.partial, &self.whole).map_err(&fault)?;
        if let Some(folder) = self.whole.parent() {
            sync_folder(folder)?;
        }
        Ok(self.whole)
    }
}

fn writer_to(file: File) -> csv::Writer<BufWriter<File>> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(BufWriter::new(file))
}

/// Makes names created or renamed in `folder` survive a power cut.
pub(super) fn sync_folder(folder: &Path) -> Result<(), ReportError> {
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(not_writable(folder))
}

pub(super) fn not_writable(path: &Path) -> impl Fn(io::Error) -> ReportError {
    let path = path.to_owned();
    move |source| ReportError::NotWritable {
        path: path.clone(),
        source,
    }
}

pub(super) fn unreadable(path: &Path) -> impl Fn(io::Error) -> ReportError {
    let path = path.to_owned();
    move |source| ReportError::Unreadable {
        path: path.clone(),
        source,
    }
}
