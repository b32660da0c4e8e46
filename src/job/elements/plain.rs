//! Names that Redis takes as they are: keys, groups, consumers, fields of entries.

use crate::job::fault::Fault;
use crate::job::reader::Text;

pub(in crate::job) fn parse(text: &Text) -> Result<Vec<u8>, Fault> {
    if text.value.is_empty() {
        return Err(text
            .fault("the name is empty")
            .hint("write the name as Redis knows it"));
    }
    Ok(text.value.clone().into_bytes())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn anything_but_nothing() {
        let text = |value: &str| Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        };
        assert_eq!(
            parse(&text("{bid-stream}:dead")).unwrap(),
            b"{bid-stream}:dead"
        );
        assert!(parse(&text("")).is_err());
    }
}
