//! What names an entry's effect.

use super::plain;
use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::model::stream::Identity;

const ENTRY_ID: &str = "$id";

pub(in crate::job) fn parse(text: &Text) -> Result<Identity, Fault> {
    if text.value == ENTRY_ID {
        return Ok(Identity::EntryId);
    }
    if text.value.starts_with('$') {
        return Err(text
            .fault(format!("{} is no identity", text.shown()))
            .hint("write \"$id\" for the entry's own id, or the name of a field"));
    }
    plain::parse(text).map(Identity::Field)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_field_or_the_id() {
        let text = |value: &str| Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        };
        assert_eq!(parse(&text("$id")).unwrap(), Identity::EntryId);
        assert_eq!(parse(&text("id")).unwrap(), Identity::Field(b"id".to_vec()));
        for wrong in ["", "$ID", "$", "$bid"] {
            assert!(parse(&text(wrong)).is_err(), "{wrong}");
        }
    }
}
