//! `mysql://user:password@host:port/database`

use super::url;
use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::model::secret::Secret;

/// The URL as it is, once it is known to name a host and a database.
pub(in crate::job) fn parse(text: &Text) -> Result<Secret, Fault> {
    named(
        text,
        "url",
        "name the primary alone: verdicts are taken against it",
    )
}

/// The same of a replica; `None` where the text is empty, which is how a job leaves it to the environment.
pub(in crate::job) fn parse_replica(text: &Text) -> Result<Option<Secret>, Fault> {
    if text.value.is_empty() {
        return Ok(None);
    }
    named(
        text,
        "replica_url",
        "name one replica: what is read is compared with how far that one is",
    )
    .map(Some)
}

/// The database of a URL that was found right, as it is written.
pub(in crate::job) fn database(url: &Secret) -> &str {
    let rest = url.reveal().split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    path.split(['?', '#']).next().unwrap_or_default()
}

fn named(text: &Text, setting: &str, one_host: &'static str) -> Result<Secret, Fault> {
    let parts = url::split(text)?;
    if parts.scheme != "mysql" {
        return Err(text
            .fault(format!(
                "[mysql] {setting} begins with `{}://`",
                scheme_shown(parts.scheme)
            ))
            .hint("write mysql://user:password@host:port/database (for MariaDB too)"));
    }
    if parts.authority.contains(',') {
        return Err(text
            .fault(format!("[mysql] {setting} names several hosts"))
            .hint(one_host));
    }
    url::host_and_port(text, parts.authority, 3306)?;
    let database = url::decoded(text, parts.path.trim_start_matches('/'))?;
    match database {
        Some(database) if !database.contains('/') => Ok(Secret::new(text.value.clone())),
        _ => Err(text
            .fault(format!("[mysql] {setting} names no database"))
            .hint("write mysql://user:password@host:port/database")),
    }
}

/// A scheme is short and plain; anything else may be the beginning of a secret.
pub(in crate::job) fn scheme_shown(scheme: &str) -> &str {
    let is_plain = |c: char| c.is_ascii_alphabetic() || c == '+' || c == '-';
    if scheme.len() <= 20 && scheme.chars().all(is_plain) {
        scheme
    } else {
        "…"
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn needs_a_scheme_a_host_and_a_database() {
        let parse = |value: &str| {
            parse(&Text {
                value: value.to_owned(),
                span: 0..1,
                substituted: false,
            })
        };
        assert_eq!(
            parse("mysql://a:b@h/d").unwrap().reveal(),
            "mysql://a:b@h/d"
        );
        assert!(parse("mysql://h:3307/d?ssl-mode=VERIFY_CA").is_ok());
        for wrong in [
            "",
            "h/d",
            "postgres://h/d",
            "mysql://h",
            "mysql://h/",
            "mysql:///d",
            "mysql://a,b/d",
        ] {
            let fault = parse(wrong).unwrap_err();
            assert!(fault.hint.is_some(), "{wrong}");
        }
    }
}
