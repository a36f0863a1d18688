//! What was seen becomes the smallest grants, and those become a table that says them.

use std::net::IpAddr;

use insta::assert_snapshot;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::grant::arbitrary;
use crate::{FunctionName, Manifest, SecretExposure, SecretGrant};

fn name() -> FunctionName {
    "shop".parse().unwrap()
}

fn http(request: &str) -> Use {
    let (method, url) = request.split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let https = scheme == "https";
    Use::Http {
        method: method.to_owned(),
        https,
        host: host.parse().unwrap(),
        port: if https { 443 } else { 80 },
        path: path.to_owned(),
    }
}

fn host(text: &str) -> HostName {
    text.parse().unwrap()
}

/// The table that is learned from these uses.
fn learned(uses: &[Use], candidates: &Grants) -> String {
    let uses = uses.iter().cloned().collect();
    to_toml(&name(), &smallest(&uses, candidates))
}

fn requests(requests: &[&str]) -> String {
    let uses: Vec<_> = requests.iter().map(|request| http(request)).collect();
    learned(&uses, &Grants::default())
}

#[test]
fn nothing_seen_is_nothing_allowed() {
    assert_snapshot!(learned(&[], &everything()), @"[function.shop.allow]");
}

#[test]
fn requests_to_one_server_become_one_line() {
    assert_snapshot!(requests(&["GET https://a.test/v1/x"]), @r#"
    [function.shop.allow]
    http = ["GET https://a.test/v1/x"]
    "#);
    assert_snapshot!(requests(&["GET https://a.test/v1/x", "POST https://a.test/v1/y"]), @r#"
    [function.shop.allow]
    http = ["GET,POST https://a.test/v1/*"]
    "#);
    assert_snapshot!(requests(&["GET https://a.test/v1/x/1", "GET https://a.test/v1/x/2", "GET https://a.test/v1/x"]), @r#"
    [function.shop.allow]
    http = ["GET https://a.test/v1/x/*"]
    "#);
    assert_snapshot!(requests(&["GET https://a.test/v1/x", "GET https://a.test/v2/x"]), @r#"
    [function.shop.allow]
    http = ["GET https://a.test/*"]
    "#);
    assert_snapshot!(requests(&["GET https://a.test/", "GET http://a.test/", "GET https://b.test/"]), @r#"
    [function.shop.allow]
    http = [
        "GET http://a.test/",
        "GET https://a.test/",
        "GET https://b.test/",
    ]
    "#);
}

#[test]
fn what_no_pattern_says_becomes_the_next_wider_one() {
    assert_snapshot!(requests(&["GET https://a.test/v1/a*b"]), @r#"
    [function.shop.allow]
    http = ["GET https://a.test/v1/*"]
    "#);
    assert_snapshot!(requests(&["GET https://a.test/v1/../v2"]), @r#"
    [function.shop.allow]
    http = ["GET https://a.test"]
    "#);
    assert_snapshot!(requests(&["GET https://a.test/v1/%2e", "GET https://a.test/v1/x"]), @r#"
    [function.shop.allow]
    http = ["GET https://a.test"]
    "#);
    assert_snapshot!(requests(&["get https://a.test/v1"]), @r#"
    [function.shop.allow]
    http = ["https://a.test/v1"]
    "#);
    assert_snapshot!(requests(&[&format!("GET https://a.test{}", "/".repeat(100_000))]), @r#"
    [function.shop.allow]
    http = ["GET https://a.test"]
    "#);
    assert_snapshot!(requests(&[&format!("GET https://a.test/v1/{}", "x".repeat(2000))]), @r#"
    [function.shop.allow]
    http = ["GET https://a.test/v1/*"]
    "#);
}

#[test]
fn a_name_that_another_line_says_is_not_repeated() {
    let uses = [
        Use::Tcp {
            host: host("db.internal"),
            port: 5432,
        },
        Use::Udp {
            host: host("10.0.0.1"),
            port: 53,
        },
        Use::Name(host("db.internal")),
        Use::Name(host("a.test")),
        Use::Name(host("other.test")),
        http("GET https://a.test/"),
    ];
    assert_snapshot!(learned(&uses, &Grants::default()), @r#"
    [function.shop.allow]
    http = ["GET https://a.test/"]
    tcp = ["db.internal:5432"]
    udp = ["10.0.0.1:53"]
    dns = ["other.test"]
    "#);
}

#[test]
fn a_folder_is_read_only_unless_it_was_written() {
    let candidates = everything();
    let dir = |guest: &str, wrote| Use::Dir {
        guest: guest.to_owned(),
        wrote,
    };
    assert_snapshot!(learned(&[dir("/data", false)], &candidates), @r#"
    [function.shop.allow]
    dirs = [{ host = "./data", guest = "/data", mode = "ro" }]
    "#);
    assert_snapshot!(learned(&[dir("/data", true), dir("/other", false)], &candidates), @r#"
    [function.shop.allow]
    dirs = [
        { host = "./data", guest = "/data", mode = "rw", quota = "1GiB" },
        { host = "./other", guest = "/other", mode = "ro" },
    ]
    "#);
    assert_snapshot!(learned(&[dir("/data", true), dir("/data-in", false)], &candidates), @r#"
    [function.shop.allow]
    dirs = [
        { host = "./data", guest = "/data", mode = "rw", quota = "1GiB" },
        { host = "./data/in", guest = "/data-in", mode = "rw" },
    ]
    "#);
    assert_snapshot!(learned(&[dir("/elsewhere", true)], &candidates), @"[function.shop.allow]");
}

#[test]
fn the_rest_is_taken_from_what_was_allowed() {
    let uses = [
        Use::Secret("API_KEY".to_owned()),
        Use::Secret("UNKNOWN".to_owned()),
        Use::Tmp,
        Use::Listen("127.0.0.1:8080".parse().unwrap()),
    ];
    assert_snapshot!(learned(&uses, &everything()), @r#"
    [function.shop.allow]
    listen = ["127.0.0.1:8080"]
    secrets = [{ name = "API_KEY", as = "inject", header = "authorization", format = "Bearer {}", to = ["https://a.test/*"] }]
    tmp = "1MiB"
    "#);
    assert_snapshot!(learned(&[Use::Tmp], &Grants::default()), @r#"
    [function.shop.allow]
    tmp = "64MiB"
    "#);
}

#[test]
fn more_than_a_manifest_says_becomes_one_line_for_all() {
    let uses = |count: u16| {
        (0..count)
            .map(|port| Use::Tcp {
                host: host("a.test"),
                port,
            })
            .collect()
    };
    assert_eq!(smallest(&uses(256), &Grants::default()).tcp.len(), 256);
    assert_eq!(
        smallest(&uses(257), &Grants::default()).tcp,
        [NetGrant::ANY]
    );
}

/// Candidates of every kind.
fn everything() -> Grants {
    let secret = |name: &str, exposure| SecretGrant::new(name, exposure).unwrap();
    let inject = SecretExposure::Inject {
        header: "authorization".to_owned(),
        format: "Bearer {}".to_owned(),
        to: vec!["https://a.test/*".parse().unwrap()],
    };
    let dir = |text: &str| text.parse::<DirGrant>().unwrap();
    Grants {
        dirs: vec![
            dir("./data:/data:rw").with_quota("1GiB").unwrap(),
            dir("./data/in:/data-in:rw"),
            dir("./other:/other:rw"),
        ],
        http: vec![HttpGrant::ANY],
        secrets: vec![
            secret("API_KEY", inject),
            secret("OTHER", SecretExposure::Env),
        ],
        tmp_bytes: Some(1 << 20),
        clock: crate::Clock::Real,
        ..Grants::default()
    }
}

fn any_use() -> impl Strategy<Value = Use> {
    let methods = select(vec!["GET", "POST", "PURGE", "get", "M-SEARCH", "GET1"]);
    let host_and_port = || (arbitrary::host(), arbitrary::port());
    prop_oneof![
        4 => (methods, any::<bool>(), host_and_port(), arbitrary::path()).prop_map(
            |(method, https, (host, port), path)| Use::Http { method: method.to_owned(), https, host, port, path }
        ),
        1 => host_and_port().prop_map(|(host, port)| Use::Tcp { host, port }),
        1 => host_and_port().prop_map(|(host, port)| Use::Udp { host, port }),
        1 => arbitrary::host().prop_map(Use::Name),
        2 => (select(vec!["/data", "/data-in", "/other"]), any::<bool>())
            .prop_map(|(guest, wrote)| Use::Dir { guest: guest.to_owned(), wrote }),
        1 => select(vec!["API_KEY", "OTHER"]).prop_map(|name| Use::Secret(name.to_owned())),
        1 => select(vec!["carts", "default"]).prop_map(|name| Use::Bucket(name.parse().unwrap())),
        1 => Just(Use::Tmp),
        1 => any::<(IpAddr, u16)>().prop_map(|address| Use::Listen(address.into())),
    ]
}

/// Whether the grants allow the use.
fn allows(grants: &Grants, used: &Use) -> bool {
    match used {
        Use::Http {
            method,
            https,
            host,
            port,
            path,
        } => {
            let method = method.parse().unwrap();
            let request = Outbound {
                method: &method,
                https: *https,
                host,
                port: *port,
                path,
            };
            grants.http.iter().any(|grant| grant.matches(&request))
        }
        Use::Tcp { host, port } => grants
            .tcp
            .iter()
            .any(|grant| grant.matches_name(host, *port)),
        Use::Udp { host, port } => grants
            .udp
            .iter()
            .any(|grant| grant.matches_name(host, *port)),
        Use::Name(host) => grants.may_resolve(host),
        Use::Dir { guest, wrote } => grants
            .dirs
            .iter()
            .any(|dir| dir.guest == *guest && (!wrote || dir.mode == DirMode::ReadWrite)),
        Use::Secret(name) => grants.secrets.iter().any(|secret| secret.name == *name),
        Use::Bucket(name) => grants.kv.contains(name),
        Use::Tmp => grants.tmp_bytes.is_some(),
        Use::Listen(address) => grants
            .listen
            .iter()
            .any(|grant| grant.matches_address(*address)),
    }
}

/// What a manifest with this table grants.
fn read_back(grants: &Grants) -> Grants {
    let table = to_toml(&name(), grants);
    let text = format!("[function.shop]\ncomponent = \"shop.wasm\"\n\n{table}");
    let manifest = Manifest::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    manifest.functions["shop"].grants()
}

proptest! {
    #[test]
    fn the_smallest_grants_allow_each_use(uses in prop::collection::btree_set(any_use(), 0..12)) {
        let candidates = everything();
        let grants = smallest(&uses, &candidates);
        for used in &uses {
            prop_assert!(allows(&grants, used), "{:?}", used);
        }
        prop_assert_eq!(grants.check(), Ok(()));
        prop_assert_eq!(read_back(&grants), grants);
    }

    /// Without any one line, some use is refused.
    #[test]
    fn no_line_is_there_for_nothing(uses in prop::collection::btree_set(any_use(), 0..8)) {
        let grants = smallest(&uses, &everything());
        let refused = |changed: &Grants| uses.iter().any(|used| !allows(changed, used));
        for index in 0..grants.http.len() {
            let mut changed = grants.clone();
            changed.http.remove(index);
            prop_assert!(refused(&changed), "{}", grants.http[index]);
        }
        for index in 0..grants.dns.len() {
            let mut changed = grants.clone();
            changed.dns.remove(index);
            prop_assert!(refused(&changed), "{}", grants.dns[index]);
        }
        for index in 0..grants.dirs.len() {
            let mut changed = grants.clone();
            changed.dirs.remove(index);
            prop_assert!(refused(&changed), "{}", grants.dirs[index]);
        }
    }

    #[test]
    fn any_grants_are_read_back_as_they_were(grants in arbitrary::grants()) {
        prop_assert_eq!(read_back(&grants), grants);
    }

    #[test]
    fn a_use_survives_the_way_to_the_supervisor(used in any_use()) {
        let json = serde_json::to_string(&used).unwrap();
        prop_assert_eq!(serde_json::from_str::<Use>(&json).unwrap(), used);
    }
}
