//! MariaDB's GTID positions: the last transaction of each replication domain.

use std::collections::BTreeMap;
use std::fmt;

/// `domain-server-number`, one a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    domains: BTreeMap<u32, (u32, u64)>,
}

impl Position {
    /// Reads `0-1-7,3-2-9`; `None` where it is something else. Of several of one domain the highest counts.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut domains = BTreeMap::new();
        for (domain, server, number) in transactions(text)? {
            let last = domains.entry(domain).or_insert((server, number));
            if number > last.1 {
                *last = (server, number);
            }
        }
        Some(Self { domains })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Whether a server at this position has everything that one at `wanted` has. Two servers that gave the
    /// same number to transactions of their own have parted.
    pub(super) fn has_all(&self, wanted: &Self) -> bool {
        wanted.domains.iter().all(|(domain, (server, number))| {
            self.domains.get(domain).is_some_and(|(own_server, own)| {
                own > number || (own, own_server) == (number, server)
            })
        })
    }

    /// The first transaction that is past `other`, of the domains that are in `among`.
    pub(super) fn ahead_of(&self, other: &Self, among: &Self) -> Option<String> {
        let of_interest = self
            .domains
            .iter()
            .filter(|(domain, _)| among.domains.contains_key(*domain));
        let is_past = |(domain, (_, number)): &(&u32, &(u32, u64))| {
            other.domains.get(*domain).is_none_or(|(_, n)| n < number)
        };
        of_interest
            .into_iter()
            .find(is_past)
            .map(|(domain, (server, number))| format!("{domain}-{server}-{number}"))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (domain, (server, number))) in self.domains.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{domain}-{server}-{number}")?;
        }
        Ok(())
    }
}

/// Of a `gtid_binlog_state`, what the server `server_id` wrote itself; `None` where either cannot be read.
pub(super) fn tells_of_itself(binlog_state: &str, server_id: &str) -> Option<Position> {
    let own: u32 = server_id.parse().ok()?;
    let own = transactions(binlog_state)?
        .into_iter()
        .filter(|(_, server, _)| *server == own);
    Some(Position {
        domains: own
            .map(|(domain, server, number)| (domain, (server, number)))
            .collect(),
    })
}

fn transactions(text: &str) -> Option<Vec<(u32, u32, u64)>> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let mut numbers = part.split('-');
            let domain = numbers.next()?.parse().ok()?;
            let server = numbers.next()?.parse().ok()?;
            let number = numbers.next()?.parse().ok()?;
            numbers.next().is_none().then_some((domain, server, number))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn at(text: &str) -> Position {
        Position::parse(text).unwrap()
    }

    #[test]
    fn every_domain_must_be_there() {
        for (applied, wanted, has_all) in [
            ("0-1-7", "0-1-7", true),
            ("0-1-8", "0-1-7", true),
            ("0-1-6", "0-1-7", false),
            ("0-2-8", "0-1-7", true),
            ("0-2-7", "0-1-7", false),
            ("0-1-7", "0-1-7,3-1-1", false),
            ("3-1-1, 0-1-9", "0-1-7,3-1-1", true),
            ("", "0-1-1", false),
        ] {
            assert_eq!(
                at(applied).has_all(&at(wanted)),
                has_all,
                "{applied} {wanted}"
            );
        }
        assert_eq!(at("3-1-1,0-1-9").to_string(), "0-1-9,3-1-1");
        for wrong in ["x", "0-1", "0-1-2-3", "0-1--2"] {
            assert_eq!(Position::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_the_primary_lacks_is_named() {
        let among = at("0-1-1");
        let ahead = |applied: &str, primary: &str| at(applied).ahead_of(&at(primary), &among);
        assert_eq!(ahead("0-1-7", "0-1-7"), None);
        assert_eq!(ahead("0-9-8", "0-1-7").as_deref(), Some("0-9-8"));
        assert_eq!(ahead("0-1-7,5-3-1", "0-1-7"), None, "another domain");
    }

    #[test]
    fn a_server_that_was_written_to_says_so() {
        let own = tells_of_itself("0-1-9,0-2-6,4-2-1", "2").unwrap();
        assert_eq!(own, at("0-2-6,4-2-1"));
        let known = tells_of_itself("0-1-12,0-2-6,4-2-1", "2").unwrap();
        assert_eq!(own.ahead_of(&known, &own), None, "it was the primary once");
        let unknown = tells_of_itself("0-1-12", "2").unwrap();
        assert_eq!(own.ahead_of(&unknown, &own).as_deref(), Some("0-2-6"));
    }
}
