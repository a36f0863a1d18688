//! The door from outside: real sockets, and a stand-in for the dispatcher that answers by path.
//!
//! No test waits for time to pass: each waits for what a client sees. Timeouts under test are set so
//! short that they fire at once, all others so long that they never do.

mod drain;
mod http1;
mod http2;
mod internal;
mod leaving;
mod limits;
mod log;
mod sizes;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use midge_model::{NamespaceName, Outcome, RevisionNumber};
use midge_runtime::{Aborted, Addressee, Caller, Counters, Receipt, RequestBody};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, LocalSet};

use crate::listener::{Listening, serve_with};
use crate::{Drained, IngressConfig, Phase, Tls};

type GuestFrame = Result<Frame<Bytes>, Aborted>;

/// A guest's body, driven by the test through a channel.
struct GuestBody(mpsc::Receiver<GuestFrame>);

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        self.0.poll_recv(cx)
    }
}

/// What a test knows about its guests.
#[derive(Default)]
struct Guests {
    /// Resolves the head of `/wait` when sent to.
    release: RefCell<Vec<oneshot::Sender<()>>>,
    /// Gets the sending ends of `/stream` bodies.
    streams: RefCell<Vec<mpsc::Sender<GuestFrame>>>,
    /// Says how often a waiting invocation was dropped.
    dropped: watch::Sender<u32>,
    /// Says how many invocations have begun.
    begun: watch::Sender<u32>,
    /// Says how many have read their body and go on waiting.
    waits: watch::Sender<u32>,
}

impl Guests {
    async fn begun(&self, count: u32) {
        self.begun
            .subscribe()
            .wait_for(|begun| *begun >= count)
            .await
            .unwrap();
    }

    async fn waits(&self, count: u32) {
        self.waits
            .subscribe()
            .wait_for(|waits| *waits >= count)
            .await
            .unwrap();
    }

    async fn dropped(&self, count: u32) {
        self.dropped
            .subscribe()
            .wait_for(|dropped| *dropped >= count)
            .await
            .unwrap();
    }

    fn release_one(&self) {
        self.release.borrow_mut().remove(0).send(()).unwrap();
    }
}

struct NotesDrop<'a>(&'a Guests, bool);

impl Drop for NotesDrop<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.dropped.send_modify(|dropped| *dropped += 1);
        }
    }
}

/// An open door under test.
struct Door {
    addr: SocketAddr,
    phase: watch::Sender<Phase>,
    guests: Rc<Guests>,
    serving: JoinHandle<Drained>,
}

impl Door {
    async fn open(config: IngressConfig) -> Self {
        Self::open_with(config, None).await
    }

    async fn open_with(config: IngressConfig, tls: Option<Rc<Tls>>) -> Self {
        Self::open_beside(config, tls, None).await
    }

    /// The same with the node's own door beside it.
    async fn open_beside(
        config: IngressConfig,
        tls: Option<Rc<Tls>>,
        internal: Option<UnixListener>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (phase, seen) = watch::channel(Phase::Serving);
        let guests = Rc::new(Guests::default());
        let dispatch = {
            let guests = Rc::clone(&guests);
            async move |request: Box<Request<RequestBody>>, _: &Caller| {
                let in_shop = request.uri().path() == "/shop";
                guests.begun.send_modify(|begun| *begun += 1);
                let result = run_guest(*request, &guests).await;
                let addressee = Addressee {
                    namespace: match in_shop {
                        true => "shop".parse().unwrap(),
                        false => NamespaceName::default(),
                    },
                    function: "guest".parse().unwrap(),
                    revision: Some(RevisionNumber::FIRST),
                };
                (Some(addressee), result)
            }
        };
        let listening = Listening {
            listener,
            internal,
            tls,
            connections: Counters::private().unwrap().connections(0),
        };
        let serving =
            tokio::task::spawn_local(serve_with(listening, dispatch, Rc::new(config), seen));
        Self {
            addr,
            phase,
            guests,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Sends bytes on a new connection and reads until the other side closes it.
    async fn exchange(&self, sent: &str) -> String {
        let mut client = self.connect().await;
        client.write_all(sent.as_bytes()).await.unwrap();
        read_to_close(&mut client).await
    }
}

async fn read_to_close(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Reads until the text ends like this.
async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = client
            .read_u8()
            .await
            .unwrap_or_else(|error| panic!("{error} after {text:?}"));
        text.push(char::from(byte));
    }
    text
}

/// Runs a test body where `spawn_local` works.
fn local<'a, T: 'a>(test: impl Future<Output = T> + 'a) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(async { LocalSet::new().run_until(test).await })
}

fn cost() -> Receipt {
    Receipt {
        queue: Duration::from_micros(1),
        instantiate: Duration::from_micros(2),
        run: Duration::from_micros(3),
        cpu: Duration::from_micros(4),
        memory_peak_bytes: 64 * 1024,
        instance: None,
    }
}

async fn frames(frames: Vec<GuestFrame>) -> GuestBody {
    let (sender, receiver) = mpsc::channel(frames.len().max(1));
    for frame in frames {
        sender.send(frame).await.unwrap();
    }
    GuestBody(receiver)
}

fn data(text: &str) -> GuestFrame {
    Ok(Frame::data(Bytes::copy_from_slice(text.as_bytes())))
}

fn aborted() -> GuestFrame {
    Err(Aborted {
        outcome: Outcome::Trapped {
            reason: "unreachable".to_owned(),
        },
    })
}

fn trailers() -> GuestFrame {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("42"));
    Ok(Frame::trailers(trailers))
}

/// One function of many talents, told apart by path.
async fn run_guest(
    request: Request<RequestBody>,
    guests: &Guests,
) -> Result<(Response<GuestBody>, Receipt), Outcome> {
    let response = Response::builder();
    let (response, body) = match request.uri().path() {
        "/hello" => (response, vec![data("hello")]),
        "/sized" => (response.header("content-length", "5"), vec![data("hello")]),
        "/short" => (response.header("content-length", "9"), vec![data("hello")]),
        "/long" => (response.header("content-length", "2"), vec![data("hello")]),
        "/two-lengths" => {
            let response = response
                .header("content-length", "2")
                .header("content-length", "3");
            (response, vec![data("hello")])
        }
        "/continue" => (response.status(103), vec![]),
        "/nothing" => (
            response.status(204).header("content-length", "0"),
            vec![data("ignored")],
        ),
        "/unchanged" => (response.status(304), vec![data("ignored")]),
        "/empty" => (response, vec![]),
        "/pieces" => (response, vec![data("hello"), data("")]),
        "/half" => (response, vec![data("half"), aborted()]),
        "/trailers" => (
            response.header("trailer", "x-sum"),
            vec![data("sum"), trailers()],
        ),
        "/hops" => (hops(response), vec![data("hops")]),
        "/fields" => (response, vec![data(&fields(request.headers()))]),
        "/echo" => {
            let body = request
                .into_body()
                .collect()
                .await
                .map_err(|_| Outcome::Cancelled)?;
            let trailers = body.trailers().cloned().map(|trailers| fields(&trailers));
            let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
            (
                response,
                vec![data(&text), data(&trailers.unwrap_or_default())],
            )
        }
        "/wait" => {
            let (sender, receiver) = oneshot::channel();
            guests.release.borrow_mut().push(sender);
            let mut notes = NotesDrop(guests, false);
            receiver.await.unwrap();
            notes.1 = true;
            (response, vec![data("waited")])
        }
        "/wait-for-body" => return wait_behind_body(request, guests).await,
        "/stream" => {
            let (sender, receiver) = mpsc::channel(1);
            guests.streams.borrow_mut().push(sender);
            return Ok((response.body(GuestBody(receiver)).unwrap(), cost()));
        }
        "/panic" => panic!("a bug of ours, for the test"),
        "/trap" => {
            return Err(Outcome::Trapped {
                reason: "unreachable".to_owned(),
            });
        }
        "/host-fault" => {
            return Err(Outcome::Host {
                reason: "disk on fire".to_owned(),
            });
        }
        _ => return Err(Outcome::Refused(midge_model::Refusal::NoRoute)),
    };
    Ok((response.body(frames(body).await).unwrap(), cost()))
}

/// Reads what it is sent, and never answers.
async fn wait_behind_body<T>(request: Request<RequestBody>, guests: &Guests) -> Result<T, Outcome> {
    let _notes = NotesDrop(guests, false);
    let body = request.into_body().collect().await;
    body.map_err(|_| Outcome::Cancelled)?;
    guests.waits.send_modify(|waits| *waits += 1);
    std::future::pending().await
}

/// Fields that a guest has no say in.
fn hops(response: http::response::Builder) -> http::response::Builder {
    response
        .header("connection", "x-own, close")
        .header("x-own", "1")
        .header("keep-alive", "timeout=1")
        .header("transfer-encoding", "gzip")
        .header("x-request-id", "forged")
}

fn fields(headers: &HeaderMap) -> String {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}\n", value.to_str().unwrap())
    };
    let mut lines: Vec<_> = headers.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

/// An answer with what differs from run to run blotted out.
fn plain(answer: &str) -> String {
    let blot = |line: &str| match line.split_once(": ") {
        Some((name @ ("date" | "x-request-id"), _)) => format!("{name}: [{name}]"),
        _ => line.trim_end_matches('\r').to_owned(),
    };
    answer.split('\n').map(blot).collect::<Vec<_>>().join("\n")
}
