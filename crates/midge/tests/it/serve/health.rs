//! Flags of a node, and who may reach what of it.

use insta::assert_snapshot;
use midge_testkit::Run;

use super::kit::Store;
use crate::kit::{BINARY, midge};

#[test]
fn a_check_prints_what_would_be_served_how_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "serve",
        "--check",
        "--workers",
        "2",
        "--domain",
        "example.com",
        "--memory-target",
        "2GiB",
    ];
    let checked = Run::of(BINARY, args)
        .folder(folder.path())
        .env("MIDGE_SECRET_KEY", "ab".repeat(32))
        .to_end();
    assert_snapshot!(checked, @r#"
    exit: 0
    --- stdout
    listen = "http://127.0.0.1:8080"
    control = "http://127.0.0.1:8081"
    tokens = true
    store = "./.midge"
    cache = "./.midge/cache"
    data-root = "./.midge/data"
    secret-key = "MIDGE_SECRET_KEY" # ***
    workers = 2
    memory-target = "2GiB"
    domain = "example.com"
    policy = "what `midge serve` allows"
    allow-private = []
    dns = "the system's"
    outbound-ca = "the system's"
    component-max = "128MiB"
    with = []
    grace = "10s"
    receipt = false
    log = "text"
    log-filter = "off,midge=info,guest=info"
    --- stderr
    "#);
    assert!(!folder.path().join(".midge").exists());
}

#[test]
fn a_control_door_that_others_reach_wants_tls_and_tokens() {
    assert_snapshot!(midge(&["serve", "--check", "--control", "0.0.0.0:8081"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: control door `0.0.0.0:8081` is not on loopback and has no TLS

    hint: --tls-cert cert.pem --tls-key key.pem
        or, behind a proxy that speaks TLS: --insecure-plain-control
    ");
    assert_snapshot!(midge(&["serve", "--check", "--control", "0.0.0.0:8081", "--insecure-no-auth"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: control door `0.0.0.0:8081` is not on loopback and would let everybody do everything

    hint: --control 127.0.0.1:8081
    ");
}

#[test]
fn what_is_no_store_is_refused() {
    assert_snapshot!(midge(&["serve", "--store", "nats://host:4222"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: store `nats://host:4222` is of a kind that this version does not have

    hint: --store ./.midge
    ");
}

#[tokio::test]
async fn the_first_token_is_its_owners_alone_and_made_once() {
    use std::os::unix::fs::PermissionsExt as _;

    let store = Store::new();
    let node = store.node();
    let file = store.path().join("admin.token");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = store.token();
    assert!(!node.midge.said().contains(&token));
    node.client.whoami().await.unwrap();
    drop(node);
    let node = store.node();
    assert_eq!(store.token(), token);
    node.client.whoami().await.unwrap();
}

#[tokio::test]
async fn who_serves_without_tokens_says_so_and_makes_none() {
    let store = Store::new();
    let midge = store.serve().args(["--insecure-no-auth"]).start();
    assert!(!store.path().join("admin.token").exists());
    let client = midge_api::Client::new(midge_api::ClientConfig {
        url: midge.control(),
        token: None,
        timeout: std::time::Duration::from_secs(10),
        ca_pem: None,
    });
    client.unwrap().node_status().await.unwrap();
    midge.wait_until_said("everybody who reaches the control door may do everything");
}
