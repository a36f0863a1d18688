//! Two clients: one that sends exactly the bytes a test gives it, and one that
//! speaks HTTP/1.1 for tests that care only about the answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;

/// How long any single read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that knows nothing of HTTP.
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    ///
    /// Nobody listens there.
    pub fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("connect");
        stream
            .set_read_timeout(Some(READ_TIMEOUT))
            .expect("set a timeout");
        stream.set_nodelay(true).expect("set nodelay");
        Self(stream)
    }

    /// Sends these bytes.
    ///
    /// # Errors
    ///
    /// The server closed the connection.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.write_all(bytes.as_ref())
    }

    /// Reads until the server closes the connection.
    ///
    /// # Panics
    ///
    /// It does not, for a long time.
    pub fn read_to_close(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("read: {error}, after {:?}", String::from_utf8_lossy(&bytes)),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads until what was read contains `words`.
    ///
    /// # Panics
    ///
    /// The connection ended before that.
    pub fn read_until(&mut self, words: &str) -> String {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if text.contains(words) {
                return text.into_owned();
            }
            let read_bytes = self.0.read(&mut chunk).expect("read");
            assert!(read_bytes > 0, "closed before `{words}`, after {text:?}");
            bytes.extend_from_slice(&chunk[..read_bytes]);
        }
    }
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
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Gets `path`, on a connection of its own.
///
/// # Errors
///
/// The connection broke before there was a head.
pub async fn get(addr: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    send(addr, Request::get(path).body(Bytes::new())?).await
}

/// Posts `body` to `path`, on a connection of its own.
///
/// # Errors
///
/// The connection broke before there was a head.
pub async fn post(addr: SocketAddr, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Answer> {
    send(addr, Request::post(path).body(body.into())?).await
}

/// Sends `request` on a connection of its own; adds `Host` where it is missing.
///
/// # Errors
///
/// The connection broke before there was a head.
pub async fn send(addr: SocketAddr, mut request: Request<Bytes>) -> anyhow::Result<Answer> {
    if !request.headers().contains_key("host") {
        request
            .headers_mut()
            .insert("host", addr.to_string().parse()?);
    }
    let stream = tokio::net::TcpStream::connect(addr).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await?;
    let (parts, mut body) = response.into_parts();
    let (body, trailers) = collect(&mut body).await;
    driver.abort();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
        trailers,
    })
}

async fn collect(
    body: &mut hyper::body::Incoming,
) -> (Result<Bytes, hyper::Error>, Option<HeaderMap>) {
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
