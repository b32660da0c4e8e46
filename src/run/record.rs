//! What `run.json` says of a run.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::asked::Mode;
use super::ground::Stores;
use super::ledger::{CheckLedger, Ledger};
use super::marks::Marks;
use super::open::Opened;
use super::reading::Reading;
use super::request::ScanRequest;
use super::sink::Sink;
use super::task::Task;
use super::topology::{Looked, Nodes};
use super::topology_record::{finding_record, inventory_record};
use super::window::Window;
use crate::job::Job;
use crate::model::mapping::Mapping;
use crate::model::node::NodeFacts;
use crate::model::time::Micros;
use crate::report::{
    CheckRecord, ControlRecord, RedisRecord, RuleCount, RunRecord, SourceRecord, Timing,
    ToleranceRecord, TopologyRecord,
};
use crate::store::mysql::ServerFacts;

/// What is known when a run ends.
pub(super) struct Closing<'a> {
    pub job: &'a Job,
    pub request: &'a ScanRequest,
    pub mode: Mode,
    /// `scan`, `repair` or `run`.
    pub command: &'static str,
    pub window: Option<Window>,
    pub opened: &'a Opened,
    /// The stores as they were in the end.
    pub stores: Stores,
    pub started: (Micros, Instant),
    pub mappings: &'a [Arc<Mapping>],
    /// The run that was gone on with.
    pub resumes: Option<Uuid>,
    /// The run whose findings were judged again.
    pub from_run: Option<Uuid>,
    /// What the nodes showed at the start; `None` where one key was asked for.
    pub nodes: Option<Task<Looked>>,
    /// `None`: it writes nothing, and leaves everything to the next run.
    pub marks: Option<Marks>,
}

pub(super) async fn record_of(
    closing: &Closing<'_>,
    ledger: &Ledger,
    sink: &Sink,
    run_id: Uuid,
    undo_records: u64,
    nodes: Option<&Nodes>,
) -> RunRecord {
    let verdict = ledger.verdict(sink.unresolved());
    let read_remarks: Vec<String> = closing.stores.reading.remarks().collect();
    let after = TopologyRecord {
        redis: closing
            .stores
            .cache
            .facts()
            .await
            .ok()
            .as_ref()
            .map(|node| redis_record(node, Micros::now())),
        source: closing
            .stores
            .source
            .facts()
            .await
            .ok()
            .as_ref()
            .map(|facts| source_record(facts, Micros::now())),
        inventory: nodes.map(|nodes| inventory_record(&nodes.after.topology)),
        ..read_to_the_end(&closing.stores.reading)
    };
    let checks = closing
        .mappings
        .iter()
        .filter_map(|m| {
            let entry = ledger.checks.get(&m.check.name.text)?;
            Some(check_record(closing.job, m, entry, sink))
        })
        .collect();
    let findings = nodes.iter().flat_map(|nodes| &nodes.findings);
    RunRecord {
        auditor_run: RunRecord::FORMAT,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id,
        job: closing.job.name.clone(),
        job_path: closing.job.path.clone(),
        config_hash: closing.job.config_hash.clone(),
        command: closing.command.to_owned(),
        arguments: closing.request.arguments.clone(),
        is_dry_run: closing.mode == Mode::DryRun,
        shard: closing.request.shard,
        resumes: closing.resumes,
        from_run: closing.from_run,
        started_at: closing.started.0,
        finished_at: Micros::now(),
        is_full: matches!(closing.request.scope, super::request::Scope::Full(_)),
        window: closing.window.as_ref().map(Window::record),
        topology_before: TopologyRecord {
            redis: closing
                .opened
                .nodes
                .first()
                .map(|node| redis_record(node, closing.opened.nodes_seen_at)),
            source: Some(source_record(
                &closing.opened.source,
                closing.opened.source_seen_at,
            )),
            inventory: nodes.map(|nodes| inventory_record(&nodes.before.topology)),
            ..read_by_sweeps(&closing.opened.stores.reading)
        },
        topology_after: after,
        topology_findings: findings.map(finding_record).collect(),
        checks,
        timings: vec![Timing {
            stage: "run".to_owned(),
            took: closing.started.1.elapsed(),
        }],
        limits_hit: ledger.limits_hit.clone(),
        remarks: [&ledger.partial[..], &ledger.remarks, &read_remarks].concat(),
        undo_records,
        verdict,
        exit_code: verdict.exit_code(),
    }
}

/// The replicas that sweeps read at first, as they were found fit.
fn read_by_sweeps(reading: &Reading) -> TopologyRecord {
    let redis = reading.replica.as_ref().map(|replica| {
        let (facts, found_at) = replica.found();
        redis_record(facts, found_at)
    });
    let source = reading.source_facts.as_ref();
    TopologyRecord {
        sweep_redis: redis,
        sweep_source: source.map(|(facts, seen_at)| source_record(facts, *seen_at)),
        ..TopologyRecord::default()
    }
}

/// Those that sweeps read to the end.
fn read_to_the_end(reading: &Reading) -> TopologyRecord {
    let mut record = read_by_sweeps(reading);
    record.sweep_redis = record.sweep_redis.filter(|_| reading.given_up().is_none());
    record
}

/// What this run found of a check, and what those found that it went on from.
fn findings_of(check: &str, sink: &Sink) -> Vec<RuleCount> {
    let of_check = sink.totals().iter().filter(|(kind, _)| kind.check == check);
    let own = of_check.map(|(kind, total)| RuleCount {
        rule: kind.rule.to_string(),
        severity: kind.severity.name().to_owned(),
        verdict: kind.verdict.name().to_owned(),
        count: total.count,
        repaired: total.repaired,
    });
    let mut counts: Vec<RuleCount> = own.collect();
    for before in sink.found_before(check) {
        let kind = |c: &RuleCount| (c.rule.clone(), c.severity.clone(), c.verdict.clone());
        match counts.iter_mut().find(|count| kind(count) == kind(before)) {
            Some(count) => {
                count.count += before.count;
                count.repaired += before.repaired;
            }
            None => counts.push(before.clone()),
        }
    }
    counts
}

fn check_record(job: &Job, mapping: &Mapping, entry: &CheckLedger, sink: &Sink) -> CheckRecord {
    let check = &mapping.check;
    let findings = findings_of(&check.name.text, sink);
    let tolerances = check
        .fields
        .iter()
        .filter(|f| f.tolerance.is_some() || f.scale.is_some())
        .map(|f| ToleranceRecord {
            field: f.cache.to_string(),
            tolerance: f.tolerance.as_ref().map(ToString::to_string),
            scale: f.scale,
        })
        .collect();
    CheckRecord {
        name: check.name.text.clone(),
        coverage: entry.coverage,
        not_searched: entry.not_searched.clone(),
        findings,
        control: entry.control.map(|control| ControlRecord {
            sampled: control.pairs,
            mismatched: control.mismatched,
            allowed: job.limits.max_control_mismatch,
            is_refused: entry.is_control_refused,
        }),
        tolerances,
        slices: 0,
        slices_restarted: u64::from(entry.restarts),
        took: entry.took,
    }
}

/// `seen_at`: this host's clock when the node said so.
pub(super) fn redis_record(node: &NodeFacts, seen_at: Micros) -> RedisRecord {
    RedisRecord {
        address: node.address.clone(),
        server: node.server.clone(),
        version: node.version.clone(),
        run_id: node.identity.run_id.clone(),
        role: if node.identity.is_master {
            "master"
        } else {
            "replica"
        }
        .to_owned(),
        replication_id: node.identity.replication_id.clone(),
        replication_id2: node.replication_id2.clone(),
        offset: node.offset,
        second_offset: node.second_offset,
        replicas_online: node.replicas_online.len() as u64,
        eviction_policy: node.eviction_policy.clone(),
        clock_ahead_us: Some(node.time.0 - seen_at.0),
    }
}

fn source_record(facts: &ServerFacts, seen_at: Micros) -> SourceRecord {
    SourceRecord {
        identity: facts.identity.name.clone(),
        version: facts.version.clone(),
        is_mariadb: facts.is_mariadb,
        is_read_only: facts.identity.read_only,
        clock_ahead_us: Some(facts.now.0 - seen_at.0),
    }
}
