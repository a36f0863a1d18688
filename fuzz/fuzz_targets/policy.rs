//! A policy is read or refused with a place and a sentence. What it refuses is refused for every
//! way to write it; no policy opens what nobody may reach.
//!
//! A policy, a line `---`, a manifest that is held against it.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use midge_model::{Grants, HostName, Limits, Manifest, NamespaceName, Policy, Reach};

const ADDRESSES: [&str; 9] = [
    "127.0.0.1",
    "10.0.0.5",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "93.184.215.14",
    "::ffff:10.0.0.5",
    "fd00:ec2::254",
];

fuzz_target!(|text: &str| {
    let (policy, manifest) = text.split_once("\n---\n").unwrap_or((text, ""));
    let policy = match Policy::parse(policy) {
        Ok(policy) => policy.named("policy.toml"),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(error.line() >= 1 && error.column() >= 1);
            let _ = error.hint();
            return;
        }
    };
    let namespace = NamespaceName::default();
    for address in ADDRESSES {
        let address: IpAddr = address.parse().expect("a literal that parses");
        let host = HostName::from(address);
        let allowed = policy.address(&namespace, &host, true, address).is_ok();
        let by_wildcard = policy.address(&namespace, &host, false, address).is_ok();
        assert!(allowed || !by_wildcard, "{address}");
        match Reach::of(address) {
            Reach::Public => assert!(by_wildcard, "{address}"),
            Reach::Private | Reach::LinkLocal => assert!(!by_wildcard, "{address}"),
            Reach::Never => assert!(!allowed, "{address}"),
        }
    }
    // Whoever asks for nothing is refused nothing.
    let safe = policy.lower(&namespace, &Limits::SAFE);
    for verdict in policy.check(&namespace, &Grants::default(), &safe) {
        assert!(verdict.allowed, "{verdict:?}");
    }
    if let Ok(manifest) = Manifest::parse(manifest) {
        for function in manifest.functions.values() {
            let Ok(limits) = function.limits.apply(&safe) else {
                continue;
            };
            for verdict in policy.check(&namespace, &function.grants(), &limits) {
                assert!(!verdict.asked.is_empty());
            }
        }
    }
});
