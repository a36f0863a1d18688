//! A peer of HTTP/2 that takes nothing, and says that it is there.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::kit::Stage;
use crate::door::pace::WINDOW;

/// What the peer takes of an answer: far less than there is.
const GRANTED_BYTES: u32 = 1 << 10;

/// The two ends of TLS that speak HTTP/2.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from(key))
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let mut client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    (Arc::new(server).into(), Arc::new(client).into())
}

#[tokio::test]
async fn a_peer_that_grants_no_window_loses_its_answer() {
    let (acceptor, connector) = tls();
    let stage = Stage::open_with(Some(acceptor)).await;
    let tcp = TcpStream::connect(stage.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, tcp).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(GRANTED_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let driven = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/openapi.json");
    let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    tokio::time::pause();
    tokio::time::sleep(WINDOW * 2 + Duration::from_secs(1)).await;
    tokio::time::resume();
    let read = answer.into_body().collect().await;
    assert!(read.is_err(), "it got the whole answer");
    // The peer is there, and may ask again.
    assert!(!driven.is_finished());
}
