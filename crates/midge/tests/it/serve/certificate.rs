//! A node whose doors speak TLS.

use std::fs;
use std::path::Path;
use std::time::Duration;

use midge_api::{Client, ClientConfig};
use midge_testkit::wait_until_async;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::kit::{Store, name, ns};

/// Puts a new certificate and its key into a folder, and gives it to who is to trust it.
fn renew(folder: &Path) -> Vec<u8> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(folder.join("certificate.pem"), cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.pem().into_bytes()
}

#[tokio::test]
async fn the_control_door_shows_the_nodes_certificate_and_its_successor() {
    let (store, folder) = (Store::new(), tempfile::tempdir().unwrap());
    let site = crate::kit::Site::of(&[("shop", "http02-tiny.wasm", "")]);
    let first = renew(folder.path());
    let certificate = folder.path().join("certificate.pem");
    let key = folder.path().join("key.pem");
    let midge = store
        .serve()
        .args(["--tls-cert", certificate.to_str().unwrap()])
        .args(["--tls-key", key.to_str().unwrap()])
        .args(["--with", site.path().to_str().unwrap()])
        .start();
    let client = |trusted: Vec<u8>| {
        Client::new(ClientConfig {
            url: midge.control(),
            token: Some(store.token()),
            timeout: Duration::from_secs(10),
            ca_pem: Some(trusted),
        })
        .unwrap()
    };
    // What `--with` names is deployed whatever the certificate is for.
    let shop = client(first.clone())
        .get_function(&ns(), &name("shop"))
        .await;
    assert!(shop.unwrap().url.starts_with("https://"));
    let second = renew(folder.path());
    assert!(client(second.clone()).whoami().await.is_err());
    midge.signal("HUP");
    wait_until_async("the new certificate is shown", async || {
        client(second.clone()).whoami().await.is_ok()
    })
    .await;
    assert!(client(first).whoami().await.is_err());
}
