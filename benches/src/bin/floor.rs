//! `midge-bench-floor`: a bare hyper server, so that everybody sees what HTTP alone costs.
//!
//! The same shape as a node's workers: as many single-threaded processes as there are cores, all
//! accepting from one socket. A GET is answered with a fixed text, a POST with its own body.
//! Nothing else happens: no routes, no limits, no log.

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

/// What the Rust hello of the guests says, too.
const TEXT: &[u8] = b"Hello from Rust!\n";
/// Connections that wait to be accepted, as a node has them.
const BACKLOG: i32 = 1024;
/// What a worker is told by its parent: the listening socket is its standard input.
const WORKER: &str = "--worker";

/// A bare HTTP server with a fixed answer.
#[derive(Parser)]
struct Args {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// Processes
    #[arg(long, value_name = "N", default_value_t = cores())]
    workers: usize,
    /// Speak HTTP/2, too, with those who begin with it
    #[arg(long)]
    http2: bool,
    /// Accept from standard input, and end with this process: a worker of ours
    #[arg(long, hide = true, value_name = "PID")]
    worker: Option<i32>,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn main() -> Result<()> {
    let args = Args::parse();
    let listener = match args.listen {
        Some(address) => std::net::TcpListener::bind(address).context("listen")?,
        None => {
            let parent = args.worker.context("say where with --listen HOST:PORT")?;
            end_with(parent)?;
            let stdin = std::io::stdin().as_fd().try_clone_to_owned();
            std::net::TcpListener::from(stdin.context("take the listening socket")?)
        }
    };
    let mut workers = Vec::new();
    if args.worker.is_none() {
        // The standard library's is 128, which new connections for each request overflow.
        rustix::net::listen(&listener, BACKLOG).context("listen")?;
        for _ in 1..args.workers {
            workers.push(start_worker(&listener, args.http2)?);
        }
    }
    listener.set_nonblocking(true).context("listen")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    let served = runtime.block_on(serve(listener, args.http2));
    for mut worker in workers {
        worker.kill().ok();
        worker.wait().ok();
    }
    served
}

fn start_worker(listener: &std::net::TcpListener, http2: bool) -> Result<Child> {
    let socket = OwnedFd::from(listener.try_clone().context("share the socket")?);
    let exe = std::env::current_exe().context("find our own program")?;
    let mut worker = Command::new(exe);
    worker.arg(WORKER).arg(std::process::id().to_string());
    worker.stdin(Stdio::from(socket));
    if http2 {
        worker.arg("--http2");
    }
    worker.spawn().context("start a worker")
}

/// Whatever ends the parent ends this worker, too, a signal before it listens for any included.
fn end_with(parent: i32) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("end with the parent")?;
    let living = getppid().map(Pid::as_raw_pid);
    anyhow::ensure!(living == Some(parent), "the parent has ended already");
    Ok(())
}

/// Accepts until it is asked to stop.
async fn serve(listener: std::net::TcpListener, two: bool) -> Result<()> {
    let listener = TcpListener::from_std(listener).context("listen")?;
    let mut stop = signal(SignalKind::terminate()).context("listen for signals")?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A caller that is gone again is no reason to stop.
                if let Ok((stream, _)) = accepted {
                    stream.set_nodelay(true).ok();
                    tokio::spawn(connection(stream, two));
                }
            }
            _ = stop.recv() => return Ok(()),
        }
    }
}

async fn connection(stream: TcpStream, two: bool) {
    let io = TokioIo::new(stream);
    let service = service_fn(answer);
    // How a connection ends is the caller's affair.
    if two && speaks_http2(&io).await {
        let server = http2::Builder::new(TokioExecutor::new());
        server.serve_connection(io, service).await.ok();
    } else {
        http1::Builder::new()
            .serve_connection(io, service)
            .await
            .ok();
    }
}

/// Whether the caller begins as HTTP/2 does; what it sent stays to be read.
async fn speaks_http2(io: &TokioIo<TcpStream>) -> bool {
    const BEGINNING: &[u8; 3] = b"PRI";
    let mut seen = [0; BEGINNING.len()];
    // No caller sends its first line byte by byte here.
    io.inner().peek(&mut seen).await.is_ok() && &seen == BEGINNING
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, Incoming>>, Infallible> {
    if request.method() == Method::POST {
        return Ok(Response::new(Either::Right(request.into_body())));
    }
    Ok(Response::new(Either::Left(Full::new(Bytes::from_static(
        TEXT,
    )))))
}
