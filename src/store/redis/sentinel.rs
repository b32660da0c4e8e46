//! Asking the Sentinels who the master is.
//!
//! One Sentinel may be cut off and name yesterday's master, so all are asked at once. Those that have not heard of the
//! latest failover (their `config-epoch` is lower) do not count, and whoever most of the others name must say of itself
//! that it is a master.

use std::time::Duration;

use super::connect::{Link, Login, open_node, open_tcp, shown};
use super::error::RedisError;
use super::{reply, soon, witness};
use crate::job::RedisSpec;

/// A dead Sentinel must not hold up an incident.
const SENTINEL_LIMIT: Duration = Duration::from_secs(2);

/// What one Sentinel said of the name.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Master {
        host: String,
        port: u16,
        /// One more with every failover; `None`: the user may not ask.
        epoch: Option<u64>,
    },
    UnknownName,
}

/// A node named as the master, with how many Sentinels named it.
struct Candidate {
    host: String,
    port: u16,
    votes: usize,
    /// The latest of those that named it.
    epoch: Option<u64>,
}

/// Opens a connection to the node that the Sentinels `nodes` call the master `name`. Where they
/// disagree, those that know the latest failover count; of the nodes these name, the one that says ROLE master is
/// taken; if several do, the one with more votes.
pub(super) async fn open_master(
    spec: &RedisSpec,
    nodes: &[(String, u16)],
    name: &str,
    response_limit: Duration,
) -> Result<Link, RedisError> {
    let questions = nodes
        .iter()
        .map(|(host, port)| ask(spec, host, *port, name));
    let is_enough = |came: &[(usize, Result<Answer, RedisError>)]| is_agreed(came, nodes.len());
    let answers = soon::answers(questions, is_enough).await;
    let mut candidates = count_votes(answers, name)?;
    let answered: usize = candidates.iter().map(|c| c.votes).sum();
    if answered * 2 <= nodes.len() {
        // Cut off together with an old master, a minority would still name it.
        return Err(RedisError::TopologyChanged(format!(
            "only {answered} of {} Sentinels named a master for \"{name}\"; a minority may be cut off with an \
             old one",
            nodes.len()
        )));
    }

    drop_stale(&mut candidates);
    let mut masters = Vec::new();
    let mut said = Vec::new();
    for candidate in &candidates {
        let address = shown(&candidate.host, candidate.port);
        let opened = open_confirmed(spec, candidate, response_limit).await;
        said.push(match &opened {
            Ok((role, _)) => format!(
                "{} named {address}, which says role {role}",
                candidate.votes
            ),
            Err(error) => format!("{} named {address}: {error}", candidate.votes),
        });
        match opened {
            Ok((role, link)) if role == "master" => masters.push((candidate.votes, link)),
            Ok(_) => {}
            Err(error) if candidates.len() == 1 => return Err(error),
            Err(_) => {}
        }
    }
    let best = masters.iter().map(|(votes, _)| *votes).max();
    masters.retain(|(votes, _)| Some(*votes) == best);
    match masters.len() {
        1 => Ok(masters.remove(0).1),
        _ => Err(RedisError::TopologyChanged(format!(
            "the Sentinels name no one master for \"{name}\" ({}); wait until the failover is over",
            said.join("; ")
        ))),
    }
}

/// The job's credentials on Sentinels.
pub(super) fn login(spec: &RedisSpec) -> Login<'_> {
    Login {
        user: spec.sentinel_user.as_deref(),
        password: spec.sentinel_password.as_ref(),
        database: 0,
    }
}

/// Whether more than half of `count` Sentinels name one master and the same failover as the latest: those that have not
/// answered yet hardly know better, and are waited for a moment only.
fn is_agreed(came: &[(usize, Result<Answer, RedisError>)], count: usize) -> bool {
    let votes = |said: &Answer| {
        let all = came.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        all.filter(|other| *other == said).count()
    };
    let mut named = came.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    named.any(|said| {
        let is_dated = matches!(said, Answer::Master { epoch: Some(_), .. });
        is_dated && votes(said) * 2 > count
    })
}

/// The named nodes, most votes first; those of one count in the order they were first named.
fn count_votes(
    answers: Vec<Result<Answer, RedisError>>,
    name: &str,
) -> Result<Vec<Candidate>, RedisError> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut failures = Vec::new();
    let mut refused = false;
    let mut unknown = 0;
    for answer in answers {
        match answer {
            Ok(Answer::Master { host, port, epoch }) => {
                let known = candidates
                    .iter_mut()
                    .find(|c| c.host == host && c.port == port);
                match known {
                    Some(candidate) => {
                        candidate.votes += 1;
                        candidate.epoch = candidate.epoch.max(epoch);
                    }
                    None => candidates.push(Candidate {
                        host,
                        port,
                        votes: 1,
                        epoch,
                    }),
                }
            }
            Ok(Answer::UnknownName) => unknown += 1,
            Err(error) => {
                refused |= matches!(error, RedisError::Refused(_));
                failures.push(error.to_string());
            }
        }
    }
    if !candidates.is_empty() {
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.votes));
        return Ok(candidates);
    }
    if unknown > 0 {
        return Err(RedisError::Refused(format!(
            "no Sentinel knows a master named \"{name}\"; check the name in [redis] url"
        )));
    }
    let said = format!("no Sentinel answered: {}", failures.join("; "));
    Err(if refused {
        RedisError::Refused(said)
    } else {
        RedisError::Unreachable(said)
    })
}

async fn ask(spec: &RedisSpec, host: &str, port: u16, name: &str) -> Result<Answer, RedisError> {
    let link = open_tcp(
        spec,
        login(spec),
        host,
        port,
        SENTINEL_LIMIT,
        SENTINEL_LIMIT,
    )
    .await?;
    let mut both = ::redis::pipe();
    both.cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(name);
    both.cmd("SENTINEL").arg("MASTER").arg(name);
    let mut answers = reply::many(&link, &both).await?.into_iter();
    let named = reply::accepted(&link.address, answers.next().unwrap_or_default())?;
    let Some((host, port)) = named_master(&link, named)? else {
        return Ok(Answer::UnknownName);
    };
    let epoch = answers.next().and_then(|answer| {
        let row = witness::row(reply::accepted(&link.address, answer).ok()?)?;
        row.get("config-epoch")?.parse().ok()
    });
    Ok(Answer::Master { host, port, epoch })
}

/// An answer to SENTINEL GET-MASTER-ADDR-BY-NAME. While a failover is under way its leader gives the promoted node here
/// already, and still the old one by SENTINEL MASTER. `None`: it does not know the name.
pub(super) fn named_master(
    link: &Link,
    answer: ::redis::Value,
) -> Result<Option<(String, u16)>, RedisError> {
    let unexpected = || RedisError::unexpected(&link.address, "SENTINEL GET-MASTER-ADDR-BY-NAME");
    let Some(fields) = reply::optional_array(answer) else {
        return Ok(None);
    };
    let fields: Vec<String> = fields.into_iter().filter_map(reply::text).collect();
    let [host, port] = <[String; 2]>::try_from(fields).map_err(|_| unexpected())?;
    Ok(Some((host, port.parse().map_err(|_| unexpected())?)))
}

/// A Sentinel that was cut off during a failover goes on naming the old master, which may still say that it is one.
fn drop_stale(candidates: &mut Vec<Candidate>) {
    // Where one of them hides its epoch nothing can be compared.
    if candidates.iter().all(|candidate| candidate.epoch.is_some()) {
        let latest = candidates.iter().map(|candidate| candidate.epoch).max();
        candidates.retain(|candidate| Some(candidate.epoch) == latest);
    }
}

/// Opens `candidate` and lets it say its role.
async fn open_confirmed(
    spec: &RedisSpec,
    candidate: &Candidate,
    response_limit: Duration,
) -> Result<(String, Link), RedisError> {
    let link = open_node(spec, &candidate.host, candidate.port, response_limit).await?;
    let role = reply::optional_array(reply::one(&link, &::redis::cmd("ROLE")).await?)
        .and_then(|fields| fields.into_iter().next())
        .and_then(reply::text)
        .ok_or_else(|| RedisError::unexpected(&link.address, "ROLE"))?;
    Ok((role, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_must_name_one_master_and_one_failover() {
        let named = |said: &[(&str, Option<u64>)]| {
            let answers = said.iter().map(|(host, epoch)| {
                Ok(Answer::Master {
                    host: (*host).to_owned(),
                    port: 1,
                    epoch: *epoch,
                })
            });
            let gone = Err(RedisError::Unreachable("gone".to_owned()));
            let came: Vec<_> = answers.chain([gone]).enumerate().collect();
            is_agreed(&came, 3)
        };
        assert!(!named(&[]) && !named(&[("a", Some(1))]));
        assert!(named(&[("a", Some(1)), ("a", Some(1))]));
        assert!(!named(&[("a", Some(1)), ("a", Some(2))]), "one is stale");
        assert!(!named(&[("a", Some(1)), ("b", Some(1))]));
        assert!(
            !named(&[("a", None), ("a", None)]),
            "they may both be stale"
        );
    }
}
