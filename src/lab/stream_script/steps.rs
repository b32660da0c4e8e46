//! The single steps of a script, each of which must succeed.

use std::collections::BTreeSet;

use super::{READER, StreamScript};
use crate::lab::LabError;
use crate::lab::app::streams::{Bid, Layout, Message, unfit};

impl StreamScript {
    /// Read, inserted and acknowledged, all of which is lost but the row.
    pub(super) async fn take(
        &mut self,
        layout: Layout,
        id: &str,
        bid: &Bid,
    ) -> Result<(), LabError> {
        let message = self.read_one(layout, READER, id).await?;
        self.write(layout, READER, id, bid).await?;
        let mut reader = self.app.consumer(layout, READER);
        reader.acknowledge(&message).await.map_err(unfit)?;
        self.facts.lost.reads += 1;
        self.facts.lost.acknowledgements += 1;
        Ok(())
    }

    pub(super) async fn add(&mut self, layout: Layout) -> Result<(String, Bid), LabError> {
        let bid = self.producer.draw();
        let id = self.producer.add(layout, &bid).await.map_err(unfit)?;
        Ok((id, bid))
    }

    /// As many new bids as there are of everything, given to `consumer`.
    pub(super) async fn deliver(
        &mut self,
        layout: Layout,
        consumer: &str,
    ) -> Result<Vec<(Message, Bid)>, LabError> {
        let mut delivered = Vec::new();
        for _ in 0..self.count {
            let (id, bid) = self.add(layout).await?;
            delivered.push((self.read_one(layout, consumer, &id).await?, bid));
        }
        Ok(delivered)
    }

    pub(super) async fn read_one(
        &self,
        layout: Layout,
        consumer: &str,
        id: &str,
    ) -> Result<Message, LabError> {
        let mut consumer = self.app.consumer(layout, consumer);
        let read = consumer.read(1).await.map_err(unfit)?;
        let message = read.into_iter().find(|message| message.id == id);
        message
            .ok_or_else(|| LabError::Unfit(format!("entry {id} was not the next one to be read")))
    }

    pub(super) async fn finish(
        &self,
        layout: Layout,
        consumer: &str,
        message: &Message,
    ) -> Result<(), LabError> {
        if let Some(bid) = &message.bid {
            self.write(layout, consumer, &message.id, bid).await?;
        }
        let mut consumer = self.app.consumer(layout, consumer);
        consumer.acknowledge(message).await.map(drop).map_err(unfit)
    }

    pub(super) async fn write(
        &self,
        layout: Layout,
        consumer: &str,
        id: &str,
        bid: &Bid,
    ) -> Result<(), LabError> {
        let mut consumer = self.app.consumer(layout, consumer);
        consumer.write_row(id, bid).await.map_err(unfit)?;
        consumer.persist_effect(id, bid).await.map_err(unfit)
    }

    pub(super) fn expect(&mut self, layout: Layout, rule: &'static str, id: &str) {
        self.facts.expected.insert((layout, rule, id.to_owned()));
    }

    pub(super) fn expect_all(
        &mut self,
        layout: Layout,
        expected: BTreeSet<(&'static str, String)>,
    ) {
        let named = expected.into_iter().map(|(rule, id)| (layout, rule, id));
        self.facts.expected.extend(named);
    }
}
