//! What the connections of one worker share: protocol settings made once, and the count of a drain.
//!
//! Every bound that hyper knows and that is not the operator's to choose stands here with its
//! reason. Opening and closing the door is `listener.rs`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use tokio::sync::Notify;

use crate::access;
use crate::config::IngressConfig;
use crate::tasks::Spawner;

/// The field count up to which hyper parses a head without allocating.
const H1_FIELDS_ON_STACK: u32 = 100;
/// hyper refuses to work with a smaller buffer than this.
const H1_BUFFER_BYTES_MIN: usize = 8 * 1024;
/// Bytes buffered per HTTP/1 connection and direction before the other side has to wait.
const H1_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes a client may send on one stream before the guest has read any of them.
const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same over all streams of a connection.
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of response buffered per stream for a client that is slow to take them.
const H2_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams a client may reset before we accepted them (RUSTSEC-2024-0332 and "rapid reset").
const H2_PENDING_RESETS_MAX: usize = 20;
/// Streams that may go wrong through the client's fault before the connection is closed.
const H2_ERROR_RESETS_MAX: usize = 256;
/// How often a silent HTTP/2 client is asked whether it is still there.
const H2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The shared part of one worker's traffic door.
pub(crate) struct Door {
    pub(crate) config: Rc<IngressConfig>,
    pub(crate) h1: http1::Builder,
    /// The same where only hyper can see that the client has left.
    pub(crate) h1_over_tls: http1::Builder,
    pub(crate) h2: http2::Builder<Spawner>,
    pub(crate) tally: Tally,
    /// Whether requests leave lines.
    pub(crate) logs_requests: bool,
    pub(crate) tasks: Spawner,
}

/// Where a worker stands in its drain, and what became of the requests that it met there.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// No new connections; responses tell clients to go elsewhere.
    pub(crate) draining: Cell<bool>,
    /// No place is free; connections that are idle make room.
    pub(crate) full: Cell<bool>,
    /// Wakes all connections when that comes about.
    pub(crate) crowded: Notify,
    /// The grace period is over; whatever still runs is dropped.
    pub(crate) cutting: Cell<bool>,
    pub(crate) finished: Cell<u32>,
    pub(crate) cut: Cell<u32>,
}

impl Tally {
    /// Counts a request that is over, if it was caught by the drain.
    pub(crate) fn request_over(&self) {
        let count = match (self.cutting.get(), self.draining.get()) {
            (true, _) => &self.cut,
            (false, true) => &self.finished,
            (false, false) => return,
        };
        count.set(count.get().saturating_add(1));
    }
}

impl Door {
    pub(crate) fn new(config: Rc<IngressConfig>) -> Self {
        let tasks = Spawner::new(config.stall_timeout);
        Self {
            h1: http1_builder(&config, Ends::SeenByUs),
            h1_over_tls: http1_builder(&config, Ends::SeenByHyper),
            h2: http2_builder(&config, tasks.clone()),
            tally: Tally::default(),
            logs_requests: config.access_log && access::is_wanted(),
            tasks,
            config,
        }
    }
}

/// Who notices, while a request is answered, that its client has left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// `socket.rs`, from what the kernel says of the connection.
    SeenByUs,
    /// hyper, which reads ahead and has a buffer more for it all the while.
    SeenByHyper,
}

/// Without a timer: the header timeout is our own, see `pulse.rs`.
fn http1_builder(config: &IngressConfig, ends: Ends) -> http1::Builder {
    let head_bytes = usize_from(config.header_bytes_max);
    let mut builder = http1::Builder::new();
    builder
        .half_close(ends == Ends::SeenByUs)
        .max_header_size(head_bytes)
        .max_buf_size(head_bytes.max(H1_BUFFER_BYTES).max(H1_BUFFER_BYTES_MIN));
    if config.header_count_max != H1_FIELDS_ON_STACK {
        builder.max_headers(usize_from(config.header_count_max));
    }
    builder
}

fn http2_builder(config: &IngressConfig, tasks: Spawner) -> http2::Builder<Spawner> {
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.h2_streams_max)
        .max_header_list_size(config.header_bytes_max)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .max_local_error_reset_streams(H2_ERROR_RESETS_MAX)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT);
    builder
}

fn usize_from(count: u32) -> usize {
    usize::try_from(count).expect("a u32 fits the address space of every supported target")
}
