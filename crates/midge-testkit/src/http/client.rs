//! A connection over which requests are sent one after the other, or many at once
//! where it speaks HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, channel};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// How long an answer may take as a whole.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What a request carries.
pub type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is known from the start.
pub fn whole(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that the test writes while the request is under way.
pub fn chunked() -> (channel::Sender<Bytes>, RequestBody) {
    let (sender, body) = channel::Channel::new(1);
    (sender, body.boxed_unsync())
}

/// An answer as a whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; an error where the server cut it short.
    pub body: Result<Bytes, hyper::Error>,
    /// Its trailers, if it had any.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    ///
    /// The body was cut short.
    pub fn text(&self) -> String {
        let body = self.body.as_ref().expect("the body is whole");
        String::from_utf8_lossy(body).into_owned()
    }

    /// A header as text, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// A connection that is kept between requests. Closed when dropped.
pub struct Client {
    sender: Sender,
    scheme: Scheme,
    authority: Authority,
    driver: JoinHandle<()>,
}

enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    Http2(http2::SendRequest<RequestBody>),
}

impl Client {
    /// Speaks HTTP/1.1.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub async fn http1(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = connect(addr).await?;
        Self::over(stream, Version::HTTP_11, (Scheme::HTTP, addr)).await
    }

    /// Speaks HTTP/2 without asking, which is called prior knowledge.
    ///
    /// # Errors
    ///
    /// Nobody listens there, or it speaks no HTTP/2.
    pub async fn http2(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = connect(addr).await?;
        Self::over(stream, Version::HTTP_2, (Scheme::HTTP, addr)).await
    }

    /// Speaks over TLS what the two sides agree on.
    ///
    /// # Errors
    ///
    /// The handshake failed: nobody listens there, or its certificate is not trusted.
    pub async fn tls(addr: SocketAddr, config: Arc<ClientConfig>) -> anyhow::Result<Self> {
        let name = ServerName::from(addr.ip());
        let stream = TlsConnector::from(config)
            .connect(name, connect(addr).await?)
            .await
            .context("TLS handshake")?;
        let version = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        Self::over(stream, version, (Scheme::HTTPS, addr)).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        version: Version,
        (scheme, addr): (Scheme, SocketAddr),
    ) -> anyhow::Result<Self> {
        let io = TokioIo::new(stream);
        let (sender, driver) = if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            let driver = tokio::spawn(async move { drop(connection.await) });
            (Sender::Http2(sender), driver)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            let driver = tokio::spawn(async move { drop(connection.await) });
            (Sender::Http1(sender), driver)
        };
        Ok(Self {
            sender,
            scheme,
            authority: addr.to_string().parse()?,
            driver,
        })
    }

    /// The protocol this connection speaks.
    pub fn version(&self) -> Version {
        match self.sender {
            Sender::Http1(_) => Version::HTTP_11,
            Sender::Http2(_) => Version::HTTP_2,
        }
    }

    /// Sends a request and takes in the whole answer; adds the host where it is missing.
    ///
    /// # Errors
    ///
    /// The connection broke before there was a head.
    pub async fn send(&mut self, request: Request<RequestBody>) -> anyhow::Result<Answer> {
        let answer = async {
            let (parts, mut body) = self.begin(request).await?.into_parts();
            let (body, trailers) = collect(&mut body).await;
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body,
                trailers,
            })
        };
        tokio::time::timeout(ANSWER_TIMEOUT, answer)
            .await
            .context("no answer in time")?
    }

    /// Gets `path`.
    ///
    /// # Errors
    ///
    /// The connection broke before there was a head.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send(Request::get(path).body(whole(""))?).await
    }

    /// Sends a request and returns with the head of the answer.
    ///
    /// # Errors
    ///
    /// The connection broke before there was a head.
    pub async fn begin(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> anyhow::Result<Response<Incoming>> {
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                let headers = request.headers_mut();
                if !headers.contains_key(header::HOST) {
                    headers.insert(header::HOST, self.authority.as_str().parse()?);
                }
                sender.ready().await?;
                tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await
            }
            Sender::Http2(sender) => {
                if request.uri().authority().is_none() {
                    let path = request.uri().path_and_query().cloned();
                    *request.uri_mut() = Uri::builder()
                        .scheme(self.scheme.clone())
                        .authority(self.authority.clone())
                        .path_and_query(path.unwrap_or(PathAndQuery::from_static("/")))
                        .build()?;
                }
                tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await
            }
        };
        Ok(response.context("no head in time")??)
    }

    /// A second handle on the same HTTP/2 connection, for requests at the same time.
    ///
    /// # Panics
    ///
    /// It is an HTTP/1.1 connection, which has no such thing.
    #[must_use]
    pub fn share(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else {
            panic!("only HTTP/2 connections carry requests at the same time")
        };
        Self {
            sender: Sender::Http2(sender.clone()),
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            // The connection is the first handle's to close.
            driver: tokio::spawn(async {}),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn connect(addr: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The rest of a body, and its trailers.
pub async fn collect(body: &mut Incoming) -> (Result<Bytes, hyper::Error>, Option<HeaderMap>) {
    let mut bytes = Vec::new();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame {
            Err(error) => return (Err(error), trailers),
            Ok(frame) => match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
    (Ok(bytes.into()), trailers)
}
