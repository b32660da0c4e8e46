//! How far the work is, told to whoever shows it.

/// Takes what a run says about its progress. Every call returns at once; none can fail.
pub trait ProgressSink: Send + Sync {
    /// A stage of `check` begins (`sweep`, `confirm`, `repair`, …); `total` is an estimate.
    fn begin(&self, check: &str, stage: &str, total: Option<u64>);

    /// `count` more ids are done.
    fn advance(&self, count: u64);

    /// The work waits for `reason`, or with `None` goes on.
    fn waiting(&self, reason: Option<&str>);

    /// The stage that began last is done.
    fn done(&self);
}

/// Shows nothing: for callers that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl ProgressSink for Silent {
    fn begin(&self, _check: &str, _stage: &str, _total: Option<u64>) {}
    fn advance(&self, _count: u64) {}
    fn waiting(&self, _reason: Option<&str>) {}
    fn done(&self) {}
}
