//! Where a node or a Sentinel is reached, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use super::connect::{self, Link, shown};
use super::error::RedisError;
use super::sentinel;
use crate::job::RedisSpec;

/// Where a node is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp(String, u16),
    Socket(PathBuf),
}

/// Two processes may listen at one place for different things: a login is one for Sentinels or one for data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    Node(Place),
    Sentinel(Place),
}

impl Place {
    /// Of `host:port`, an IPv6 address in brackets.
    pub(super) fn of(address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // A replica that never told its port is listed with port 0, and one without an address with none.
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then(|| Self::Tcp(host.to_owned(), port))
    }

    pub(super) fn address(&self) -> String {
        match self {
            Place::Tcp(host, port) => shown(host, *port),
            Place::Socket(path) => path.display().to_string(),
        }
    }
}

impl Asked {
    pub(super) fn place(&self) -> &Place {
        let (Asked::Node(place) | Asked::Sentinel(place)) = self;
        place
    }

    pub(super) async fn open(&self, spec: &RedisSpec, limit: Duration) -> Result<Link, RedisError> {
        let login = match self {
            Asked::Node(_) => connect::login(spec),
            Asked::Sentinel(_) => sentinel::login(spec),
        };
        match self.place() {
            Place::Tcp(host, port) => {
                connect::open_tcp(spec, login, host, *port, limit, limit).await
            }
            Place::Socket(_) => connect::open(spec, limit).await,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn an_address_names_a_place_or_none() {
        let tcp = |host: &str, port| Some(Place::Tcp(host.to_owned(), port));
        assert_eq!(Place::of("cache:6379"), tcp("cache", 6379));
        assert_eq!(Place::of("[::1]:7001"), tcp("::1", 7001));
        assert_eq!(Place::of("[::1]:7001").unwrap().address(), "[::1]:7001");
        for nowhere in ["", ":6379", "cache", "cache:0", "cache:x"] {
            assert_eq!(Place::of(nowhere), None, "{nowhere:?}");
        }
    }
}
