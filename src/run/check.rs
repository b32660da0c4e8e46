//! What every worker of one check of a cache holds.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use super::ground::{Ground, Shared};
use super::sweep::first_page_rows;
use crate::job::Job;
use crate::model::mapping::Mapping;
use crate::model::node::NodeFacts;
use crate::model::template::Template;
use crate::plan::timing_of;
use crate::rules::{Judge, JudgeContext};
use crate::scan::Target;

/// One check of a run.
#[derive(Clone)]
pub(super) struct CheckRun {
    pub mapping: Arc<Mapping>,
    pub judge: Judge,
    pub ground: Ground,
    /// Some of what both sides agreed on, to be looked at again after a repair.
    pub clean: Arc<Mutex<Vec<Target>>>,
    /// Rows of the next page: fewer where values are large.
    pub page_rows: Arc<AtomicUsize>,
    /// Key templates of the job's other checks that say more about a key than this one's, and that of the auditor's own keys.
    pub siblings: Arc<[Template]>,
}

impl CheckRun {
    pub(super) fn name(&self) -> &str {
        &self.mapping.check.name.text
    }
}

/// The workers' things for every check of a run.
pub(super) fn check_runs(shared: &Shared<'_>, mappings: &[Arc<Mapping>]) -> Vec<CheckRun> {
    let (job, opened) = (shared.job, shared.opened);
    let context = judge_context(&opened.nodes);
    let margin = job.limits.commit_margin + opened.skew;
    mappings
        .iter()
        .map(|mapping| CheckRun {
            mapping: Arc::clone(mapping),
            judge: Judge::new(Arc::clone(mapping), context),
            ground: shared.ground(timing_of(&mapping.check, margin)),
            clean: Arc::default(),
            page_rows: Arc::new(AtomicUsize::new(first_page_rows())),
            siblings: siblings(job, mapping),
        })
        .collect()
}

/// Templates of other checks that say more about a key than this check's does. Heartbeat, evidence and state copy are no
/// check's.
fn siblings(job: &Job, mapping: &Mapping) -> Arc<[Template]> {
    let own = mapping.check.key.literal_bytes();
    let others = job.caches.iter().map(|check| &check.key);
    let others = others.filter(|template| template.literal_bytes() > own);
    let checkpoint = Template::parse(&format!("{}:{{name}}", job.checkpoint.prefix));
    others.cloned().chain(checkpoint.ok()).collect()
}

/// What judging depends on of the nodes. A policy that the ACL hides may evict anything.
pub(super) fn judge_context(nodes: &[NodeFacts]) -> JudgeContext {
    let mut policies = nodes.iter().map(|node| node.eviction_policy.as_deref());
    JudgeContext {
        evicts_unexpiring: policies
            .any(|policy| policy.is_none_or(|policy| policy.starts_with("allkeys"))),
    }
}
