//! A stream, its group and its dead letters, as Redis keeps them; the auditor's scripts as their contracts say.

use std::collections::BTreeMap;

use auditor::model::stream::{
    ConsumerFacts, Entry, Pending, PendingRow, StreamFacts, StreamId, StreamState,
};
use auditor::store::redis::{Delivery, Held, Settlement};
use bytes::Bytes;

pub(super) type Fields = Vec<(Bytes, Bytes)>;

/// One process. A failover replaces it by an older copy of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    pub(super) stream: BTreeMap<StreamId, Fields>,
    pub(super) last: StreamId,
    pub(super) group: Option<Group>,
    pub(super) dead: Vec<Fields>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) cursor: StreamId,
    pub(super) pending: BTreeMap<StreamId, Message>,
    pub(super) consumers: BTreeMap<Vec<u8>, Seen>,
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) consumer: Vec<u8>,
    pub(super) delivered_at: i64,
    pub(super) deliveries: u64,
}

/// When a consumer last tried, and last succeeded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) tried_at: i64,
    pub(super) got_at: i64,
}

impl Server {
    /// XADD with `*`, by a clock that may stand behind.
    pub(super) fn add(&mut self, clock: i64, fields: Fields) -> StreamId {
        let by_clock = StreamId::new(u64::try_from(clock / 1_000).unwrap(), 0);
        let id = by_clock.max(self.last.next().unwrap());
        self.last = id;
        self.stream.insert(id, fields);
        id
    }

    /// XREADGROUP with `>`; `None` is NOGROUP.
    pub(super) fn read(
        &mut self,
        now: i64,
        consumer: &[u8],
        count: usize,
    ) -> Option<Vec<StreamId>> {
        let group = self.group.as_mut()?;
        let after = group.cursor.next().unwrap();
        let ids: Vec<_> = self
            .stream
            .range(after..)
            .take(count)
            .map(|e| *e.0)
            .collect();
        group.sees(now, consumer, !ids.is_empty());
        for id in &ids {
            group.cursor = *id;
            group.deliver(now, *id, consumer);
        }
        Some(ids)
    }

    /// XREADGROUP with `0`: the consumer's own pending list.
    pub(super) fn history(&mut self, now: i64, consumer: &[u8]) -> Vec<StreamId> {
        let Some(group) = self.group.as_mut() else {
            return Vec::new();
        };
        group.sees(now, consumer, true);
        let own = group
            .pending
            .iter_mut()
            .filter(|(_, m)| m.consumer == consumer);
        own.map(|(id, message)| {
            message.deliveries += 1;
            message.delivered_at = now;
            *id
        })
        .collect()
    }

    /// XCLAIM by the application.
    pub(super) fn claim(&mut self, now: i64, id: StreamId, consumer: &[u8]) {
        let Some(group) = self.group.as_mut() else {
            return;
        };
        group.sees(now, consumer, true);
        if !self.stream.contains_key(&id) {
            group.pending.remove(&id);
        } else if group.pending.contains_key(&id) {
            group.deliver(now, id, consumer);
        }
    }

    pub(super) fn ack(&mut self, id: StreamId) -> bool {
        let group = self.group.as_mut();
        group.is_some_and(|group| group.pending.remove(&id).is_some())
    }

    pub(super) fn entry(&self, id: StreamId) -> Option<Entry> {
        let fields = self.stream.get(&id)?.clone();
        Some(Entry { id, fields })
    }

    pub(super) fn cursor(&self) -> Option<StreamId> {
        self.group.as_ref().map(|group| group.cursor)
    }

    pub(super) fn pending(&self, now: i64, id: StreamId) -> Option<Pending> {
        let group = self.group.as_ref()?;
        let message = group.pending.get(&id)?;
        let millis = |at: i64| u64::try_from((now - at) / 1_000).unwrap();
        let owner = group.consumers.get(&message.consumer);
        Some(Pending {
            row: PendingRow {
                id,
                consumer: message.consumer.clone(),
                idle_millis: millis(message.delivered_at),
                deliveries: message.deliveries,
            },
            owner: owner.map(|seen| ConsumerFacts {
                name: message.consumer.clone(),
                pending: 1,
                idle_millis: millis(seen.tried_at),
                inactive_millis: Some(millis(seen.got_at)),
            }),
        })
    }

    pub(super) fn state(&self) -> StreamState {
        StreamState::Stream(StreamFacts {
            length: self.stream.len() as u64,
            last_generated: self.last,
            first: self.stream.keys().next().copied(),
            last: self.stream.keys().next_back().copied(),
            groups: Vec::new(),
        })
    }

    /// One script; whether it was applied.
    pub(super) fn settle(&mut self, now: i64, settlement: &Settlement) -> bool {
        match settlement {
            Settlement::StillHeld { id, delivery, .. } => self.is_as_judged(now, *id, delivery),
            Settlement::Ack {
                held, is_trimmed, ..
            } => {
                self.is_held(now, held)
                    && self.stream.contains_key(&held.id) != *is_trimmed
                    && self.ack(held.id)
            }
            Settlement::Claim { held, consumer, .. } => {
                let is_held = self.is_held(now, held) && held.consumer != *consumer;
                let group = self.group.as_mut().filter(|_| is_held);
                group.is_some_and(|group| {
                    group.sees(now, consumer, true);
                    let message = group.pending.get_mut(&held.id).unwrap();
                    message.consumer = consumer.clone();
                    message.delivered_at = now;
                    true
                })
            }
            Settlement::Requeue {
                id,
                delivery,
                fields,
                ..
            } => self.requeue(now, *id, delivery, fields),
            Settlement::DeadLetter { held, fields, .. } => {
                let is_same = self.stream.get(&held.id) == Some(fields);
                if !is_same || !self.is_held(now, held) {
                    return false;
                }
                self.dead.push(fields.clone());
                self.ack(held.id)
            }
            Settlement::RecreateGroup { at, .. } => {
                let is_missing = self.group.is_none();
                if is_missing {
                    self.group = Some(Group {
                        cursor: *at,
                        ..Group::default()
                    });
                }
                is_missing
            }
            Settlement::Advance { from, to, .. } => {
                let group = self
                    .group
                    .as_mut()
                    .filter(|g| g.cursor == *from && to > from);
                group.map(|group| group.cursor = *to).is_some()
            }
            Settlement::RaiseLastId { to, .. } => {
                let is_above = *to > self.last;
                self.last = self.last.max(*to);
                is_above
            }
        }
    }

    fn requeue(&mut self, now: i64, id: StreamId, delivery: &Delivery, fields: &Fields) -> bool {
        if !self.is_as_judged(now, id, delivery) || self.stream.get(&id) != Some(fields) {
            return false;
        }
        let mut fields = fields.clone();
        fields.retain(|(name, _)| name != "requeued_from");
        fields.push(("requeued_from".into(), id.to_string().into()));
        self.add(now, fields);
        self.stream.remove(&id);
        self.ack(id);
        true
    }

    fn is_as_judged(&self, now: i64, id: StreamId, delivery: &Delivery) -> bool {
        let Some(group) = &self.group else {
            return false;
        };
        let is_pending = group.pending.contains_key(&id);
        match delivery {
            Delivery::Pending(held) => self.is_held(now, held),
            Delivery::Settled => !is_pending && group.cursor >= id,
            Delivery::Undelivered => !is_pending && group.cursor < id,
        }
    }

    fn is_held(&self, now: i64, held: &Held) -> bool {
        let Some(pending) = self.pending(now, held.id) else {
            return false;
        };
        let is_owner_gone = held.owner_idle_min_millis.is_none_or(|min| {
            pending.owner.is_none_or(|owner| {
                owner.idle_millis >= min && owner.inactive_millis.is_none_or(|i| i >= min)
            })
        });
        pending.row.consumer == held.consumer
            && pending.row.deliveries == held.deliveries
            && pending.row.idle_millis >= held.idle_millis
            && is_owner_gone
    }
}

impl Group {
    fn sees(&mut self, now: i64, consumer: &[u8], has_got: bool) {
        let seen = self.consumers.entry(consumer.to_vec()).or_insert(Seen {
            tried_at: now,
            got_at: now,
        });
        seen.tried_at = now;
        if has_got {
            seen.got_at = now;
        }
    }

    fn deliver(&mut self, now: i64, id: StreamId, consumer: &[u8]) {
        let deliveries = self.pending.get(&id).map_or(0, |m| m.deliveries);
        let message = Message {
            consumer: consumer.to_vec(),
            delivered_at: now,
            deliveries: deliveries + 1,
        };
        self.pending.insert(id, message);
    }
}
