//! The beginning of the keys that are the auditor's own.

use crate::job::fault::Fault;
use crate::job::reader::Text;

const EXAMPLE: &str = "write one that no other keys begin with, such as \"auditor:auction\"";

pub(in crate::job) fn parse(text: &Text) -> Result<String, Fault> {
    if text.value.is_empty() {
        return Err(text.fault("the prefix is empty").hint(EXAMPLE));
    }
    // Braces would decide the slot in a Cluster, where every master needs keys of its own.
    if text.value.contains(['{', '}']) {
        return Err(text
            .fault(format!("{} has a brace in it", text.shown()))
            .hint("leave the hash tag out: in a Cluster one is added for each master"));
    }
    Ok(text.value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_something_without_a_hash_tag() {
        let is_prefix = |value: &str| {
            parse(&Text {
                value: value.to_owned(),
                span: 0..1,
                substituted: false,
            })
            .is_ok()
        };
        assert!(is_prefix("auditor:auction"));
        for wrong in ["", "{a}:auction", "a{", "a}"] {
            assert!(!is_prefix(wrong), "{wrong}");
        }
    }
}
