//! One kept HTTP/1.1 connection, one request at a time.
//!
//! **Invariant:** an answer counts once its last byte was read.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::ask::Ask;
use super::receipt::Receipt;

/// How long an answer may take: longer than that nobody waits.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Broken {
    /// Nobody took the connection.
    NotConnected,
    /// The connection ended before the answer did.
    Closed,
    /// It took longer than [`ANSWER_TIME_MAX`].
    TimedOut,
}

impl Broken {
    /// What it is called in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotConnected => "not connected",
            Self::Closed => "closed",
            Self::TimedOut => "timed out",
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// Nobody took it.
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Broken> {
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|_| Broken::NotConnected)?;
        // A request in two packets would wait for the first one's acknowledgement.
        stream.set_nodelay(true).map_err(|_| Broken::NotConnected)?;
        let begun = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = begun.map_err(|_| Broken::NotConnected)?;
        // Why it ended is told by the request.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Self(sender))
    }

    /// Whether it can take another request, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    /// Asks, and reads the whole answer: its status, how long its body is, what it cost.
    ///
    /// # Errors
    ///
    /// The connection ended first.
    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<(u16, u64, Receipt), Broken> {
        self.0.ready().await.map_err(|_| Broken::Closed)?;
        let sent = self.0.send_request(ask.request()).await;
        let (head, mut body) = sent.map_err(|_| Broken::Closed)?.into_parts();
        let mut bytes = 0;
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else {
                break;
            };
            let frame = frame.map_err(|_| Broken::Closed)?;
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok((head.status.as_u16(), bytes, receipt(&head.headers)))
    }
}

fn receipt(headers: &HeaderMap) -> Receipt {
    let field = headers.get("server-timing");
    let text = field.and_then(|field| field.to_str().ok());
    text.map(Receipt::read).unwrap_or_default()
}
