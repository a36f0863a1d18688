//! The certificate this door shows, and replacing it while it is open.
//!
//! Reads PEM files, offers HTTP/2 and HTTP/1.1 by ALPN, and keeps the configuration in use until a
//! new one is known to be good. When to reload is the supervisor's choice.
//!
//! **Invariant:** a failed reload changes nothing.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::{self, ServerConfig};

/// The ALPN name of HTTP/2.
pub(crate) const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// A certificate chain and its key, as new connections are shown them.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RefCell<TlsAcceptorConfig>,
}

type TlsAcceptorConfig = Arc<ServerConfig>;

/// Why a certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file is missing or is not PEM.
    #[error("read certificate chain from `{}`", path.display())]
    Certificate {
        /// The file as given.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("no certificate in `{}`, it should begin with `-----BEGIN CERTIFICATE-----`", path.display())]
    NoCertificate {
        /// The file as given.
        path: PathBuf,
    },
    /// The key file is missing, is not PEM or holds no private key.
    #[error("read private key from `{}`", path.display())]
    Key {
        /// The file as given.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key were read but do not work together.
    #[error("use `{}` with `{}`", certificate.display(), key.display())]
    Pair {
        /// The certificate file as given.
        certificate: PathBuf,
        /// The key file as given.
        key: PathBuf,
        /// What is wrong with the two.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads a certificate chain and its private key from PEM files.
    ///
    /// # Errors
    ///
    /// The file that cannot be used and why; correct it and load again.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            current: RefCell::new(read(certificate, key)?),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Reads the same files again; connections accepted from now on are shown what they hold.
    ///
    /// # Errors
    ///
    /// As for [`Tls::load`]; the certificate in use stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.certificate, &self.key)?;
        self.current.replace(fresh);
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.borrow()))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<TlsAcceptorConfig, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Certificate {
            path: certificate.to_owned(),
            source,
        })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            path: certificate.to_owned(),
        });
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Key {
        path: key.to_owned(),
        source,
    })?;
    let pair = |source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    };
    // The provider is named: which one is the process's default depends on what else is linked in.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()];
    Ok(Arc::new(config))
}
