//! The parts of a URL, cut without ever showing one: it may hold a password.

use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::model::secret::Secret;

/// `scheme://user:password@authority/path?query`, user and password decoded.
pub(in crate::job) struct Url<'t> {
    pub(in crate::job) scheme: &'t str,
    pub(in crate::job) user: Option<String>,
    pub(in crate::job) password: Option<Secret>,
    /// Hosts and ports as written.
    pub(in crate::job) authority: &'t str,
    /// With its leading slash; empty without one.
    pub(in crate::job) path: &'t str,
    pub(in crate::job) query: Option<&'t str>,
}

pub(in crate::job) fn split(text: &Text) -> Result<Url<'_>, Fault> {
    let (scheme, rest) = text.value.split_once("://").ok_or_else(|| {
        text.fault("this is no URL")
            .hint("write scheme://host:port")
    })?;
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (before, after) = rest.split_at(end);
    let (userinfo, authority) = match before.rsplit_once('@') {
        Some((userinfo, authority)) => (Some(userinfo), authority),
        None => (None, before),
    };
    // An `@` further on, or a fragment, is a password whose special characters were not encoded.
    if after.contains('@') || text.value.contains('#') {
        return Err(text
            .fault("this URL cannot be cut into user, password and host")
            .hint("percent-encode special characters in the password: `/` is %2F, `@` %40, `#` %23, `?` %3F"));
    }
    let (path, query) = match after.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (after, None),
    };
    let (user, password) = match userinfo.map(|u| u.split_once(':').unwrap_or((u, ""))) {
        None => (None, None),
        Some((user, password)) => (
            decoded(text, user)?,
            decoded(text, password)?.map(Secret::new),
        ),
    };
    Ok(Url {
        scheme,
        user,
        password,
        authority,
        path,
        query,
    })
}

/// `host`, `host:port` or `[::1]:port`.
pub(in crate::job) fn host_and_port(
    text: &Text,
    authority: &str,
    default_port: u16,
) -> Result<(String, u16), Fault> {
    let fault = |message: &str| {
        text.fault(message.to_owned())
            .hint("write host:port; an IPv6 address stands in brackets: [::1]:6379")
    };
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or_else(|| fault("the URL's `[` is never closed"))?;
        match after {
            "" => (host, None),
            _ => (
                host,
                Some(
                    after
                        .strip_prefix(':')
                        .ok_or_else(|| fault("the URL has no port after `]`"))?,
                ),
            ),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err(fault("the URL has no host"));
    }
    let port = match port {
        None => default_port,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(fault("the URL's port is no number from 1 to 65535")),
        },
    };
    Ok((host.to_owned(), port))
}

/// Percent-decoded; `None` for nothing at all.
pub(in crate::job) fn decoded(text: &Text, part: &str) -> Result<Option<String>, Fault> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let byte = tail.get(..2).and_then(|two| hex::decode(two).ok());
        let Some(byte) = byte else {
            return Err(text
                .fault("the URL has a `%` that encodes nothing")
                .hint("write %25 for a percent sign"));
        };
        bytes.extend(byte);
        rest = &tail[2..];
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    String::from_utf8(bytes).map(Some).map_err(|_| {
        text.fault("a part of the URL is not UTF-8")
            .hint("percent-encode UTF-8 bytes")
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn text(value: &str) -> Text {
        Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: false,
        }
    }

    #[test]
    fn parts() {
        let text = text("mysql://root:p%40ss%25@[::1]:3307/shop?ssl-mode=REQUIRED");
        let url = split(&text).unwrap();
        assert_eq!(
            (url.scheme, url.path, url.query),
            ("mysql", "/shop", Some("ssl-mode=REQUIRED"))
        );
        assert_eq!(
            (url.user.as_deref(), url.password.unwrap().reveal()),
            (Some("root"), "p@ss%")
        );
        assert_eq!(
            host_and_port(&text, url.authority, 1).unwrap(),
            ("::1".to_owned(), 3307)
        );
        assert_eq!(
            host_and_port(&text, "db", 3306).unwrap(),
            ("db".to_owned(), 3306)
        );
        for wrong in ["", ":1", "h:x", "h:0", "h:70000", "[::1", "[::1]x", "::1:5"] {
            assert!(host_and_port(&text, wrong, 1).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_that_was_not_encoded_is_not_repeated() {
        for wrong in [
            "mysql://u:hun/ter2@h/d",
            "mysql://u:hun#ter2@h/d",
            "mysql://u:hun?ter2@h/d",
            "mysql://u:hun%ter2@h/d",
        ] {
            let text = text(wrong);
            let fault = split(&text).err().unwrap();
            assert!(!format!("{fault:?}").contains("ter2"), "{wrong}");
        }
    }
}
