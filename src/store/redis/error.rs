//! What can go wrong, sorted by what the caller can do about it.

use std::error::Error;
use std::sync::Arc;

use ::redis::{ErrorKind, ServerError};

/// Errors by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// Closed, reset, timed out, LOADING, BUSY: back off, connect again, compare identities.
    #[error("Redis could not be reached: {0}")]
    Unreachable(String),
    /// NOAUTH, WRONGPASS, NOPERM, TLS: nobody can retry.
    #[error("Redis refused: {0}")]
    Refused(String),
    /// READONLY, UNBLOCKED, MASTERDOWN, or another run id, replication id or role than was pinned.
    #[error("the Redis topology changed: {0}")]
    TopologyChanged(String),
    /// OOM, MISCONF, NOREPLICAS: writes must stop.
    #[error("Redis takes no writes: {0}")]
    NotWritable(String),
    /// Anything else the server answers: a fault of ours, or a server we do not know.
    #[error("Redis answered {0}")]
    Protocol(String),
}

impl RedisError {
    /// An error of the client crate, met while talking to `address`.
    pub(super) fn from_client(address: &str, error: &::redis::RedisError) -> Self {
        if let Some(code) = error.code() {
            return Self::from_words(address, code, error.detail());
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Refused(format!(
                "{address}: user name or password is wrong; check user and password in [redis]"
            )),
            ErrorKind::Io if is_tls(error) => Self::Refused(format!(
                "{address}: TLS failed: {error}; check tls_ca, tls_cert and tls_key in [redis]"
            )),
            ErrorKind::Io => Self::Unreachable(format!("{address}: {error}")),
            ErrorKind::InvalidClientConfig => Self::Refused(format!("{address}: {error}")),
            _ => Self::Protocol(format!("{address}: {error}")),
        }
    }

    /// An error reply of the server at `address`.
    pub(super) fn from_server(address: &str, error: &ServerError) -> Self {
        Self::from_words(address, error.code(), error.details())
    }

    /// An answer of a shape that the command never gives.
    pub(super) fn unexpected(address: &str, command: &str) -> Self {
        Self::Protocol(format!(
            "{address}: {command} with something of another shape than documented"
        ))
    }

    /// Only the first word is matched: the texts differ between Redis and Valkey.
    fn from_words(address: &str, code: &str, details: Option<&str>) -> Self {
        let said = format!("{address}: {}", spoken(code, details));
        match code {
            "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" => Self::Unreachable(said),
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Self::Refused(said),
            "READONLY" | "UNBLOCKED" | "MASTERDOWN" | "MOVED" | "ASK" => {
                Self::TopologyChanged(said)
            }
            "OOM" | "MISCONF" | "NOREPLICAS" => Self::NotWritable(said),
            // The crate words a refused SELECT itself, and a full server greets with ERR.
            "ERR" if details.is_some_and(|d| d.starts_with("DB index")) => Self::Refused(said),
            "ERR" if details.is_some_and(|d| d.contains("max number of clients")) => {
                Self::Unreachable(said)
            }
            _ => Self::Protocol(said),
        }
    }
}

/// The server's words without what it adds about us: a script's digest, or the arguments of an
/// unknown command, which may hold values.
pub(super) fn spoken(code: &str, details: Option<&str>) -> String {
    let details = details.unwrap_or_default();
    let details = details
        .strip_prefix("ACL failure in script: ")
        .unwrap_or(details);
    let end = [" script: ", ", with args beginning with"]
        .iter()
        .filter_map(|mark| details.find(mark))
        .min()
        .unwrap_or(details.len());
    format!("{code} {}", details[..end].trim_end_matches(','))
        .trim_end()
        .to_owned()
}

/// rustls reports a refused certificate inside an I/O error, which the crate keeps in an `Arc`.
fn is_tls(error: &::redis::RedisError) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>())
        .and_then(|shared| shared.downcast_ref::<std::io::Error>())
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_decide_what_the_caller_can_do() {
        let class = |code, details| match RedisError::from_words("h:1", code, details) {
            RedisError::Unreachable(_) => "unreachable",
            RedisError::Refused(_) => "refused",
            RedisError::TopologyChanged(_) => "topology",
            RedisError::NotWritable(_) => "not writable",
            RedisError::Protocol(_) => "protocol",
        };
        assert_eq!(class("LOADING", Some("x")), "unreachable");
        assert_eq!(class("NOPERM", Some("x")), "refused");
        assert_eq!(class("READONLY", None), "topology");
        assert_eq!(class("NOREPLICAS", None), "not writable");
        assert_eq!(class("ERR", Some("DB index is out of range")), "refused");
        assert_eq!(
            class("ERR", Some("max number of clients reached")),
            "unreachable"
        );
        assert_eq!(class("ERR", Some("syntax error")), "protocol");
        assert_eq!(class("WHATEVER", None), "protocol");
    }

    #[test]
    fn values_and_digests_are_not_repeated() {
        let unknown = "unknown command 'FOO', with args beginning with: 'secret' ";
        assert_eq!(spoken("ERR", Some(unknown)), "ERR unknown command 'FOO'");
        let script = "Operation against a key script: 0123, on @user_script:1.";
        assert_eq!(
            spoken("WRONGTYPE", Some(script)),
            "WRONGTYPE Operation against a key"
        );
        assert_eq!(spoken("OOM", None), "OOM");
        let rights = "ACL failure in script: User u has no permissions to run the 'xadd' command \
            script: 0123, on @user_script:7.";
        assert_eq!(
            spoken("ERR", Some(rights)),
            "ERR User u has no permissions to run the 'xadd' command"
        );
    }
}
