//! Whatever a function used, the grants learnt from it allow all of it, and say so in a manifest.
//!
//! A use a line: `http GET api.example.com 80 /v1/orders`, `tcp GET 10.0.0.5 5432`.
#![no_main]

use std::collections::BTreeSet;

use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use midge_model::learned::{smallest, to_toml};
use midge_model::{Grants, HostName, Manifest, Outbound, Policy, Use};

fuzz_target!(|text: &str| {
    let uses: BTreeSet<Use> = text.lines().filter_map(seen).collect();
    let candidates = Policy::operator().widest(&Default::default());
    let grants = smallest(&uses, &candidates);
    for used in &uses {
        assert!(allows(&grants, used), "{used:?} is not in {grants:?}");
    }
    let table = to_toml(&"shop".parse().expect("a name"), &grants);
    let manifest = format!("[function.shop]\ncomponent = \"shop.wasm\"\n\n{table}");
    let read = Manifest::parse(&manifest).unwrap_or_else(|error| panic!("{error}\n{manifest}"));
    let function = read.functions.values().next().expect("one function");
    assert_eq!(function.grants(), grants, "{manifest}");
});

fn seen(line: &str) -> Option<Use> {
    let mut words = line.split(' ');
    let (kind, method) = (words.next()?, words.next()?);
    let host: HostName = words.next()?.parse().ok()?;
    let port: u16 = words.next()?.parse().ok()?;
    Some(match kind {
        "http" | "https" => Use::Http {
            method: Method::from_bytes(method.as_bytes()).ok()?.to_string(),
            https: kind == "https",
            host,
            port,
            // As the sandbox has it: what a URI can hold, and absolute.
            path: Uri::try_from(words.next()?).ok()?.path().to_owned(),
        },
        "tcp" => Use::Tcp { host, port },
        "udp" => Use::Udp { host, port },
        "dns" => Use::Name(host),
        "listen" => Use::Listen((host.ip()?, port).into()),
        _ => return None,
    })
}

fn allows(grants: &Grants, used: &Use) -> bool {
    match used {
        Use::Http {
            method,
            https,
            host,
            port,
            path,
        } => {
            let method = Method::from_bytes(method.as_bytes()).expect("a method that was one");
            let (https, port) = (*https, *port);
            let request = Outbound {
                method: &method,
                https,
                host,
                port,
                path,
            };
            grants.http.iter().any(|grant| grant.matches(&request))
        }
        Use::Tcp { host, port } => grants.tcp.iter().any(|grant| grant.matches_name(host, *port)),
        Use::Udp { host, port } => grants.udp.iter().any(|grant| grant.matches_name(host, *port)),
        Use::Name(host) => grants.may_resolve(host),
        Use::Listen(address) => grants.listen.iter().any(|grant| grant.matches_address(*address)),
        Use::Bucket(name) => grants.kv.contains(name),
        Use::Dir { .. } | Use::Secret(_) | Use::Tmp => true,
    }
}
