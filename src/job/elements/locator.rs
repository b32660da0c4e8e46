//! Where in a cached value a field lies.

use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::model::check::{Locator, ValueKind};

/// For a JSON value a pointer (RFC 6901), for a hash the name of a field; other kinds have no parts.
pub(in crate::job) fn parse(text: &Text, value: ValueKind) -> Result<Locator, Fault> {
    match value {
        ValueKind::Json => pointer(text),
        ValueKind::Hash if text.value.is_empty() => Err(text
            .fault("the hash field has no name")
            .hint("write the field's name")),
        ValueKind::Hash => Ok(Locator::HashField(text.value.clone().into_bytes())),
        ValueKind::String
        | ValueKind::Integer
        | ValueKind::Decimal
        | ValueKind::Zset
        | ValueKind::Set => Err(text
            .fault("only a json or hash value has parts to name")
            .hint("take `cache` out: the whole value stands for the column")),
    }
}

/// Whether one of the two lies inside the other, so that writing one would write the other.
pub(in crate::job) fn overlap(a: &Locator, b: &Locator) -> bool {
    match (a, b) {
        (Locator::Pointer(a), Locator::Pointer(b)) => a.starts_with(b) || b.starts_with(a),
        _ => a == b,
    }
}

fn pointer(text: &Text) -> Result<Locator, Fault> {
    let Some(rest) = text.value.strip_prefix('/') else {
        let hint = if text.value.is_empty() {
            "name a member, such as \"/name\": the document as a whole has no column".to_owned()
        } else if text.substituted {
            "it begins with a slash".to_owned()
        } else {
            format!(
                "write \"/{}\"",
                text.value.trim_start_matches("$.").replace('.', "/")
            )
        };
        return Err(text
            .fault(format!("{} is no JSON pointer", text.shown()))
            .hint(hint));
    };
    rest.split('/')
        .map(unescaped)
        .collect::<Option<Vec<_>>>()
        .map(Locator::Pointer)
        .ok_or_else(|| {
            text.fault(format!("{} is no JSON pointer", text.shown()))
                .hint("`~0` stands for `~` and `~1` for `/`; no other `~` may occur")
        })
}

fn unescaped(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut characters = token.chars();
    while let Some(c) = characters.next() {
        match c {
            '~' => match characters.next()? {
                '0' => out.push('~'),
                '1' => out.push('/'),
                _ => return None,
            },
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn json(value: &str) -> Result<Locator, Fault> {
        parse(
            &Text {
                value: value.to_owned(),
                span: 0..1,
                substituted: false,
            },
            ValueKind::Json,
        )
    }

    fn tokens(tokens: &[&str]) -> Locator {
        Locator::Pointer(tokens.iter().map(|t| (*t).to_owned()).collect())
    }

    #[test]
    fn pointers_as_in_rfc_6901() {
        assert_eq!(json("/a/b").unwrap(), tokens(&["a", "b"]));
        assert_eq!(
            json("/a~1b/m~0n/~01/").unwrap(),
            tokens(&["a/b", "m~n", "~1", ""])
        );
        assert_eq!(json("/a~1b/m~0n").unwrap().to_string(), "/a~1b/m~0n");
        for wrong in ["", "name", "/a~", "/a~2"] {
            assert!(json(wrong).is_err(), "{wrong}");
        }
        assert_eq!(json("$.a.b").unwrap_err().hint.unwrap(), "write \"/a/b\"");
    }

    #[test]
    fn a_parent_overlaps_its_child_but_not_its_namesake() {
        assert!(overlap(&tokens(&["a"]), &tokens(&["a", "b"])));
        assert!(!overlap(&tokens(&["a"]), &tokens(&["ab"])));
        assert!(overlap(
            &Locator::HashField(b"x".to_vec()),
            &Locator::HashField(b"x".to_vec())
        ));
    }
}
