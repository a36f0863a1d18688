//! A grant reads back as itself; one that covers another allows all that the other allows.
//!
//! Five lines: two grants, a host, `PORT METHOD`, a path.
#![no_main]

use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::str::FromStr;

use http::Method;
use libfuzzer_sys::fuzz_target;
use midge_model::{
    Cidr, DirGrant, HostName, HttpGrant, NameGrant, NetGrant, Outbound, PortRange, PrivateGrant,
    Reach,
};

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (one, two, host, port, path) = (line(), line(), line(), line(), line());
    let (port, method) = port.split_once(' ').unwrap_or((port, "GET"));
    let port = port.parse().unwrap_or(443);

    read_back::<Cidr>(one);
    read_back::<PortRange>(one);
    read_back::<PrivateGrant>(one);
    read_back::<DirGrant>(one);
    let Some(host) = read_back::<HostName>(host) else {
        return;
    };
    if let HostName::Ip(address) = host {
        assert_eq!(Reach::of(address), Reach::of(address.to_canonical()));
    }
    names(one, two, &host);
    nets(one, two, &host, port);
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return;
    };
    for https in [false, true] {
        let request = Outbound {
            method: &method,
            https,
            host: &host,
            port,
            path,
        };
        requests(one, two, &request);
    }
});

fn requests(one: &str, two: &str, request: &Outbound<'_>) {
    let (one, two) = (read_back::<HttpGrant>(one), read_back::<HttpGrant>(two));
    let (Some(one), Some(two)) = (one, two) else {
        return;
    };
    assert!(one.covers(&one) && HttpGrant::ANY.covers(&one));
    if one.covers(&two) && two.matches(request) {
        assert!(one.matches(request), "{one} covers {two}, and not {request:?}");
    }
    if one.matches(request) {
        assert!(one.implies_look_up(request.host));
    }
}

fn nets(one: &str, two: &str, host: &HostName, port: u16) {
    let (one, two) = (read_back::<NetGrant>(one), read_back::<NetGrant>(two));
    let (Some(one), Some(two)) = (one, two) else {
        return;
    };
    assert!(one.covers(&one) && NetGrant::ANY.covers(&one));
    if !one.covers(&two) {
        return;
    }
    if two.matches_name(host, port) {
        assert!(one.matches_name(host, port), "{one} covers {two}, and not {host}");
    }
    if let Some(address) = host.ip().map(|address| SocketAddr::new(address, port))
        && two.matches_address(address)
    {
        assert!(one.matches_address(address), "{one} covers {two}, and not {address}");
    }
}

fn names(one: &str, two: &str, host: &HostName) {
    let (one, two) = (read_back::<NameGrant>(one), read_back::<NameGrant>(two));
    let (Some(one), Some(two)) = (one, two) else {
        return;
    };
    if one.covers(&two) && two.matches(host) {
        assert!(one.matches(host), "{one} covers {two}, and not {host}");
    }
}

fn read_back<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T>
where
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(value) => {
            let again = value.to_string().parse::<T>();
            assert_eq!(again.ok().as_ref(), Some(&value), "{value}");
            Some(value)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}
