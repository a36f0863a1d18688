//! What nobody should send.

use std::time::Duration;

use midge_api::{Upload, WriteOptions};
use midge_model::{Digest, NamespaceName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::kit::{Stage, WAIT_MAX};
use crate::door::body::BODY_BYTES_MAX;
use crate::door::places::{REQUESTS_MAX, TOKEN_SHARE};

#[tokio::test]
async fn heads_that_are_too_large_or_no_heads() {
    let stage = Stage::open().await;
    let large = format!(
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "x".repeat(64 << 10)
    );
    let answer = stage.raw(large.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.is_empty(),
        "{answer}"
    );
    let answer = stage.raw(b"\x16\x03\x01 no HTTP at all\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let long = format!(
        "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "a".repeat(64 << 10)
    );
    let answer = stage.raw(long.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 4") || answer.is_empty(),
        "{answer}"
    );
    // The door is as it was.
    assert_eq!(stage.client.healthz().await.unwrap().status, "ok");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_with_its_reason() {
    let stage = Stage::open().await;
    let body = "x".repeat(BODY_BYTES_MAX + 1);
    let answer = stage.ask_as_admin("POST /v1/namespaces", &body).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Without a length it is refused when it passes the bound.
    let mut request = format!(
        "POST /v1/namespaces HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        stage.token
    );
    for _ in 0..=BODY_BYTES_MAX >> 16 {
        request.push_str(&format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16)));
    }
    request.push_str("0\r\n\r\n");
    let answer = stage.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn deep_json_is_refused() {
    let stage = Stage::open().await;
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let answer = stage.ask_as_admin("POST /v1/namespaces", &deep).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("recursion limit exceeded"), "{answer}");
}

/// 3 KiB that a reader which calls itself for each level would end the whole node over.
#[tokio::test]
async fn a_component_of_types_within_types_is_refused() {
    let stage = Stage::open().await;
    let levels = 1_000;
    let mut component = b"\0asm\x0d\0\x01\0\x07\xb8\x17\x01".to_vec();
    component.extend([0x42, 1, 1].repeat(levels - 1));
    component.extend([0x42, 0]);
    let namespace = NamespaceName::default();
    let (mut request, _) = super::kit::deploy_request();
    request.digest = Digest::of(&component);
    let upload = Upload::bytes(component.into());
    let put = stage
        .client
        .put_component(&namespace, &request.digest, upload);
    put.await.unwrap();
    let function = "deep".parse().unwrap();
    let options = WriteOptions::default();
    let deployed = stage
        .client
        .deploy(&namespace, &function, &request, &options);
    let error = deployed.await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.status, &*problem.code), (422, "refused-component"));
    assert!(problem.detail.contains("100 levels"), "{}", problem.detail);
}

#[tokio::test]
async fn a_body_that_never_comes_ends() {
    let stage = Stage::open().await;
    let head = format!(
        "POST /v1/namespaces HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n",
        stage.token
    );
    let mut socket = TcpStream::connect(stage.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    // The door asks for the body once it waits for it.
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"{").await.unwrap();
    tokio::time::pause();
    let mut answer = Vec::new();
    let reading = socket.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(120), reading)
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_head_that_never_comes_ends() {
    let stage = Stage::open().await;
    let mut socket = TcpStream::connect(stage.address).await.unwrap();
    socket
        .write_all(b"GET /healthz HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    stage.client.healthz().await.unwrap();
    tokio::time::pause();
    let mut answer = Vec::new();
    let reading = socket.read_to_end(&mut answer);
    // Whether with a 408 or without a word.
    drop(
        tokio::time::timeout(Duration::from_secs(120), reading)
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn a_flood_is_answered_and_health_with_it() {
    let stage = Stage::open().await;
    stage.deploy("hello").await;
    // Every place of this token is held by a request that does not end.
    stage.node.held.forget_permits(super::kit::PERMITS);
    let (mut request, _) = super::kit::deploy_request();
    let mut held = Vec::new();
    for number in 0..REQUESTS_MAX / TOKEN_SHARE {
        request.limits.queue = Some(u32::try_from(number).unwrap());
        let client = stage.client.clone();
        let (request, function) = (request.clone(), format!("f{number}").parse().unwrap());
        held.push(tokio::spawn(async move {
            let namespace = NamespaceName::default();
            let options = WriteOptions::default();
            client
                .deploy(&namespace, &function, &request, &options)
                .await
        }));
    }
    let refused = async {
        loop {
            if let Err(error) = stage.client.whoami().await {
                break error;
            }
        }
    };
    let error = tokio::time::timeout(WAIT_MAX, refused).await.unwrap();
    assert_eq!(
        error.to_string(),
        "this token is at its bound of control requests"
    );
    assert_eq!(stage.client.healthz().await.unwrap().status, "ok");
    assert_eq!(stage.client.readyz().await.unwrap().status, "ok");
    let other = stage.token_of(midge_api::Role::Viewer, None).await;
    stage.client_of(Some(&other)).whoami().await.unwrap();
    // A caller that leaves does not give back what its write still needs.
    for task in &held {
        task.abort();
    }
    stage.client.whoami().await.unwrap_err();
    stage.node.held.add_permits(super::kit::PERMITS);
    let free = async { while stage.client.whoami().await.is_err() {} };
    tokio::time::timeout(WAIT_MAX, free).await.unwrap();
}
