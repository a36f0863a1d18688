//! Grants, hosts and paths for properties: from few words, so that they often meet.

use proptest::prelude::*;
use proptest::sample::select;

use crate::{DirGrant, DirMode, HostName, HttpGrant, NameGrant, NetGrant};
use crate::{Grants, SecretExposure, SecretGrant};

/// Names that lie below each other, and addresses of several kinds.
pub(crate) const HOSTS: [&str; 8] = [
    "a.test",
    "b.a.test",
    "c.b.a.test",
    "localhost",
    "10.0.0.1",
    "10.1.0.1",
    "[fd00::1]",
    "[64:ff9b::1]",
];

/// Paths that patterns below match, and some that none may.
pub(crate) const PATHS: [&str; 18] = [
    "/",
    "/v1",
    "/v1/",
    "/v1/x",
    "/v1/y/x",
    "/v1/x/",
    "/v2",
    "/v2/a*b",
    "/V1",
    "//",
    "//v1",
    "/v1/../v2",
    "/v1/..;/v2",
    "/v1/.",
    "/v1/%2e%2E/v2",
    "/v1/%252e/v2",
    "/v1\\x",
    "*",
];

pub(crate) fn host() -> impl Strategy<Value = HostName> {
    select(&HOSTS[..]).prop_map(|text| text.parse().unwrap())
}

pub(crate) fn port() -> impl Strategy<Value = u16> {
    select(&[0, 80, 443, 500, 8080, u16::MAX][..])
}

pub(crate) fn path() -> impl Strategy<Value = String> {
    select(&PATHS[..]).prop_map(str::to_owned)
}

pub(crate) fn http_grant() -> impl Strategy<Value = HttpGrant> {
    let methods = ["", "GET ", "POST ", "GET,POST ", "PURGE "];
    let schemes = ["http", "https", "*"];
    let hosts = ["*", "*.a.test", "*.b.a.test", "*.test"];
    let ports = ["", ":80", ":443", ":1-500", ":*", ":8080"];
    let paths = [
        "", "/", "/*", "/v1", "/v1/", "/v1/*", "/*/x", "/v1/*/x", "/*/*", "/v1/x", "/v2/*",
    ];
    let hosts = hosts.into_iter().chain(HOSTS).collect::<Vec<_>>();
    (
        select(methods.to_vec()),
        select(schemes.to_vec()),
        select(hosts),
        select(ports.to_vec()),
        select(paths.to_vec()),
    )
        .prop_map(|(methods, scheme, host, ports, path)| {
            let text = format!("{methods}{scheme}://{host}{ports}{path}");
            text.parse().unwrap()
        })
}

pub(crate) fn net_grant() -> impl Strategy<Value = NetGrant> {
    let hosts = [
        "*",
        "*.a.test",
        "*.b.a.test",
        "10.0.0.0/8",
        "10.0.0.0/16",
        "10.0.0.1/32",
        "0.0.0.0/0",
        "[::/0]",
        "[fd00::/8]",
        "[fd00::/16]",
    ];
    let ports = ["80", "443", "1-500", "*", "0"];
    let hosts = hosts.into_iter().chain(HOSTS).collect::<Vec<_>>();
    (select(hosts), select(ports.to_vec()))
        .prop_map(|(host, ports)| format!("{host}:{ports}").parse().unwrap())
}

pub(crate) fn name_grant() -> impl Strategy<Value = NameGrant> {
    let names = [
        "*",
        "*.a.test",
        "*.b.a.test",
        "*.test",
        "a.test",
        "b.a.test",
        "localhost",
    ];
    select(names.to_vec()).prop_map(|text| text.parse().unwrap())
}

/// Grants of every kind that a manifest's `allow` table can say, and that stand together.
pub(crate) fn grants() -> impl Strategy<Value = Grants> {
    use prop::collection::vec;

    let hosts = (
        vec(http_grant(), 0..4),
        vec(net_grant(), 0..3),
        vec(net_grant(), 0..3),
        vec(name_grant(), 0..3),
        vec(net_grant(), 0..2),
    );
    let rest = (
        vec(dir_grant(), 0..4),
        vec(secret_grant(), 0..4),
        vec(bucket(), 0..3),
        any::<bool>(),
        prop::option::of(1..=crate::TMP_BYTES_MAX),
    );
    let grants = (hosts, rest).prop_map(|((http, tcp, udp, dns, listen), rest)| {
        let (dirs, secrets, kv, real, tmp_bytes) = rest;
        let clock = if real {
            crate::Clock::Real
        } else {
            crate::Clock::Coarse
        };
        Grants {
            http,
            tcp,
            udp,
            dns,
            listen,
            dirs,
            secrets,
            kv,
            clock,
            tmp_bytes,
            ..Grants::default()
        }
    });
    grants.prop_filter("grants stand together", |grants| grants.check().is_ok())
}

fn dir_grant() -> impl Strategy<Value = DirGrant> {
    // Quotes and backslashes are allowed in file names, and special in TOML.
    let host = "[a-zA-Zäß \"'\\\\./]{1,8}";
    let quota = prop::option::of(1..u64::MAX / 2);
    (host, "/[a-z]{1,3}", any::<bool>(), quota).prop_map(|(host, guest, writable, quota)| {
        let mode = if writable {
            DirMode::ReadWrite
        } else {
            DirMode::ReadOnly
        };
        let mut dir = DirGrant::new(&host, &guest, mode).unwrap();
        dir.quota_bytes = quota.filter(|_| writable);
        dir
    })
}

fn bucket() -> impl Strategy<Value = crate::BucketName> {
    "[a-z0-9_-]{1,6}".prop_map(|text| text.parse().unwrap())
}

fn secret_grant() -> impl Strategy<Value = SecretGrant> {
    let inject = ("[a-z][a-z-]{0,5}x", "[A-Za-z\"\\\\]{0,4}", http_grant());
    let inject = inject.prop_map(|(header, front, to)| SecretExposure::Inject {
        header,
        format: format!("{front}{{}}"),
        to: vec![to],
    });
    let exposure = prop_oneof![
        Just(SecretExposure::Env),
        Just(SecretExposure::Config),
        inject
    ];
    ("[A-Z_]{1,3}", exposure)
        .prop_map(|(name, exposure)| SecretGrant::new(&name, exposure).unwrap())
}
