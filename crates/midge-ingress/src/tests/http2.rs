//! HTTP/2 by prior knowledge and by ALPN, and HTTP/1.1 over TLS.

use std::sync::Arc;

use http::StatusCode;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::*;

#[derive(Clone)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

type Client = SendRequest<Empty<Bytes>>;

/// A client, and how its connection will have ended.
async fn client(
    io: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> (Client, JoinHandle<hyper::Result<()>>) {
    let (client, connection) = handshake(OnThisThread, TokioIo::new(io)).await.unwrap();
    (client, tokio::task::spawn_local(connection))
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://a.example{path}"))
        .body(Empty::new())
        .unwrap()
}

async fn send(client: &mut Client, path: &str) -> Response<Incoming> {
    client.send_request(get(path)).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap()
}

#[tokio::test]
async fn streams_are_answered_independently() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let (mut client, _) = client(door.connect().await).await;
        let waiting = client.send_request(get("/wait"));
        door.guests.begun(1).await;
        let fields = text(send(&mut client, "/fields").await).await;
        assert!(fields.contains("host: a.example\n"), "{fields}");
        assert!(
            send(&mut client, "/hello")
                .await
                .headers()
                .contains_key("x-request-id")
        );
        door.guests.release_one();
        assert_eq!(text(waiting.await.unwrap()).await, "waited");
    })
    .await;
}

#[tokio::test]
async fn trailers_need_no_announcement() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let (mut client, _) = client(door.connect().await).await;
        let body = send(&mut client, "/trailers")
            .await
            .into_body()
            .collect()
            .await
            .unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "42");
    })
    .await;
}

#[tokio::test]
async fn half_a_body_resets_its_stream_and_no_other() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let (mut client, _) = client(door.connect().await).await;
        for path in ["/half", "/short", "/long"] {
            let body = send(&mut client, path).await.into_body().collect().await;
            assert!(body.is_err(), "{path}");
        }
        assert_eq!(text(send(&mut client, "/hello").await).await, "hello");
    })
    .await;
}

#[tokio::test]
async fn a_panic_costs_its_own_stream_only() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let (mut client, _) = client(door.connect().await).await;
        assert!(client.send_request(get("/panic")).await.is_err());
        assert_eq!(text(send(&mut client, "/hello").await).await, "hello");
    })
    .await;
}

#[tokio::test]
async fn a_stream_given_up_cancels_its_invocation() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let (mut client, _) = client(door.connect().await).await;
        let waiting = tokio::task::spawn_local(client.send_request(get("/wait")));
        door.guests.begun(1).await;
        waiting.abort();
        door.guests.dropped(1).await;
        assert_eq!(text(send(&mut client, "/hello").await).await, "hello");
    })
    .await;
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_dropped() {
    local(async {
        let stall_timeout = Duration::from_millis(100);
        let door = Door::open(IngressConfig {
            stall_timeout,
            ..IngressConfig::roomy()
        })
        .await;
        let (mut client, _) = client(door.connect().await).await;
        let unread = send(&mut client, "/stream").await;
        let stream = door.guests.streams.borrow_mut().remove(0);
        // The client's connection lives and answers pings; it only does not read this body.
        while stream.send(data(&"x".repeat(64 * 1024))).await.is_ok() {}
        assert_eq!(text(send(&mut client, "/hello").await).await, "hello");
        drop(unread);
    })
    .await;
}

#[tokio::test]
async fn too_many_fields_are_a_431() {
    local(async {
        let door = Door::open(IngressConfig {
            header_count_max: 5,
            ..IngressConfig::roomy()
        })
        .await;
        let (mut client, _) = client(door.connect().await).await;
        let mut request = get("/hello");
        for number in 0..10 {
            request.headers_mut().append("x", HeaderValue::from(number));
        }
        let response = client.send_request(request).await.unwrap();
        assert_eq!(
            response.status(),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        );
    })
    .await;
}

#[tokio::test]
async fn head_has_no_body() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let (mut client, _) = client(door.connect().await).await;
        let mut request = get("/sized");
        *request.method_mut() = http::Method::HEAD;
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.headers()["content-length"], "5");
        assert_eq!(text(response).await, "");
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    local(async {
        let idle_timeout = Duration::from_millis(100);
        let door = Door::open(IngressConfig {
            idle_timeout,
            ..IngressConfig::roomy()
        })
        .await;
        let (mut client, connection) = client(door.connect().await).await;
        assert_eq!(text(send(&mut client, "/hello").await).await, "hello");
        connection.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_drain_finishes_streams_and_says_goodbye() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let (mut client, connection) = client(door.connect().await).await;
        let waiting = client.send_request(get("/wait"));
        door.guests.begun(1).await;
        door.phase.send(Phase::Draining).unwrap();
        door.guests.release_one();
        assert_eq!(text(waiting.await.unwrap()).await, "waited");
        connection.await.unwrap().unwrap();
        assert_eq!(
            door.serving.await.unwrap(),
            Drained {
                finished: 1,
                cut: 0
            }
        );
    })
    .await;
}

#[tokio::test]
async fn streams_left_at_the_end_are_cut() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let (mut client, _) = client(door.connect().await).await;
        let waiting = client.send_request(get("/wait"));
        door.guests.begun(1).await;
        door.phase.send(Phase::Ended).unwrap();
        assert_eq!(
            door.serving.await.unwrap(),
            Drained {
                finished: 0,
                cut: 1
            }
        );
        assert!(waiting.await.is_err());
    })
    .await;
}

/// A folder with a certificate for `a.example`, and a way to make another.
pub(super) struct Certificates(tempfile::TempDir);

impl Certificates {
    pub(super) fn new() -> Self {
        let new = Self(tempfile::tempdir().unwrap());
        new.renew();
        new
    }

    fn renew(&self) {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        std::fs::write(self.0.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(
            self.0.path().join("key.pem"),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
    }

    pub(super) fn load(&self) -> Result<Tls, crate::TlsError> {
        Tls::load(
            &self.0.path().join("cert.pem"),
            &self.0.path().join("key.pem"),
        )
    }

    /// Trusts the certificate that lies there at this moment.
    pub(super) async fn connect(&self, door: &Door, alpn: &[&str]) -> std::io::Result<TlsClient> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.0.path().join("cert.pem")).unwrap())
            .unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("a.example").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, door.connect().await)
            .await
    }
}

pub(super) type TlsClient = tokio_rustls::client::TlsStream<TcpStream>;

#[tokio::test]
async fn alpn_decides_the_protocol() {
    local(async {
        let certificates = Certificates::new();
        let tls = Rc::new(certificates.load().unwrap());
        let door = Door::open_with(IngressConfig::roomy(), Some(tls)).await;

        let io = certificates
            .connect(&door, &["h2", "http/1.1"])
            .await
            .unwrap();
        let (mut client, _) = client(io).await;
        let fields = text(send(&mut client, "/fields").await).await;
        assert!(fields.contains("x-forwarded-proto: https\n"), "{fields}");

        let mut io = certificates.connect(&door, &["http/1.1"]).await.unwrap();
        io.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        io.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections() {
    local(async {
        let certificates = Certificates::new();
        let tls = Rc::new(certificates.load().unwrap());
        let door = Door::open_with(IngressConfig::roomy(), Some(Rc::clone(&tls))).await;
        certificates.renew();
        assert!(
            certificates.connect(&door, &[]).await.is_err(),
            "still the old one"
        );
        tls.reload().unwrap();
        certificates.connect(&door, &[]).await.unwrap();

        std::fs::write(certificates.0.path().join("key.pem"), "nonsense").unwrap();
        assert!(tls.reload().is_err());
        certificates.connect(&door, &[]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused() {
    let (one, other) = (Certificates::new(), Certificates::new());
    let error = Tls::load(
        &one.0.path().join("cert.pem"),
        &other.0.path().join("key.pem"),
    );
    assert!(matches!(error, Err(crate::TlsError::Pair { .. })));
    let error = Tls::load(&one.0.path().join("key.pem"), &one.0.path().join("key.pem"));
    assert!(matches!(error, Err(crate::TlsError::NoCertificate { .. })));
    let error = Tls::load(
        &one.0.path().join("cert.pem"),
        &one.0.path().join("cert.pem"),
    );
    assert!(matches!(error, Err(crate::TlsError::Key { .. })));
}

#[tokio::test]
async fn a_silent_handshake_is_ended() {
    local(async {
        let tls = Rc::new(Certificates::new().load().unwrap());
        let header_timeout = Duration::from_millis(100);
        let config = IngressConfig {
            header_timeout,
            ..IngressConfig::roomy()
        };
        let door = Door::open_with(config, Some(tls)).await;
        assert_eq!(read_to_close(&mut door.connect().await).await, "");
    })
    .await;
}
