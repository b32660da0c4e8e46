//! `[redis].read_url`: replicas that sweeps may read, each by an address of its own.

use super::redis_url::{self, RedisUrl};
use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::job::spec::Endpoint;

/// One URL, or several with commas between them; none where the text is empty, which is how a job leaves it to
/// the environment.
pub(in crate::job) fn parse(text: &Text) -> Result<Vec<RedisUrl>, Fault> {
    urls(&text.value)
        .map(|url| {
            let one = Text {
                value: url.to_owned(),
                span: text.span.clone(),
                substituted: text.substituted,
            };
            let url = redis_url::parse(&one)?;
            match url.endpoint {
                Endpoint::Tcp { .. } | Endpoint::Unix(_) => Ok(url),
                _ => Err(text
                    .fault("[redis] read_url does not name a node")
                    .hint("write redis://, rediss:// or redis+unix:// of a replica, or several with commas between")),
            }
        })
        .collect()
}

/// A comma parts two URLs only where another one begins behind it: a password may hold commas.
fn urls(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let end = whole.match_indices(',').find(|(at, _)| {
            let next = whole[at + 1..].trim_start();
            next.split_once("://").is_some_and(|(scheme, _)| {
                !scheme.is_empty()
                    && scheme
                        .chars()
                        .all(|c| c.is_ascii_alphabetic() || matches!(c, '+' | '-'))
            })
        });
        let (one, after) = match end {
            Some((at, _)) => (&whole[..at], Some(&whole[at + 1..])),
            None => (whole, None),
        };
        rest = after;
        Some(one.trim())
    })
    .filter(|url| !url.is_empty())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn parse(value: &str) -> Result<Vec<RedisUrl>, Fault> {
        super::parse(&Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: true,
        })
    }

    #[test]
    fn one_url_or_several() {
        let urls = parse("redis://r1:6380, rediss://u:a,b@r2,redis+unix:///run/r.sock").unwrap();
        let tcp = |host: &str, port| Endpoint::Tcp {
            host: host.to_owned(),
            port,
        };
        assert_eq!(urls[0].endpoint, tcp("r1", 6380));
        assert_eq!(urls[1].endpoint, tcp("r2", 6379));
        assert_eq!(urls[1].password.as_ref().unwrap().reveal(), "a,b");
        assert!(urls[1].tls && !urls[0].tls);
        assert_eq!(urls[2].endpoint, Endpoint::Unix("/run/r.sock".into()));
        assert_eq!(urls.len(), 3);
        assert!(parse("").unwrap().is_empty(), "left to the environment");
    }

    #[test]
    fn what_names_no_node_is_refused_without_the_url() {
        for wrong in [
            "redis-sentinel://hunter2/m",
            "redis://hunter2,r2",
            "hunter2",
            "redis://r1,http://hunter2",
        ] {
            let fault = parse(wrong).unwrap_err();
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
            assert!(fault.hint.is_some(), "{wrong}");
        }
    }
}
