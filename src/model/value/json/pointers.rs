//! A set of pointers, found in one walk over the document.

use super::lexer::{JsonFault, Lexer};
use super::text::unescaped;
use super::{DEPTH_MAX, JsonKind, JsonToken};

/// Pointers as a tree of their reference tokens.
#[derive(Debug, Clone)]
pub struct Pointers {
    nodes: Vec<Node>,
    count: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Which of the pointers end here.
    slots: Vec<usize>,
    children: Vec<Child>,
}

#[derive(Debug, Clone)]
struct Child {
    name: Vec<u8>,
    /// The name as an array index, where it is one.
    index: Option<usize>,
    node: usize,
}

impl Pointers {
    /// Compiles RFC 6901 pointers given as decoded reference tokens.
    pub fn compile<'p>(pointers: impl IntoIterator<Item = &'p [String]>) -> Self {
        let mut compiled = Self {
            nodes: vec![Node::default()],
            count: 0,
        };
        for pointer in pointers {
            let mut at = 0;
            for token in pointer {
                at = compiled.child(at, token);
            }
            compiled.nodes[at].slots.push(compiled.count);
            compiled.count += 1;
        }
        compiled
    }

    /// How many pointers there are, and slots a walk needs.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Walks the whole of `text` once, puts what each pointer finds into its slot and leaves the others
    /// as they are. Errors where any part is not JSON, or a member on the way to a pointer occurs twice.
    pub fn find<'a>(
        &self,
        text: &'a [u8],
        slots: &mut [Option<JsonToken<'a>>],
    ) -> Result<(), JsonFault> {
        let mut walk = Walk {
            nodes: &self.nodes,
            lexer: Lexer::new(text)?,
            slots,
        };
        walk.value(Some(0), 0)?;
        walk.lexer.finish()
    }

    fn child(&mut self, parent: usize, token: &str) -> usize {
        let known = self.nodes[parent]
            .children
            .iter()
            .find(|c| c.name == token.as_bytes());
        if let Some(child) = known {
            return child.node;
        }
        let node = self.nodes.len();
        self.nodes.push(Node::default());
        self.nodes[parent].children.push(Child {
            name: token.as_bytes().to_vec(),
            index: array_index(token),
            node,
        });
        node
    }
}

/// RFC 6901: digits without a leading zero.
pub(super) fn array_index(token: &str) -> Option<usize> {
    let is_index = token == "0" || !token.starts_with(['0', '+']);
    if is_index { token.parse().ok() } else { None }
}

struct Walk<'p, 'a, 's> {
    nodes: &'p [Node],
    lexer: Lexer<'a>,
    slots: &'s mut [Option<JsonToken<'a>>],
}

impl<'p> Walk<'p, '_, '_> {
    fn value(&mut self, node: Option<usize>, depth: usize) -> Result<(), JsonFault> {
        let first = self.lexer.peek()?;
        let start = self.lexer.at;
        let token = match first {
            b'{' | b'[' => {
                if depth >= DEPTH_MAX {
                    return Err(JsonFault::TooDeep);
                }
                self.lexer.at += 1;
                let kind = if first == b'{' {
                    self.object(node, depth + 1)?;
                    JsonKind::Object
                } else {
                    self.array(node, depth + 1)?;
                    JsonKind::Array
                };
                JsonToken {
                    kind,
                    raw: &self.lexer.text[start..self.lexer.at],
                }
            }
            _ => self.lexer.scalar()?,
        };
        if let Some(node) = node {
            for slot in &self.nodes[node].slots {
                self.slots[*slot] = Some(token);
            }
        }
        Ok(())
    }

    fn object(&mut self, node: Option<usize>, depth: usize) -> Result<(), JsonFault> {
        let nodes: &'p [Node] = self.nodes;
        let children: &'p [Child] = node.map_or(&[], |n| &nodes[n].children);
        // The first 64 children in one word, so that a usual walk allocates nothing.
        let (mut seen, mut seen_more) = (0u64, Vec::new());
        if self.lexer.take(b'}')? {
            return Ok(());
        }
        loop {
            self.lexer.skip_space();
            let name_at = self.lexer.at;
            let name = self.lexer.string()?;
            let known = if children.is_empty() {
                None
            } else {
                position(children, name)
            };
            if let Some(index) = known {
                let is_repeated = if index < 64 {
                    seen & (1 << index) != 0
                } else {
                    seen_more.contains(&index)
                };
                if is_repeated {
                    return Err(JsonFault::Duplicate(name_at));
                }
                if index < 64 {
                    seen |= 1 << index
                } else {
                    seen_more.push(index)
                }
            }
            self.lexer.expect(b':')?;
            self.value(known.map(|i| children[i].node), depth)?;
            if !self.lexer.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, node: Option<usize>, depth: usize) -> Result<(), JsonFault> {
        let nodes: &'p [Node] = self.nodes;
        let children: &'p [Child] = node.map_or(&[], |n| &nodes[n].children);
        if self.lexer.take(b']')? {
            return Ok(());
        }
        let mut index = 0;
        loop {
            let known = children.iter().find(|c| c.index == Some(index));
            self.value(known.map(|c| c.node), depth)?;
            index += 1;
            if !self.lexer.goes_on(b']')? {
                return Ok(());
            }
        }
    }
}

fn position(children: &[Child], name: JsonToken<'_>) -> Option<usize> {
    match name.kind {
        JsonKind::String { is_escaped: true } => {
            let name = unescaped(name.raw);
            children.iter().position(|c| c.name == *name)
        }
        _ => {
            let name = &name.raw[1..name.raw.len() - 1];
            children.iter().position(|c| c.name == name)
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn find(text: &str, pointers: &[&[&str]]) -> Result<Vec<Option<String>>, JsonFault> {
        let pointers: Vec<Vec<String>> = pointers
            .iter()
            .map(|p| p.iter().map(|t| (*t).to_owned()).collect())
            .collect();
        let compiled = Pointers::compile(pointers.iter().map(Vec::as_slice));
        let mut slots = vec![None; compiled.len()];
        compiled.find(text.as_bytes(), &mut slots)?;
        let raw = |t: JsonToken<'_>| String::from_utf8(t.raw.to_vec()).unwrap();
        Ok(slots.into_iter().map(|s| s.map(raw)).collect())
    }

    #[test]
    fn finds_members_elements_and_containers() {
        let text =
            r#" { "a" : 1, "b": {"c": [10, {"d": "x"}, -0.5e+3] , "": null}, "\u0065": true } "#;
        let found = find(
            text,
            &[
                &["a"],
                &["b", "c", "1", "d"],
                &["b", "c", "2"],
                &["b", ""],
                &["e"],
                &["no"],
                &["a", "x"],
            ],
        );
        let expected = [
            Some("1"),
            Some("\"x\""),
            Some("-0.5e+3"),
            Some("null"),
            Some("true"),
            None,
            None,
        ];
        assert_eq!(found.unwrap(), expected.map(|t| t.map(str::to_owned)));
        let found = find(text, &[&["b"], &["b", "c"], &["b", "c", "00"]]).unwrap();
        assert!(found[0].as_deref().unwrap().starts_with('{'));
        assert_eq!(found[1].as_deref(), Some(r#"[10, {"d": "x"}, -0.5e+3]"#));
        assert_eq!(found[2], None);
    }

    #[test]
    fn only_mapped_members_must_be_single() {
        assert!(matches!(
            find(r#"{"a":1,"a":1}"#, &[&["a"]]),
            Err(JsonFault::Duplicate(7))
        ));
        assert!(matches!(
            find(r#"{"a":1,"\u0061":2}"#, &[&["a"]]),
            Err(JsonFault::Duplicate(_))
        ));
        assert!(matches!(
            find(r#"{"a":{"b":1},"a":{"c":1}}"#, &[&["a", "b"]]),
            Err(JsonFault::Duplicate(_))
        ));
        assert!(find(r#"{"x":1,"x":2,"a":1}"#, &[&["a"]]).is_ok());
        let many: Vec<String> = (0..80).map(|i| format!("m{i}")).collect();
        let tokens: Vec<[&str; 1]> = many.iter().map(|m| [m.as_str()]).collect();
        let pointers: Vec<&[&str]> = tokens.iter().map(<[&str; 1]>::as_slice).collect();
        assert!(matches!(
            find(r#"{"m79":1,"m79":2}"#, &pointers),
            Err(JsonFault::Duplicate(_))
        ));
    }

    #[test]
    fn refuses_what_is_not_json_even_where_nobody_looks() {
        for text in [
            "",
            " ",
            "{",
            "{\"a\"",
            "{\"a\":}",
            "{a:1}",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            "-",
            "+1",
            ".5",
            "1e",
            "tru",
            "nul",
            "NaN",
            "'a'",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "1 2",
            "{}x",
            "\u{feff}{}",
            "[1 2]",
            "// c\n1",
        ] {
            assert!(find(text, &[&["z"]]).is_err(), "{text:?}");
        }
        let compiled = Pointers::compile([]);
        assert!(matches!(
            compiled.find(b"\"\xff\"", &mut []),
            Err(JsonFault::NotUtf8(1))
        ));
        assert!(find("\"\\ud83d\\ude00\"", &[&["z"]]).is_ok());
        assert!(find(&("[".repeat(128) + &"]".repeat(128)), &[]).is_ok());
        assert_eq!(
            find(&("[".repeat(129) + &"]".repeat(129)), &[]),
            Err(JsonFault::TooDeep)
        );
    }
}
