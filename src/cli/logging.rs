//! Log lines on stderr, which never tear a progress bar.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::invocation::Loudness;
use crate::run::request::Format;

/// Sends the program's log lines to stderr, around the bars of `bars`.
pub(super) fn init(format: Format, loudness: Loudness, bars: &MultiProgress) {
    let writer = AroundBars { bars: bars.clone() };
    let is_coloured =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let registry = tracing_subscriber::registry().with(filter(loudness));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_target(false);
    // Only the first subscriber of a process counts; a test may have set one.
    let _ = match format {
        Format::Text => registry.with(layer.with_ansi(is_coloured)).try_init(),
        Format::Json => registry.with(layer.json().with_ansi(false)).try_init(),
    };
}

/// Our own lines as loud as asked. The drivers' are never below warnings, whatever was asked and
/// whatever the environment says: at DEBUG they print statements and commands with their values.
fn filter(loudness: Loudness) -> Targets {
    let own = match loudness {
        Loudness::Quiet => Level::WARN,
        Loudness::Normal => Level::INFO,
        Loudness::Verbose => Level::DEBUG,
        Loudness::Everything => Level::TRACE,
    };
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("auditor", own)
}

#[derive(Clone)]
struct AroundBars {
    bars: MultiProgress,
}

/// One log line, written whole when it is complete.
struct Line {
    bars: MultiProgress,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            bars: self.bars.clone(),
            text: Vec::new(),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A log line that cannot be written has nowhere to be reported.
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(&self.text);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_stay_quiet_however_loud_we_are() {
        for loudness in [
            Loudness::Quiet,
            Loudness::Normal,
            Loudness::Verbose,
            Loudness::Everything,
        ] {
            let filter = filter(loudness);
            assert!(filter.would_enable("auditor::run", &Level::WARN));
            for driver in ["sqlx::query", "redis", "rustls", "log"] {
                assert!(!filter.would_enable(driver, &Level::INFO), "{driver}");
                assert!(filter.would_enable(driver, &Level::WARN), "{driver}");
            }
        }
        assert!(!filter(Loudness::Quiet).would_enable("auditor::run", &Level::INFO));
        assert!(filter(Loudness::Everything).would_enable("auditor::run", &Level::TRACE));
    }
}
