//! The program's own parts, one step at a time, over a world's job.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auditor::job::{self, Endpoint, Job, RedisSpec};
use auditor::lab::wait;
use auditor::model::finding::OutcomeKind;
use auditor::model::identity::{Pinned, SourceIdentity};
use auditor::model::mapping::Mapping;
use auditor::model::observation::{Look, Position};
use auditor::plan::{SourceSchema, bind, timing_of};
use auditor::repair::{Applier, ApplyLimits, Repairable, StepOutcome};
use auditor::report::RunFolder;
use auditor::rules::{Decision, Judge, JudgeContext, decide};
use auditor::scan::{Target, look, page, target_of};
use auditor::store::mysql::{KeyRange, Mysql, Selection};
use auditor::store::redis::{PerNode, Redis, Writer};
use uuid::Uuid;

use crate::support::{DATABASE, World};

pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// One check of a job, with everything that looks at it.
pub(super) struct Hands {
    pub(super) job: Job,
    pub(super) mapping: Arc<Mapping>,
    pub(super) judge: Judge,
    pub(super) source: Mysql,
    pub(super) source_identity: SourceIdentity,
    pub(super) cache: Redis,
    pub(super) pinned: Pinned,
    output: PathBuf,
}

impl Hands {
    /// The first check of `checks`.
    pub(super) async fn of(world: &World, checks: &str) -> Self {
        let path = world.job(checks);
        let (mysql, redis) = (world.mysql.url(DATABASE), world.redis.url());
        let job = job::load(&path, &|name| match name {
            "MYSQL_URL" => Some(mysql.clone()),
            "REDIS_URL" => Some(redis.clone()),
            _ => None,
        });
        let job = job.map_err(|faults| faults.to_string()).unwrap();
        let source = Mysql::connect(&job.mysql, 4).await.unwrap();
        let cache = Redis::connect(&job.redis, LIMIT).await.unwrap();
        let check = Arc::clone(&job.caches[0]);
        let table = match &check.source {
            auditor::model::check::Source::Table { table, .. } => table.text.clone(),
            auditor::model::check::Source::Sql { .. } => panic!("these tests use tables"),
        };
        let schema = source.table_schema(&table).await.unwrap().unwrap();
        let bound = bind(&check, &SourceSchema::Table(schema)).unwrap();
        Self {
            mapping: Arc::clone(&bound.mapping),
            judge: Judge::new(bound.mapping, JudgeContext::default()),
            source_identity: source.facts().await.unwrap().identity,
            pinned: Pinned::of(&cache.facts_of_all().await.unwrap()),
            source,
            cache,
            job,
            output: world.folder.path().join("output"),
        }
    }

    /// What the sweep would lead to: every row's key.
    pub(super) async fn targets(&self) -> Vec<Target> {
        let paired = page(
            &self.source,
            &self.cache,
            &self.mapping,
            &KeyRange::default(),
            Selection::All,
            &auditor::scan::Portion::default(),
            1_000,
        )
        .await
        .unwrap();
        let rows = paired.rows.iter();
        rows.filter_map(|row| target_of(&self.mapping, row, Position::default()))
            .collect()
    }

    pub(super) async fn look(&self, target: &Target) -> Look {
        let looks = look(&self.source, &self.cache, &self.mapping, &[target]).await;
        looks.unwrap().remove(0)
    }

    pub(super) fn decide(&self, looks: &[Look]) -> Decision {
        let timing = timing_of(&self.mapping.check, self.job.limits.commit_margin);
        decide(&self.judge, looks, &self.source_identity, timing)
    }

    /// Every row's key to which the rules object now, as if it had just been confirmed.
    pub(super) async fn confirmed(&self) -> Vec<Repairable> {
        let mut items = Vec::new();
        for target in self.targets().await {
            let look = self.look(&target).await;
            let row = look.row.as_ref().map(|row| row.as_ref());
            let suspects = self.judge.suspects(row, &look.after);
            if !suspects.is_empty() {
                items.push(Repairable {
                    target,
                    look,
                    suspects,
                });
            }
        }
        items
    }

    /// The one who writes, through the Redis at `port`: the server's own, or a proxy's.
    pub(super) async fn applier(&self, port: u16, min_replicas: u32) -> (Applier, Journal) {
        let spec = RedisSpec {
            endpoint: Endpoint::Tcp {
                host: "127.0.0.1".into(),
                port,
            },
            ..self.job.redis.clone()
        };
        let folder = RunFolder::open(&self.output, &self.job.name, Uuid::now_v7()).unwrap();
        let writer = Writer::connect(&spec, &self.pinned).await.unwrap();
        let lease = self.source.take_lease("races").await.unwrap().unwrap();
        let limits = ApplyLimits {
            is_multi_primary: false,
            min_replicas: PerNode::all(min_replicas),
            max_repairs: 1_000,
            max_invalidations_per_second: self.job.limits.max_invalidations_per_second,
        };
        let applier = Applier::new(
            self.source.clone(),
            self.cache.clone(),
            spec,
            self.pinned.clone(),
            writer,
            folder.journal(&self.job.config_hash),
            lease,
            limits,
        );
        (applier, Journal(folder.path().join("undo.jsonl")))
    }

    pub(super) async fn apply(
        &self,
        applier: &mut Applier,
        items: &[Repairable],
    ) -> Vec<StepOutcome> {
        applier.apply(&self.mapping, &self.judge, items).await
    }
}

/// The file in which the one who writes says first what it is about to do.
pub(super) struct Journal(PathBuf);

impl Journal {
    /// The last look has been taken, and the write is next.
    pub(super) async fn is_written(&self) {
        wait::until("the journal has a record", LIMIT, async || {
            std::fs::read_to_string(&self.0).is_ok_and(|text| text.lines().count() >= 2)
        })
        .await
        .unwrap();
    }
}

pub(super) fn kinds(outcomes: &[StepOutcome]) -> Vec<OutcomeKind> {
    outcomes.iter().map(|outcome| outcome.kind).collect()
}

/// A client of this Redis waits: its write is held back by `CLIENT PAUSE`.
pub(super) async fn is_held_back(world: &World) {
    wait::until("a write is held back", LIMIT, async || {
        let blocked = world.redis.info("blocked_clients").await;
        blocked.is_ok_and(|count| count.is_some_and(|count| count != "0"))
    })
    .await
    .unwrap();
}
