//! What moves over the sockets of a 0.2 guest, taken out of its budget.
//!
//! Wraps the streams of a connection as the engine hands them out, and the calls that
//! move datagrams. What the budget is and who else takes from it is `http_out/budget.rs`.
//!
//! **Invariant:** nothing is sent that the budget does not have, and nothing is handed to
//! the guest beyond it.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket;
use wasmtime_wasi::p2::bindings::sockets::udp::{
    HostIncomingDatagramStream, HostOutgoingDatagramStream, IncomingDatagram,
    IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream,
};
use wasmtime_wasi::p2::{
    self, DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError,
    StreamResult,
};
use wasmtime_wasi::sockets::WasiSocketsView as _;

use crate::guest::Guest;
use crate::powers::Lent;

/// The interfaces that move bytes, by the names the engine links them under.
const TCP_02: &str = "wasi:sockets/tcp@0.2.12";
const UDP_02: &str = "wasi:sockets/udp@0.2.12";

/// Replaces what hands out streams and moves datagrams.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut tcp = linker.instance(TCP_02)?;
    tcp.func_wrap("[method]tcp-socket.finish-connect", finish_connect)?;
    tcp.func_wrap("[method]tcp-socket.accept", accept)?;
    let mut udp = linker.instance(UDP_02)?;
    udp.func_wrap("[method]outgoing-datagram-stream.send", send)?;
    udp.func_wrap("[method]incoming-datagram-stream.receive", receive)
}

/// What a function of 0.2 answers that can fail.
type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

/// The two directions of a connection.
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

fn finish_connect(
    mut store: StoreContextMut<'_, Guest>,
    (socket,): (Resource<p2::TcpSocket>,),
) -> Answer<Streams> {
    let guest = store.data_mut();
    match guest.sockets().finish_connect(socket) {
        Ok(streams) => {
            guest.count_streams(&streams)?;
            Ok((Ok(streams),))
        }
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn accept(
    mut store: StoreContextMut<'_, Guest>,
    (listener,): (Resource<p2::TcpSocket>,),
) -> Answer<(
    Resource<p2::TcpSocket>,
    Resource<DynInputStream>,
    Resource<DynOutputStream>,
)> {
    let guest = store.data_mut();
    match guest.sockets().accept(listener) {
        Ok((socket, input, output)) => {
            let streams = (input, output);
            guest.count_streams(&streams)?;
            let (input, output) = streams;
            Ok((Ok((socket, input, output)),))
        }
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn send(
    mut store: StoreContextMut<'_, Guest>,
    (stream, datagrams): (Resource<OutgoingDatagramStream>, Vec<OutgoingDatagram>),
) -> Answer<u64> {
    let guest = store.data_mut();
    let lengths: Vec<_> = datagrams
        .iter()
        .map(|datagram| datagram.data.len())
        .collect();
    let bytes: usize = lengths.iter().sum();
    let lent = Arc::clone(&guest.lent);
    if !lent.budget.has_room_for(&lent.denials, bytes as u64) {
        return Ok((Err(ErrorCode::AccessDenied),));
    }
    match HostOutgoingDatagramStream::send(&mut guest.sockets(), stream, datagrams) {
        Ok(sent) => {
            // Not those that the system did not take: the guest offers them again.
            let taken = usize::try_from(sent).unwrap_or(usize::MAX);
            let bytes = lengths.iter().take(taken).sum();
            let fits = lent.budget.take_bytes(&lent.denials, bytes);
            Ok((fits.then_some(sent).ok_or(ErrorCode::AccessDenied),))
        }
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

fn receive(
    mut store: StoreContextMut<'_, Guest>,
    (stream, datagrams_max): (Resource<IncomingDatagramStream>, u64),
) -> Answer<Vec<IncomingDatagram>> {
    let guest = store.data_mut();
    match HostIncomingDatagramStream::receive(&mut guest.sockets(), stream, datagrams_max) {
        Ok(datagrams) => {
            let bytes = datagrams.iter().map(|datagram| datagram.data.len()).sum();
            let taken = guest.lent.budget.take_bytes(&guest.lent.denials, bytes);
            Ok((taken.then_some(datagrams).ok_or(ErrorCode::AccessDenied),))
        }
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

impl Guest {
    fn count_streams(&mut self, (input, output): &Streams) -> wasmtime::Result<()> {
        let lent = &self.lent;
        let slot: &mut DynInputStream = self.table.get_mut(input)?;
        let uncounted = mem::replace(slot, Box::new(Gone));
        *slot = Box::new(Input {
            uncounted,
            lent: Arc::clone(lent),
        });
        let slot: &mut DynOutputStream = self.table.get_mut(output)?;
        let uncounted = mem::replace(slot, Box::new(Gone));
        *slot = Box::new(Output {
            uncounted,
            lent: Arc::clone(lent),
        });
        Ok(())
    }
}

/// Stands in a handle's place while its stream is being wrapped.
struct Gone;

struct Input {
    uncounted: DynInputStream,
    lent: Arc<Lent>,
}

struct Output {
    uncounted: DynOutputStream,
    lent: Arc<Lent>,
}

fn take(lent: &Lent, bytes: usize) -> StreamResult<()> {
    if lent.budget.take_bytes(&lent.denials, bytes) {
        return Ok(());
    }
    let limit = wasmtime::format_err!("the invocation has moved its bytes");
    Err(StreamError::LastOperationFailed(limit))
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        self.uncounted.ready().await;
    }
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let bytes = self.uncounted.read(size)?;
        take(&self.lent, bytes.len())?;
        Ok(bytes)
    }

    async fn cancel(&mut self) {
        self.uncounted.cancel().await;
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        self.uncounted.ready().await;
    }
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        take(&self.lent, bytes.len())?;
        self.uncounted.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.uncounted.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.uncounted.check_write()
    }

    async fn cancel(&mut self) {
        self.uncounted.cancel().await;
    }
}

#[async_trait]
impl Pollable for Gone {
    async fn ready(&mut self) {}
}

impl InputStream for Gone {
    fn read(&mut self, _size: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}

impl OutputStream for Gone {
    fn write(&mut self, _bytes: Bytes) -> StreamResult<()> {
        Err(StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Err(StreamError::Closed)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Err(StreamError::Closed)
    }
}
