//! What a rule has to say of a node.

use crate::model::finding::{Direction, Suspect};
use crate::rules::catalog::Rule;

/// One rule's objection to one node of the job's Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyObjection {
    /// `detail` says it in whole sentences.
    pub suspect: Suspect,
    /// host:port of the node it is about.
    pub address: String,
    /// Where a setting is what is objected to.
    pub setting: Option<SettingAdvice>,
}

/// A setting of a node, as it is and as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingAdvice {
    /// As CONFIG names it.
    pub name: &'static str,
    pub value: String,
    pub advised: String,
}

impl TopologyObjection {
    /// An objection of `rule` to the node at `address`.
    pub(in crate::rules) fn new(rule: &Rule, address: &str, detail: impl Into<String>) -> Self {
        Self {
            suspect: rule.suspect_saying(Direction::Undirected, detail),
            address: address.to_owned(),
            setting: None,
        }
    }
}
