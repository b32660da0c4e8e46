//! Slots that go from one shard to another.

use super::cluster::RedisCluster;
use super::node::Node;
use crate::lab::LabError;
use crate::model::slots::Slot;

/// Keys of one MIGRATE.
const MIGRATED_AT_ONCE: usize = 100;

/// A slot on its way from one shard to another.
#[derive(Debug)]
pub struct MovingSlot {
    number: String,
    /// Ports of the two masters.
    from: u16,
    to: u16,
}

impl RedisCluster {
    /// Moves a slot with its keys to another shard, from beginning to end.
    pub async fn move_slot(&self, slot: Slot, to: usize) -> Result<(), LabError> {
        let moving = self.begin_move(slot, to).await?;
        while self.move_keys(&moving, MIGRATED_AT_ONCE).await? > 0 {}
        self.end_move(moving).await
    }

    /// From now on the slot is on its way: its keys stay where they are, new ones begin at the other shard.
    pub async fn begin_move(&self, slot: Slot, to: usize) -> Result<MovingSlot, LabError> {
        let number = slot.number().to_string();
        let target = self.node(to, "master").await?;
        let source = self.owner(slot).await?;
        target
            .run(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &source.id])
            .await?;
        source
            .run(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &target.id])
            .await?;
        Ok(MovingSlot {
            number,
            from: source.server.port(),
            to: target.server.port(),
        })
    }

    /// Moves up to `count` keys of the slot; how many there were.
    pub async fn move_keys(&self, moving: &MovingSlot, count: usize) -> Result<usize, LabError> {
        let mut connection = self.connect(moving.from).await?;
        let keys: Vec<Vec<u8>> = redis::cmd("CLUSTER")
            .arg("GETKEYSINSLOT")
            .arg(&moving.number)
            .arg(count)
            .query_async(&mut connection)
            .await
            .map_err(LabError::redis("list the keys of a slot"))?;
        if keys.is_empty() {
            return Ok(0);
        }
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(moving.to).arg("").arg(0);
        migrate.arg(10_000).arg("KEYS").arg(&keys);
        migrate
            .query_async::<redis::Value>(&mut connection)
            .await
            .map_err(LabError::redis("migrate keys"))?;
        Ok(keys.len())
    }

    /// From now on the slot is the other shard's, and every node is told so.
    pub async fn end_move(&self, moving: MovingSlot) -> Result<(), LabError> {
        let target = self.by_port(moving.to).id.clone();
        let first = [moving.to, moving.from];
        let rest = self.nodes.iter().filter(|node| node.is_alive);
        let rest = rest
            .map(|node| node.server.port())
            .filter(|port| !first.contains(port));
        for port in first.into_iter().chain(rest) {
            let node = self.by_port(port);
            let role = node.server.info("role").await?;
            if role.as_deref() == Some("master") {
                node.run(&["CLUSTER", "SETSLOT", &moving.number, "NODE", &target])
                    .await?;
            }
        }
        Ok(())
    }

    /// The master that owns the slot by its own word.
    async fn owner(&self, slot: Slot) -> Result<&Node, LabError> {
        for shard in 0..self.options.masters {
            let node = self.node(shard, "master").await?;
            let text = node.text(&["CLUSTER", "NODES"]).await?;
            let own = text.lines().find(|line| line.contains("myself"));
            let ranges = own.unwrap_or_default().split(' ').skip(8);
            let has = |range: &str| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (first, last) = (first.parse::<u16>(), last.parse::<u16>());
                matches!((first, last), (Ok(a), Ok(b)) if (a..=b).contains(&slot.number()))
            };
            if ranges.filter(|range| !range.starts_with('[')).any(has) {
                return Ok(node);
            }
        }
        Err(LabError::Unfit(format!(
            "nobody owns slot {}",
            slot.number()
        )))
    }
}
