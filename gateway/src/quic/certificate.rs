//! What the server proves itself with: an operator's certificate, or one made here for development, which clients pin.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use waybill_core::id::Hash;

use crate::secrets::{SecretDir, SecretsError};

/// The self-made certificate and its key, in one file, so that they cannot be of different makings.
const DEVELOPMENT: &str = "quic.pem";

/// Names in the self-made certificate. A client that pins it does not look at them.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file holds no certificate or no key.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The self-made one cannot be kept.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The self-made one cannot be made.
    #[error("no certificate could be made: {0}")]
    Making(#[from] rcgen::Error),
}

/// A certificate chain and its key.
pub struct Certificate {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("fingerprint", &self.fingerprint())
            .finish()
    }
}

impl Certificate {
    /// An operator's certificate, from two PEM files.
    ///
    /// # Errors
    /// When a file cannot be read or does not hold what it should.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| CertificateError::Io {
                path: path.to_owned(),
                error,
            })
        };
        Ok(Self {
            chain: chain_of(chain, &read(chain)?)?,
            key: key_of(key, &read(key)?)?,
        })
    }

    /// The self-made certificate among the secrets; made when there is none. It does not end: it is trusted by its
    /// fingerprint alone, and for as long as it is pinned.
    ///
    /// # Errors
    /// When it cannot be made, kept or read.
    pub fn development(secrets: &SecretDir) -> Result<Self, CertificateError> {
        if secrets.read(DEVELOPMENT)?.is_none() {
            let made = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned))?;
            let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
            secrets.create(DEVELOPMENT, pem.as_bytes())?;
        }
        let path = secrets.path(DEVELOPMENT);
        // Read back, because another process may have been faster.
        let pem = secrets.read(DEVELOPMENT)?.unwrap_or_default();
        Ok(Self {
            chain: chain_of(&path, &pem)?,
            key: key_of(&path, &pem)?,
        })
    }

    /// SHA-256 of the leaf in DER: what clients pin.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        let leaf = self
            .chain
            .first()
            .map(CertificateDer::as_ref)
            .unwrap_or_default();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
        let mut hash = Hash::ZERO;
        hash.0.copy_from_slice(digest.as_ref());
        hash
    }
}

fn malformed(path: &Path, what: impl Into<String>) -> CertificateError {
    CertificateError::Malformed {
        path: path.to_owned(),
        what: what.into(),
    }
}

fn chain_of(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(path, format!("is not PEM: {error}")))?;
    if chain.is_empty() {
        Err(malformed(path, "holds no certificate"))
    } else {
        Ok(chain)
    }
}

fn key_of(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|error| malformed(path, format!("holds no private key: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_made_one_is_made_once() {
        let data = tempfile::tempdir().unwrap();
        let secrets = SecretDir::open(data.path()).unwrap();
        let first = Certificate::development(&secrets).unwrap();
        let again = Certificate::development(&secrets).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.key, again.key);
        let other = tempfile::tempdir().unwrap();
        let other = Certificate::development(&SecretDir::open(other.path()).unwrap()).unwrap();
        assert_ne!(first.fingerprint(), other.fingerprint());
    }

    #[test]
    fn files_that_hold_something_else_are_named() {
        let data = tempfile::tempdir().unwrap();
        let secrets = SecretDir::open(data.path()).unwrap();
        Certificate::development(&secrets).unwrap();
        let good = secrets.path(DEVELOPMENT);
        let read = Certificate::from_files(&good, &good).unwrap();
        assert_eq!(
            read.fingerprint(),
            Certificate::development(&secrets).unwrap().fingerprint()
        );
        let bad = data.path().join("bad.pem");
        std::fs::write(&bad, "nothing").unwrap();
        for (chain, key) in [(&bad, &good), (&good, &bad)] {
            let error = Certificate::from_files(chain, key).unwrap_err().to_string();
            assert!(error.contains("bad.pem"), "{error}");
        }
        let error = Certificate::from_files(&data.path().join("none"), &good).unwrap_err();
        assert!(matches!(error, CertificateError::Io { .. }));
    }
}
