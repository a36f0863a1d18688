//! How many sockets a guest has open.
//!
//! Each is a descriptor of the worker, which all its guests and connections share. The
//! engine has no word to say when it opens one, so its constructors are replaced by ours,
//! which count and call them. What is open is read off the guest's handles and not kept
//! in step with them. Only in 0.3 a socket outlives its handle, because its streams are
//! things of their own: a token goes with them.
//!
//! **Invariant:** a guest has no more sockets by handle than `limits.sockets`, and with
//! those of which only streams are left no more than twice as many. That they have ended
//! is known a turn of the engine's loop later; a guest that closes all and opens as many
//! again in one go must not be refused for it.

use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use midge_model::{Grants, Limits, SOCKETS_MAX};
use tokio::sync::oneshot;
use wasmtime::component::{
    Access, FutureConsumer, FutureReader, HasSelf, Linker, Resource, ResourceTable, ResourceType,
    Source, StreamReader,
};
use wasmtime::{AsContextMut as _, StoreContextMut};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode as ErrorCode02, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::{tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::{self, SocketResult};
use wasmtime_wasi::p3::bindings::sockets::types::{self, ErrorCode, HostTcpSocketWithStore as _};
use wasmtime_wasi::sockets::{TcpSocket, UdpSocket, WasiSockets, WasiSocketsView as _};

use super::bytes03::{self, Overdrawn};
use super::{Protocol, bytes02};
use crate::guest::Guest;
use crate::host::denied::{Denial, Remedy};

/// The interface that makes and drops sockets in 0.3, by the name the engine links it under.
const TYPES_03: &str = "wasi:sockets/types@0.3.0";

/// Replaces what makes sockets. What the engine linked before must be replaceable.
pub(crate) fn link02(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    tcp_create_socket::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    udp_create_socket::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    bytes02::add_to_linker(linker)
}

/// The same in 0.3.
pub(crate) fn link03(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES_03)?;
    types.func_wrap("[static]tcp-socket.create", create_tcp_03)?;
    types.func_wrap_async("[static]udp-socket.create", |store, (family,)| {
        Box::new(create_udp_03(store, family))
    })?;
    types.func_wrap_concurrent("[method]udp-socket.send", |accessor, sent| {
        Box::pin(bytes03::send_datagram(accessor, sent))
    })?;
    types.func_wrap_concurrent("[method]udp-socket.receive", |accessor, (socket,)| {
        Box::pin(bytes03::receive_datagram(accessor, socket))
    })?;
    types.func_wrap("[method]tcp-socket.send", send_03)?;
    types.func_wrap("[method]tcp-socket.receive", receive_03)?;
    let tcp_socket = ResourceType::host::<TcpSocket>();
    types.resource("tcp-socket", tcp_socket, drop_tcp_03)
}

/// The most descriptors that the sockets of one instance take.
pub(crate) fn descriptors_max(grants: &Grants, limits: &Limits) -> u32 {
    let connects = !grants.tcp.is_empty() || !grants.udp.is_empty();
    let listens = !grants.listen.is_empty();
    let opened = if connects || listens {
        2 * limits.sockets
    } else {
        0
    };
    let accepted = if listens { limits.sockets } else { 0 };
    opened + accepted
}

/// The line that allows more sockets.
pub(super) fn more_sockets(limit: u32) -> Remedy {
    let more = limit.saturating_mul(2).clamp(1, SOCKETS_MAX);
    if more > limit {
        Remedy::Limit(format!("sockets = {more}"))
    } else {
        Remedy::Nothing
    }
}

/// The sockets of one guest that its handles do not show.
#[derive(Default)]
pub(crate) struct OpenSockets {
    /// By the handle of a socket of 0.3: what its streams hold.
    streaming: HashMap<u32, Arc<Token>>,
    /// Of sockets whose handle is gone.
    orphans: Vec<Weak<Token>>,
}

/// Held by the streams of one socket.
struct Token;

impl OpenSockets {
    fn has_room(&mut self, table: &mut ResourceTable, limit: u32) -> bool {
        let limit = limit as usize;
        let by_handle = table.iter_mut().filter(|entry| is_socket(&**entry)).count();
        by_handle < limit && by_handle + self.count_orphans() < 2 * limit
    }

    fn count_orphans(&mut self) -> usize {
        self.orphans.retain(|token| token.strong_count() > 0);
        self.orphans.len()
    }

    /// What a new stream of the socket holds.
    fn token(&mut self, socket: u32) -> Arc<Token> {
        let token = self.streaming.entry(socket);
        Arc::clone(token.or_insert_with(|| Arc::new(Token)))
    }

    /// The handle is gone; its streams may not be.
    fn forget(&mut self, socket: u32) {
        let Some(token) = self.streaming.remove(&socket) else {
            return;
        };
        // Those that have ended go now, or this would grow with every socket of a long life.
        self.count_orphans();
        if Arc::strong_count(&token) > 1 {
            self.orphans.push(Arc::downgrade(&token));
        }
    }
}

fn is_socket(entry: &(dyn Any + Send)) -> bool {
    entry.is::<p2::TcpSocket>()
        || entry.is::<p2::UdpSocket>()
        || entry.is::<TcpSocket>()
        || entry.is::<UdpSocket>()
}

/// Why there is no new socket.
enum Refused {
    NotGranted,
    TooMany,
}

impl Guest {
    /// Whether one more socket may be opened; if not it has been told.
    fn one_more_socket(&mut self, protocol: Protocol) -> Result<(), Refused> {
        let powers = &self.lent.powers;
        let key = protocol.key();
        let what = format!("open a {key} socket");
        if !protocol.is_granted(&powers.grants) {
            // Where it would have connected is not known yet; what was looked up is a good guess.
            let latest = self.lent.handed.latest();
            let host = latest.map_or("HOST".to_owned(), |host| host.to_string());
            self.lent.denials.tell(&Denial {
                what,
                why: format!("no {key} grant"),
                remedy: Remedy::Grant(format!("{key} = [\"{host}:PORT\"]")),
            });
            return Err(Refused::NotGranted);
        }
        let limit = powers.limits.sockets;
        if self.open_sockets.has_room(&mut self.table, limit) {
            return Ok(());
        }
        self.lent.denials.tell(&Denial {
            what,
            why: format!("{limit} are open, its limit"),
            remedy: more_sockets(limit),
        });
        Err(Refused::TooMany)
    }
}

impl From<Refused> for ErrorCode02 {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotGranted => Self::AccessDenied,
            Refused::TooMany => Self::NewSocketLimit,
        }
    }
}

impl From<Refused> for ErrorCode {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotGranted => Self::AccessDenied,
            // 0.3 has no code for it; the word is that of 0.2.
            Refused::TooMany => Self::Other(Some("new-socket-limit".to_owned())),
        }
    }
}

impl tcp_create_socket::Host for Guest {
    fn create_tcp_socket(
        &mut self,
        family: IpAddressFamily,
    ) -> SocketResult<Resource<p2::TcpSocket>> {
        self.one_more_socket(Protocol::Tcp)
            .map_err(ErrorCode02::from)?;
        tcp_create_socket::Host::create_tcp_socket(&mut self.sockets(), family)
    }
}

impl udp_create_socket::Host for Guest {
    async fn create_udp_socket(
        &mut self,
        family: IpAddressFamily,
    ) -> SocketResult<Resource<p2::UdpSocket>> {
        self.one_more_socket(Protocol::Udp)
            .map_err(ErrorCode02::from)?;
        udp_create_socket::Host::create_udp_socket(&mut self.sockets(), family).await
    }
}

/// What a function of 0.3 answers that can fail.
type Answer03<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

fn create_tcp_03(
    mut store: StoreContextMut<'_, Guest>,
    (family,): (types::IpAddressFamily,),
) -> Answer03<Resource<TcpSocket>> {
    let guest = store.data_mut();
    if let Err(refused) = guest.one_more_socket(Protocol::Tcp) {
        return Ok((Err(refused.into()),));
    }
    match types::HostTcpSocket::create(&mut guest.sockets(), family) {
        Ok(socket) => Ok((Ok(socket),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

async fn create_udp_03(
    mut store: StoreContextMut<'_, Guest>,
    family: types::IpAddressFamily,
) -> Answer03<Resource<UdpSocket>> {
    let guest = store.data_mut();
    if let Err(refused) = guest.one_more_socket(Protocol::Udp) {
        return Ok((Err(refused.into()),));
    }
    match types::HostUdpSocket::create(&mut guest.sockets(), family).await {
        Ok(socket) => Ok((Ok(socket),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

/// How the stream of a socket ended.
type Ending = FutureReader<Result<(), ErrorCode>>;

fn send_03(
    mut store: StoreContextMut<'_, Guest>,
    (socket, data): (Resource<TcpSocket>, StreamReader<u8>),
) -> wasmtime::Result<(Ending,)> {
    let token = store.data_mut().open_sockets.token(socket.rep());
    let (data, overdrawn) = bytes03::counted(store.as_context_mut(), data)?;
    let access = Access::<_, WasiSockets>::new(store.as_context_mut(), Guest::sockets);
    let ending = WasiSockets::send(access, socket, data)?;
    Ok((held_until(store, ending, token, overdrawn)?,))
}

fn receive_03(
    mut store: StoreContextMut<'_, Guest>,
    (socket,): (Resource<TcpSocket>,),
) -> wasmtime::Result<((StreamReader<u8>, Ending),)> {
    let token = store.data_mut().open_sockets.token(socket.rep());
    let access = Access::<_, WasiSockets>::new(store.as_context_mut(), Guest::sockets);
    let (data, ending) = WasiSockets::receive(access, socket)?;
    // Not counted: a relay would hold the socket open after the guest has dropped its stream, for
    // the engine does not tell a consumer that its other end has gone while nothing arrives.
    let ending = held_until(store, ending, token, Overdrawn::default())?;
    Ok(((data, ending),))
}

fn drop_tcp_03(mut store: StoreContextMut<'_, Guest>, socket: u32) -> wasmtime::Result<()> {
    let guest = store.data_mut();
    guest.open_sockets.forget(socket);
    types::HostTcpSocket::drop(&mut guest.sockets(), Resource::new_own(socket))
}

/// The same ending, and the token until it has come: that is when the stream lets go of its socket,
/// whether or not the guest ever looks.
fn held_until(
    mut store: StoreContextMut<'_, Guest>,
    ending: Ending,
    token: Arc<Token>,
    overdrawn: Overdrawn,
) -> wasmtime::Result<Ending> {
    let (tell, told) = oneshot::channel();
    let relay = Relay {
        tell: Some(tell),
        token: Some(token),
        overdrawn,
    };
    ending.pipe(&mut store, relay)?;
    FutureReader::new(&mut store, told)
}

/// Passes an ending on, and holds the token until then.
struct Relay {
    tell: Option<oneshot::Sender<Result<(), ErrorCode>>>,
    token: Option<Arc<Token>>,
    overdrawn: Overdrawn,
}

impl FutureConsumer<Guest> for Relay {
    type Item = Result<(), ErrorCode>;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        store: StoreContextMut<'_, Guest>,
        mut source: Source<'_, Self::Item>,
        _finish: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut ending = None;
        source.read(store, &mut ending)?;
        // Now, because when the engine drops us is its business.
        self.token = None;
        // The engine saw a stream that ended; the guest shall know why.
        let ending = ending.map(|ending| match self.overdrawn.is_so() {
            true => Err(ErrorCode::AccessDenied),
            false => ending,
        });
        if let (Some(tell), Some(ending)) = (self.tell.take(), ending) {
            // Who does not wait for it has dropped its end.
            drop(tell.send(ending));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
