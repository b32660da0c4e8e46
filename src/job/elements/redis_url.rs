//! Where Redis is: alone, behind a socket, by a name that Sentinel knows, or spread over a Cluster.

use std::path::PathBuf;

use super::mysql_url::scheme_shown;
use super::url::{self, Url};
use crate::job::fault::Fault;
use crate::job::reader::Text;
use crate::job::spec::Endpoint;
use crate::model::secret::Secret;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What the URL says; `user`, `password` and `db` may instead be settings of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::job) struct RedisUrl {
    pub(in crate::job) endpoint: Endpoint,
    pub(in crate::job) tls: bool,
    pub(in crate::job) user: Option<String>,
    pub(in crate::job) password: Option<Secret>,
    pub(in crate::job) database: Option<i64>,
}

pub(in crate::job) fn parse(text: &Text) -> Result<RedisUrl, Fault> {
    let parts = url::split(text)?;
    match parts.scheme {
        "redis" | "rediss" => tcp(text, parts),
        "redis+unix" | "unix" => unix(text, parts),
        "redis-sentinel" | "rediss-sentinel" => sentinel(text, parts),
        "redis-cluster" | "rediss-cluster" => cluster(text, parts),
        scheme => Err(text
            .fault(format!(
                "[redis] url begins with `{}://`",
                scheme_shown(scheme)
            ))
            .hint(
                "write redis://, rediss://, redis+unix://, redis-sentinel://, rediss-sentinel://, redis-cluster:// \
                 or rediss-cluster://",
            )),
    }
}

fn tcp(text: &Text, parts: Url<'_>) -> Result<RedisUrl, Fault> {
    if parts.authority.contains(',') {
        return Err(text
            .fault("[redis] url names several hosts")
            .hint(
                "several Sentinels stand in redis-sentinel://s1:26379,s2:26379/master, several nodes of a Cluster in \
                 redis-cluster://h1:6379,h2:6379",
            ));
    }
    refuse_query(text, parts.query)?;
    let (host, port) = url::host_and_port(text, parts.authority, REDIS_PORT)?;
    Ok(RedisUrl {
        endpoint: Endpoint::Tcp { host, port },
        tls: parts.scheme == "rediss",
        user: parts.user,
        password: parts.password,
        database: database(text, parts.path.trim_start_matches('/'))?,
    })
}

fn unix(text: &Text, parts: Url<'_>) -> Result<RedisUrl, Fault> {
    if !parts.authority.is_empty() || parts.path.len() < 2 {
        return Err(text
            .fault("the socket's path is not absolute")
            .hint("write redis+unix:///run/redis/redis.sock"));
    }
    refuse_query(text, parts.query)?;
    let path = url::decoded(text, parts.path)?.unwrap_or_default();
    Ok(RedisUrl {
        endpoint: Endpoint::Unix(PathBuf::from(path)),
        tls: false,
        user: parts.user,
        password: parts.password,
        database: None,
    })
}

fn sentinel(text: &Text, parts: Url<'_>) -> Result<RedisUrl, Fault> {
    if parts.user.is_some() || parts.password.is_some() {
        return Err(text
            .fault("it is not clear whether this user and password are Redis's or Sentinel's")
            .hint("use the settings `user`, `password`, `sentinel_user` and `sentinel_password`"));
    }
    refuse_query(text, parts.query)?;
    let nodes = parts
        .authority
        .split(',')
        .map(|node| url::host_and_port(text, node.trim(), SENTINEL_PORT))
        .collect::<Result<Vec<_>, _>>()?;
    let (master, number) = match parts.path.trim_start_matches('/').split_once('/') {
        Some((master, number)) => (master, number),
        None => (parts.path.trim_start_matches('/'), ""),
    };
    let Some(master) = url::decoded(text, master)? else {
        return Err(text
            .fault("[redis] url does not say which master the Sentinels shall name")
            .hint("write redis-sentinel://s1:26379,s2:26379/mymaster"));
    };
    Ok(RedisUrl {
        endpoint: Endpoint::Sentinel { nodes, master },
        tls: parts.scheme == "rediss-sentinel",
        user: None,
        password: None,
        database: database(text, number)?,
    })
}

fn cluster(text: &Text, parts: Url<'_>) -> Result<RedisUrl, Fault> {
    refuse_query(text, parts.query)?;
    let nodes = parts
        .authority
        .split(',')
        .map(|node| url::host_and_port(text, node.trim(), REDIS_PORT))
        .collect::<Result<Vec<_>, _>>()?;
    let database = database(text, parts.path.trim_start_matches('/'))?;
    if database.is_some_and(|number| number != 0) {
        return Err(text
            .fault("a Redis Cluster has no database but 0")
            .hint("write redis-cluster://h1:6379,h2:6379"));
    }
    Ok(RedisUrl {
        endpoint: Endpoint::Cluster { nodes },
        tls: parts.scheme == "rediss-cluster",
        user: parts.user,
        password: parts.password,
        database,
    })
}

fn database(text: &Text, number: &str) -> Result<Option<i64>, Fault> {
    if number.is_empty() {
        return Ok(None);
    }
    match number.parse::<i64>() {
        Ok(number) if (0..=i64::from(i32::MAX)).contains(&number) => Ok(Some(number)),
        _ => Err(text
            .fault("what follows the host is no database number")
            .hint("write redis://host:port/0")),
    }
}

fn refuse_query(text: &Text, query: Option<&str>) -> Result<(), Fault> {
    match query {
        None => Ok(()),
        Some(_) => Err(text.fault("[redis] url has options after a `?`").hint(
            "use the settings of [redis] instead: user, password, db, tls_ca, tls_cert, tls_key",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn parse(value: &str) -> Result<RedisUrl, Fault> {
        super::parse(&Text {
            value: value.to_owned(),
            span: 0..1,
            substituted: true,
        })
    }

    #[test]
    fn every_scheme() {
        let tcp = parse("rediss://app:s%3Aecret@cache:6380/3").unwrap();
        assert_eq!(
            tcp.endpoint,
            Endpoint::Tcp {
                host: "cache".to_owned(),
                port: 6380
            }
        );
        assert_eq!(
            (tcp.tls, tcp.database, tcp.user.as_deref()),
            (true, Some(3), Some("app"))
        );
        assert_eq!(tcp.password.unwrap().reveal(), "s:ecret");
        let unix = parse("redis+unix:///run/redis.sock").unwrap();
        assert_eq!(unix.endpoint, Endpoint::Unix("/run/redis.sock".into()));
        let sentinel = parse("redis-sentinel://s1,s2:26380/mymaster/2").unwrap();
        assert_eq!(
            sentinel.endpoint,
            Endpoint::Sentinel {
                nodes: vec![("s1".to_owned(), 26379), ("s2".to_owned(), 26380)],
                master: "mymaster".to_owned()
            }
        );
        assert_eq!((sentinel.tls, sentinel.database), (false, Some(2)));
        assert!(parse("rediss-sentinel://s1/m").unwrap().tls);
        assert_eq!(parse("redis://:p@h").unwrap().user, None);
        let cluster = parse("rediss-cluster://app:pw@h1,[::1]:7000/0").unwrap();
        let nodes = vec![("h1".to_owned(), 6379), ("::1".to_owned(), 7000)];
        assert_eq!(cluster.endpoint, Endpoint::Cluster { nodes });
        assert_eq!((cluster.tls, cluster.user.as_deref()), (true, Some("app")));
        assert!(!parse("redis-cluster://h").unwrap().tls);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for wrong in [
            "hunter2",
            "http://hunter2",
            "redis://hunter2:x",
            "redis://u:hunter2@h/x",
            "redis://u:hunter2@h,i",
            "redis://h?p=hunter2",
            "redis+unix://hunter2",
            "redis-sentinel://u:hunter2@s1/m",
            "redis-sentinel://hunter2",
            "redis-cluster://hunter2:x",
            "redis-cluster://u:hunter2@h/3",
        ] {
            let fault = parse(wrong).unwrap_err();
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
            assert!(fault.hint.is_some());
        }
    }
}
