//! A document as a tree, for comparing by value and for rewriting.

use std::borrow::Cow;

use super::lexer::{JsonFault, Lexer};
use super::text::unescaped;
use super::{DEPTH_MAX, JsonKind, JsonToken};
use crate::model::value::number::Number;

/// A value with what it holds, in the order of the document.
#[derive(Debug, Clone)]
pub enum Tree<'a> {
    Scalar(JsonToken<'a>),
    Array {
        raw: &'a [u8],
        elements: Vec<Tree<'a>>,
    },
    Object {
        raw: &'a [u8],
        members: Vec<Member<'a>>,
    },
}

#[derive(Debug, Clone)]
pub struct Member<'a> {
    pub name: Cow<'a, [u8]>,
    /// With its quotes and escapes.
    pub raw_name: &'a [u8],
    pub value: Tree<'a>,
}

impl<'a> Tree<'a> {
    /// As it lies in the document.
    pub fn raw(&self) -> &'a [u8] {
        match self {
            Tree::Scalar(token) => token.raw,
            Tree::Array { raw, .. } | Tree::Object { raw, .. } => raw,
        }
    }
}

/// Parses a whole document; a member that occurs twice in one object is a fault anywhere.
pub fn parse_tree(text: &[u8]) -> Result<Tree<'_>, JsonFault> {
    let mut lexer = Lexer::new(text)?;
    let tree = value(&mut lexer, 0)?;
    lexer.finish()?;
    Ok(tree)
}

/// Equality by value: numbers exactly, text with its escapes decoded, members in any order.
pub fn same_value(left: &Tree<'_>, right: &Tree<'_>) -> bool {
    match (left, right) {
        (Tree::Scalar(left), Tree::Scalar(right)) => same_scalar(*left, *right),
        (
            Tree::Array { elements: left, .. },
            Tree::Array {
                elements: right, ..
            },
        ) => left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same_value(l, r)),
        (Tree::Object { members: left, .. }, Tree::Object { members: right, .. }) => {
            if left.len() != right.len() {
                return false;
            }
            let (left, right) = (by_name(left), by_name(right));
            left.iter()
                .zip(&right)
                .all(|(l, r)| l.name == r.name && same_value(&l.value, &r.value))
        }
        _ => false,
    }
}

fn same_scalar(left: JsonToken<'_>, right: JsonToken<'_>) -> bool {
    match (left.kind, right.kind) {
        (JsonKind::Number, JsonKind::Number) => {
            left.raw == right.raw
                || match (Number::parse(left.raw), Number::parse(right.raw)) {
                    (Some(left), Some(right)) => left.compare(&right).is_eq(),
                    _ => false,
                }
        }
        (JsonKind::String { .. }, JsonKind::String { .. }) => {
            unescaped(left.raw) == unescaped(right.raw)
        }
        (left_kind, right_kind) => left_kind == right_kind && left.raw == right.raw,
    }
}

fn by_name<'m, 'a>(members: &'m [Member<'a>]) -> Vec<&'m Member<'a>> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    sorted
}

fn value<'a>(lexer: &mut Lexer<'a>, depth: usize) -> Result<Tree<'a>, JsonFault> {
    let first = lexer.peek()?;
    let start = lexer.at;
    if !matches!(first, b'{' | b'[') {
        return lexer.scalar().map(Tree::Scalar);
    }
    if depth >= DEPTH_MAX {
        return Err(JsonFault::TooDeep);
    }
    lexer.at += 1;
    if first == b'[' {
        let mut elements = Vec::new();
        let mut goes_on = !lexer.take(b']')?;
        while goes_on {
            elements.push(value(lexer, depth + 1)?);
            goes_on = lexer.goes_on(b']')?;
        }
        return Ok(Tree::Array {
            raw: &lexer.text[start..lexer.at],
            elements,
        });
    }
    let mut members = Vec::new();
    let mut goes_on = !lexer.take(b'}')?;
    while goes_on {
        lexer.skip_space();
        let raw_name = lexer.string()?.raw;
        lexer.expect(b':')?;
        members.push(Member {
            name: unescaped(raw_name),
            raw_name,
            value: value(lexer, depth + 1)?,
        });
        goes_on = lexer.goes_on(b'}')?;
    }
    let sorted = by_name(&members);
    if sorted.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err(JsonFault::Duplicate(start));
    }
    Ok(Tree::Object {
        raw: &lexer.text[start..lexer.at],
        members,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::quoted;
    use super::*;
    use proptest::prelude::*;

    fn same(left: &str, right: &str) -> bool {
        same_value(
            &parse_tree(left.as_bytes()).unwrap(),
            &parse_tree(right.as_bytes()).unwrap(),
        )
    }

    #[test]
    fn compares_by_value() {
        assert!(same(
            r#"{"a":1,"b":[1.10,"x"]}"#,
            r#" {"b" : [1.1,"\u0078"],"a":1e0} "#
        ));
        assert!(!same("[1,2]", "[2,1]"));
        assert!(!same("18446744073709551616", "18446744073709551617"));
        assert!(!same("1", "\"1\""));
        assert!(!same(r#"{"a":null}"#, "{}"));
        assert!(!same("true", "false"));
        assert!(same("-0", "0.0"));
        assert_eq!(
            parse_tree(br#"{"a":{"b":1,"\u0062":2}}"#).unwrap_err(),
            JsonFault::Duplicate(5)
        );
    }

    proptest! {
        #[test]
        fn text_survives_quoting(text: String) {
            let quoted = quoted(text.as_bytes()).unwrap();
            let tree = parse_tree(&quoted).unwrap();
            prop_assert_eq!(&*unescaped(tree.raw()), text.as_bytes());
        }

        #[test]
        fn agrees_with_another_parser(text in "[\\[\\]{}:,\"a-c0-2.eE+tfnull\\\\ -]{0,24}") {
            let ours = parse_tree(text.as_bytes());
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            if !matches!(ours, Err(JsonFault::Duplicate(_))) {
                prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
            }
        }
    }
}
