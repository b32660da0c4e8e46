//! stdout, which may be a pipe that nobody reads any more.

use std::io::{self, Write};

/// Passes writes on until the reader is gone, and is silent from then on: `auditor scan | head`
/// must neither fail nor change its exit code.
pub(super) struct QuietPipe<W> {
    inner: W,
    is_closed: bool,
}

impl<W: Write> QuietPipe<W> {
    pub(super) fn new(inner: W) -> Self {
        Self {
            inner,
            is_closed: false,
        }
    }

    fn unless_closed<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for QuietPipe<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let result = self.inner.write(bytes);
        self.unless_closed(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.unless_closed(result, ())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut out = QuietPipe::new(writer);
        writeln!(out, "findings remain").unwrap();
        writeln!(out, "once more").unwrap();
        out.flush().unwrap();
    }

    #[test]
    fn other_errors_and_other_readers_are_kept() {
        let mut full = QuietPipe::new(&mut [][..]);
        assert!(writeln!(full, "x").is_err());
        let mut fine = QuietPipe::new(Vec::new());
        writeln!(fine, "x").unwrap();
        assert_eq!(fine.inner, b"x\n");
    }
}
