//! A private authority and a server certificate for 127.0.0.1, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::find;
use crate::lab::LabError;

/// PEM files in a folder that somebody else owns.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes `ca.pem`, `server.pem` and `server.key` in `folder`, valid for 127.0.0.1 and localhost.
    pub fn create(folder: &Path) -> Result<Self, LabError> {
        let openssl = find("openssl", "install the Debian package openssl")?;
        let made = Self {
            folder: folder.to_owned(),
        };
        let extensions = folder.join("server.ext");
        std::fs::write(&extensions, "subjectAltName=IP:127.0.0.1,DNS:localhost\n")
            .map_err(LabError::io("write the certificate's extensions"))?;
        let curve = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ];
        let steps: [&[&str]; 3] = [
            &[
                "req",
                "-x509",
                "-days",
                "2",
                "-subj",
                "/CN=lab authority",
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
            ],
            &[
                "req",
                "-subj",
                "/CN=localhost",
                "-keyout",
                "server.key",
                "-out",
                "server.csr",
            ],
            &[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                "server.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-extfile",
                "server.ext",
                "-out",
                "server.pem",
            ],
        ];
        for step in steps {
            let mut command = Command::new(&openssl);
            command.args(step).current_dir(folder);
            if step.first() == Some(&"req") {
                command.args(curve);
            }
            let output = command.output().map_err(LabError::io("run openssl"))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(LabError::Unfit(format!(
                    "openssl could not make a certificate: {said}"
                )));
            }
        }
        Ok(made)
    }

    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    /// The authority's certificate itself.
    pub fn authority_pem(&self) -> Result<Vec<u8>, LabError> {
        std::fs::read(self.authority()).map_err(LabError::io("read the lab's ca.pem"))
    }
}
