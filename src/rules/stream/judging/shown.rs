//! What a report shows of an entry: the text of mapped fields, whom it concerns, what it is worth.

use super::judge::StreamJudge;
use crate::model::rows::RowRef;
use crate::model::stream::{Entry, Identity};
use crate::model::value::Number;
use crate::model::value::number::difference;
use crate::rules::compare::{CacheToken, Comparison};

impl StreamJudge {
    /// The text of field `index` of `check.rows.fields` as the entry has it; `None` where it has none.
    pub fn shown_field(&self, index: usize, entry: &Entry) -> Option<Vec<u8>> {
        match self.token(index, entry) {
            CacheToken::Raw(bytes) => Some(bytes.to_vec()),
            CacheToken::Missing | CacheToken::Json(_) => None,
        }
    }

    /// The same as the row has it; `None` is SQL NULL.
    pub fn shown_cell(&self, index: usize, row: RowRef<'_>) -> Option<Vec<u8>> {
        row.cell(self.fields[index].cell).map(<[u8]>::to_vec)
    }

    /// What the entry says it is worth; `None` without `money`.
    pub fn shown_money(&self, entry: &Entry) -> Option<Vec<u8>> {
        self.shown_field(self.check().money?, entry)
    }

    /// What the row says it is worth; `None` without `money`.
    pub fn shown_row_money(&self, row: RowRef<'_>) -> Option<Vec<u8>> {
        self.shown_cell(self.check().money?, row)
    }

    /// Row − entry, exact decimal text; a missing row counts as 0. `None` without `money`, without the entry, and
    /// where either is no number.
    pub fn money_delta(&self, entry: Option<&Entry>, row: Option<RowRef<'_>>) -> Option<String> {
        let served = self.shown_money(entry?)?;
        let kept = match row {
            Some(row) => self.shown_row_money(row)?,
            None => b"0".to_vec(),
        };
        difference(&Number::parse(&kept)?, &Number::parse(&served)?)
    }

    /// The row, unless it is another customer's: one whose content differs, under an id that was given twice, or of
    /// another subject. Whose money it is must never be told from two customers at once.
    pub fn own_row<'a>(
        &self,
        entry: Option<&Entry>,
        row: Option<RowRef<'a>>,
    ) -> Option<RowRef<'a>> {
        let (Some(entry), Some(found)) = (entry, row) else {
            return row;
        };
        let differs = |index| self.compare(index, entry, found) != Comparison::Equal;
        let subject = self.mapping().rows.subject_cell;
        let is_anothers = match &self.check().identity {
            Identity::EntryId => (0..self.fields.len()).any(differs),
            Identity::Field(_) => (0..self.fields.len())
                .any(|index| Some(self.fields[index].cell) == subject && differs(index)),
        };
        row.filter(|_| !is_anothers)
    }

    /// Whom it concerns: the subject column of the row, else what the entry says for that column.
    pub fn compensated(&self, entry: Option<&Entry>, row: Option<RowRef<'_>>) -> Option<Vec<u8>> {
        let cell = self.mapping().rows.subject_cell?;
        if let Some(row) = row {
            return row.cell(cell).map(<[u8]>::to_vec);
        }
        let index = self.fields.iter().position(|field| field.cell == cell)?;
        self.shown_field(index, entry?)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::stream::{Identity, StreamCheck};
    use crate::rules::stream::StreamJudge;
    use crate::rules::stream::testing::*;

    #[test]
    fn money_is_what_the_row_has_less_what_the_entry_says() {
        let judge = judge_of(bids());
        let (entry, row) = (bid("10.50"), bid_row("12.00"));
        assert_eq!(
            judge
                .money_delta(Some(&entry), Some(row.as_ref()))
                .as_deref(),
            Some("1.5")
        );
        assert_eq!(
            judge.money_delta(Some(&entry), None).as_deref(),
            Some("-10.5")
        );
        assert_eq!(judge.money_delta(None, Some(row.as_ref())), None);
        assert_eq!(judge.money_delta(Some(&bid("x")), None), None);
        assert_eq!(judge.shown_money(&entry), Some(b"10.50".to_vec()));
        assert_eq!(judge.shown_row_money(row.as_ref()), Some(b"12.00".to_vec()));
        let worthless = judge_of(StreamCheck {
            money: None,
            ..bids()
        });
        assert_eq!(worthless.money_delta(Some(&entry), None), None);
    }

    #[test]
    fn an_entry_is_never_paired_with_another_customers_row() {
        let of_subject = |identity| {
            let judge = judge_of(StreamCheck { identity, ..bids() });
            let mut mapping = crate::model::stream::StreamMapping::clone(judge.mapping());
            std::sync::Arc::make_mut(&mut mapping.rows).subject_cell = Some(4);
            StreamJudge::new(std::sync::Arc::new(mapping))
        };
        let by_field = of_subject(Identity::Field(b"bidId".to_vec()));
        let by_id = of_subject(Identity::EntryId);
        let entry = bid("10.50");
        let row = |amount, bidder| crate::rules::testing::row("1", &[Some(amount), Some(bidder)]);
        for (amount, bidder, by_field_is, by_id_is) in [
            ("10.50", "7", true, true),
            ("12.00", "7", true, false),
            ("10.50", "8", false, false),
        ] {
            let row = row(amount, bidder);
            let is_own = |judge: &StreamJudge| judge.own_row(Some(&entry), Some(row.as_ref()));
            assert_eq!(
                is_own(&by_field).is_some(),
                by_field_is,
                "{amount} {bidder}"
            );
            assert_eq!(is_own(&by_id).is_some(), by_id_is, "{amount} {bidder}");
            assert!(by_id.own_row(None, Some(row.as_ref())).is_some());
        }
    }

    #[test]
    fn the_subject_comes_from_the_row_else_from_the_entry() {
        let judge = judge_of(bids());
        assert_eq!(
            judge.compensated(Some(&bid("1")), None),
            None,
            "no subject declared"
        );
        let mut mapping = crate::model::stream::StreamMapping::clone(judge.mapping());
        std::sync::Arc::make_mut(&mut mapping.rows).subject_cell = Some(4);
        let judge = StreamJudge::new(std::sync::Arc::new(mapping));
        let row = crate::rules::testing::row("1", &[Some("1"), Some("8")]);
        assert_eq!(
            judge.compensated(Some(&bid("1")), Some(row.as_ref())),
            Some(b"8".to_vec())
        );
        assert_eq!(
            judge.compensated(Some(&bid("1")), None),
            Some(b"7".to_vec())
        );
        assert_eq!(judge.compensated(None, None), None);
    }
}
