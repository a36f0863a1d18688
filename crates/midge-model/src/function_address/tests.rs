//! Hosts of namespaces, functions and revisions, and hosts that are nobody's.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn check(host: &str) -> String {
    match FunctionAddress::of(host, "midge.test") {
        Some(address) => format!("{address:?}"),
        None => "none".to_owned(),
    }
}

#[test]
fn each_label_goes_one_deeper() {
    assert_snapshot!(check("shop.midge.test"), @r#"Namespace(NamespaceName("shop"))"#);
    assert_snapshot!(check("checkout.shop.midge.test"), @r#"Function { function: FunctionName("checkout"), namespace: NamespaceName("shop") }"#);
    assert_snapshot!(check("r7.checkout.shop.midge.test"), @r#"Revision { number: RevisionNumber(7), function: FunctionName("checkout"), namespace: NamespaceName("shop") }"#);
}

#[test]
fn a_host_is_read_as_clients_send_it() {
    assert_snapshot!(check("R7.Checkout.SHOP.Midge.Test.:8080"), @r#"Revision { number: RevisionNumber(7), function: FunctionName("checkout"), namespace: NamespaceName("shop") }"#);
    assert_snapshot!(check("shop.midge.test:"), @r#"Namespace(NamespaceName("shop"))"#);
}

#[test]
fn only_the_place_says_what_a_label_is() {
    assert_snapshot!(check("r7.midge.test"), @r#"Namespace(NamespaceName("r7"))"#);
    assert_snapshot!(check("r7.r7.midge.test"), @r#"Function { function: FunctionName("r7"), namespace: NamespaceName("r7") }"#);
    assert_snapshot!(check("r7.r7.r7.midge.test"), @r#"Revision { number: RevisionNumber(7), function: FunctionName("r7"), namespace: NamespaceName("r7") }"#);
}

#[test]
fn other_hosts_are_nobodys() {
    for host in [
        "",
        ".",
        "midge.test",
        ".midge.test",
        "midge.test.",
        "shopmidge.test",
        "shop.midge.test.example.net",
        "shop..midge.test",
        "-shop.midge.test",
        "9lives.midge.test",
        "shop_a.midge.test",
        "v7.checkout.shop.midge.test",
        "r07.checkout.shop.midge.test",
        "r0.checkout.shop.midge.test",
        "a.r7.checkout.shop.midge.test",
        ".r7.checkout.shop.midge.test",
        "shop.midge.test:http",
        "[::1]:8080",
        "10.0.0.1",
        "é.midge.test",
        "émidge.test",
    ] {
        assert_eq!(check(host), "none", "{host}");
    }
}

#[test]
fn a_domain_may_be_one_label_and_any_case() {
    let of = |host, domain| FunctionAddress::of(host, domain).map(|address| address.host("x"));
    assert_eq!(
        of("hello.default.localhost", "localhost").as_deref(),
        Some("hello.default.x")
    );
    assert_eq!(
        of("shop.midge.test", "Midge.Test").as_deref(),
        Some("shop.x")
    );
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]([a-z0-9-]{0,5}[a-z0-9])?", Just("r7".to_owned())]
}

fn address() -> impl Strategy<Value = FunctionAddress> {
    (name(), name(), 1..=u32::MAX, 0..3).prop_map(|(function, namespace, number, depth)| {
        let function = function.parse().unwrap();
        let namespace = namespace.parse().unwrap();
        let number = RevisionNumber::new(number).unwrap();
        match depth {
            0 => FunctionAddress::Namespace(namespace),
            1 => FunctionAddress::Function {
                function,
                namespace,
            },
            _ => FunctionAddress::Revision {
                number,
                function,
                namespace,
            },
        }
    })
}

proptest! {
    #[test]
    fn every_address_reads_back_from_its_host(address in address(), end in "\\.?(:[0-9]{0,5})?", upper in any::<bool>()) {
        let mut host = address.host("midge.test") + &end;
        if upper {
            host.make_ascii_uppercase();
        }
        prop_assert_eq!(FunctionAddress::of(&host, "midge.test"), Some(address));
    }

    /// A host that is an address is written as that address's host, but for case, dot and port.
    #[test]
    fn an_address_has_one_host(host in "([a-zA-Z0-9é.-]{0,4}\\.){0,4}(midge\\.test|Midge\\.TEST|test)\\.?(:[0-9]{0,2})?") {
        if let Some(address) = FunctionAddress::of(&host, "midge.test") {
            let plain = host.split(':').next().unwrap_or_default().trim_end_matches('.');
            prop_assert_eq!(address.host("midge.test"), plain.to_ascii_lowercase());
        }
    }

    #[test]
    fn no_host_and_no_domain_panics(host in any::<String>(), domain in any::<String>()) {
        let _address = FunctionAddress::of(&host, &domain);
        let _address = FunctionAddress::of(&format!("{host}.{domain}"), &domain);
    }
}
