//! One producer: puts bids, and entries of the other type, into the streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::Utc;
use rand::Rng;
use rand::rngs::SmallRng;

use super::super::cache::Cache;
use super::super::clerk::AppError;
use super::entry::{Bid, VIEW};
use super::layout::Layout;
use super::log::{StreamAct, StreamEvent, StreamLog};

/// Lower bids than this are only drawn on purpose, to be refused.
const AMOUNT_MIN: i64 = 1_000_000;
/// Auctions and bidders are drawn from so many.
const AUCTIONS: u64 = 40;
const BIDDERS: u64 = 500;

pub struct Producer {
    cache: Cache,
    log: StreamLog,
    random: SmallRng,
    /// Of all producers: no two bids have the same amount.
    drawn: Arc<AtomicU64>,
}

impl Producer {
    pub(super) fn new(
        cache: Cache,
        log: StreamLog,
        random: SmallRng,
        drawn: Arc<AtomicU64>,
    ) -> Self {
        Self {
            cache,
            log,
            random,
            drawn,
        }
    }

    /// A bid of somebody, higher than all before.
    pub fn draw(&mut self) -> Bid {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let amount = AMOUNT_MIN + i64::try_from(number).unwrap_or(i64::MAX - AMOUNT_MIN);
        self.draw_with(amount)
    }

    /// A bid that is refused wherever somebody has placed a usual one.
    pub fn draw_low(&mut self) -> Bid {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        self.draw_with(i64::try_from(number).unwrap_or_default() % AMOUNT_MIN)
    }

    /// Adds the bid; gives the entry's id. From now on the customer has been told.
    pub async fn add(&mut self, layout: Layout, bid: &Bid) -> Result<String, AppError> {
        self.add_as(layout, "*", bid).await
    }

    /// The same under an id of the application's own making.
    pub async fn add_as(
        &mut self,
        layout: Layout,
        id: &str,
        bid: &Bid,
    ) -> Result<String, AppError> {
        self.send(layout, id, &bid.bid_id, &bid.fields()).await
    }

    /// An entry that leaves no row.
    pub async fn add_view(&mut self, layout: Layout) -> Result<String, AppError> {
        let fields = [
            ("type", VIEW.to_owned()),
            (
                "auctionId",
                self.random.random_range(1..=AUCTIONS).to_string(),
            ),
        ];
        self.send(layout, "*", "", &fields).await
    }

    /// An entry with these fields, whatever they are.
    pub async fn add_fields(
        &mut self,
        layout: Layout,
        fields: &[(&'static str, String)],
    ) -> Result<String, AppError> {
        self.send(layout, "*", "", fields).await
    }

    /// The next entry goes to whoever is the master then, over a new connection.
    pub fn hang_up(&mut self) {
        self.cache.hang_up();
    }

    pub(super) fn random(&mut self) -> &mut SmallRng {
        &mut self.random
    }

    async fn send(
        &mut self,
        layout: Layout,
        id: &str,
        bid_id: &str,
        fields: &[(&'static str, String)],
    ) -> Result<String, AppError> {
        let mut command = redis::cmd("XADD");
        command.arg(layout.stream()).arg(id);
        for (name, value) in fields {
            command.arg(*name).arg(value);
        }
        let answer: Result<String, _> = self.cache.run(&command).await;
        self.log.note(StreamEvent {
            layout,
            act: StreamAct::Add,
            actor: "producer".to_owned(),
            id: answer.as_ref().cloned().unwrap_or_default(),
            bid_id: bid_id.to_owned(),
            is_acknowledged: answer.is_ok(),
            port: self.cache.port(),
            at: Utc::now(),
        });
        Ok(answer?)
    }

    fn draw_with(&mut self, amount: i64) -> Bid {
        let number: u128 = self.random.random();
        Bid {
            bid_id: uuid::Uuid::from_u128(number).to_string(),
            auction: self.random.random_range(1..=AUCTIONS),
            bidder: self.random.random_range(1..=BIDDERS),
            amount,
            at_ms: Utc::now().timestamp_millis(),
        }
    }
}
