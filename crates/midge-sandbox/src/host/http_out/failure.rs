//! Failures of names, connections and peers, as WASI has them.
//!
//! Decides which error code of `wasi:http` a guest sees for what hyper, rustls and the
//! system report. What was *refused* is decided, and told, where it is refused.
//!
//! **Invariant:** no error of a peer becomes an event of the host's log; a far server
//! that misbehaves is the guest's business.

use std::error::Error as _;
use std::io;

use tokio_rustls::rustls;
use wasmtime_wasi_http::Error;

use crate::net::resolver::ResolveError;

/// Why a name has no address.
pub(super) fn of_name(error: &ResolveError) -> Error {
    let rcode = |rcode: &str| Error::DnsError {
        rcode: Some(rcode.to_owned()),
        info_code: None,
    };
    match error {
        ResolveError::NotFound => rcode("NXDOMAIN"),
        ResolveError::Timeout => Error::DnsTimeout,
        // What exactly is the operator's to know.
        ResolveError::Failed { .. } => rcode("SERVFAIL"),
    }
}

/// Why no TCP connection came about.
pub(super) fn of_connect(error: &io::Error) -> Error {
    use io::ErrorKind as Kind;
    // `Error::Connect` would leave the choice to the engine, which looks at the text.
    match error.kind() {
        Kind::ConnectionRefused => Error::ConnectionRefused,
        Kind::ConnectionReset | Kind::ConnectionAborted => Error::ConnectionTerminated,
        Kind::TimedOut => Error::ConnectionTimeout,
        Kind::HostUnreachable | Kind::NetworkUnreachable => Error::DestinationIpUnroutable,
        _ if is_out_of_descriptors(error) => Error::ConnectionLimitReached,
        _ => Error::DestinationUnavailable,
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(
        errno,
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
    )
}

/// Why no TLS session came about over a connection that did.
pub(super) fn of_tls(error: &io::Error) -> Error {
    use rustls::Error as Tls;
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(Tls::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        _ => Error::TlsProtocolError,
    }
}

/// Why a request that was handed to a connection has no response.
pub(super) fn of_exchange(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        return Error::HttpResponseHeaderSectionSize(None);
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Error::ConnectionTerminated;
    }
    error
        .source()
        .map_or(Error::HttpProtocolError, of_transport)
}

/// Whether a request failed because its connection ended, as a kept one may at any time.
pub(super) fn is_terminated(error: &hyper::Error) -> bool {
    matches!(of_exchange(error), Error::ConnectionTerminated)
}

/// Why a response body ended before its end.
pub(super) fn of_response_body(error: &hyper::Error) -> Error {
    if error.is_incomplete_message() {
        return Error::HttpResponseIncomplete;
    }
    error.source().map_or(Error::HttpProtocolError, |source| {
        match source.downcast_ref::<io::Error>() {
            Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Error::HttpResponseIncomplete
            }
            _ => of_transport(source),
        }
    })
}

fn of_transport(source: &(dyn std::error::Error + 'static)) -> Error {
    use io::ErrorKind as Kind;
    let Some(error) = source.downcast_ref::<io::Error>() else {
        return Error::HttpProtocolError;
    };
    match error.kind() {
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::NotConnected
        | Kind::UnexpectedEof => Error::ConnectionTerminated,
        Kind::TimedOut => Error::ConnectionTimeout,
        _ => Error::HttpProtocolError,
    }
}
