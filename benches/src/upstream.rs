//! A slow server for guests to wait for: it answers nobody until it is told to.
//!
//! It lives in a thread of the harness, because what it costs is nobody's figure.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What it says in the end.
pub const ANSWER: &str = "released";

/// A running upstream; dropped, it lets everybody go and ends.
pub struct Upstream {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    held: Arc<AtomicUsize>,
    release: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Starts listening.
    ///
    /// # Errors
    ///
    /// No port or no thread is left.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        listener.set_nonblocking(true).context("listen")?;
        let port = listener.local_addr().context("listen")?.port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start a runtime")?;
        let held = Arc::new(AtomicUsize::new(0));
        let (release, released) = watch::channel(false);
        let counted = Arc::clone(&held);
        let thread = std::thread::Builder::new().name("upstream".to_owned());
        let thread = thread.spawn(move || runtime.block_on(accept(listener, counted, released)));
        Ok(Self {
            port,
            held,
            release,
            thread: Some(thread.context("start a thread")?),
        })
    }

    /// How many requests it holds.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Answers everybody who waits, and whoever comes later.
    pub fn release(&self) {
        self.release.send_replace(true);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.release();
        // Its loop ends with the last sender.
        let (closed, _) = watch::channel(true);
        self.release = closed;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    held: Arc<AtomicUsize>,
    released: watch::Receiver<bool>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut ended = released.clone();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until_closed(&mut ended) => return,
        };
        let Ok((stream, _)) = stream else { continue };
        let (held, released) = (Arc::clone(&held), released.clone());
        let service = service_fn(move |_: Request<Incoming>| {
            let (held, mut released) = (Arc::clone(&held), released.clone());
            async move {
                held.fetch_add(1, Ordering::Relaxed);
                // An error means that the harness is gone, and then nobody waits any more.
                released.wait_for(|released| *released).await.ok();
                held.fetch_sub(1, Ordering::Relaxed);
                anyhow::Ok(Response::new(Full::new(Bytes::from_static(
                    ANSWER.as_bytes(),
                ))))
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn until_closed(released: &mut watch::Receiver<bool>) {
    while released.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::{ANSWER, Upstream};
    use crate::ask;
    use crate::work::Work;

    #[test]
    fn who_asks_waits_until_all_are_released() {
        let upstream = Upstream::start().unwrap();
        let port = upstream.port;
        let asking = std::thread::spawn(move || ask::check(port, &Work::get("/", ANSWER)));
        while upstream.held() == 0 {
            std::thread::yield_now();
        }
        assert!(!asking.is_finished());
        upstream.release();
        asking.join().unwrap().unwrap();
        assert_eq!(upstream.held(), 0);
        ask::check(port, &Work::get("/", ANSWER)).unwrap();
    }
}
