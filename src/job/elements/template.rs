//! Key and member templates.

use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::model::template::Template;

pub(in crate::job) fn parse(text: &Text) -> Result<Template, Fault> {
    Template::parse(&text.value).map_err(|e| {
        text.fault(e.to_string())
            .hint("write source columns in braces: \"user:{id}:profile\"; `{{` is a literal brace")
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn later_forms_are_refused() {
        let text = |value: &str| Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        };
        assert_eq!(parse(&text("user:{id}")).unwrap().text(), "user:{id}");
        for later in ["{id:uuid}", "{id:%08d}", "{at:%Y%m%d}", "{id%1000}"] {
            assert!(
                parse(&text(later))
                    .unwrap_err()
                    .message
                    .contains("not supported yet"),
                "{later}"
            );
        }
    }
}
