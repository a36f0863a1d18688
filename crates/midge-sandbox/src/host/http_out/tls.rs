//! Whom guests' outbound connections trust.
//!
//! Loads root certificates, from this machine or from a file the operator named, and
//! keeps the TLS configuration that all functions of a worker share. Who connects where
//! is `dial.rs`.
//!
//! **Invariant:** certificates are read once per process and never for a request.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use midge_model::HostName;

/// The ALPN name of HTTP/2.
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Why the root certificates that were asked for cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file is missing or is not PEM.
    #[error("read root certificates from `{}`", path.display())]
    Unreadable {
        /// The file as given.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("no certificate in `{}`, it should begin with `-----BEGIN CERTIFICATE-----`", path.display())]
    Empty {
        /// The file as given.
        path: PathBuf,
    },
    /// The file holds a certificate that cannot be a root.
    #[error("use a certificate in `{}` as a root", path.display())]
    Refused {
        /// The file as given.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

/// A TLS configuration that trusts what this machine trusts.
///
/// A machine that trusts nobody is no reason not to start: every handshake will fail, and the
/// guest is told so.
pub(crate) fn system() -> Arc<ClientConfig> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Bundles hold certificates of another age that no verifier of today accepts.
    let (trusted, ignored) = roots.add_parsable_certificates(found.certs);
    if trusted == 0 {
        let errors = found.errors.len();
        tracing::warn!(
            ignored,
            errors,
            "no root certificate found on this machine, guests cannot use https"
        );
    }
    configuration(roots)
}

/// A TLS configuration that trusts the certificates in a PEM file and nobody else.
///
/// # Errors
///
/// The file cannot be used; correct it and start again.
pub(crate) fn of_file(path: &Path) -> Result<Arc<ClientConfig>, RootsError> {
    let unreadable = |source| RootsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let added = roots.add(certificate.map_err(unreadable)?);
        added.map_err(|source| RootsError::Refused {
            path: path.to_owned(),
            source,
        })?;
    }
    if roots.is_empty() {
        return Err(RootsError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(configuration(roots))
}

fn configuration(roots: RootCertStore) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the cipher suites of its own defaults")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()];
    Arc::new(config)
}

/// Whose certificate a server must show: the name that the guest asked for.
pub(super) fn server_name(host: &HostName) -> Option<ServerName<'static>> {
    match host {
        HostName::Ip(address) => Some(ServerName::from(*address)),
        HostName::Name(name) => ServerName::try_from(name.clone()).ok(),
    }
}
