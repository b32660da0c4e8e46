//! `:since` and `:ids` in SQL that a person wrote.

/// `sql` with every `:name` replaced by `value`, but not inside quotes and comments; `None` when it has no
/// such placeholder. `::name` and `:names` are not placeholders.
pub(super) fn replace(sql: &str, name: &str, value: &str) -> Option<String> {
    let mut out = String::with_capacity(sql.len() + value.len());
    let mut rest = sql;
    let mut is_found = false;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let skipped = quoted_or_comment(rest);
        if skipped > 0 {
            out.push_str(&rest[..skipped]);
            rest = &rest[skipped..];
            before = ' ';
        } else if let Some(tail) = placeholder(rest, name).filter(|_| before != ':') {
            out.push_str(value);
            rest = tail;
            is_found = true;
            before = ' ';
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            before = first;
        }
    }
    is_found.then_some(out)
}

/// What follows `:name`, if `text` begins with it.
fn placeholder<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let tail = text.strip_prefix(':')?.strip_prefix(name)?;
    let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    (!tail.chars().next().is_some_and(goes_on)).then_some(tail)
}

/// Bytes of the quoted text or comment that `text` begins with; 0 when it begins with neither. What is
/// never closed reaches to the end.
fn quoted_or_comment(text: &str) -> usize {
    let through = |end: &str, from: usize| {
        text[from..]
            .find(end)
            .map_or(text.len(), |at| from + at + end.len())
    };
    let bytes = text.as_bytes();
    match bytes[0] {
        quote @ (b'\'' | b'"' | b'`') => quoted(bytes, quote),
        b'#' => through("\n", 1),
        // MySQL asks for a space or a control character after `--`.
        b'-' if bytes.starts_with(b"--") && bytes.get(2).is_none_or(|&b| b <= b' ') => {
            through("\n", 2)
        }
        b'/' if bytes.starts_with(b"/*") => through("*/", 2),
        _ => 0,
    }
}

fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] == b'\\' && quote != b'`' {
            at += 2;
        } else if bytes[at] == quote {
            return at + 1; // A doubled quote begins the next quoted text.
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_outside_of_quotes_and_comments_only() {
        for (sql, expected) in [
            ("a >= :since", Some("a >= 7")),
            ("(:since,:since)", Some("(7,7)")),
            ("a = ':since'", None),
            (
                "a = 'it''s :since' AND b > :since",
                Some("a = 'it''s :since' AND b > 7"),
            ),
            (
                r"a = '\' :since' AND b > :since",
                Some(r"a = '\' :since' AND b > 7"),
            ),
            ("`:since` \":since\"", None),
            ("a -- :since\n", None),
            ("a --:since", Some("a --7")),
            ("a # :since\n :since", Some("a # :since\n 7")),
            ("/* :since */ :since", Some("/* :since */ 7")),
            (":sincerely", None),
            ("a::since", None),
            ("ü:since", Some("ü7")),
            ("'open :since", None),
        ] {
            assert_eq!(replace(sql, "since", "7").as_deref(), expected, "{sql}");
        }
    }
}
