//! Load by a client of our own, in a process of its own: HTTP/2, and questions at fixed times.
//!
//! At fixed times (`rate`), a late answer counts from when it should have been asked: a server that
//! stands still for a second has made everybody wait who would have come in that second. Without a
//! rate, each stream asks again when it was answered.
//!
//! **Invariant:** every answer is read to its end and held against what was expected.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::Loaded;
use crate::ask;
use crate::stats::quantile;
use crate::work::Work;

/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// The first argument that makes the harness a client.
pub const COMMAND: &str = "client";

/// What the client process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// On 127.0.0.1.
    pub port: u16,
    /// Paths and queries; the streams take them in turns.
    pub paths: Vec<String>,
    /// Text that is in every right body.
    pub contains: String,
    /// HTTP/2 with prior knowledge, in place of HTTP/1.1.
    pub http2: bool,
    /// How many connections.
    pub connections: usize,
    /// Requests at a time on each; 1 for HTTP/1.1.
    pub streams: usize,
    /// How long, in milliseconds.
    pub millis: u64,
    /// Requests a second in all, at fixed times; else as fast as they are answered.
    pub rate: Option<f64>,
    /// Before the servers in turns for a core: stands for a machine elsewhere.
    pub ahead: bool,
    /// Whatever is answered is right.
    pub any_status: bool,
}

impl Spec {
    /// A GET over one connection of HTTP/1.1, again and again for so long.
    pub fn get(port: u16, path: &str, contains: &str, time: Duration) -> Self {
        Self {
            port,
            paths: vec![path.to_owned()],
            contains: contains.to_owned(),
            http2: false,
            connections: 1,
            streams: 1,
            millis: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            rate: None,
            ahead: false,
            any_status: false,
        }
    }
}

/// Runs a client process and reads what it saw.
///
/// # Errors
///
/// It could not be started, or one answer was wrong.
pub fn run(spec: &Spec) -> Result<Loaded> {
    let output = command(spec)?.output().context("start the client")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("the client ended with {}: {}", output.status, why.trim());
    }
    serde_json::from_slice(&output.stdout).context("read what the client saw")
}

/// A client that goes on until it is dropped, and whose figures nobody wants.
pub struct Background {
    child: Child,
}

impl Background {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// Our own program cannot be started.
    pub fn start(spec: &Spec) -> Result<Self> {
        let mut command = command(spec)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self {
            child: command.spawn().context("start the client")?,
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command(spec: &Spec) -> Result<Command> {
    // By our process and not by our file: a build may have put another one there meanwhile.
    let exe = format!("/proc/{}/exe", std::process::id());
    let mut command = if spec.ahead {
        let mut nice = Command::new("nice");
        // Without the right to, `nice` says so and runs it as it is.
        nice.args(["-n", "-10"]).arg(exe);
        nice
    } else {
        Command::new(exe)
    };
    let orders = serde_json::to_string(spec).context("write the client's orders")?;
    command.arg(COMMAND).arg(orders);
    Ok(command)
}

/// What the client process does: the load, and its figures as JSON.
///
/// # Errors
///
/// Orders that cannot be read, or one answer that was wrong.
pub fn serve(orders: &str) -> Result<String> {
    let spec: Spec = serde_json::from_str(orders).context("read the client's orders")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    let loaded = LocalSet::new().block_on(&runtime, load(spec))?;
    serde_json::to_string(&loaded).context("write the figures")
}

/// What all streams share.
struct Shared {
    spec: Spec,
    address: SocketAddr,
    began: Instant,
    /// How many were planned so far.
    planned: Cell<u32>,
    took_us: RefCell<Vec<u32>>,
}

async fn load(spec: Spec) -> Result<Loaded> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, spec.port));
    let mut senders = Vec::new();
    for _ in 0..spec.connections {
        senders.extend(Sender::connect(&spec, address).await?);
    }
    let shared = Rc::new(Shared {
        spec,
        address,
        began: Instant::now(),
        planned: Cell::new(0),
        took_us: RefCell::new(Vec::new()),
    });
    let mut streams = Vec::new();
    for (path, sender) in shared.spec.paths.iter().cycle().zip(senders) {
        let work = Work::get(path.clone(), shared.spec.contains.clone());
        let stream = stream(Rc::clone(&shared), work, sender);
        streams.push(tokio::task::spawn_local(stream));
    }
    for stream in streams {
        stream.await.context("a stream of the client")??;
    }
    let seconds = shared.began.elapsed().as_secs_f64();
    let mut took = shared.took_us.take();
    took.sort_unstable();
    let at = |share| quantile(&took, share).map(|us| f64::from(us) / 1e3);
    let (Some(p50_ms), Some(p99_ms)) = (at(0.5), at(0.99)) else {
        bail!("no request was answered");
    };
    Ok(Loaded {
        answered: took.len() as u64,
        seconds,
        p50_ms,
        p99_ms,
    })
}

async fn stream(shared: Rc<Shared>, work: Work, mut sender: Sender) -> Result<()> {
    let end = shared.began + Duration::from_millis(shared.spec.millis);
    loop {
        let from = match shared.spec.rate {
            Some(rate) => {
                let number = shared.planned.get();
                let at = shared.began + Duration::from_secs_f64(f64::from(number) / rate);
                if at >= end {
                    return Ok(());
                }
                shared.planned.set(number + 1);
                sleep_until(at).await;
                at
            }
            None => Instant::now(),
        };
        if from >= end {
            return Ok(());
        }
        if shared.spec.any_status {
            sender.ask(&shared, &work).await?;
        } else {
            let answered = timeout(ANSWER_MAX, sender.ask(&shared, &work)).await;
            answered.with_context(|| format!("no answer within {ANSWER_MAX:?}"))??;
        }
        let took = u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX);
        shared.took_us.borrow_mut().push(took);
    }
}

/// One stream's hold on a connection: all of it for HTTP/1.1, a share of it for HTTP/2.
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    /// Opens a connection and gives a sender for each of its streams.
    async fn connect(spec: &Spec, address: SocketAddr) -> Result<Vec<Self>> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true).context("connect")?;
        let io = TokioIo::new(stream);
        if spec.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::task::spawn_local(connection);
            let streams = std::iter::repeat_n(sender, spec.streams);
            return Ok(streams.map(Self::Two).collect());
        }
        ensure!(spec.streams == 1, "HTTP/1.1 has one request at a time");
        let (sender, connection) = http1::handshake(io).await?;
        tokio::task::spawn_local(connection);
        Ok(vec![Self::One(sender)])
    }

    async fn ask(&mut self, shared: &Shared, work: &Work) -> Result<()> {
        let mut request = ask::request(work, &shared.address)?;
        let response = match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => {
                let uri = format!("http://{}{}", shared.address, work.path);
                *request.uri_mut() = uri.parse().context("make the address")?;
                request.headers_mut().remove("host");
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if shared.spec.any_status {
            return Ok(());
        }
        ensure!(status == 200, "an answer had status {status}");
        ensure!(work.expect.met_by(&body), "an answer had the wrong body");
        Ok(())
    }
}
