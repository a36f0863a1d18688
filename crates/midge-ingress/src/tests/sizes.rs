//! How large the future of a request is: it is moved into place once or twice per request; and how
//! large that of a connection, which holds it whether or not it has a request.

use midge_runtime::{Dispatcher, ResponseBody};

use super::*;
use crate::connection;
use crate::listener::Handled;

/// Of dispatching, which is most of it.
const DISPATCH_BYTES_MAX: usize = 768;

/// Of a connection that speaks HTTP/1 without TLS: what others need is in boxes.
const CONNECTION_BYTES_MAX: usize = 2 * 1024;

fn size<'a, A: 'a, F: Future>(
    _: impl Fn(&'a A, Box<Request<RequestBody>>, &'a Caller) -> F,
) -> usize {
    size_of::<F>()
}

#[test]
fn what_is_moved_per_request_is_small() {
    let bytes = size(Dispatcher::dispatch);
    assert!(bytes <= DISPATCH_BYTES_MAX, "{bytes} bytes");
}

fn connection_bytes<D>(_: D) -> usize
where
    D: AsyncFn(Box<Request<RequestBody>>, &Caller) -> Handled<ResponseBody> + 'static,
{
    fn size<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    size(connection::serve::<D, ResponseBody>)
}

#[test]
fn what_a_connection_holds_is_small() {
    let bytes = connection_bytes(async |_, _: &Caller| unreachable!("nobody asks"));
    assert!(bytes <= CONNECTION_BYTES_MAX, "{bytes} bytes");
}
