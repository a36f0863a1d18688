//! A node with a certificate: both doors speak TLS with it.

use std::time::Duration;

use midge_api::{Client, ClientConfig, ClientError};

use super::kit::{Node, Store};
use crate::tls::Identity;

#[tokio::test]
async fn the_control_door_speaks_tls_to_those_who_trust_it() {
    let store = Store::new();
    let (identity, _) = Identity::new();
    let (certificate, key) = (identity.certificate(), identity.key());
    let flags = [
        "--workers",
        "2",
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    let midge = store.serve().args(flags).start();
    let url = midge.control();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");

    let stranger = store.client(&url).whoami().await.unwrap_err();
    assert!(
        matches!(stranger, ClientError::Connect { .. }),
        "{stranger}"
    );

    let trusting = ClientConfig {
        url,
        token: Some(store.token()),
        timeout: Duration::from_secs(60),
        ca_pem: Some(std::fs::read(certificate).unwrap()),
    };
    let client = Client::new(trusting).unwrap();
    let node = Node { midge, client };
    let deployed = node.deploy("shop", "http02-env.wasm", 1).await;
    assert!(deployed.urls[0].starts_with("https://"), "{deployed:?}");
}
