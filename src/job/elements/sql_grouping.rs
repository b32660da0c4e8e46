//! Whether an aggregating SELECT groups by the id: only then does a range of ids, pushed in from
//! outside, leave every group whole and give each id one row.

use super::sql::{is_keyword, problem};
use super::sql_tokens::{SqlProblem, Token, TokenKind};
use crate::model::check::Named;

const HINT: &str = "group by every column of `id`, so that each id has exactly one row";

/// Aggregate functions that need no GROUP BY to fold all rows into one.
const AGGREGATES: [&str; 20] = [
    "AVG",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "COUNT",
    "GROUP_CONCAT",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "MAX",
    "MIN",
    "STD",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "SUM",
    "VAR_POP",
    "VAR_SAMP",
    "VARIANCE",
    "ANY_VALUE",
    "MEDIAN",
];

/// Refuses a statement of which a branch aggregates over something else than the id.
pub(super) fn check(all: &[Token<'_>], id: &[Named]) -> Result<(), SqlProblem> {
    let start = if all.first().is_some_and(|t| t.is_word("WITH")) {
        // The query proper follows the common table expressions at the outermost level.
        (0..all.len())
            .find(|&at| all[at].depth == 0 && is_keyword(all, at, "SELECT"))
            .unwrap_or(0)
    } else {
        0
    };
    branches(&all[start..])
        .into_iter()
        .try_for_each(|branch| check_branch(branch, id))
}

/// The parts between UNION, EXCEPT and INTERSECT, without parentheses around them.
fn branches<'s, 't>(all: &'s [Token<'t>]) -> Vec<&'s [Token<'t>]> {
    let Some(depth) = all.iter().map(|t| t.depth).min() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut begin = 0;
    for at in 0..all.len() {
        let is_between = all[at].depth == depth
            && ["UNION", "EXCEPT", "INTERSECT"]
                .iter()
                .any(|word| is_keyword(all, at, word));
        if is_between {
            found.push(&all[begin..at]);
            let quantified = all
                .get(at + 1)
                .is_some_and(|t| t.is_word("ALL") || t.is_word("DISTINCT"));
            begin = at + 1 + usize::from(quantified);
        }
    }
    found.push(&all[begin.min(all.len())..]);
    if let [only] = found.as_slice() {
        return match only {
            [open, inner @ .., close] if open.is_symbol("(") && close.is_symbol(")") => {
                branches(inner)
            }
            _ => found,
        };
    }
    found.into_iter().flat_map(branches).collect()
}

fn check_branch(branch: &[Token<'_>], id: &[Named]) -> Result<(), SqlProblem> {
    let Some(first) = branch.first() else {
        return Ok(());
    };
    let depth = first.depth;
    let find = |from: usize, word: &str| {
        (from..branch.len()).find(|&at| branch[at].depth == depth && is_keyword(branch, at, word))
    };
    let list_end = find(0, "FROM").unwrap_or(branch.len());
    let list = &branch[1.min(list_end)..list_end];
    let Some(group) = find(list_end.min(branch.len()), "GROUP") else {
        return match aggregate(list, depth) {
            Some(token) => Err(problem(
                token.start,
                &format!(
                    "{} without GROUP BY folds all ids into one row",
                    token.text.to_uppercase()
                ),
                HINT,
            )),
            None => Ok(()),
        };
    };
    let end = ["HAVING", "ORDER", "WINDOW", "WITH"]
        .iter()
        .filter_map(|word| find(group, word))
        .min()
        .unwrap_or(branch.len());
    if branch.get(end).is_some_and(|t| t.is_word("WITH")) {
        return Err(problem(
            branch[end].start,
            "WITH ROLLUP adds rows that have no id",
            "take it out",
        ));
    }
    let outputs = items(list, depth);
    let groups = items(branch.get(group + 2..end).unwrap_or_default(), depth);
    for name in id {
        if !groups.iter().any(|item| is_id(item, name, &outputs)) {
            return Err(problem(
                branch[group].start,
                &format!("GROUP BY does not hold the id `{}`", name.text),
                HINT,
            ));
        }
    }
    Ok(())
}

/// The first aggregate at this level: not in a subquery, and no window function.
fn aggregate<'s, 't>(list: &'s [Token<'t>], depth: usize) -> Option<&'s Token<'t>> {
    let mut at = 0;
    while at < list.len() {
        let is_open = list[at].is_symbol("(");
        if is_open
            && list
                .get(at + 1)
                .is_some_and(|t| t.is_word("SELECT") || t.is_word("WITH"))
        {
            at = closing(list, at);
        } else if is_open && at > 0 {
            let name = &list[at - 1];
            let is_aggregate = AGGREGATES.iter().any(|word| is_keyword(list, at - 1, word));
            let is_window = list
                .get(closing(list, at) + 1)
                .is_some_and(|t| t.is_word("OVER"));
            if is_aggregate && !is_window && name.depth >= depth {
                return Some(name);
            }
        }
        at += 1;
    }
    None
}

fn closing(list: &[Token<'_>], open: usize) -> usize {
    (open..list.len())
        .find(|&at| list[at].is_symbol(")") && list[at].depth == list[open].depth)
        .unwrap_or(list.len())
}

/// What the commas of this level part.
fn items<'s, 't>(list: &'s [Token<'t>], depth: usize) -> Vec<&'s [Token<'t>]> {
    list.split(|t| t.depth == depth && t.is_symbol(","))
        .collect()
}

/// Whether a GROUP BY item is the id: by its name, by its position, or by the expression it names.
fn is_id(item: &[Token<'_>], id: &Named, outputs: &[&[Token<'_>]]) -> bool {
    let is_named = |tokens: &[Token<'_>]| {
        is_column(tokens)
            && tokens
                .last()
                .is_some_and(|t| t.text.eq_ignore_ascii_case(&id.text))
    };
    if is_named(item) {
        return true;
    }
    outputs.iter().enumerate().any(|(position, output)| {
        let (expression, alias) = aliased(output);
        let gives_id = match alias {
            Some(alias) => alias.text.eq_ignore_ascii_case(&id.text),
            None => is_named(expression),
        };
        gives_id && (is_same(item, expression) || is_position(item, position + 1))
    })
}

/// `expression AS alias`, `expression alias`, or just an expression.
fn aliased<'s, 't>(output: &'s [Token<'t>]) -> (&'s [Token<'t>], Option<&'s Token<'t>>) {
    match output {
        [expression @ .., word, alias] if word.is_word("AS") => (expression, Some(alias)),
        [expression @ .., before, alias]
            if is_name(alias)
                && !before.is_symbol(".")
                && (is_name(before) || before.is_symbol(")")) =>
        {
            (&output[..=expression.len()], Some(alias))
        }
        _ => (output, None),
    }
}

fn is_position(item: &[Token<'_>], position: usize) -> bool {
    matches!(item, [one] if one.text == position.to_string())
}

fn is_same(a: &[Token<'_>], b: &[Token<'_>]) -> bool {
    let last = |tokens: &[Token<'_>]| tokens.last().map(|t| t.text.to_ascii_lowercase());
    // `a.id` and `id` are one column: were it ambiguous, the server would refuse the statement.
    (is_column(a) && is_column(b) && (a.len() == 1 || b.len() == 1) && last(a) == last(b))
        || a.len() == b.len()
            && a.iter()
                .zip(b)
                .all(|(a, b)| a.text.eq_ignore_ascii_case(b.text))
}

/// `column`, `table.column` or `schema.table.column`.
fn is_column(tokens: &[Token<'_>]) -> bool {
    !tokens.is_empty()
        && tokens.len() % 2 == 1
        && tokens.iter().enumerate().all(|(at, t)| {
            if at % 2 == 0 {
                is_name(t)
            } else {
                t.is_symbol(".")
            }
        })
}

fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Word | TokenKind::QuotedName)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::sql_tokens::tokens;
    use super::*;

    fn grouped(sql: &str, id: &[&str]) -> Result<(), SqlProblem> {
        let id: Vec<_> = id
            .iter()
            .map(|t| Named {
                text: (*t).to_owned(),
                span: 0..1,
            })
            .collect();
        check(&tokens(sql).unwrap(), &id)
    }

    #[test]
    fn the_id_is_found_by_name_alias_expression_and_position() {
        for sql in [
            "SELECT id, x FROM t",
            "SELECT id, COUNT(*) FROM t GROUP BY id",
            "SELECT id, COUNT(*) FROM t GROUP BY t.id, x HAVING COUNT(*) > 1 ORDER BY x",
            "SELECT a.key AS id, MAX(b.x) FROM a JOIN b GROUP BY a.key",
            "SELECT a.key id, MAX(b.x) FROM a JOIN b GROUP BY `key`",
            "SELECT MAX(b.x), a.key AS id FROM a JOIN b GROUP BY 2",
            "SELECT LOWER(k) AS id, MAX(x) FROM t GROUP BY lower(k)",
            "SELECT id, (SELECT MAX(x) FROM u WHERE u.id = t.id) FROM t",
            "SELECT id, MAX(x) OVER (PARTITION BY id) FROM t",
            "SELECT id, GREATEST(x, 1) FROM t",
            "WITH m AS (SELECT MAX(x) AS x FROM t) SELECT id, m.x FROM t JOIN m",
            "(SELECT id, MAX(x) FROM t GROUP BY id) UNION ALL (SELECT id, x FROM u)",
        ] {
            assert_eq!(grouped(sql, &["id"]), Ok(()), "{sql}");
        }
        assert!(grouped("SELECT a, b, SUM(x) FROM t GROUP BY b, a", &["a", "b"]).is_ok());
    }

    #[test]
    fn any_other_grouping_is_refused() {
        for sql in [
            "SELECT COUNT(*) FROM t",
            "SELECT id, COALESCE(MAX(x), 0) FROM t",
            "SELECT id, MAX(x) FROM t GROUP BY x",
            "SELECT a.key AS id, MAX(x) FROM a GROUP BY a.title",
            "SELECT id, MAX(x) FROM t GROUP BY id WITH ROLLUP",
            "SELECT id, x FROM u UNION SELECT id, MAX(x) FROM t GROUP BY y",
            "(SELECT MAX(id) AS id FROM t)",
            "WITH m AS (SELECT id FROM t GROUP BY id) SELECT MAX(id) AS id FROM m",
            "SELECT x, MAX(id) AS id FROM t GROUP BY 1",
        ] {
            assert!(grouped(sql, &["id"]).is_err(), "{sql}");
        }
        assert!(grouped("SELECT a, b, SUM(x) FROM t GROUP BY a", &["a", "b"]).is_err());
    }
}
