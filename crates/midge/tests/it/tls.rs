//! HTTPS: which protocol is agreed on, and a certificate renewed while it serves.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use http::Version;
use midge_testkit::Midge;
use midge_testkit::http::Client;
use midge_testkit::wait_until_async;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::kit::server;

/// A folder with a certificate and its key, as an operator keeps them.
pub(crate) struct Identity {
    folder: TempDir,
}

impl Identity {
    /// A fresh one; the certificate to trust comes with it.
    pub(crate) fn new() -> (Self, CertificateDer<'static>) {
        let identity = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let certificate = identity.renew();
        (identity, certificate)
    }

    /// Puts another certificate and key into the files.
    fn renew(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(self.certificate(), cert.pem()).unwrap();
        fs::write(self.key(), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn serve(&self, guest: &str) -> Midge {
        let (certificate, key) = (self.certificate(), self.key());
        let flags = [
            "--tls-cert",
            certificate.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ];
        server(guest).args(flags).start()
    }
}

/// A client that trusts this certificate only and offers these protocols.
fn trusting(certificate: &CertificateDer<'static>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    Arc::new(config)
}

#[tokio::test]
async fn the_two_sides_agree_on_the_best_protocol_they_share() {
    let (identity, certificate) = Identity::new();
    let midge = identity.serve("http02-echo.wasm");
    midge.wait_until_said(&format!("listening on https://{}\n", midge.addr()));
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1", "h2"], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let config = trusting(&certificate, offered);
        let mut client = Client::tls(midge.addr(), config).await.unwrap();
        assert_eq!(client.version(), agreed, "{offered:?}");
        let answer = client.get("/p").await.unwrap();
        assert_eq!(answer.header("x-echo-scheme"), "https", "{offered:?}");
        assert_eq!(answer.header("x-echo-path"), "/p");
        let seen = client.get("/?headers").await.unwrap().text();
        assert!(seen.contains("x-forwarded-proto: https\n"), "{seen}");
    }
}

#[tokio::test]
async fn a_command_knows_that_it_was_asked_over_https() {
    let (identity, certificate) = Identity::new();
    let midge = identity.serve("command01-echo.wasm");
    let config = trusting(&certificate, &["h2"]);
    let mut client = Client::tls(midge.addr(), config).await.unwrap();
    let variables = client.get("/?vars").await.unwrap().text();
    assert!(variables.contains("HTTPS=on\n"), "{variables}");
    assert!(variables.contains("SERVER_PROTOCOL=HTTP/2"), "{variables}");
}

#[tokio::test]
async fn words_without_tls_are_not_answered_on_a_tls_port() {
    let (identity, _) = Identity::new();
    let midge = identity.serve("http02-tiny.wasm");
    let mut plain = midge_testkit::http::RawConnection::open(midge.addr());
    plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert!(!plain.read_to_close().contains("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_after_a_hang_up_signal() {
    let (identity, old) = Identity::new();
    let midge = identity.serve("http02-tiny.wasm");
    let mut kept = Client::tls(midge.addr(), trusting(&old, &["h2"]))
        .await
        .unwrap();

    let new = identity.renew();
    midge.signal("HUP");
    let shows = async |certificate: &CertificateDer<'static>| {
        let config = trusting(certificate, &["h2"]);
        Client::tls(midge.addr(), config).await.is_ok()
    };
    midge.wait_until_said("certificate reloaded");
    wait_until_async("all workers show the new one", async || {
        let mut all = true;
        for _ in 0..8 {
            all &= shows(&new).await;
        }
        all
    })
    .await;
    assert!(!shows(&old).await);
    // Who was connected stays connected.
    assert_eq!(kept.get("/").await.unwrap().text(), "hi");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_leaves_the_old_one() {
    let (identity, old) = Identity::new();
    let midge = identity.serve("http02-tiny.wasm");
    let (other, _) = Identity::new();
    for (file, bytes) in [
        (identity.certificate(), b"not a certificate".to_vec()),
        (identity.key(), fs::read(other.key()).unwrap()),
    ] {
        let before = fs::read(&file).unwrap();
        let warnings = midge.said().matches("old one kept").count();
        fs::write(&file, bytes).unwrap();
        midge.signal("HUP");
        midge_testkit::wait_until("the refusal is said", || {
            midge.said().matches("old one kept").count() > warnings
        });
        let config = trusting(&old, &["h2"]);
        let mut client = Client::tls(midge.addr(), config).await.unwrap();
        assert_eq!(client.get("/").await.unwrap().text(), "hi");
        fs::write(&file, before).unwrap();
    }
}
