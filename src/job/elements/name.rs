//! Names of jobs and checks. They become folders and labels.

use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::model::check::Named;

pub(in crate::job) fn parse(text: &Text) -> Result<Named, Fault> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if text.value.is_empty() || !text.value.chars().all(is_plain) {
        return Err(text
            .fault(format!("{} is no name", text.shown()))
            .hint("use a-z, 0-9, `_` and `-` only: the name becomes a folder"));
    }
    Ok(text.named())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_safe_as_a_folder() {
        let is_name = |value: &str| {
            parse(&Text {
                value: value.to_owned(),
                span: 0..1,
                substituted: false,
            })
            .is_ok()
        };
        assert!(is_name("top-bid_2"));
        for wrong in ["", "a/b", "..", "A", "a b", "é"] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
