//! What a statement of a job file may not say, each with the reason.

use super::sql_grouping;
use super::sql_tokens::{SqlProblem, Token, TokenKind, tokens};
use crate::model::check::Named;

/// What the program does with a statement decides what it may hold.
#[derive(Debug, Clone, Copy)]
pub(in crate::job) enum Purpose<'n> {
    /// Wrapped as a derived table with a range of ids pushed into it.
    Rows { id: &'n [Named] },
    /// Run with an instant for `:since`.
    ChangedIds,
    /// Run with ids for `:ids` and a locking clause at its end.
    Lock,
    /// Run with identities for `:ids`, of which it gives some back.
    Evidence,
}

/// The statement from its first to its last token, `;` removed.
pub(in crate::job) fn statement(sql: &str, purpose: Purpose<'_>) -> Result<String, SqlProblem> {
    let mut all = tokens(sql)?;
    while all.last().is_some_and(|t| t.is_symbol(";")) {
        all.pop();
    }
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return Err(problem(0, "the statement is empty", "write a SELECT"));
    };
    if !["SELECT", "WITH"].iter().any(|word| first.is_word(word)) && !first.is_symbol("(") {
        return Err(problem(
            first.start,
            "this is no SELECT",
            "write a SELECT, or the name of a file that ends in .sql",
        ));
    }
    refuse_everywhere(&all)?;
    refuse_writes(&all)?;
    refuse_limits_and_locks(&all)?;
    match purpose {
        Purpose::Evidence => {
            refuse_parameters(&all, Some("ids"))?;
            refuse_ids_outside_of_lists(&all)?;
        }
        Purpose::Rows { id } => {
            refuse_parameters(&all, None)?;
            sql_grouping::check(&all, id)?;
        }
        Purpose::ChangedIds => refuse_parameters(&all, Some("since"))?,
        Purpose::Lock => {
            refuse_parameters(&all, Some("ids"))?;
            refuse_what_cannot_lock(&all)?;
        }
    }
    Ok(sql[first.start..last.end].to_owned())
}

/// An SQL condition that will stand in parentheses inside a statement of ours.
pub(in crate::job) fn condition(sql: &str) -> Result<String, SqlProblem> {
    let all = tokens(sql)?;
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return Err(problem(
            0,
            "the condition is empty",
            "write one such as \"status = 'OPEN'\"",
        ));
    };
    if first.is_word("WHERE") {
        return Err(problem(
            first.start,
            "the condition begins with WHERE",
            "leave the WHERE out",
        ));
    }
    refuse_everywhere(&all)?;
    refuse_parameters(&all, None)?;
    Ok(sql[first.start..last.end].to_owned())
}

fn refuse_everywhere(all: &[Token<'_>]) -> Result<(), SqlProblem> {
    for token in all {
        if token.is_symbol(";") {
            return Err(problem(
                token.start,
                "there is more than one statement",
                "write one SELECT: several statements cannot be wrapped, nor run as one look",
            ));
        }
        if token.kind == TokenKind::UserVariable {
            return Err(problem(
                token.start,
                "user variables (@name) make the result depend on the order of rows",
                "use a window function or a join",
            ));
        }
    }
    Ok(())
}

/// Only what reads: a data change behind a WITH, and SELECT … INTO.
fn refuse_writes(all: &[Token<'_>]) -> Result<(), SqlProblem> {
    const CHANGES: [&str; 4] = ["UPDATE", "DELETE", "INSERT", "REPLACE"];
    for (at, token) in all.iter().enumerate() {
        if is_keyword(all, at, "INTO") {
            return Err(problem(
                token.start,
                "SELECT … INTO writes",
                "take INTO out",
            ));
        }
        let is_change = CHANGES.iter().any(|word| is_keyword(all, at, word));
        let is_call = all.get(at + 1).is_some_and(|next| next.is_symbol("("));
        let is_locking = at > 0 && all[at - 1].is_word("FOR");
        if is_change && !is_call && !is_locking && token.depth == 0 {
            return Err(problem(
                token.start,
                "this statement changes data",
                "write a SELECT",
            ));
        }
    }
    Ok(())
}

fn refuse_limits_and_locks(all: &[Token<'_>]) -> Result<(), SqlProblem> {
    for (at, token) in all.iter().enumerate() {
        let next_is = |words: &[&str]| {
            all.get(at + 1)
                .is_some_and(|next| words.iter().any(|word| next.is_word(word)))
        };
        if is_keyword(all, at, "LIMIT")
            || is_keyword(all, at, "FETCH") && next_is(&["FIRST", "NEXT"])
        {
            return Err(problem(
                token.start,
                "LIMIT leaves out rows that are there, and between equals it picks any: both look like losses",
                "use MAX or MIN, or ROW_NUMBER() OVER (PARTITION BY id ORDER BY …) with an order that has no equals",
            ));
        }
        if is_keyword(all, at, "FOR") && next_is(&["UPDATE", "SHARE"])
            || is_keyword(all, at, "LOCK") && next_is(&["IN"])
        {
            return Err(problem(
                token.start,
                "a locking clause would make a sweep block the application",
                "take it out: where a repair needs locks, the program adds the clause to lock_sql",
            ));
        }
    }
    Ok(())
}

/// Refuses every parameter but `:wanted`, which must occur.
fn refuse_parameters(all: &[Token<'_>], wanted: Option<&'static str>) -> Result<(), SqlProblem> {
    let mut is_there = false;
    for token in all {
        let is_wanted = token.kind == TokenKind::Parameter && wanted == Some(token.text);
        is_there |= is_wanted;
        if token.is_symbol("?") || token.kind == TokenKind::Parameter && !is_wanted {
            let shown = if token.is_symbol("?") {
                "?".to_owned()
            } else {
                format!(":{}", token.text)
            };
            return Err(problem(
                token.start,
                &format!("nothing is bound to the parameter `{shown}`"),
                match wanted {
                    Some("since") => "the one parameter here is :since",
                    Some(_) => "the one parameter here is :ids",
                    None => "write the value itself",
                },
            ));
        }
    }
    match wanted {
        Some(name) if !is_there => Err(problem(
            0,
            &format!("the statement does not use `:{name}`"),
            match name {
                "since" => "compare the time of change with it: WHERE created_at >= :since",
                _ => "name the rows with it: WHERE id IN (:ids)",
            },
        )),
        _ => Ok(()),
    }
}

/// A locking clause at the end of these would lock nothing, or not what it seems to.
fn refuse_what_cannot_lock(all: &[Token<'_>]) -> Result<(), SqlProblem> {
    const NOT_PLAIN: [&str; 8] = [
        "WITH",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "DISTINCT",
        "GROUP",
        "HAVING",
        "WINDOW",
    ];
    for (at, token) in all.iter().enumerate() {
        let is_derived = token.is_symbol("(") && at > 0 && all[at - 1].is_word("FROM");
        if is_derived
            || at == 0 && token.is_symbol("(")
            || NOT_PLAIN.iter().any(|word| is_keyword(all, at, word))
        {
            return Err(problem(
                token.start,
                "only a plain SELECT locks the rows it reads",
                "select the parent rows themselves: SELECT id FROM auction WHERE id IN (:ids)",
            ));
        }
    }
    Ok(())
}

/// What is bound is a list with commas: it stands where a list may stand.
fn refuse_ids_outside_of_lists(all: &[Token<'_>]) -> Result<(), SqlProblem> {
    for (at, token) in all.iter().enumerate() {
        let is_listed = at >= 2
            && all[at - 1].is_symbol("(")
            && is_keyword(all, at - 2, "IN")
            && all.get(at + 1).is_some_and(|next| next.is_symbol(")"));
        if token.kind == TokenKind::Parameter && !is_listed {
            return Err(problem(
                token.start,
                "`:ids` is a list of identities and cannot stand here",
                "write IN (:ids)",
            ));
        }
    }
    Ok(())
}

/// Whether the token is this keyword; after a dot even a reserved word is a column's name.
pub(in crate::job) fn is_keyword(all: &[Token<'_>], at: usize, word: &str) -> bool {
    all[at].is_word(word) && !(at > 0 && all[at - 1].is_symbol("."))
}

pub(in crate::job) fn problem(at: usize, message: &str, hint: &'static str) -> SqlProblem {
    SqlProblem {
        message: message.to_owned(),
        hint,
        at,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn id() -> Vec<Named> {
        vec![Named {
            text: "id".to_owned(),
            span: 0..1,
        }]
    }

    fn rows(sql: &str) -> Result<String, SqlProblem> {
        statement(sql, Purpose::Rows { id: &id() })
    }

    #[test]
    fn a_statement_loses_its_semicolon_and_outer_comments() {
        let sql = "-- why\nSELECT id, 'LIMIT;' AS x FROM t -- LIMIT 1\n;\n";
        assert_eq!(rows(sql).unwrap(), "SELECT id, 'LIMIT;' AS x FROM t");
        assert!(rows("WITH a AS (SELECT id FROM t) SELECT id FROM a").is_ok());
        assert!(rows("SELECT id, t.limit, t.`for`, REPLACE(x, 'a', 'b') FROM t").is_ok());
    }

    #[test]
    fn each_refusal_has_its_reason() {
        for (sql, reason) in [
            ("", "empty"),
            (" -- nothing\n", "empty"),
            ("sql/top_bid", "no SELECT"),
            ("DELETE FROM t", "no SELECT"),
            ("WITH a AS (SELECT 1) DELETE FROM t", "changes data"),
            ("SELECT id FROM t LIMIT 5", "LIMIT"),
            ("SELECT id, (SELECT b FROM u LIMIT 1) FROM t", "LIMIT"),
            ("SELECT id FROM t FETCH FIRST 5 ROWS ONLY", "LIMIT"),
            ("SELECT id FROM t FOR UPDATE", "locking"),
            ("SELECT id FROM t FOR SHARE", "locking"),
            ("SELECT id FROM t LOCK IN SHARE MODE", "locking"),
            ("SELECT id, @x := 1 FROM t", "user variables"),
            ("SELECT id FROM t; SELECT 2", "more than one"),
            ("SELECT id INTO OUTFILE 'x' FROM t", "writes"),
            ("SELECT id FROM t WHERE a = ?", "bound"),
            ("SELECT id FROM t WHERE a = :since", "bound"),
        ] {
            let problem = rows(sql).unwrap_err();
            assert!(
                problem.message.contains(reason),
                "{sql}: {}",
                problem.message
            );
        }
    }

    #[test]
    fn changed_ids_need_since() {
        let changed = |sql| statement(sql, Purpose::ChangedIds);
        assert!(changed("SELECT DISTINCT id FROM t WHERE at >= :since").is_ok());
        assert!(
            changed("SELECT id FROM t WHERE at >= ':since'")
                .unwrap_err()
                .message
                .contains(":since")
        );
        assert!(changed("SELECT id FROM t WHERE at >= :until").is_err());
    }

    #[test]
    fn lock_sql_is_plain() {
        let lock = |sql| statement(sql, Purpose::Lock);
        assert!(lock("SELECT id FROM auction WHERE id IN (:ids)").is_ok());
        for wrong in [
            "SELECT id FROM auction",
            "SELECT id FROM auction WHERE id IN (:ids) FOR SHARE",
            "SELECT DISTINCT id FROM auction WHERE id IN (:ids)",
            "SELECT id FROM (SELECT id FROM auction) a WHERE id IN (:ids)",
            "SELECT id FROM a WHERE id IN (:ids) UNION SELECT id FROM b",
        ] {
            assert!(lock(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn evidence_asks_for_a_list_of_identities() {
        let evidence = |sql| statement(sql, Purpose::Evidence);
        assert_eq!(
            evidence(
                "SELECT a FROM t WHERE a in (:ids) UNION SELECT b FROM u WHERE b IN ( :ids );"
            )
            .unwrap(),
            "SELECT a FROM t WHERE a in (:ids) UNION SELECT b FROM u WHERE b IN ( :ids )"
        );
        for (wrong, reason) in [
            ("SELECT a FROM t", "does not use `:ids`"),
            ("SELECT a FROM t WHERE a = :ids", "cannot stand here"),
            ("SELECT a FROM t WHERE a IN (0, :ids)", "cannot stand here"),
            ("SELECT a FROM t WHERE a IN (:ids, 0)", "cannot stand here"),
            ("SELECT a FROM t WHERE a IN (:id)", "nothing is bound"),
            ("SELECT a FROM t WHERE a IN (:ids) LIMIT 1", "LIMIT"),
            ("SELECT a FROM t WHERE a IN (:ids) FOR SHARE", "locking"),
            (
                "SELECT 1; SELECT a FROM t WHERE a IN (:ids)",
                "more than one",
            ),
            ("DELETE FROM t WHERE a IN (:ids)", "no SELECT"),
        ] {
            let problem = evidence(wrong).unwrap_err();
            assert!(
                problem.message.contains(reason),
                "{wrong}: {}",
                problem.message
            );
        }
    }

    #[test]
    fn conditions() {
        assert_eq!(
            condition(" status = 'OPEN' -- x").unwrap(),
            "status = 'OPEN'"
        );
        for wrong in [
            "",
            "WHERE a = 1",
            "a = 1; DROP TABLE t",
            "a = 1) OR (1 = 1",
            "@x",
            "a = ?",
        ] {
            assert!(condition(wrong).is_err(), "{wrong}");
        }
    }
}
