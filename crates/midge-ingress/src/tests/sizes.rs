//! How large the future of a request is: it is moved into place once or twice per request.

use midge_runtime::Dispatcher;

use super::*;

/// Of dispatching, which is most of it.
const DISPATCH_BYTES_MAX: usize = 3 * 1024;

fn size<'a, A: 'a, F: Future>(_: impl Fn(&'a A, Request<RequestBody>, &'a Caller) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn what_is_moved_per_request_is_small() {
    let bytes = size(Dispatcher::dispatch);
    assert!(bytes <= DISPATCH_BYTES_MAX, "{bytes} bytes");
}
