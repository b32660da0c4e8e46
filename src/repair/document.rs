//! New documents from old ones: whole, or not at all.

use crate::model::value::json::{JsonFault, Tree, parse_tree, quoted};

/// One mapped member. `value` is JSON text; `None` leaves what is there, or is not.
#[derive(Debug, Clone)]
pub(super) struct Mapped<'p> {
    pub(super) pointer: &'p [String],
    pub(super) value: Option<Vec<u8>>,
}

/// Why a document is not rewritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DocumentFault {
    #[error("the document cannot be read: {0}")]
    Undecodable(#[from] JsonFault),
    #[error("the document holds members that the job neither maps nor ignores")]
    OtherMember,
    #[error("the document lacks the parent of a mapped member")]
    ParentMissing,
    #[error("a mapped member lies inside something that is no object or array")]
    NotAContainer,
}

/// `document` with every mapped member replaced, or added where only it is missing, and everything under
/// `ignored` kept. Any other member is a fault: nothing says what it should be at the source's version.
pub(super) fn rewrite(
    document: &[u8],
    mapped: &[Mapped<'_>],
    ignored: &[&[String]],
) -> Result<Vec<u8>, DocumentFault> {
    let tree = parse_tree(document)?;
    let mapped: Vec<_> = mapped.iter().collect();
    let mut out = Vec::with_capacity(document.len() + 64);
    write(
        &mut out,
        &tree,
        Under {
            mapped: &mapped,
            ignored,
            depth: 0,
            is_ignored: false,
        },
    )?;
    Ok(out)
}

/// A document of the mapped members alone. A member of an array cannot be built, since its neighbours are
/// not known.
pub(super) fn build(mapped: &[Mapped<'_>]) -> Result<Vec<u8>, DocumentFault> {
    let mapped: Vec<_> = mapped.iter().collect();
    let mut out = Vec::new();
    build_object(&mut out, &mapped, 0)?;
    Ok(out)
}

/// What concerns one place of the document: pointers whose first `depth` tokens lead here.
#[derive(Clone, Copy)]
struct Under<'u, 'p> {
    mapped: &'u [&'u Mapped<'p>],
    ignored: &'u [&'u [String]],
    depth: usize,
    /// Whether a parent is ignored, and with it all that is not mapped.
    is_ignored: bool,
}

fn write(out: &mut Vec<u8>, tree: &Tree<'_>, under: Under<'_, '_>) -> Result<(), DocumentFault> {
    match tree {
        Tree::Object { members, .. } => {
            let mut is_first = true;
            out.push(b'{');
            for member in members {
                separate(out, &mut is_first);
                out.extend_from_slice(member.raw_name);
                out.push(b':');
                child(out, &member.name, &member.value, under)?;
            }
            let is_new = |m: &&&Mapped<'_>| {
                let name = m.pointer[under.depth].as_bytes();
                m.value.is_some() && members.iter().all(|member| *member.name != *name)
            };
            for mapped in under.mapped.iter().filter(is_new) {
                if mapped.pointer.len() != under.depth + 1 {
                    return Err(DocumentFault::ParentMissing);
                }
                separate(out, &mut is_first);
                append(
                    out,
                    &mapped.pointer[under.depth],
                    mapped.value.as_deref().unwrap_or(b"null"),
                );
            }
            out.push(b'}');
        }
        Tree::Array { elements, .. } => {
            let mut is_first = true;
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                separate(out, &mut is_first);
                child(out, index.to_string().as_bytes(), element, under)?;
            }
            let is_beyond = |m: &&Mapped<'_>| {
                let index = m.pointer[under.depth].parse::<usize>();
                m.value.is_some() && index.is_ok_and(|index| index < elements.len()).eq(&false)
            };
            if under.mapped.iter().any(is_beyond) {
                return Err(DocumentFault::ParentMissing);
            }
            out.push(b']');
        }
        Tree::Scalar(_) => return Err(DocumentFault::NotAContainer),
    }
    Ok(())
}

/// Writes the value called `name` of the place that `under` is about.
fn child(
    out: &mut Vec<u8>,
    name: &[u8],
    value: &Tree<'_>,
    under: Under<'_, '_>,
) -> Result<(), DocumentFault> {
    let depth = under.depth;
    let leads_here = |pointer: &[String]| {
        pointer
            .get(depth)
            .is_some_and(|token| token.as_bytes() == name)
    };
    let mapped: Vec<_> = under
        .mapped
        .iter()
        .copied()
        .filter(|m| leads_here(m.pointer))
        .collect();
    let ignored: Vec<_> = under
        .ignored
        .iter()
        .copied()
        .filter(|p| leads_here(p))
        .collect();
    if let Some(whole) = mapped.iter().find(|m| m.pointer.len() == depth + 1) {
        out.extend_from_slice(whole.value.as_deref().unwrap_or(value.raw()));
        return Ok(());
    }
    let is_ignored = under.is_ignored || ignored.iter().any(|p| p.len() == depth + 1);
    if mapped.is_empty() {
        return match value {
            _ if is_ignored => {
                out.extend_from_slice(value.raw());
                Ok(())
            }
            // Only what is ignored lies in it: then all of it has to be.
            Tree::Object { .. } | Tree::Array { .. } if !ignored.is_empty() => write(
                out,
                value,
                Under {
                    mapped: &[],
                    ignored: &ignored,
                    depth: depth + 1,
                    is_ignored,
                },
            ),
            _ => Err(DocumentFault::OtherMember),
        };
    }
    if matches!(value, Tree::Scalar(_)) && mapped.iter().all(|m| m.value.is_none()) {
        out.extend_from_slice(value.raw());
        return Ok(());
    }
    write(
        out,
        value,
        Under {
            mapped: &mapped,
            ignored: &ignored,
            depth: depth + 1,
            is_ignored,
        },
    )
}

fn build_object(
    out: &mut Vec<u8>,
    mapped: &[&Mapped<'_>],
    depth: usize,
) -> Result<(), DocumentFault> {
    let mut is_first = true;
    let mut done: Vec<&str> = Vec::new();
    out.push(b'{');
    for member in mapped {
        let name = member.pointer[depth].as_str();
        if done.contains(&name) {
            continue;
        }
        done.push(name);
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DocumentFault::ParentMissing);
        }
        let inside: Vec<_> = mapped
            .iter()
            .copied()
            .filter(|m| m.pointer[depth] == name)
            .collect();
        match inside.iter().find(|m| m.pointer.len() == depth + 1) {
            Some(whole) => {
                if let Some(value) = &whole.value {
                    separate(out, &mut is_first);
                    append(out, name, value);
                }
            }
            None => {
                separate(out, &mut is_first);
                append(out, name, b"");
                build_object(out, &inside, depth + 1)?;
            }
        }
    }
    out.push(b'}');
    Ok(())
}

fn append(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(&quoted(name.as_bytes()).expect("a job file's text is UTF-8"));
    out.push(b':');
    out.extend_from_slice(value);
}

fn separate(out: &mut Vec<u8>, is_first: &mut bool) {
    if !std::mem::take(is_first) {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(pointer: &str) -> Vec<String> {
        pointer.split('/').skip(1).map(str::to_owned).collect()
    }

    fn rewritten(
        document: &str,
        mapped: &[(&str, &str)],
        ignored: &[&str],
    ) -> Result<String, DocumentFault> {
        let pointers: Vec<_> = mapped
            .iter()
            .map(|(p, v)| (tokens(p), v.as_bytes().to_vec()))
            .collect();
        let mapped: Vec<_> = pointers
            .iter()
            .map(|(p, v)| Mapped {
                pointer: p,
                value: Some(v.clone()),
            })
            .collect();
        let ignored: Vec<_> = ignored.iter().map(|p| tokens(p)).collect();
        let ignored: Vec<&[String]> = ignored.iter().map(Vec::as_slice).collect();
        rewrite(document.as_bytes(), &mapped, &ignored)
            .map(|b| String::from_utf8_lossy(&b).into_owned())
    }

    #[test]
    fn replaces_adds_and_keeps() {
        let document = r#"{ "lastSeen": 1.50, "na\u006de":"x", "at": {"v": 1, "tag": [1]} }"#;
        let mapped = [("/name", "\"y\""), ("/at/v", "2"), ("/new", "3")];
        assert_eq!(
            rewritten(document, &mapped, &["/lastSeen", "/at/tag"]),
            Ok(r#"{"lastSeen":1.50,"na\u006de":"y","at":{"v":2,"tag":[1]},"new":3}"#.to_owned())
        );
        assert_eq!(
            rewritten(r#"{"a":[1,{"b":2}]}"#, &[("/a/1/b", "3")], &["/a/0"]),
            Ok(r#"{"a":[1,{"b":3}]}"#.to_owned())
        );
        assert_eq!(
            rewritten(r#"{"a":{"x":1,"b":2}}"#, &[("/a/b", "3")], &["/a"]),
            Ok(r#"{"a":{"x":1,"b":3}}"#.to_owned())
        );
    }

    #[test]
    fn never_writes_half_a_document() {
        assert_eq!(
            rewritten(r#"{"a":1,"x":2}"#, &[("/a", "3")], &[]),
            Err(DocumentFault::OtherMember)
        );
        assert_eq!(
            rewritten(r#"{"a":{"b":1,"x":2}}"#, &[("/a/b", "3")], &[]),
            Err(DocumentFault::OtherMember)
        );
        assert_eq!(
            rewritten(r#"{"a":1,"i":{"x":1,"y":2}}"#, &[("/a", "3")], &["/i/x"]),
            Err(DocumentFault::OtherMember)
        );
        assert_eq!(
            rewritten(r#"{"a":[1,2]}"#, &[("/a/0", "3")], &[]),
            Err(DocumentFault::OtherMember)
        );
        assert_eq!(
            rewritten("{}", &[("/a/b", "3")], &[]),
            Err(DocumentFault::ParentMissing)
        );
        assert_eq!(
            rewritten(r#"{"a":[1]}"#, &[("/a/1", "3"), ("/a/0", "2")], &[]),
            Err(DocumentFault::ParentMissing)
        );
        assert_eq!(
            rewritten(r#"{"a":1}"#, &[("/a/b", "3")], &[]),
            Err(DocumentFault::NotAContainer)
        );
        assert_eq!(
            rewritten("1", &[("/a", "3")], &[]),
            Err(DocumentFault::NotAContainer)
        );
        assert!(matches!(
            rewritten(r#"{"a":1"#, &[("/a", "3")], &[]),
            Err(DocumentFault::Undecodable(_))
        ));
    }

    #[test]
    fn builds_what_is_mapped() {
        let pointers = [tokens("/a"), tokens("/b/c"), tokens("/b/d"), tokens("/n\"")];
        let member = |i: usize, value: &str| Mapped {
            pointer: &pointers[i],
            value: Some(value.as_bytes().to_vec()),
        };
        let built = build(&[
            member(0, "1"),
            member(1, "2"),
            member(2, "3"),
            member(3, "4"),
        ]);
        assert_eq!(built, Ok(br#"{"a":1,"b":{"c":2,"d":3},"n\"":4}"#.to_vec()));
        let array = tokens("/a/0");
        assert_eq!(
            build(&[Mapped {
                pointer: &array,
                value: Some(b"1".to_vec())
            }]),
            Err(DocumentFault::ParentMissing)
        );
    }
}
