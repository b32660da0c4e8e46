//! The other ways in which a Redis loses what customers were told is done, each played under load: the master is cut off,
//! moved by an operator, asleep, or restarted. Only the first three are failovers.

use chrono::{DateTime, Utc};

use super::LabError;
use super::app::Running;
use super::story::{Acts, EARNED, REQUESTS_LIMIT, SPENT, Stage};

/// What befalls the master while the application works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accident {
    /// SIGKILL while the replicas are behind, and a promotion.
    Crash,
    /// A partition that heals: the replicas and the Sentinels lose the master, the application does not. What it
    /// acknowledges from the cut until the Sentinels demote it, some 10 s after the partition has healed, is lost. Needs
    /// a cluster behind a proxy.
    Partition,
    /// `SENTINEL FAILOVER`, where the application asks for the master only when it has lost the old one.
    Switch,
    /// SIGSTOP until another master is found, SIGCONT then. Needs a cluster behind a proxy, whose application stays.
    Sleep,
    /// SIGKILL and an immediate start without any data, sooner than the Sentinels take it for dead.
    RestartEmpty,
    /// The same with the snapshot that was taken before the requests of `Acts::lost`.
    RestartFromSnapshot,
}

/// What happened, by clocks and counters that the auditor does not see.
#[derive(Debug, Clone, Copy)]
pub struct Mishap {
    /// No write acknowledged before this instant was lost; `None`: all of them were.
    pub since: Option<DateTime<Utc>>,
    /// No write acknowledged after this instant was lost: the old master, or the old process, was gone.
    pub until: DateTime<Utc>,
    /// Requests acknowledged to customers in between. Of some, whose row was written again, nothing is missing.
    pub acknowledged: u64,
}

impl Accident {
    /// Whether the cluster has to be started behind a proxy.
    pub fn needs_proxy(self) -> bool {
        matches!(self, Accident::Partition | Accident::Sleep)
    }

    /// Whether the process is another afterwards, at the same place, and no failover happens.
    pub fn is_restart(self) -> bool {
        matches!(self, Accident::RestartEmpty | Accident::RestartFromSnapshot)
    }
}

impl Stage {
    /// One accident under load. The application is still running when this returns; stop it for a quiet audit.
    pub async fn suffer(
        &mut self,
        accident: Accident,
        acts: Acts,
    ) -> Result<(Mishap, Running), LabError> {
        if accident == Accident::Crash {
            let (loss, running) = self.fail_over(acts).await?;
            let mishap = Mishap {
                since: Some(loss.since),
                until: loss.crashed_at,
                acknowledged: loss.acknowledged_lost,
            };
            return Ok((mishap, running));
        }
        let running = self.app.run(acts.load).await?;
        running.wait_for(acts.before, REQUESTS_LIMIT).await?;
        // Taken before the fence, which holds only for what was written before it.
        let since = Utc::now();
        self.cluster.fence().await?;
        let before = running.tally().acknowledged;
        let until = match accident {
            Accident::Crash | Accident::Partition => self.partition(&running, acts).await?,
            Accident::Switch => self.switch(&running, acts).await?,
            Accident::Sleep => self.sleep(&running, acts).await?,
            Accident::RestartEmpty | Accident::RestartFromSnapshot => {
                self.restart(accident, &running, acts).await?
            }
        };
        let acknowledged = running.tally().acknowledged - before;
        if accident != Accident::Switch {
            self.guests_change_points(-SPENT).await?;
        }
        running.wait_for(acts.after, REQUESTS_LIMIT).await?;
        let mishap = Mishap {
            since: (accident != Accident::RestartEmpty).then_some(since),
            until,
            acknowledged,
        };
        Ok((mishap, running))
    }

    async fn partition(
        &mut self,
        running: &Running,
        acts: Acts,
    ) -> Result<DateTime<Utc>, LabError> {
        self.cluster.cut_off_master()?;
        self.guests_change_points(EARNED).await?;
        running.wait_for(acts.lost, REQUESTS_LIMIT).await?;
        self.cluster.wait_for_new_master().await?;
        self.cluster.heal()?;
        self.live_on(running, acts).await
    }

    /// Nothing is lost before the promotion: until then everything is replicated.
    async fn switch(&mut self, running: &Running, acts: Acts) -> Result<DateTime<Utc>, LabError> {
        self.cluster.ask_for_failover().await?;
        self.cluster.wait_for_new_master().await?;
        self.live_on(running, acts).await
    }

    async fn sleep(&mut self, running: &Running, acts: Acts) -> Result<DateTime<Utc>, LabError> {
        self.cluster.put_master_to_sleep().await?;
        self.cluster.wait_for_new_master().await?;
        self.cluster.wake_former_master()?;
        self.guests_change_points(EARNED).await?;
        self.live_on(running, acts).await
    }

    async fn restart(
        &mut self,
        accident: Accident,
        running: &Running,
        acts: Acts,
    ) -> Result<DateTime<Utc>, LabError> {
        if accident == Accident::RestartFromSnapshot {
            self.cluster.save_snapshot().await?;
        }
        self.guests_change_points(EARNED).await?;
        running.wait_for(acts.lost, REQUESTS_LIMIT).await?;
        self.cluster.restart_master().await?;
        // A little late: nothing tells when exactly the old process acknowledged its last write.
        Ok(Utc::now())
    }

    /// The former master acknowledges `acts.lost` more requests and whatever else it can before it is demoted.
    async fn live_on(&self, running: &Running, acts: Acts) -> Result<DateTime<Utc>, LabError> {
        running.wait_for(acts.lost, REQUESTS_LIMIT).await?;
        self.cluster.tell_application();
        self.cluster.wait_for_demotion().await?;
        Ok(Utc::now())
    }
}
