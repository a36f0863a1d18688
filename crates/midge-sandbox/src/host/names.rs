//! Names: `wasi:sockets/ip-name-lookup` in 0.2 and 0.3.
//!
//! Decides which names a guest may ask for and which of their addresses it is told. In
//! place of the engine's own, which asks the system for any name or for none, with a
//! thread per question. Asking itself is `net/resolver.rs`.
//!
//! **Invariant:** what a guest is told is noted ([`Handed`](super::sockets::Handed)): only
//! so a granted name becomes an address that its sockets may reach.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::vec;

use midge_model::{HostName, NetGrant, Use};
use wasmtime::component::{Accessor, HasData, HasSelf, Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup as names02, network as network02};
use wasmtime_wasi::p2::{DynPollable, Network, Pollable, SocketResult, subscribe};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup as names03, types as types03};

use crate::guest::Guest;
use crate::host::denied::{Denial, Remedy};
use crate::net::reach::{self, Destination};
use crate::net::resolver::ResolveError;
use crate::powers::Lent;

/// Replaces the look-up of names. What the engine linked before must be replaceable.
pub(crate) fn link02(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    names02::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

/// The same in 0.3.
pub(crate) fn link03(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    names03::add_to_linker::<Guest, Names>(linker, |guest| guest)
}

/// Why a guest is told no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    /// No grant says the name.
    Denied,
    /// The text is no name. Names that are not ASCII come in punycode: what else they might be
    /// folded into is nothing to guess at here.
    NotAName,
    NotFound,
    Timeout,
    Failed,
}

/// Looks `text` up for a guest.
async fn look_up(lent: Arc<Lent>, text: String) -> Result<Vec<IpAddr>, Unanswered> {
    let host: HostName = text.parse().map_err(|_| Unanswered::NotAName)?;
    if let Some(address) = host.ip() {
        return Ok(vec![address]);
    }
    if !lent.powers.grants.may_resolve(&host) {
        lent.denials.tell(&Denial {
            what: format!("look up {host}"),
            why: "no grant says this name".to_owned(),
            remedy: Remedy::Grant(format!("dns = [\"{host}\"]")),
        });
        return Err(Unanswered::Denied);
    }
    let addresses = match lent.powers.resolver.resolve(&host).await {
        Ok(addresses) => addresses,
        Err(ResolveError::NotFound) => return Err(Unanswered::NotFound),
        Err(ResolveError::Timeout) => return Err(Unanswered::Timeout),
        Err(ResolveError::Failed { reason }) => {
            tracing::debug!(%host, reason, "look-up failed");
            return Err(Unanswered::Failed);
        }
    };
    lent.powers.saw(|| Use::Name(host.clone()));
    let told = told(&lent, &host, addresses);
    lent.handed.note(&host, &told);
    Ok(told)
}

/// The addresses that can be connected to; all if none can, because to know them may be all that
/// is wanted, and who tries to connect is told why not.
fn told(lent: &Lent, host: &HostName, addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let grants = &lent.powers.grants;
    let mut connections = grants.tcp.iter().chain(&grants.udp);
    let to = Destination {
        host,
        port: 0,
        literal: connections.any(|grant: &NetGrant| grant.names_literally(host)),
    };
    match reach::connectable(&lent.powers, to, &addresses) {
        Ok(connectable) => connectable.iter().map(|address| address.ip()).collect(),
        Err(_) => addresses,
    }
}

type Answer = Result<Vec<IpAddr>, Unanswered>;

/// A look-up of 0.2, which a guest starts, waits for, and takes addresses from one by one.
enum LookUp {
    /// Dropped with the guest's handle or with the guest, and then nobody asks any more.
    Asking(Pin<Box<dyn Future<Output = Answer> + Send>>),
    Answered(Result<vec::IntoIter<IpAddr>, Unanswered>),
}

impl LookUp {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<&mut Result<vec::IntoIter<IpAddr>, Unanswered>> {
        if let Self::Asking(answer) = self {
            let Poll::Ready(answer) = answer.as_mut().poll(cx) else {
                return Poll::Pending;
            };
            *self = Self::Answered(answer.map(Vec::into_iter));
        }
        match self {
            Self::Answered(answer) => Poll::Ready(answer),
            Self::Asking(_) => Poll::Pending,
        }
    }

    /// What is there by now. The look-up goes on by itself, so nobody need be woken.
    fn poll_now(&mut self) -> Poll<&mut Result<vec::IntoIter<IpAddr>, Unanswered>> {
        self.poll(&mut Context::from_waker(Waker::noop()))
    }
}

#[async_trait]
impl Pollable for LookUp {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll(cx).map(|_| ())).await;
    }
}

/// Our resource under the name that the engine's bindings have for it.
fn as_stream(look_up: &Resource<LookUp>) -> Resource<names02::ResolveAddressStream> {
    Resource::new_own(look_up.rep())
}

/// The way back, for as long as the guest lends its handle. To own it is to delete it.
fn borrowed(stream: &Resource<names02::ResolveAddressStream>) -> Resource<LookUp> {
    Resource::new_borrow(stream.rep())
}

impl names02::Host for Guest {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<names02::ResolveAddressStream>> {
        // Holding it is the right to ask, as the interface has it.
        self.table.get(&network)?;
        let mut look_up = LookUp::Asking(Box::pin(look_up(Arc::clone(&self.lent), name)));
        // Starts it; what is known without asking is told at once.
        if let Poll::Ready(Err(unanswered)) = look_up.poll_now() {
            return Err(network02::ErrorCode::from(*unanswered).into());
        }
        Ok(as_stream(&self.table.push(look_up)?))
    }
}

impl names02::HostResolveAddressStream for Guest {
    fn resolve_next_address(
        &mut self,
        stream: Resource<names02::ResolveAddressStream>,
    ) -> SocketResult<Option<network02::IpAddress>> {
        match self.table.get_mut(&borrowed(&stream))?.poll_now() {
            Poll::Ready(Ok(addresses)) => Ok(addresses.next().map(Into::into)),
            Poll::Ready(Err(unanswered)) => Err(network02::ErrorCode::from(*unanswered).into()),
            Poll::Pending => Err(network02::ErrorCode::WouldBlock.into()),
        }
    }

    fn subscribe(
        &mut self,
        stream: Resource<names02::ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(&mut self.table, borrowed(&stream))
    }

    fn drop(&mut self, stream: Resource<names02::ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<LookUp>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl From<Unanswered> for network02::ErrorCode {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Denied => Self::AccessDenied,
            Unanswered::NotAName => Self::InvalidArgument,
            Unanswered::NotFound => Self::NameUnresolvable,
            Unanswered::Timeout => Self::TemporaryResolverFailure,
            Unanswered::Failed => Self::PermanentResolverFailure,
        }
    }
}

/// Names of 0.3, as its linker asks for them.
struct Names;

impl HasData for Names {
    type Data<'a> = &'a mut Guest;
}

impl names03::Host for Guest {}

impl names03::HostWithStore<Guest> for Names {
    async fn resolve_addresses(
        store: &Accessor<Guest, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<types03::IpAddress>, names03::ErrorCode>> {
        let lent = store.with(|mut guest| Arc::clone(&guest.get().lent));
        let answer = look_up(lent, name).await;
        Ok(match answer {
            Ok(addresses) => Ok(addresses.into_iter().map(Into::into).collect()),
            Err(unanswered) => Err(unanswered.into()),
        })
    }
}

impl From<Unanswered> for names03::ErrorCode {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Denied => Self::AccessDenied,
            Unanswered::NotAName => Self::InvalidArgument,
            Unanswered::NotFound => Self::NameUnresolvable,
            Unanswered::Timeout => Self::TemporaryResolverFailure,
            Unanswered::Failed => Self::PermanentResolverFailure,
        }
    }
}
