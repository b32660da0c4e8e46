//! How far the work is: a bar on a terminal, a line now and then off it.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::model::progress::ProgressSink;

/// One bar at a time, with rate, estimate and the reason for waiting.
pub(super) struct BarProgress {
    bars: MultiProgress,
    bar: Mutex<Option<ProgressBar>>,
}

impl BarProgress {
    pub(super) fn new(bars: MultiProgress) -> Self {
        Self {
            bars,
            bar: Mutex::new(None),
        }
    }
}

impl ProgressSink for BarProgress {
    fn begin(&self, check: &str, stage: &str, total: Option<u64>) {
        self.done();
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(
                "{prefix} {bar:30} {human_pos}/{human_len} {per_sec} ETA {eta} {msg}",
            )),
            None => ProgressBar::no_length()
                .with_style(style("{prefix} {spinner} {human_pos} {per_sec} {msg}")),
        };
        let bar = self.bars.add(bar.with_prefix(format!("{check}: {stage}")));
        bar.enable_steady_tick(TICK);
        *lock(&self.bar) = Some(bar);
    }

    fn advance(&self, count: u64) {
        if let Some(bar) = lock(&self.bar).as_ref() {
            bar.inc(count);
            // The total was an estimate; a bar past its end would show nonsense.
            if bar.length().is_some_and(|length| bar.position() > length) {
                bar.set_length(bar.position());
            }
        }
    }

    fn waiting(&self, reason: Option<&str>) {
        if let Some(bar) = lock(&self.bar).as_ref() {
            bar.set_message(
                reason
                    .map(|r| format!("(waiting: {r})"))
                    .unwrap_or_default(),
            );
        }
    }

    fn done(&self) {
        if let Some(bar) = lock(&self.bar).take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for BarProgress {
    /// A run that ended early leaves no bar behind, under which its error would be hard to see.
    fn drop(&mut self) {
        self.done();
    }
}

/// A log line at every change of stage, and every [`LINE_EVERY`] in between.
pub(super) struct LineProgress {
    state: Arc<Mutex<Option<Stage>>>,
    /// Dropped first, which ends the thread.
    stop: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

impl LineProgress {
    pub(super) fn new() -> Self {
        let state: Arc<Mutex<Option<Stage>>> = Arc::default();
        let (stop, stopped) = channel();
        let watched = Arc::clone(&state);
        let ticker = std::thread::spawn(move || {
            while stopped.recv_timeout(LINE_EVERY) == Err(RecvTimeoutError::Timeout) {
                if let Some(stage) = lock(&watched).as_ref() {
                    stage.log("progress");
                }
            }
        });
        Self {
            state,
            stop: Some(stop),
            ticker: Some(ticker),
        }
    }
}

impl ProgressSink for LineProgress {
    fn begin(&self, check: &str, stage: &str, total: Option<u64>) {
        let stage = Stage {
            check: check.to_owned(),
            name: stage.to_owned(),
            total,
            done: 0,
            waiting: None,
            began: Instant::now(),
        };
        stage.log("begins");
        *lock(&self.state) = Some(stage);
    }

    fn advance(&self, count: u64) {
        if let Some(stage) = lock(&self.state).as_mut() {
            stage.done += count;
        }
    }

    fn waiting(&self, reason: Option<&str>) {
        if let Some(stage) = lock(&self.state).as_mut()
            && stage.waiting.as_deref() != reason
        {
            stage.waiting = reason.map(str::to_owned);
            if reason.is_some() {
                stage.log("waits");
            }
        }
    }

    fn done(&self) {
        if let Some(stage) = lock(&self.state).take() {
            stage.log("done");
        }
    }
}

impl Drop for LineProgress {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(ticker) = self.ticker.take() {
            // It can only have panicked while logging; there is nothing left to save.
            let _ = ticker.join();
        }
    }
}

const LINE_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(200);

struct Stage {
    check: String,
    name: String,
    total: Option<u64>,
    done: u64,
    waiting: Option<String>,
    began: Instant,
}

/// What a line says of the speed.
#[derive(Debug, PartialEq, Eq)]
struct Pace {
    per_second: u64,
    eta_seconds: Option<u64>,
}

impl Stage {
    fn log(&self, event: &str) {
        let pace = pace(self.done, self.total, self.began.elapsed());
        tracing::info!(
            check = self.check,
            stage = self.name,
            done = self.done,
            total = self.total,
            per_second = pace.per_second,
            eta_seconds = pace.eta_seconds,
            waiting = self.waiting.as_deref(),
            "{event}"
        );
    }
}

fn pace(done: u64, total: Option<u64>, elapsed: Duration) -> Pace {
    let millis = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let scale = |a: u64, b: u64, c: u64| {
        u64::try_from(u128::from(a) * u128::from(b) / u128::from(c.max(1))).unwrap_or(u64::MAX)
    };
    let per_second = scale(done, 1_000, millis);
    let left = total.and_then(|total| total.checked_sub(done));
    let eta_seconds = left
        .filter(|_| done > 0)
        .map(|left| scale(left, millis, done).div_ceil(1_000));
    Pace {
        per_second,
        eta_seconds,
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are written here")
}

/// A poisoned lock only means that somebody panicked while counting.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use indicatif::{ProgressDrawTarget, TermLike};

    /// A terminal that keeps everything it was ever shown.
    #[derive(Debug, Clone, Default)]
    struct Tape(Arc<Mutex<String>>);

    impl Tape {
        fn push(&self, text: &str) -> std::io::Result<()> {
            lock(&self.0).push_str(text);
            Ok(())
        }
    }

    impl TermLike for Tape {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _lines: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _lines: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _columns: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _columns: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.push(text)?;
            self.push("\n")
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.push(text)
        }
        fn clear_line(&self) -> std::io::Result<()> {
            self.push("<clear>")
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pace_is_never_divided_by_nothing() {
        let pace_of = |done, total, millis| pace(done, total, Duration::from_millis(millis));
        assert_eq!(
            pace_of(0, Some(10), 0),
            Pace {
                per_second: 0,
                eta_seconds: None
            }
        );
        assert_eq!(
            pace_of(500, Some(1_000), 2_000),
            Pace {
                per_second: 250,
                eta_seconds: Some(2)
            }
        );
        assert_eq!(
            pace_of(1_001, Some(1_000), 1_000),
            Pace {
                per_second: 1_001,
                eta_seconds: None
            }
        );
        assert_eq!(
            pace_of(5, None, 1_000),
            Pace {
                per_second: 5,
                eta_seconds: None
            }
        );
        assert_eq!(pace_of(u64::MAX, Some(u64::MAX), 1).eta_seconds, Some(0));
    }

    #[test]
    fn a_bar_shows_where_it_is_and_why_it_waits() {
        let tape = Tape::default();
        let target = ProgressDrawTarget::term_like(Box::new(tape.clone()));
        let bars = MultiProgress::with_draw_target(target);
        let progress = BarProgress::new(bars.clone());
        progress.begin("profile", "sweep", Some(1_000));
        progress.advance(1_200);
        progress.waiting(Some("Threads_running is 40"));
        // Drawn again after whatever is printed, so there is no need to wait for a tick.
        bars.suspend(|| tape.push("<log line>").unwrap());
        let text = lock(&tape.0).clone();
        let (before, after) = text.split_once("<log line>").unwrap();
        assert!(
            before.ends_with("<clear>"),
            "the bar is gone before the line: {before}"
        );
        assert!(after.contains("profile: sweep"), "{after}");
        assert!(after.contains("1,200/1,200"), "{after}");
        assert!(
            after.contains("(waiting: Threads_running is 40)"),
            "{after}"
        );
        progress.done();
        assert!(lock(&tape.0).ends_with("<clear>"));
    }

    #[test]
    fn lines_keep_count_and_end_with_their_owner() {
        let progress = LineProgress::new();
        progress.advance(1);
        progress.begin("profile", "sweep", None);
        progress.advance(2);
        progress.advance(3);
        progress.waiting(Some("the budget"));
        {
            let state = lock(&progress.state);
            let stage = state.as_ref().unwrap();
            assert_eq!(
                (stage.done, stage.waiting.as_deref()),
                (5, Some("the budget"))
            );
        }
        progress.waiting(None);
        assert_eq!(lock(&progress.state).as_ref().unwrap().waiting, None);
        progress.done();
        assert!(lock(&progress.state).is_none());
        drop(progress);
    }
}
