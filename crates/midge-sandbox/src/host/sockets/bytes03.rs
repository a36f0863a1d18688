//! What moves over the sockets of a 0.3 guest, taken out of its budget.
//!
//! A stream of 0.3 belongs to the engine as soon as it is handed over, so what is to be
//! counted goes through a relay of ours: what one end takes, the other hands on.
//!
//! **Invariant:** a relay holds one chunk at most, and what is beyond the budget goes no
//! further than here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, Destination, Resource, Source, StreamConsumer, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};

use wasmtime_wasi::p3::bindings::sockets::types::{
    ErrorCode, HostUdpSocketWithStore as _, IpSocketAddress,
};
use wasmtime_wasi::sockets::{UdpSocket, WasiSockets, WasiSocketsView as _};

use crate::guest::Guest;
use crate::powers::Lent;

/// What is relayed at once.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// Whether a relay had to stop for want of budget.
#[derive(Clone, Default)]
pub(super) struct Overdrawn(Arc<AtomicBool>);

impl Overdrawn {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A datagram to be sent: the socket, what is in it, and where it goes if the socket is not connected.
type Datagram = (Resource<UdpSocket>, Vec<u8>, Option<IpSocketAddress>);

/// Sends a datagram, if the budget has it.
pub(super) async fn send_datagram(
    accessor: &Accessor<Guest>,
    (socket, data, to): Datagram,
) -> wasmtime::Result<(Result<(), ErrorCode>,)> {
    if !take(accessor, data.len()) {
        return Ok((Err(ErrorCode::AccessDenied),));
    }
    let sockets = accessor.with_getter::<WasiSockets>(Guest::sockets);
    match WasiSockets::send(&sockets, socket, data, to).await {
        Ok(()) => Ok((Ok(()),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

/// Receives one; what the budget does not have is lost.
pub(super) async fn receive_datagram(
    accessor: &Accessor<Guest>,
    socket: Resource<UdpSocket>,
) -> wasmtime::Result<(Result<(Vec<u8>, IpSocketAddress), ErrorCode>,)> {
    let sockets = accessor.with_getter::<WasiSockets>(Guest::sockets);
    match WasiSockets::receive(&sockets, socket).await {
        Ok((data, _)) if !take(accessor, data.len()) => Ok((Err(ErrorCode::AccessDenied),)),
        Ok(datagram) => Ok((Ok(datagram),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn take(accessor: &Accessor<Guest>, bytes: usize) -> bool {
    accessor.with(|mut store| {
        let lent = &store.get().lent;
        lent.budget.take_bytes(&lent.denials, bytes)
    })
}

/// The same stream, counted; and whether it was cut short for that.
pub(super) fn counted(
    mut store: StoreContextMut<'_, Guest>,
    data: StreamReader<u8>,
) -> wasmtime::Result<(StreamReader<u8>, Overdrawn)> {
    let lent = Arc::clone(&store.data().lent);
    let overdrawn = Overdrawn::default();
    let (sender, receiver) = mpsc::channel(1);
    let taking = Taking {
        lent,
        overdrawn: overdrawn.clone(),
        on: PollSender::new(sender),
    };
    data.pipe(&mut store, taking)?;
    let data = StreamReader::new(&mut store, Giving(receiver))?;
    Ok((data, overdrawn))
}

struct Taking {
    lent: Arc<Lent>,
    overdrawn: Overdrawn,
    on: PollSender<Bytes>,
}

struct Giving(mpsc::Receiver<Bytes>);

impl<D> StreamConsumer<D> for Taking {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.on.poll_reserve(cx) {
            Poll::Ready(Ok(())) => {}
            // Nobody is left at the other end.
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
        let mut source = source.as_direct(store);
        let offered = source.remaining();
        let taken = Bytes::copy_from_slice(&offered[..offered.len().min(CHUNK_BYTES_MAX)]);
        let count = taken.len();
        let lent = &self.lent;
        if !lent.budget.take_bytes(&lent.denials, count) {
            self.overdrawn.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        if count > 0 && self.on.send_item(taken).is_err() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        source.mark_read(count);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl<D> StreamProducer<D> for Giving {
    type Item = u8;
    type Buffer = VecBuffer<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let chunk = match self.0.poll_recv(cx) {
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            chunk => ready!(chunk),
        };
        Poll::Ready(Ok(match chunk {
            Some(chunk) => {
                destination.set_buffer(Vec::from(chunk).into());
                StreamResult::Completed
            }
            None => StreamResult::Dropped,
        }))
    }
}
