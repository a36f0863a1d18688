//! Which addresses a function may connect to, by policy, host and the way the grant says it.

use std::net::IpAddr;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{policy, shop};
use crate::grant::arbitrary;
use crate::policy::Policy;
use crate::{HostName, Reach};

fn check(policy: &Policy, host: &str, literal: bool, address: &str) -> String {
    let host: HostName = host.parse().unwrap();
    match policy.address(&shop(), &host, literal, address.parse().unwrap()) {
        Ok(()) => "ok".to_owned(),
        Err(refusal) => match refusal.line() {
            Some(line) => format!("{refusal}\n{}: {line}", refusal.key().unwrap_or_default()),
            None => refusal.to_string(),
        },
    }
}

#[test]
fn a_public_address_is_reached_from_everywhere() {
    for policy in [Policy::serve_default(), Policy::operator(), policy("")] {
        assert_eq!(check(&policy, "example.com", false, "93.184.216.34"), "ok");
        assert_eq!(check(&policy, "93.184.216.34", true, "93.184.216.34"), "ok");
    }
}

#[test]
fn by_default_nobody_reaches_what_is_not_public() {
    let policy = Policy::serve_default();
    assert_snapshot!(check(&policy, "db.internal", true, "10.0.0.5"), @r#"
    `db.internal` leads to `10.0.0.5`, which is private, and no `private` rule of the policy covers it
    private: private = ["db.internal"]
    "#);
    assert_snapshot!(check(&policy, "10.0.0.5", true, "10.0.0.5"), @r#"
    `10.0.0.5` is private, and no `private` rule of the policy covers it
    private: private = ["10.0.0.5"]
    "#);
    assert_snapshot!(check(&policy, "example.com", false, "127.0.0.1"), @r#"
    `example.com` leads to `127.0.0.1`, which is private, and no grant names `example.com` itself
    private: private = ["example.com"]
    "#);
    assert_snapshot!(check(&policy, "localhost", true, "::1"), @r#"
    `localhost` leads to `[::1]`, which is private, and no `private` rule of the policy covers it
    private: private = ["localhost"]
    "#);
    assert_snapshot!(check(&policy, "example.com", true, "169.254.169.254"), @r#"
    `example.com` leads to `169.254.169.254`, which is link-local or metadata, and no `private` rule of the policy covers it
    private: private = ["169.254.169.254"]
    "#);
    assert_snapshot!(check(&policy, "example.com", true, "::ffff:169.254.169.254"), @r#"
    `example.com` leads to `169.254.169.254`, which is link-local or metadata, and no `private` rule of the policy covers it
    private: private = ["169.254.169.254"]
    "#);
    assert_snapshot!(check(&policy, "example.com", true, "0.0.0.0"), @"`example.com` leads to `0.0.0.0`, which is not an address to connect to");
    assert_snapshot!(check(&policy, "[64:ff9b::a9fe:a9fe]", true, "64:ff9b::a9fe:a9fe"), @r#"
    `[64:ff9b::a9fe:a9fe]` is link-local or metadata, and no `private` rule of the policy covers it
    private: private = ["[64:ff9b::a9fe:a9fe]"]
    "#);
}

#[test]
fn who_types_a_private_address_means_it() {
    let policy = Policy::operator();
    assert_snapshot!(check(&policy, "10.0.0.5", true, "10.0.0.5"), @"ok");
    assert_snapshot!(check(&policy, "localhost", true, "127.0.0.1"), @"ok");
    assert_snapshot!(check(&policy, "api.localhost", true, "::1"), @"ok");
    assert_snapshot!(check(&policy, "10.0.0.5", false, "10.0.0.5"), @r#"
    `10.0.0.5` is private, and no grant names `10.0.0.5` itself
    private: private = ["10.0.0.5"]
    "#);
    assert_snapshot!(check(&policy, "db.internal", true, "10.0.0.5"), @r#"
    `db.internal` leads to `10.0.0.5`, which is private, and no `private` rule of the policy covers it
    private: private = ["db.internal"]
    "#);
    assert_snapshot!(check(&policy, "169.254.169.254", true, "169.254.169.254"), @r#"
    `169.254.169.254` is link-local or metadata, and no `private` rule of the policy covers it
    private: private = ["169.254.169.254"]
    "#);
    assert_snapshot!(check(&policy, "0.0.0.0", true, "0.0.0.0"), @"`0.0.0.0` is not an address to connect to");
}

#[test]
fn a_rule_opens_what_it_names() {
    let policy = policy(
        r#"
        [namespace."*"]
        private = ["10.0.0.0/8", "db.internal", "*.svc.local", "169.254.169.254", "100.64.0.0/10"]
        "#,
    );
    let ok = |host: &str, address: &str| check(&policy, host, true, address) == "ok";
    assert!(ok("anything.test", "10.0.0.5") && ok("10.0.0.5", "10.0.0.5"));
    assert!(ok("10.0.0.5", "::ffff:10.0.0.5"));
    assert!(ok("db.internal", "192.168.1.1") && ok("a.svc.local", "fd00::1"));
    assert!(ok("metadata.test", "169.254.169.254"));
    assert!(!ok("x.db.internal", "192.168.1.1") && !ok("svc.local", "fd00::1"));
    // Another gateway than the one that was named, and a metadata service inside of a block.
    assert!(!ok("[64:ff9b::a00:5]", "64:ff9b::a00:5") && !ok("alibaba.test", "100.100.100.200"));
    // A name may be led elsewhere by whoever answers for it.
    assert!(!ok("db.internal", "169.254.170.2") && !ok("db.internal", "fe80::1"));
    assert!(!ok("db.internal", "0.0.0.0"));
    assert_ne!(check(&policy, "10.0.0.5", false, "10.0.0.5"), "ok");
}

#[test]
fn a_flag_opens_it_in_every_namespace() {
    let opened = |policy: Policy| {
        let private = ["db.internal".parse().unwrap()];
        check(
            &policy.with_private(&private),
            "db.internal",
            true,
            "10.0.0.5",
        )
    };
    assert_eq!(opened(Policy::operator()), "ok");
    assert_eq!(opened(policy("[namespace.shop]\nprivate = []")), "ok");
    assert_eq!(opened(policy("[namespace.other]")), "ok");
}

proptest! {
    /// Whatever the rules say, some addresses are out of reach, and only literal grants leave
    /// the open internet.
    #[test]
    fn no_rule_opens_everything(
        host in arbitrary::host(),
        literal in any::<bool>(),
        address in prop_oneof![any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())), any::<u128>().prop_map(|bits| IpAddr::V6(bits.into()))],
    ) {
        let open = policy("[namespace.\"*\"]\nprivate = [\"10.0.0.0/8\", \"172.16.0.0/12\", \"[fc00::/7]\", \"*.test\", \"localhost\"]");
        for policy in [open, Policy::operator(), Policy::serve_default()] {
            let allowed = policy.address(&shop(), &host, literal, address).is_ok();
            match Reach::of(address) {
                Reach::Public => prop_assert!(allowed),
                Reach::Never => prop_assert!(!allowed),
                Reach::Private | Reach::LinkLocal => prop_assert!(literal || !allowed),
            }
        }
    }
}
