//! From checked addresses to a connection that speaks HTTP.
//!
//! Decides in which order addresses are tried and which protocol is spoken. That each
//! of them may be connected to was decided before (`net/reach.rs`); nothing here looks
//! a name up.
//!
//! **Invariant:** what is connected to is an address that was handed in, never a name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use wasmtime_wasi_http::Error;

use super::connection::Connection;
use super::pool::{Descriptor, Target};
use super::{failure, tls};

/// How long an address may take before the next one is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Addresses that are tried: who has more is rarely reachable at the fifth when the first four are
/// not.
const ADDRESSES_TRIED_MAX: usize = 4;

/// Of these, how many at the same time: one of each family. Each costs a descriptor.
pub(super) const AT_ONCE_MAX: u32 = 2;

/// Opens a connection to one of `addresses`. The caller bounds how long that takes.
pub(super) async fn dial(
    target: &Target,
    addresses: &[SocketAddr],
    tls: &Arc<ClientConfig>,
    descriptor: Descriptor,
) -> Result<Connection, Error> {
    let stream = first_to_answer(addresses).await?;
    // Without it a small request waits for the acknowledgement of the one before. A socket that
    // refuses works all the same.
    drop(stream.set_nodelay(true));
    if !target.https {
        return Connection::http1(stream, descriptor)
            .await
            .map_err(|error| failure::of_exchange(&error));
    }
    let name = tls::server_name(&target.host).ok_or(Error::HttpRequestUriInvalid)?;
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(name, stream)
        .await
        .map_err(|error| failure::of_tls(&error))?;
    let agreed = stream.get_ref().1.alpn_protocol();
    if agreed == Some(tls::ALPN_H2) {
        Connection::http2(stream, descriptor).await
    } else {
        Connection::http1(stream, descriptor).await
    }
    .map_err(|error| failure::of_exchange(&error))
}

/// Tries the addresses in their order, and the next one when one has failed or lets us wait.
async fn first_to_answer(addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut untried = alternating(addresses)
        .into_iter()
        .take(ADDRESSES_TRIED_MAX)
        .peekable();
    let mut attempts = FuturesUnordered::new();
    let mut last_error = Error::DestinationNotFound;
    loop {
        let has_room = attempts.len() < AT_ONCE_MAX as usize;
        let next = untried.next_if(|_| has_room);
        attempts.extend(next.map(TcpStream::connect));
        let patience = async {
            match next {
                Some(_) => tokio::time::sleep(NEXT_ADDRESS_AFTER).await,
                // Nobody is left who could be tried instead.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => last_error = failure::of_connect(&error),
                None => return Err(last_error),
            },
            () = patience => {}
        }
    }
}

/// The same addresses, IPv6 and IPv4 in turns: where one of them leads nowhere, the other is next.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (same, other): (Vec<SocketAddr>, Vec<_>) = addresses
        .iter()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut other = other.into_iter();
    let mut ordered: Vec<_> = same
        .into_iter()
        .flat_map(|address| std::iter::once(address).chain(other.next()))
        .collect();
    ordered.extend(other);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_nobody_is_lost() {
        let check = |addresses: &[&str]| {
            let parsed: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            let ordered = alternating(&parsed);
            let texts: Vec<_> = ordered.iter().map(ToString::to_string).collect();
            texts.join(" ")
        };
        assert_eq!(check(&[]), "");
        assert_eq!(
            check(&["[::1]:1", "[::2]:1", "1.1.1.1:1"]),
            "[::1]:1 1.1.1.1:1 [::2]:1"
        );
        assert_eq!(
            check(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]),
            "1.1.1.1:1 [::1]:1 [::2]:1"
        );
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let closing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            closing.local_addr().unwrap()
        };
        let stream = first_to_answer(&[closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let refused = first_to_answer(&[closed]).await.unwrap_err();
        assert!(matches!(refused, Error::ConnectionRefused), "{refused}");
    }
}
