//! Certificates and keys from PEM files, and what every TLS connection of this server has in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::CipherSuite;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Certificate and key do not go together, or are of no use.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate chain and its key.
pub struct Identity {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the configured files.
    ///
    /// # Errors
    /// When one cannot be read or holds no certificate or key.
    pub fn read(tls: &Tls) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_file_iter(&tls.cert)
            .and_then(Iterator::collect)
            .map_err(|error| fault(&tls.cert, &error))?;
        if chain.is_empty() {
            return Err(TlsError::File {
                path: tls.cert.clone(),
                what: "holds no certificate".to_owned(),
            });
        }
        let key =
            PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| fault(&tls.key, &error))?;
        Ok(Self { chain, key })
    }
}

fn fault(path: &Path, error: &PemError) -> TlsError {
    let what = match error {
        PemError::NoItemsFound => "holds nothing of this kind".to_owned(),
        PemError::Io(error) => error.to_string(),
        _ => "is no PEM file".to_owned(),
    };
    TlsError::File {
        path: path.to_owned(),
        what,
    }
}

/// The cryptography of all TLS here. AES-128 with SHA-256 comes first, and servers go by that: processors compute both, while SHA-384
/// made a tenth of a handshake.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

/// TLS for HTTP: versions 1.2 and 1.3, HTTP/2 before HTTP/1.1.
///
/// # Errors
/// When certificate and key do not go together.
pub fn for_http(identity: Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?;
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cert: &str, key: &str) -> (tempfile::TempDir, Tls) {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls {
            cert: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
        };
        std::fs::write(&tls.cert, cert).unwrap();
        std::fs::write(&tls.key, key).unwrap();
        (dir, tls)
    }

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_certificate_and_its_key_are_taken() {
        let (cert, key) = made();
        let (_dir, tls) = written(&cert, &key);
        let config = for_http(Identity::read(&tls).unwrap()).unwrap();
        assert_eq!(
            config.alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
    }

    #[test]
    fn unusable_files_are_named() {
        let (cert, key) = made();
        for (cert, key, named) in [
            ("", key.as_str(), "cert.pem"),
            (cert.as_str(), "", "key.pem"),
            (cert.as_str(), cert.as_str(), "key.pem"),
        ] {
            let (_dir, tls) = written(cert, key);
            let error = Identity::read(&tls).err().unwrap().to_string();
            assert!(error.contains(named), "{error}");
        }
        let tls = Tls {
            cert: "no/such.pem".into(),
            key: "no/such.key".into(),
        };
        assert!(
            Identity::read(&tls)
                .err()
                .unwrap()
                .to_string()
                .contains("no/such.pem")
        );
        let (_, other) = made();
        let (_dir, tls) = written(&cert, &other);
        assert!(
            for_http(Identity::read(&tls).unwrap()).is_err(),
            "a key of another certificate"
        );
    }
}
