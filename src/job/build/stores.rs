//! The two servers.

use std::path::PathBuf;

use crate::job::elements::mysql_url;
use crate::job::fault::Fault;
use crate::job::raw::{RawMysql, RawRedis, RawTlsFiles};
use crate::job::reader::{Setting, Text};
use crate::job::spec::{Endpoint, MysqlSpec, RedisSpec, TlsFiles};
use crate::model::secret::Secret;

pub(super) fn mysql(raw: &RawMysql, faults: &mut Vec<Fault>) -> Option<MysqlSpec> {
    let tls = tls_files(&raw.tls, faults);
    Some(MysqlSpec {
        url: raw.url.value()?,
        tls,
    })
}

/// The replica, with the TLS files of the primary.
pub(super) fn mysql_replica(raw: &RawMysql, faults: &mut Vec<Fault>) -> Option<MysqlSpec> {
    let replica = raw.replica_url.given()?;
    let url = replica.value.clone()?;
    if let Some(primary) = raw.url.given()
        && mysql_url::database(&primary.value) != mysql_url::database(&url)
    {
        faults.push(
            Fault::new(
                replica.span.clone(),
                "`url` and `replica_url` name different databases",
            )
            .hint("a replica holds the primary's tables under the same name"),
        );
    }
    Some(MysqlSpec {
        url,
        // What is wrong with them was said of the primary.
        tls: tls_files(&raw.tls, &mut Vec::new()),
    })
}

/// The replicas of `read_url`: with the master's user and password where their URL has none, its TLS files and its
/// database.
pub(super) fn redis_replicas(
    raw: &RawRedis,
    master: &RedisSpec,
    faults: &mut Vec<Fault>,
) -> Vec<RedisSpec> {
    let Some(given) = raw.read_url.given() else {
        return Vec::new();
    };
    if matches!(master.endpoint, Endpoint::Cluster { .. }) && !given.value.is_empty() {
        faults.push(
            Fault::new(given.span.clone(), "in a Cluster sweeps read the masters")
                .hint("take `read_url` out: it names replicas of one master"),
        );
    }
    let mut replicas = Vec::new();
    for url in &given.value {
        if url.database.is_some_and(|number| number != master.database) {
            faults.push(
                Fault::new(
                    given.span.clone(),
                    "`read_url` and `url` name different databases",
                )
                .hint("a replica holds the master's databases under the same numbers"),
            );
        }
        let has_login = url.user.is_some() || url.password.is_some();
        let login = if has_login {
            (url.user.clone(), url.password.clone())
        } else {
            (master.user.clone(), master.password.clone())
        };
        replicas.push(RedisSpec {
            endpoint: url.endpoint.clone(),
            user: login.0,
            password: login.1,
            database: master.database,
            tls: url.tls,
            tls_files: master.tls_files.clone(),
            sentinel_user: None,
            sentinel_password: None,
        });
    }
    replicas
}

pub(super) fn redis(raw: &RawRedis, faults: &mut Vec<Fault>) -> Option<RedisSpec> {
    let tls_files = tls_files(&raw.tls, faults);
    let url = raw.url.given()?;
    let is_sentinel = matches!(url.value.endpoint, Endpoint::Sentinel { .. });
    for setting in [&raw.sentinel_user, &raw.sentinel_password] {
        if let Some(text) = setting.given().filter(|_| !is_sentinel) {
            faults.push(
                text.fault("the URL names no Sentinel")
                    .hint("take this out, or write redis-sentinel://s1:26379,s2:26379/master"),
            );
        }
    }
    let mut read_urls = raw
        .read_url
        .given()
        .into_iter()
        .flat_map(|urls| &urls.value);
    let has_tls = url.value.tls || read_urls.any(|url| url.tls);
    for setting in [&raw.tls.ca, &raw.tls.cert, &raw.tls.key] {
        if let Some(text) = setting.given().filter(|_| !has_tls) {
            faults.push(
                text.fault("TLS files are given, but the URL does not ask for TLS")
                    .hint("write rediss://, rediss-sentinel:// or rediss-cluster://"),
            );
        }
    }
    refuse_twice(&raw.user, url.value.user.is_some(), "user", faults);
    refuse_twice(
        &raw.password,
        url.value.password.is_some(),
        "password",
        faults,
    );
    if let Some(db) = raw.db.given()
        && url.value.database.is_some_and(|number| number != db.value)
    {
        faults.push(
            Fault::new(db.span.clone(), "`db` and the URL name different databases")
                .hint("say it once"),
        );
    }
    if let Some(db) = raw.db.given()
        && db.value != 0
        && matches!(url.value.endpoint, Endpoint::Cluster { .. })
    {
        faults.push(
            Fault::new(db.span.clone(), "a Redis Cluster has no database but 0")
                .hint("take `db` out"),
        );
    }
    Some(RedisSpec {
        endpoint: url.value.endpoint.clone(),
        user: text(&raw.user).or_else(|| url.value.user.clone()),
        password: secret(&raw.password).or_else(|| url.value.password.clone()),
        database: raw.db.value().or(url.value.database).unwrap_or(0),
        tls: url.value.tls,
        tls_files,
        sentinel_user: text(&raw.sentinel_user),
        sentinel_password: secret(&raw.sentinel_password),
    })
}

fn tls_files(raw: &RawTlsFiles, faults: &mut Vec<Fault>) -> TlsFiles {
    for (given, other, other_name) in [
        (&raw.cert, &raw.key, "tls_key"),
        (&raw.key, &raw.cert, "tls_cert"),
    ] {
        if let Some(text) = given.given().filter(|_| other.is_absent()) {
            faults.push(
                text.fault(format!("there is no `{other_name}` beside this"))
                    .hint("a client's certificate and its key belong together"),
            );
        }
    }
    let path = |setting: &Setting<Text>| setting.given().map(|text| PathBuf::from(&text.value));
    TlsFiles {
        ca: path(&raw.ca),
        cert: path(&raw.cert),
        key: path(&raw.key),
    }
}

fn refuse_twice(setting: &Setting<Text>, is_in_url: bool, name: &str, faults: &mut Vec<Fault>) {
    if let Some(text) = setting.given().filter(|_| is_in_url) {
        faults.push(
            text.fault(format!("the URL has a {name} too"))
                .hint("say it once, best outside of the URL"),
        );
    }
}

fn text(setting: &Setting<Text>) -> Option<String> {
    setting
        .given()
        .map(|text| text.value.clone())
        .filter(|text| !text.is_empty())
}

/// An empty password is none: `${REDIS_PASSWORD:-}` is how a job leaves it to the environment.
fn secret(setting: &Setting<Text>) -> Option<Secret> {
    text(setting).map(Secret::new)
}
