//! Cuts SQL into tokens, so that what stands in quotes or comments is never taken for a keyword.

/// What is wrong with a statement, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::job) struct SqlProblem {
    pub(in crate::job) message: String,
    pub(in crate::job) hint: &'static str,
    /// Byte of the statement.
    pub(in crate::job) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job) enum TokenKind {
    /// A keyword, a bare name or a number.
    Word,
    /// Between backticks; the text is without them.
    QuotedName,
    /// Between single or double quotes, quotes included.
    Text,
    /// `@name`; what begins with `@@` is a [`TokenKind::Word`].
    UserVariable,
    /// `:name`, without the colon.
    Parameter,
    /// One character of anything else.
    Symbol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::job) struct Token<'s> {
    pub(in crate::job) kind: TokenKind,
    pub(in crate::job) text: &'s str,
    /// Byte range in the statement.
    pub(in crate::job) start: usize,
    pub(in crate::job) end: usize,
    /// How many parentheses are open around it; those of a pair count as outside.
    pub(in crate::job) depth: usize,
}

impl Token<'_> {
    /// Whether it is this keyword or bare name, in any case.
    pub(in crate::job) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(in crate::job) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }
}

/// The tokens of `sql`, comments left out.
pub(in crate::job) fn tokens(sql: &str) -> Result<Vec<Token<'_>>, SqlProblem> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < sql.len() {
        if let Some(end) = blank_or_comment(sql, at)? {
            at = end;
            continue;
        }
        let (kind, text, end) = next_token(sql, at)?;
        if kind == TokenKind::Symbol && text == ")" {
            depth = depth
                .checked_sub(1)
                .ok_or_else(|| problem(at, "a `)` closes nothing"))?;
        }
        found.push(Token {
            kind,
            text,
            start: at,
            end,
            depth,
        });
        if kind == TokenKind::Symbol && text == "(" {
            depth += 1;
        }
        at = end;
    }
    if depth > 0 {
        let open = found
            .iter()
            .rev()
            .find(|t| t.is_symbol("(") && t.depth + 1 == depth);
        return Err(problem(
            open.map_or(0, |t| t.start),
            "a `(` is never closed",
        ));
    }
    Ok(found)
}

/// The end of the blank or comment that begins at `at`, if one does.
fn blank_or_comment(sql: &str, at: usize) -> Result<Option<usize>, SqlProblem> {
    let rest = &sql[at..];
    let first = rest
        .chars()
        .next()
        .expect("the caller stops at the end of the text");
    if first.is_whitespace() {
        return Ok(Some(at + first.len_utf8()));
    }
    // `--` begins a comment only before a blank or the end, as MySQL has it: `1--1` is a subtraction.
    let is_dashed = rest.strip_prefix("--").is_some_and(|after| {
        after
            .chars()
            .next()
            .is_none_or(|c| c.is_whitespace() || c.is_control())
    });
    if first == '#' || is_dashed {
        return Ok(Some(rest.find('\n').map_or(sql.len(), |end| at + end + 1)));
    }
    if rest.starts_with("/*!") || rest.starts_with("/*M!") {
        return Err(problem(
            at,
            "a comment that some servers execute cannot be checked",
        ));
    }
    if let Some(comment) = rest.strip_prefix("/*") {
        return match comment.find("*/") {
            Some(end) => Ok(Some(at + 2 + end + 2)),
            None => Err(problem(at, "a `/*` is never closed")),
        };
    }
    Ok(None)
}

fn next_token(sql: &str, at: usize) -> Result<(TokenKind, &str, usize), SqlProblem> {
    let rest = &sql[at..];
    let first = rest
        .chars()
        .next()
        .expect("the caller stops at the end of the text");
    match first {
        '\'' | '"' => {
            let end = at
                + quoted_length(rest, first)
                    .ok_or_else(|| problem(at, "a quote is never closed"))?;
            Ok((TokenKind::Text, &sql[at..end], end))
        }
        '`' => {
            let end = at
                + quoted_length(rest, '`')
                    .ok_or_else(|| problem(at, "a backtick is never closed"))?;
            Ok((TokenKind::QuotedName, &sql[at + 1..end - 1], end))
        }
        '@' if rest.starts_with("@@") => {
            let end = at + 2 + word_length(&rest[2..]);
            Ok((TokenKind::Word, &sql[at..end], end))
        }
        '@' => Ok((TokenKind::UserVariable, "@", at + 1)),
        ':' if word_length(&rest[1..]) > 0 => {
            let end = at + 1 + word_length(&rest[1..]);
            Ok((TokenKind::Parameter, &sql[at + 1..end], end))
        }
        _ if word_length(rest) > 0 => {
            let end = at + word_length(rest);
            Ok((TokenKind::Word, &sql[at..end], end))
        }
        _ => {
            let end = at + first.len_utf8();
            Ok((TokenKind::Symbol, &sql[at..end], end))
        }
    }
}

/// Bytes up to and with the closing quote. Doubled quotes and, but in backticks, backslashes escape.
fn quoted_length(rest: &str, quote: char) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote != '`' {
            characters.next();
        } else if c == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return Some(at + quote.len_utf8());
            }
        }
    }
    None
}

fn word_length(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .unwrap_or(rest.len())
}

fn problem(at: usize, message: &str) -> SqlProblem {
    SqlProblem {
        message: message.to_owned(),
        hint: "correct the statement",
        at,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn words(sql: &str) -> Vec<&str> {
        tokens(sql).unwrap().into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn quotes_and_comments_hide_what_is_in_them() {
        assert_eq!(
            words("a -- LIMIT\nb # LIMIT\n/* LIMIT */ c"),
            ["a", "b", "c"]
        );
        assert_eq!(words("'it''s; \\' LIMIT' x"), ["'it''s; \\' LIMIT'", "x"]);
        assert_eq!(words("`li``mit` \"a\"\"b\""), ["li``mit", "\"a\"\"b\""]);
        assert_eq!(words("1--1"), ["1", "-", "-", "1"]);
        assert_eq!(words("a--"), ["a"]);
        assert_eq!(words("주문.id"), ["주문", ".", "id"]);
    }

    #[test]
    fn variables_and_parameters_are_told_apart() {
        let kinds = |sql| {
            tokens(sql)
                .unwrap()
                .into_iter()
                .map(|t| t.kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds("@@version"), [TokenKind::Word]);
        assert_eq!(kinds("@x"), [TokenKind::UserVariable, TokenKind::Word]);
        assert_eq!(kinds(":since"), [TokenKind::Parameter]);
        assert_eq!(kinds(":="), [TokenKind::Symbol, TokenKind::Symbol]);
        assert_eq!(kinds("':since'"), [TokenKind::Text]);
    }

    #[test]
    fn depth_and_what_is_left_open() {
        let depths: Vec<_> = tokens("a (b (c)) d")
            .unwrap()
            .into_iter()
            .map(|t| t.depth)
            .collect();
        assert_eq!(depths, [0, 0, 1, 1, 2, 1, 0, 0]);
        for wrong in [
            "(",
            "a)",
            "'a",
            "`a",
            "/* a",
            "/*! a */",
            "/*M! a */",
            "'a\\'",
        ] {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
    }
}
