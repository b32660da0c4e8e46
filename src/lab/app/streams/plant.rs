//! How each case comes about: by the steps of a consumer that stops halfway.

use std::collections::BTreeSet;

use super::app::{StreamApp, unfit};
use super::cases::{GONE, LIVE, Planted, StreamCase};
use super::consumer::{Consumer, KillAt};
use super::entry::{Bid, Message, SAVE};
use super::layout::Layout;
use super::producer::Producer;
use crate::lab::LabError;
use crate::lab::servers::RedisServer;

/// More than a job's default limit.
const POISON_DELIVERIES: &str = "11";
const DAY_MS: i64 = 86_400_000;

/// Everyone who has a part in a case.
struct Cast<'a> {
    app: &'a StreamApp,
    redis: &'a RedisServer,
    layout: Layout,
    producer: Producer,
    gone: Consumer,
    live: Consumer,
}

type Expected = Vec<(&'static str, String)>;
/// The entry's id, the bid, and what objects to it.
type Plot = (String, Option<Bid>, Expected);

impl StreamApp {
    /// Plants one case on `redis`, the present master. What was added before must have been read, except by
    /// the cases that are planted last. Every case of a world has a `seed` of its own.
    pub async fn plant(
        &self,
        redis: &RedisServer,
        layout: Layout,
        case: StreamCase,
        seed: u64,
    ) -> Result<Planted, LabError> {
        let mut cast = Cast {
            app: self,
            redis,
            layout,
            producer: self.producer(seed),
            gone: self.consumer(layout, GONE),
            live: self.consumer(layout, LIVE),
        };
        let (id, bid, expected) = cast.play(case).await?;
        Ok(Planted {
            case,
            layout,
            id,
            bid,
            expected: expected.into_iter().collect::<BTreeSet<_>>(),
        })
    }
}

impl Cast<'_> {
    async fn play(&mut self, case: StreamCase) -> Result<Plot, LabError> {
        use StreamCase::*;
        match case {
            Settled => self.killed(None, &[]).await,
            UnackedPersisted => {
                self.killed(Some(KillAt::AfterInsert), &["unacked-persisted"])
                    .await
            }
            OrphanPending => {
                self.killed(Some(KillAt::BeforeInsert), &["orphan-pending"])
                    .await
            }
            OrphanWithoutEffect => {
                self.killed(Some(KillAt::AfterRow), &["orphan-pending"])
                    .await
            }
            ForeignPending => self.foreign().await,
            UnackedOfLive => self.held_by_live(true, &["unacked-persisted"]).await,
            HeldByLive => self.held_by_live(false, &[]).await,
            UnackedRefused => self.refused().await,
            PoisonPending => self.poison().await,
            TrimmedPending => self.trimmed(Some(KillAt::BeforeInsert)).await,
            TrimmedPersisted => self.trimmed(Some(KillAt::AfterInsert)).await,
            TrimmedOfLive => {
                let (id, bid, expected) = self.held_by_live(false, &[]).await?;
                self.delete(&id).await?;
                Ok((id, bid, expected))
            }
            LostEntry => self.trimmed(None).await,
            PayloadConflict => self.conflict(true).await,
            ConflictPending => self.conflict(false).await,
            AckedUnpersisted => {
                let (message, bid) = self.delivered().await?;
                self.gone.acknowledge(&message).await.map_err(unfit)?;
                Ok(plot(&message, bid, &["acked-unpersisted"]))
            }
            DeadLettered => self.dead_lettered().await,
            DuplicateEntry => self.added_twice().await,
            DuplicateTuple => self.named_twice().await,
            Undecodable => self.undecodable().await,
            LostId | FutureId => self.unknown_id(case == FutureId).await,
            GroupRewound => self.unread().await,
            GroupMissing => self.group_lost().await,
        }
    }

    /// Added, and given to [`GONE`].
    async fn delivered(&mut self) -> Result<(Message, Bid), LabError> {
        let bid = self.producer.draw();
        let message = self.deliver(&bid, false).await?;
        Ok((message, bid))
    }

    async fn deliver(&mut self, bid: &Bid, to_live: bool) -> Result<Message, LabError> {
        let id = self.producer.add(self.layout, bid).await.map_err(unfit)?;
        let consumer = if to_live {
            &mut self.live
        } else {
            &mut self.gone
        };
        only(consumer.read(1).await.map_err(unfit)?, &id)
    }

    async fn killed(
        &mut self,
        kill: Option<KillAt>,
        rules: &[&'static str],
    ) -> Result<Plot, LabError> {
        let (message, bid) = self.delivered().await?;
        self.settle(&message, &bid, kill).await?;
        Ok(plot(&message, bid, rules))
    }

    /// As [`Consumer::process`] does, but whatever the price is: a case must not turn into a refusal.
    async fn settle(
        &mut self,
        message: &Message,
        bid: &Bid,
        kill: Option<KillAt>,
    ) -> Result<(), LabError> {
        if kill == Some(KillAt::BeforeInsert) {
            return Ok(());
        }
        self.gone.write_row(&message.id, bid).await.map_err(unfit)?;
        if kill == Some(KillAt::AfterRow) {
            return Ok(());
        }
        self.gone
            .persist_effect(&message.id, bid)
            .await
            .map_err(unfit)?;
        if kill == Some(KillAt::AfterInsert) {
            return Ok(());
        }
        self.gone
            .acknowledge(message)
            .await
            .map(drop)
            .map_err(unfit)
    }

    async fn foreign(&mut self) -> Result<Plot, LabError> {
        let id = self.producer.add_view(self.layout).await.map_err(unfit)?;
        let message = only(self.gone.read(1).await.map_err(unfit)?, &id)?;
        Ok((message.id, None, Vec::new()))
    }

    async fn held_by_live(
        &mut self,
        is_persisted: bool,
        rules: &[&'static str],
    ) -> Result<Plot, LabError> {
        let bid = self.producer.draw();
        let message = self.deliver(&bid, true).await?;
        if is_persisted {
            self.settle(&message, &bid, Some(KillAt::AfterInsert))
                .await?;
        }
        Ok(plot(&message, bid, rules))
    }

    /// A usual bid sets the price; the low one after it leaves no row.
    async fn refused(&mut self) -> Result<Plot, LabError> {
        let (message, bid) = self.delivered().await?;
        self.settle(&message, &bid, None).await?;
        let low = Bid {
            auction: bid.auction,
            ..self.producer.draw_low()
        };
        let message = self.deliver(&low, false).await?;
        self.gone
            .process(&message, Some(KillAt::AfterInsert))
            .await
            .map_err(unfit)?;
        Ok(plot(&message, low, &["unacked-persisted"]))
    }

    async fn poison(&mut self) -> Result<Plot, LabError> {
        let (message, bid) = self.delivered().await?;
        let (stream, group) = (self.layout.stream(), self.layout.group());
        let words = ["XCLAIM", stream, group, GONE, "0", &message.id];
        let words = words.into_iter().chain(["RETRYCOUNT", POISON_DELIVERIES]);
        self.redis.command(&words.collect::<Vec<_>>()).await?;
        Ok(plot(&message, bid, &["poison-pending"]))
    }

    async fn trimmed(&mut self, kill: Option<KillAt>) -> Result<Plot, LabError> {
        let (message, bid) = self.delivered().await?;
        self.settle(&message, &bid, kill).await?;
        self.delete(&message.id).await?;
        let mut expected = Vec::new();
        if kill.is_some() {
            expected.push(("trimmed-pending", message.id.clone()));
        }
        if kill != Some(KillAt::BeforeInsert) {
            expected.push(("lost-entry", self.identity(&message.id, &bid)));
        }
        Ok((message.id, Some(bid), expected))
    }

    async fn conflict(&mut self, is_acknowledged: bool) -> Result<Plot, LabError> {
        let (message, bid) = self.delivered().await?;
        let other = Bid {
            amount: bid.amount + 5_000_000,
            ..bid.clone()
        };
        let kill = (!is_acknowledged).then_some(KillAt::AfterInsert);
        self.settle(&message, &other, kill).await?;
        Ok(plot(&message, bid, &["payload-conflict"]))
    }

    async fn dead_lettered(&mut self) -> Result<Plot, LabError> {
        let (message, bid) = self.delivered().await?;
        self.gone.acknowledge(&message).await.map_err(unfit)?;
        let fields = bid.fields();
        let mut words = vec!["XADD", self.layout.dead_letter(), "*"];
        words.extend(
            fields
                .iter()
                .flat_map(|(name, value)| [*name, value.as_str()]),
        );
        words.extend(["original_id", &message.id]);
        self.redis.command(&words).await?;
        Ok(plot(&message, bid, &[]))
    }

    async fn added_twice(&mut self) -> Result<Plot, LabError> {
        let (first, bid) = self.delivered().await?;
        self.settle(&first, &bid, None).await?;
        let second = self.deliver(&bid, false).await?;
        self.settle(&second, &bid, None).await?;
        Ok(plot(&second, bid, &["duplicate-entry"]))
    }

    async fn named_twice(&mut self) -> Result<Plot, LabError> {
        let (first, bid) = self.delivered().await?;
        self.settle(&first, &bid, None).await?;
        let again = Bid {
            auction: bid.auction,
            bidder: bid.bidder,
            amount: bid.amount,
            ..self.producer.draw()
        };
        let second = self.deliver(&again, false).await?;
        self.settle(&second, &again, None).await?;
        let identities = [
            self.identity(&first.id, &bid),
            self.identity(&second.id, &again),
        ];
        // Of rows the first is the one that the table has first.
        let last_row = identities.into_iter().max().unwrap_or_default();
        let expected = vec![
            ("duplicate-entry", second.id.clone()),
            ("duplicate-row", last_row),
        ];
        Ok((second.id, Some(again), expected))
    }

    async fn undecodable(&mut self) -> Result<Plot, LabError> {
        let fields = [("type", SAVE.to_owned()), ("amount", "7".to_owned())];
        let id = self
            .producer
            .add_fields(self.layout, &fields)
            .await
            .map_err(unfit)?;
        let message = only(self.gone.read(1).await.map_err(unfit)?, &id)?;
        self.gone.acknowledge(&message).await.map_err(unfit)?;
        Ok((message.id, None, vec![("undecodable-value", id)]))
    }

    /// A row under an id that the stream has not come to: the next milliseconds, or tomorrow.
    async fn unknown_id(&mut self, is_tomorrow: bool) -> Result<Plot, LabError> {
        let (message, bid) = self.delivered().await?;
        self.settle(&message, &bid, None).await?;
        let other = self.producer.draw();
        let id = if is_tomorrow {
            format!("{}-0", other.at_ms + DAY_MS)
        } else {
            let (millis, _) = message.id.split_once('-').unwrap_or((&message.id, ""));
            format!("{millis}-7")
        };
        self.gone.write_row(&id, &other).await.map_err(unfit)?;
        Ok((id.clone(), Some(other), vec![("lost-entry", id)]))
    }

    async fn unread(&mut self) -> Result<Plot, LabError> {
        let bid = self.producer.draw();
        let id = self.producer.add(self.layout, &bid).await.map_err(unfit)?;
        self.gone.write_row(&id, &bid).await.map_err(unfit)?;
        self.gone.persist_effect(&id, &bid).await.map_err(unfit)?;
        Ok((id.clone(), Some(bid), vec![("group-rewound", id)]))
    }

    async fn group_lost(&mut self) -> Result<Plot, LabError> {
        let (message, bid) = self.delivered().await?;
        self.settle(&message, &bid, None).await?;
        let unread = self.producer.draw();
        self.producer
            .add(self.layout, &unread)
            .await
            .map_err(unfit)?;
        let (stream, group) = (self.layout.stream(), self.layout.group());
        self.redis
            .command(&["XGROUP", "DESTROY", stream, group])
            .await?;
        Ok(plot(&message, bid, &["group-missing"]))
    }

    async fn delete(&self, id: &str) -> Result<(), LabError> {
        self.app.delete(self.redis, self.layout, id).await
    }

    fn identity(&self, id: &str, bid: &Bid) -> String {
        match self.layout.is_by_entry_id() {
            true => id.to_owned(),
            false => bid.bid_id.clone(),
        }
    }
}

/// Rules that object to the entry itself.
fn plot(message: &Message, bid: Bid, rules: &[&'static str]) -> Plot {
    let expected = rules.iter().map(|rule| (*rule, message.id.clone()));
    (message.id.clone(), Some(bid), expected.collect())
}

/// The one message that was just added.
fn only(messages: Vec<Message>, id: &str) -> Result<Message, LabError> {
    let is_it = messages.len() == 1 && messages[0].id == id;
    let first = messages.into_iter().next().filter(|_| is_it);
    first.ok_or_else(|| {
        LabError::Unfit(format!(
            "entry {id} was not the next one that the group had not read"
        ))
    })
}
