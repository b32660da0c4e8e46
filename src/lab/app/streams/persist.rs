//! What a consumer writes to MySQL. Every step may be done again: what is there already was its own work.

use chrono::DateTime;
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, MySql};

use super::super::clerk::AppError;
use super::consumer::Consumer;
use super::entry::{Bid, Message};
use super::layout::Layout;
use super::log::StreamAct;

impl Consumer {
    /// The bid's row; or, where the layout refuses bids at or below the price, the mark of its refusal.
    pub async fn persist_row(&mut self, id: &str, bid: &Bid) -> Result<(), AppError> {
        let identity = identity(self.layout, id, bid).to_owned();
        if self.layout.has_effects() && !self.is_known(&identity).await? {
            if self.is_refused(&identity).await? {
                return Ok(());
            }
            let price = self.price(bid.auction).await?;
            if price.is_some_and(|price| bid.amount <= price) {
                return self.refuse(id, bid, price.unwrap_or_default()).await;
            }
        }
        self.write_row(id, bid).await
    }

    /// The bid's row, whatever the price is. A row of this name that is there already stays as it is.
    pub async fn write_row(&mut self, id: &str, bid: &Bid) -> Result<(), AppError> {
        let query = sqlx::query(AssertSqlSafe(insert_statement(self.layout)))
            .bind(identity(self.layout, id, bid).to_owned())
            .bind(bid.auction)
            .bind(bid.bidder)
            .bind(bid.amount)
            .bind(placed_at(bid));
        self.insert(StreamAct::Insert, id, bid, query).await
    }

    /// The second row, where the layout has one and the bid was not refused.
    pub async fn persist_effect(&mut self, id: &str, bid: &Bid) -> Result<(), AppError> {
        if !self.layout.has_effects() || !self.is_known(&bid.bid_id).await? {
            return Ok(());
        }
        let query =
            sqlx::query("INSERT INTO bid_effect (bid_id, auction_id, amount) VALUES (?, ?, ?)")
                .bind(bid.bid_id.clone())
                .bind(bid.auction)
                .bind(bid.amount);
        self.insert(StreamAct::Effect, id, bid, query).await
    }

    /// Refuses the bid as if the price were `price`.
    pub async fn refuse(&mut self, id: &str, bid: &Bid, price: i64) -> Result<(), AppError> {
        let query = sqlx::query("INSERT INTO bid_rejected (bid_id, price) VALUES (?, ?)")
            .bind(bid.bid_id.clone())
            .bind(price);
        self.insert(StreamAct::Reject, id, bid, query).await
    }

    /// A row that is there already is as good as inserted.
    async fn insert(
        &mut self,
        act: StreamAct,
        id: &str,
        bid: &Bid,
        query: Query<'_, MySql, MySqlArguments>,
    ) -> Result<(), AppError> {
        let result = query.execute(self.database().await?).await;
        let is_there = match &result {
            Ok(_) => true,
            Err(sqlx::Error::Database(refusal)) => refusal.is_unique_violation(),
            Err(_) => false,
        };
        let message = Message {
            id: id.to_owned(),
            bid: Some(bid.clone()),
        };
        self.note(act, &message, is_there);
        if is_there {
            return Ok(());
        }
        self.database = None;
        Ok(result.map(drop)?)
    }

    async fn is_known(&mut self, identity: &str) -> Result<bool, AppError> {
        self.exists("SELECT 1 FROM bid WHERE bid_id = ?", identity)
            .await
    }

    async fn is_refused(&mut self, identity: &str) -> Result<bool, AppError> {
        self.exists("SELECT 1 FROM bid_rejected WHERE bid_id = ?", identity)
            .await
    }

    async fn exists(&mut self, select: &'static str, identity: &str) -> Result<bool, AppError> {
        let query = sqlx::query(select).bind(identity.to_owned());
        let row = query.fetch_optional(self.database().await?).await;
        if row.is_err() {
            self.database = None;
        }
        Ok(row?.is_some())
    }

    async fn price(&mut self, auction: u64) -> Result<Option<i64>, AppError> {
        let query =
            sqlx::query_scalar("SELECT MAX(amount) FROM bid WHERE auction_id = ?").bind(auction);
        let price = query.fetch_one(self.database().await?).await;
        if price.is_err() {
            self.database = None;
        }
        Ok(price?)
    }
}

/// What names the bid in its table.
fn identity<'a>(layout: Layout, id: &'a str, bid: &'a Bid) -> &'a str {
    match layout {
        Layout::ByEntryId => id,
        Layout::ByBidId | Layout::LateGroup => &bid.bid_id,
    }
}

fn insert_statement(layout: Layout) -> String {
    let (table, identity) = (layout.table(), layout.identity_column());
    let at = match layout {
        Layout::ByEntryId => "placed_at",
        Layout::ByBidId | Layout::LateGroup => "created_at",
    };
    format!(
        "INSERT INTO {table} ({identity}, auction_id, bidder_id, amount, {at}) VALUES (?, ?, ?, ?, ?)"
    )
}

fn placed_at(bid: &Bid) -> chrono::NaiveDateTime {
    DateTime::from_timestamp_millis(bid.at_ms)
        .unwrap_or_default()
        .naive_utc()
}
