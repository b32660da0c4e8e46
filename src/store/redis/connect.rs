//! Opening one plain connection: address, credentials, TLS, time limits.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo,
};

use super::error::RedisError;
use super::{sentinel, tls};
use crate::job::{Endpoint, RedisSpec};
use crate::model::secret::Secret;
use crate::store::Waiting;

/// Name lookup, TCP, TLS and AUTH together; the crate's own second is too short across regions.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Requests waiting to be put on the wire. A batch of single commands must not wait for its turn.
const QUEUED_REQUESTS_MAX: usize = 1_024;

/// An open connection to one node. Its clones share it; none of them ever reconnects.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    /// `host:port`, or the socket's path.
    pub(super) address: String,
    /// Who waits for this node while it cannot answer.
    pub(super) waiting: Arc<Waiting>,
}

/// Who we are at the other end.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a Secret>,
    pub(super) database: i64,
}

/// Finds the node that `spec` means and opens a connection to it. Every answer is waited for no
/// longer than `response_limit`.
pub(super) async fn open(spec: &RedisSpec, response_limit: Duration) -> Result<Link, RedisError> {
    match &spec.endpoint {
        Endpoint::Tcp { host, port } => open_node(spec, host, *port, response_limit).await,
        Endpoint::Unix(path) => {
            let address = path.display().to_string();
            let addr = ConnectionAddr::Unix(path.clone());
            let client = Client::open(info(addr, login(spec))?)
                .map_err(|error| RedisError::from_client(&address, &error))?;
            open_client(&client, address, CONNECT_LIMIT, response_limit).await
        }
        Endpoint::Sentinel { nodes, master } => {
            sentinel::open_master(spec, nodes, master, response_limit).await
        }
        Endpoint::Cluster { .. } => Err(RedisError::Refused(
            "a Cluster has no one node; its masters are opened one by one".to_owned(),
        )),
    }
}

/// Opens a data node by its address, with the job's own credentials.
pub(super) async fn open_node(
    spec: &RedisSpec,
    host: &str,
    port: u16,
    response_limit: Duration,
) -> Result<Link, RedisError> {
    open_tcp(spec, login(spec), host, port, CONNECT_LIMIT, response_limit).await
}

/// Opens a data node by its address as [`shown`] spells it.
pub(super) async fn open_address(
    spec: &RedisSpec,
    address: &str,
    response_limit: Duration,
) -> Result<Link, RedisError> {
    let place = address.rsplit_once(':');
    let place = place.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = place else {
        return Err(RedisError::Protocol(format!(
            "{address} is no host and port"
        )));
    };
    open_node(spec, host.trim_matches(['[', ']']), port, response_limit).await
}

/// Opens any node of the job over TCP, with TLS where the job says so.
pub(super) async fn open_tcp(
    spec: &RedisSpec,
    login: Login<'_>,
    host: &str,
    port: u16,
    connect_limit: Duration,
    response_limit: Duration,
) -> Result<Link, RedisError> {
    let address = shown(host, port);
    let refused = |error| RedisError::from_client(&address, &error);
    let client = if spec.tls {
        let addr = ConnectionAddr::TcpTls {
            host: host.to_owned(),
            port,
            insecure: false,
            tls_params: None,
        };
        Client::build_with_tls(info(addr, login)?, tls::certificates(&spec.tls_files)?)
    } else {
        Client::open(info(ConnectionAddr::Tcp(host.to_owned(), port), login)?)
    };
    open_client(
        &client.map_err(refused)?,
        address,
        connect_limit,
        response_limit,
    )
    .await
}

/// `host:port`; an IPv6 address in brackets.
pub(super) fn shown(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

async fn open_client(
    client: &Client,
    address: String,
    connect_limit: Duration,
    response_limit: Duration,
) -> Result<Link, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(connect_limit))
        .set_response_timeout(Some(response_limit))
        .set_pipeline_buffer_size(QUEUED_REQUESTS_MAX);
    let connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|error| RedisError::from_client(&address, &error))?;
    Ok(Link {
        connection,
        address,
        waiting: Arc::default(),
    })
}

/// The job's own credentials on data nodes.
pub(super) fn login(spec: &RedisSpec) -> Login<'_> {
    Login {
        user: spec.user.as_deref(),
        password: spec.password.as_ref(),
        database: spec.database,
    }
}

/// RESP2, because it is faster here and prints scores as text. The client's name is not announced:
/// CLIENT SETINFO is unknown to Redis 7.0 and not every user may call it.
fn info(addr: ConnectionAddr, login: Login<'_>) -> Result<ConnectionInfo, RedisError> {
    let mut settings = RedisConnectionInfo::default()
        .set_db(login.database)
        .set_skip_set_lib_name();
    if let Some(user) = login.user {
        // AUTH is sent only with a password; a user who needs none may log in with any.
        settings = settings.set_username(user).set_password("");
    }
    if let Some(password) = login.password {
        settings = settings.set_password(password.reveal());
    }
    addr.into_connection_info()
        // Without it a small request waits up to 40 ms for the acknowledgement of the one before.
        .map(|info| info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
        .map(|info| info.set_redis_settings(settings))
        .map_err(|error| RedisError::Refused(format!("[redis] url: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_keeps_its_port_apart() {
        assert_eq!(shown("::1", 6379), "[::1]:6379");
        assert_eq!(shown("cache", 6379), "cache:6379");
    }
}
