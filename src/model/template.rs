//! Key and member templates: `user:{id}:profile`.

/// A parsed template. Literals are bytes; two placeholders never touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(Vec<u8>),
    /// A source column's name.
    Placeholder(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("the template is empty")]
    Empty,
    #[error("`{{` at byte {0} is never closed")]
    Unclosed(usize),
    #[error("`}}` at byte {0} closes nothing; write `}}}}` for a literal brace")]
    Unopened(usize),
    #[error("the placeholder at byte {0} has no name")]
    Nameless(usize),
    #[error(
        "`{{{0}}}` is not a plain column name; forms like `{{id:%08d}}` or `{{id%10}}` are not supported yet"
    )]
    NotAColumn(String),
    #[error(
        "`{{{0}}}` and `{{{1}}}` touch: put a literal between them, or no key could be split again"
    )]
    Touching(String, String),
}

/// Splits of one key beyond this many are not tried: the key is then counted as not searched.
pub const SPLITS_MAX: usize = 16;

impl Template {
    /// Parses `text`; `{{` and `}}` stand for literal braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let bytes = text.as_bytes();
        let mut parts: Vec<Part> = Vec::new();
        let mut literal = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'{' if bytes.get(at + 1) == Some(&b'{') => {
                    literal.push(b'{');
                    at += 2;
                }
                b'}' if bytes.get(at + 1) == Some(&b'}') => {
                    literal.push(b'}');
                    at += 2;
                }
                b'{' => {
                    let end = text[at..].find('}').ok_or(TemplateError::Unclosed(at))? + at;
                    let name = &text[at + 1..end];
                    if name.is_empty() {
                        return Err(TemplateError::Nameless(at));
                    }
                    if !name
                        .chars()
                        .all(|c| c.is_alphanumeric() || c == '_' || c == '$')
                    {
                        return Err(TemplateError::NotAColumn(name.to_owned()));
                    }
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    } else if let Some(Part::Placeholder(before)) = parts.last() {
                        return Err(TemplateError::Touching(before.clone(), name.to_owned()));
                    }
                    parts.push(Part::Placeholder(name.to_owned()));
                    at = end + 1;
                }
                b'}' => return Err(TemplateError::Unopened(at)),
                byte => {
                    literal.push(byte);
                    at += 1;
                }
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if parts.is_empty() {
            return Err(TemplateError::Empty);
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// As the job file spells it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Column names in template order, repeated ones repeated.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|p| match p {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The bytes with each placeholder replaced by the next of `values`; `None` where one is NULL.
    pub fn render<'v>(&self, values: impl Iterator<Item = Option<&'v [u8]>>) -> Option<Vec<u8>> {
        let mut values = values;
        let mut out = Vec::with_capacity(self.text.len() + 16);
        for part in &self.parts {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Placeholder(_) => out.extend_from_slice(values.next().flatten()?),
            }
        }
        Some(out)
    }

    /// Every way to split `bytes` by this template, each as the placeholders' values in template
    /// order; empty when it does not fit. `None` when there are more than [`SPLITS_MAX`]. Values are
    /// never empty, and a repeated column must have the same value each time.
    pub fn split<'k>(&self, bytes: &'k [u8]) -> Option<Vec<Vec<&'k [u8]>>> {
        let mut found = Vec::new();
        let mut values = Vec::new();
        let names: Vec<&str> = self.placeholders().collect();
        if split_from(&self.parts, bytes, &mut values, &mut found) {
            found.retain(|values: &Vec<&[u8]>| {
                (0..names.len())
                    .all(|i| (0..i).all(|j| names[i] != names[j] || values[i] == values[j]))
            });
            Some(found)
        } else {
            None
        }
    }

    /// How many bytes of a key the template itself says.
    pub fn literal_bytes(&self) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Literal(bytes) => bytes.len(),
                Part::Placeholder(_) => 0,
            })
            .sum()
    }

    /// The value of the only placeholder: `None` where the template has another number of them, else
    /// `Some(None)` where `bytes` do not fit. The same as [`Template::split`], without its lists.
    pub fn split_single<'k>(&self, bytes: &'k [u8]) -> Option<Option<&'k [u8]>> {
        let (before, after) = match self.parts.as_slice() {
            [Part::Placeholder(_)] => (&[][..], &[][..]),
            [Part::Literal(before), Part::Placeholder(_)] => (before.as_slice(), &[][..]),
            [Part::Placeholder(_), Part::Literal(after)] => (&[][..], after.as_slice()),
            [
                Part::Literal(before),
                Part::Placeholder(_),
                Part::Literal(after),
            ] => (before.as_slice(), after.as_slice()),
            _ => return None,
        };
        let value = bytes
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .filter(|value| !value.is_empty());
        Some(value)
    }

    /// A Redis glob that every key of this template matches (and more keys may).
    pub fn glob(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Placeholder(_) => out.push(b'*'),
                Part::Literal(bytes) => {
                    for &b in bytes {
                        if matches!(b, b'*' | b'?' | b'[' | b']' | b'\\' | b'^') {
                            out.push(b'\\');
                        }
                        out.push(b);
                    }
                }
            }
        }
        out
    }
}

/// Collects all splits; false when there are too many.
fn split_from<'k>(
    parts: &[Part],
    rest: &'k [u8],
    values: &mut Vec<&'k [u8]>,
    found: &mut Vec<Vec<&'k [u8]>>,
) -> bool {
    match parts {
        [] => {
            if rest.is_empty() {
                found.push(values.clone());
            }
            found.len() <= SPLITS_MAX
        }
        [Part::Literal(literal), tail @ ..] => match rest.strip_prefix(literal.as_slice()) {
            Some(rest) => split_from(tail, rest, values, found),
            None => true,
        },
        [Part::Placeholder(_)] => {
            if !rest.is_empty() {
                values.push(rest);
                found.push(values.clone());
                values.pop();
            }
            found.len() <= SPLITS_MAX
        }
        [Part::Placeholder(_), tail @ ..] => (1..rest.len()).all(|end| {
            let fits = match tail.first() {
                Some(Part::Literal(literal)) => rest[end..].starts_with(literal),
                _ => false,
            };
            if !fits {
                return true;
            }
            values.push(&rest[..end]);
            let go_on = split_from(tail, &rest[end..], values, found);
            values.pop();
            go_on
        }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn split(template: &str, key: &[u8]) -> Vec<Vec<String>> {
        Template::parse(template)
            .unwrap()
            .split(key)
            .unwrap()
            .into_iter()
            .map(|v| {
                v.into_iter()
                    .map(|b| String::from_utf8_lossy(b).into_owned())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn splits_what_it_rendered() {
        assert_eq!(split("user:{id}:profile", b"user:7:profile"), [["7"]]);
        assert_eq!(split("user:{id}", b"user:7:profile"), [["7:profile"]]);
        assert!(split("user:{id}:profile", b"user::profile").is_empty());
        assert!(split("user:{id}:profile", b"users:7:profile").is_empty());
    }

    #[test]
    fn names_every_split_of_an_ambiguous_key() {
        assert_eq!(
            split("o:{shop}:{no}", b"o:a:b:c"),
            [["a", "b:c"], ["a:b", "c"]]
        );
        let many = [b"o:".as_slice(), &b":".repeat(60)].concat();
        assert_eq!(Template::parse("o:{a}:{b}").unwrap().split(&many), None);
    }

    #[test]
    fn the_quick_split_says_what_the_whole_one_says() {
        for template in [
            "user:{id}:profile",
            "user:{id}",
            "{id}:x",
            "{id}",
            "a:{a}:{b}",
            "fixed",
        ] {
            let template = Template::parse(template).unwrap();
            for key in [
                "user:7:profile",
                "user::profile",
                "user:profile",
                "user:7:x",
                "7:x",
                "7",
                "",
                "a:1:2",
                "fixed",
            ] {
                let key = key.as_bytes();
                let whole = template.split(key).unwrap();
                match template.split_single(key) {
                    Some(value) => assert_eq!(
                        whole,
                        value.map(|v| vec![v]).into_iter().collect::<Vec<_>>(),
                        "{template:?}"
                    ),
                    None => assert_ne!(template.placeholders().count(), 1),
                }
            }
        }
    }

    #[test]
    fn a_repeated_column_has_one_value() {
        assert_eq!(split("{id}:x:{id}", b"7:x:7"), [["7", "7"]]);
        assert!(split("{id}:x:{id}", b"7:x:8").is_empty());
    }

    #[test]
    fn braces_globs_and_faults() {
        let t = Template::parse("{{tag}}:{id}:*").unwrap();
        assert_eq!(
            t.render([Some(b"7".as_slice())].into_iter()).unwrap(),
            b"{tag}:7:*"
        );
        assert_eq!(t.glob(), b"{tag}:*:\\*");
        assert_eq!(Template::parse("a{id"), Err(TemplateError::Unclosed(1)));
        assert_eq!(Template::parse("a}"), Err(TemplateError::Unopened(1)));
        assert_eq!(
            Template::parse("{a}{b}"),
            Err(TemplateError::Touching("a".into(), "b".into()))
        );
        assert_eq!(
            Template::parse("{id:%08d}"),
            Err(TemplateError::NotAColumn("id:%08d".into()))
        );
    }
}
