//! Certificates for a TLS connection.

use std::path::Path;

use ::redis::{ClientTlsConfig, TlsCertificates};

use super::error::RedisError;
use crate::job::TlsFiles;

/// Reads the files of the job. Without `ca` the host's own authorities are trusted; with it, only it.
pub(super) fn certificates(files: &TlsFiles) -> Result<TlsCertificates, RedisError> {
    // rustls needs one provider per process; a second installation is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client_tls = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: read("tls_cert", cert)?,
            client_key: read("tls_key", key)?,
        }),
        (None, None) => None,
        _ => {
            return Err(RedisError::Refused(
                "tls_cert and tls_key belong together; set both or neither in [redis]".into(),
            ));
        }
    };
    let root_cert = files
        .ca
        .as_deref()
        .map(|ca| read("tls_ca", ca))
        .transpose()?;
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, RedisError> {
    std::fs::read(path).map_err(|error| {
        RedisError::Refused(format!(
            "{setting} {} is not readable: {error}",
            path.display()
        ))
    })
}
