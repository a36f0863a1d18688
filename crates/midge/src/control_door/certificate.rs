//! The certificate that the control door shows, and replacing it while the door is open.
//!
//! The same files as the traffic door's, which each worker reads for itself (midge-ingress). Its
//! certificate belongs to one thread, this one is asked for on the control door's.
//!
//! **Invariant:** a failed reload changes nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::config::TlsPaths;

/// A certificate that can be replaced.
pub(crate) struct Certificate {
    paths: TlsPaths,
    current: Mutex<Arc<CertifiedKey>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// One of the files.
    #[error("read certificate and key of the control door")]
    Read(#[from] pem::Error),
    /// What they hold.
    #[error("use certificate and key for the control door")]
    Use(#[from] rustls::Error),
}

impl Certificate {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// The files cannot be read, or what they hold not be used.
    pub(crate) fn load(paths: TlsPaths) -> Result<Arc<Self>, CertificateError> {
        let current = Mutex::new(read(&paths)?);
        Ok(Arc::new(Self { paths, current }))
    }

    /// Reads the same files again; connections from now on are shown what they hold.
    ///
    /// # Errors
    ///
    /// As for [`Certificate::load`]; the certificate in use stays in use.
    pub(crate) fn reload(&self) -> Result<(), CertificateError> {
        let fresh = read(&self.paths)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What puts TLS on connections with it.
    ///
    /// # Errors
    ///
    /// The library refuses its own defaults.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, CertificateError> {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        let shown = Arc::clone(self) as Arc<dyn ResolvesServerCert>;
        let mut config = config.with_cert_resolver(shown);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.lock();
        Some(Arc::clone(&current.unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Certificate")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

fn read(TlsPaths { cert, key }: &TlsPaths) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let pair = CertifiedKey::from_der(chain, key, &default_provider())?;
    Ok(Arc::new(pair))
}
