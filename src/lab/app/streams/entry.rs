//! What an entry carries, and what a reader gets.

use std::collections::BTreeMap;

/// The type of an entry that saves a bid.
pub const SAVE: &str = "BID_SAVE";
/// The type of an entry that leaves no row.
pub const VIEW: &str = "AUCTION_VIEW";

/// One bid as a customer placed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bid {
    pub bid_id: String,
    pub auction: u64,
    pub bidder: u64,
    pub amount: i64,
    /// When it was placed, in milliseconds.
    pub at_ms: i64,
}

/// One entry as a consumer got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    /// `None`: of another type, not readable, or trimmed away since it was delivered.
    pub bid: Option<Bid>,
}

/// Entries as Redis answers them: an id, and names and values by turns; nil where the entry is gone.
pub(super) type RawEntries = Vec<(String, Option<Vec<String>>)>;

impl Bid {
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("type", SAVE.to_owned()),
            ("bidId", self.bid_id.clone()),
            ("auctionId", self.auction.to_string()),
            ("bidderId", self.bidder.to_string()),
            ("amount", self.amount.to_string()),
            ("at", self.at_ms.to_string()),
        ]
    }

    fn parse(words: &[String]) -> Option<Self> {
        let fields: BTreeMap<&str, &str> = words
            .chunks_exact(2)
            .map(|pair| (pair[0].as_str(), pair[1].as_str()))
            .collect();
        if fields.get("type") != Some(&SAVE) {
            return None;
        }
        Some(Self {
            bid_id: (*fields.get("bidId")?).to_owned(),
            auction: fields.get("auctionId")?.parse().ok()?,
            bidder: fields.get("bidderId")?.parse().ok()?,
            amount: fields.get("amount")?.parse().ok()?,
            at_ms: fields.get("at")?.parse().ok()?,
        })
    }
}

pub(super) fn messages(raw: RawEntries) -> Vec<Message> {
    raw.into_iter()
        .map(|(id, words)| Message {
            id,
            bid: words.as_deref().and_then(Bid::parse),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Bid, Message, VIEW, messages};

    #[test]
    fn only_a_whole_bid_is_a_bid() {
        let bid = Bid {
            bid_id: "b".into(),
            auction: 1,
            bidder: 2,
            amount: -3,
            at_ms: 4,
        };
        let words = |fields: Vec<(&'static str, String)>| -> Vec<String> {
            fields
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect()
        };
        let mut without_id = bid.fields();
        without_id.remove(1);
        let view = vec!["type".to_owned(), VIEW.to_owned()];
        let raw = vec![
            ("1-0".to_owned(), Some(words(bid.fields()))),
            ("2-0".to_owned(), Some(words(without_id))),
            ("3-0".to_owned(), Some(view)),
            ("4-0".to_owned(), None),
        ];
        let read: Vec<Option<Bid>> = messages(raw)
            .into_iter()
            .map(|Message { bid, .. }| bid)
            .collect();
        assert_eq!(read, [Some(bid), None, None, None]);
    }
}
