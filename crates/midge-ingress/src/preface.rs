//! Which protocol a client without TLS speaks, told from its first bytes.
//!
//! HTTP/2 by prior knowledge opens with a fixed line that no HTTP/1 request can open with. hyper's own
//! detection has no timeout, which would let silent clients hold connections for nothing; here the
//! caller puts the header timeout around it. What was read is given back for the protocol to read again.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What every HTTP/2 client sends first (RFC 9113, 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is certain; returns it with the bytes read.
///
/// A client that ends before that gets HTTP/1, which knows what to make of it.
pub(crate) async fn sniff(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<(Protocol, Bytes)> {
    let mut read = [0; H2_PREFACE.len()];
    let mut filled = 0;
    loop {
        let more = socket.read(&mut read[filled..]).await?;
        filled += more;
        if let Some(protocol) = told_by(&read[..filled], more == 0) {
            return Ok((protocol, Bytes::copy_from_slice(&read[..filled])));
        }
    }
}

/// The protocol, if these first bytes are enough to tell.
fn told_by(first: &[u8], ended: bool) -> Option<Protocol> {
    match first {
        H2_PREFACE => Some(Protocol::Http2),
        _ if ended || !H2_PREFACE.starts_with(first) => Some(Protocol::Http1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(chunks: &[&[u8]]) -> (Protocol, Vec<u8>) {
        let mut socket: Box<dyn AsyncRead + Unpin> = Box::new(tokio::io::empty());
        for chunk in chunks.iter().rev() {
            socket = Box::new(AsyncReadExt::chain(chunk.to_vec().leak() as &[u8], socket));
        }
        let (protocol, read) = sniff(&mut socket).await.unwrap();
        (protocol, read.to_vec())
    }

    #[tokio::test]
    async fn a_request_line_is_http1_and_kept() {
        let (protocol, read) = check(&[b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"]).await;
        assert_eq!(protocol, Protocol::Http1);
        assert!(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".starts_with(&read));
    }

    #[tokio::test]
    async fn the_preface_is_http2_however_it_is_cut() {
        for at in 1..H2_PREFACE.len() {
            let (first, rest) = H2_PREFACE.split_at(at);
            assert_eq!(
                check(&[first, rest]).await,
                (Protocol::Http2, H2_PREFACE.to_vec())
            );
        }
    }

    #[tokio::test]
    async fn a_method_that_begins_like_the_preface_is_http1() {
        assert_eq!(
            check(&[b"PR", b"OPFIND / HTTP/1.1"]).await.0,
            Protocol::Http1
        );
    }

    #[tokio::test]
    async fn an_early_end_is_left_to_http1() {
        assert_eq!(
            check(&[b"PRI * "]).await,
            (Protocol::Http1, b"PRI * ".to_vec())
        );
        assert_eq!(check(&[]).await, (Protocol::Http1, Vec::new()));
    }
}
