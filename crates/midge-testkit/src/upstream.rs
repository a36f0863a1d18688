//! A server that guests call: a few paths with known manners, and a memory of who came.
//!
//! | path | answers |
//! | --- | --- |
//! | `/headers` | the request's fields, a line each |
//! | `/count` | how many bytes the request's body had |
//! | `/bytes?N` | N bytes |
//! | `/endless` | bytes without end |
//! | `/silent` | five bytes, and then nothing any more |
//! | `/never` | nothing |
//! | `/redirect?URL` | 302 to there |
//! | `/status?N` | that status |
//! | `/field?N` | a field of N bytes |
//! | what was put there | that |
//! | else | `from afar` |

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, channel};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A running server; it ends when dropped.
pub struct Upstream {
    address: SocketAddr,
    certificate: String,
    memory: Arc<Mutex<Memory>>,
    end: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Memory {
    connections: usize,
    open: usize,
    requests: Vec<Seen>,
    /// What was put there, by path.
    files: BTreeMap<String, Bytes>,
    /// How much was read of bodies so far.
    body_bytes: usize,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// Its fields; over HTTP/2 the authority stands in as `host`.
    pub headers: HeaderMap,
}

/// How the server speaks.
enum Manner {
    Plain,
    Tls(TlsAcceptor),
    /// Says these bytes to everybody, whatever they say, and closes.
    Says(Vec<u8>),
}

impl Upstream {
    /// Speaks HTTP/1.1 without TLS.
    pub fn start() -> Self {
        Self::with(Manner::Plain, String::new())
    }

    /// Speaks TLS with a certificate of its own for these names, and then one of these
    /// protocols of ALPN.
    ///
    /// # Panics
    ///
    /// The names are none.
    pub fn tls(names: &[&str], protocols: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).expect("names of hosts");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider's own defaults")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("made for each other");
        config.alpn_protocols = protocols.iter().map(|name| (*name).into()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::with(Manner::Tls(acceptor), cert.pem())
    }

    /// Says these bytes to everybody and closes.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        Self::with(Manner::Says(bytes.into()), String::new())
    }

    fn with(manner: Manner, certificate: String) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let memory = Arc::<Mutex<Memory>>::default();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn({
            let memory = Arc::clone(&memory);
            move || serve(listener, manner, &memory, ended)
        });
        Self {
            address,
            certificate,
            memory,
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Answers with these bytes at a path from now on.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        lock(&self.memory)
            .files
            .insert(path.to_owned(), bytes.into());
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its certificate as PEM, to be trusted.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// How many connections were accepted until now.
    pub fn connections(&self) -> usize {
        lock(&self.memory).connections
    }

    /// How many of them are open now.
    pub fn open(&self) -> usize {
        lock(&self.memory).open
    }

    /// The requests until now.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.memory).requests.clone()
    }

    /// How many bytes of requests' bodies have come until now.
    pub fn body_bytes(&self) -> usize {
        lock(&self.memory).body_bytes
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.end.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves on a thread of its own, until `ended`.
fn serve(
    listener: std::net::TcpListener,
    manner: Manner,
    memory: &Arc<Mutex<Memory>>,
    ended: oneshot::Receiver<Infallible>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let accepting = async {
        listener.set_nonblocking(true).expect("a socket");
        let listener = TcpListener::from_std(listener).expect("a socket");
        let manner = Arc::new(manner);
        while let Ok((stream, _)) = listener.accept().await {
            let (manner, memory) = (Arc::clone(&manner), Arc::clone(memory));
            tokio::spawn(async move {
                let _open = Open::new(&memory);
                converse(stream, &manner, &memory).await;
            });
        }
    };
    runtime.block_on(async {
        tokio::select! {
            () = accepting => {}
            _ = ended => {}
        }
    });
}

/// Counts a connection as long as it is open.
struct Open<'a>(&'a Mutex<Memory>);

impl<'a> Open<'a> {
    fn new(memory: &'a Mutex<Memory>) -> Self {
        let mut counts = lock(memory);
        counts.connections += 1;
        counts.open += 1;
        Self(memory)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(self.0).open -= 1;
    }
}

/// How a connection ends is the client's to notice.
async fn converse(mut stream: TcpStream, manner: &Manner, memory: &Arc<Mutex<Memory>>) {
    drop(stream.set_nodelay(true));
    match manner {
        Manner::Plain => speak_http1(stream, memory).await,
        Manner::Says(bytes) => {
            // Closing with something unread would be a reset, which may overtake the bytes.
            drop(stream.read(&mut vec![0; 16 << 10]).await);
            drop(stream.write_all(bytes).await);
        }
        Manner::Tls(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let memory = Arc::clone(memory);
                let answering = service_fn(move |request| answer(request, Arc::clone(&memory)));
                let connection = http2::Builder::new(TokioExecutor::new());
                drop(
                    connection
                        .serve_connection(TokioIo::new(stream), answering)
                        .await,
                );
            } else {
                speak_http1(stream, memory).await;
            }
        }
    }
}

async fn speak_http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    memory: &Arc<Mutex<Memory>>,
) {
    let answering = service_fn(|request| answer(request, Arc::clone(memory)));
    let connection = http1::Builder::new();
    drop(
        connection
            .serve_connection(TokioIo::new(stream), answering)
            .await,
    );
}

async fn answer(
    request: Request<Incoming>,
    memory: Arc<Mutex<Memory>>,
) -> Result<Response<Body>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let mut headers = parts.headers;
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).expect("an authority is printable");
        headers.entry(header::HOST).or_insert(host);
    }
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    lock(&memory).requests.push(Seen {
        line: format!("{} {} {:?}", parts.method, parts.uri, parts.version),
        headers: headers.clone(),
    });
    let mut body_bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        body_bytes += frame.data_ref().map_or(0, Bytes::len);
        lock(&memory).body_bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    let file = lock(&memory).files.get(&path).cloned();
    if let Some(file) = file {
        return Ok(Response::new(whole(file)));
    }
    Ok(respond(&path, &query, &headers, body_bytes).await)
}

async fn respond(
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body_bytes: usize,
) -> Response<Body> {
    let number = || query.parse().expect("the query is a number");
    let response = Response::builder();
    let answer = match path {
        "/headers" => response.body(whole(fields(headers))),
        "/count" => response.body(whole(body_bytes.to_string())),
        "/bytes" => response.body(whole(vec![b'x'; number()])),
        "/endless" => response.body(chunks(None)),
        "/silent" => response.body(chunks(Some(1))),
        "/never" => pending().await,
        "/redirect" => response
            .status(StatusCode::FOUND)
            .header(header::LOCATION, query)
            .body(whole("elsewhere")),
        "/status" => response.status(query).body(whole("")),
        "/field" => response
            .header("x-long", "x".repeat(number()))
            .body(whole("")),
        _ => response.body(whole("from afar")),
    };
    answer.expect("what a test asks for can be answered")
}

fn fields(headers: &HeaderMap) -> String {
    let lines = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}\n")
    });
    lines.collect()
}

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// So many chunks and then silence; without a number no end.
fn chunks(count: Option<usize>) -> Body {
    let (mut sender, body) = channel::Channel::<Bytes, Infallible>::new(1);
    tokio::spawn(async move {
        for _ in 0..count.unwrap_or(usize::MAX) {
            let chunk = Bytes::from_static(b"hello");
            // The client has gone.
            if sender.send(Frame::data(chunk)).await.is_err() {
                return;
            }
        }
        pending::<()>().await;
    });
    body.boxed_unsync()
}
