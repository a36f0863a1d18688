//! Drain, and callers who leave.

use futures::StreamExt as _;
use midge_api::WriteOptions;
use midge_model::NamespaceName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::kit::{PERMITS, Stage, WAIT_MAX, deploy_request};

#[tokio::test]
async fn a_drain_waits_for_writes_and_ends_followers() {
    let mut stage = Stage::open().await;
    stage.deploy("hello").await;
    let namespace = NamespaceName::default();
    let hello = "hello".parse().unwrap();
    let follows = stage
        .client
        .follow_logs(&namespace, &hello, None)
        .await
        .unwrap();
    stage.node.held.forget_permits(PERMITS);
    let (mut request, _) = deploy_request();
    request.limits.queue = Some(1);
    let deploy = tokio::spawn({
        let (client, namespace, hello) = (stage.client.clone(), namespace.clone(), hello.clone());
        async move {
            let options = WriteOptions::default();
            client.deploy(&namespace, &hello, &request, &options).await
        }
    });
    published(&stage, "r2=100").await;
    stage.stop();
    let lines: Vec<_> = follows.collect().await;
    assert_eq!(
        lines.len(),
        3,
        "the stream ends without an error: {lines:?}"
    );
    assert!(!stage.served.is_finished());
    stage.node.held.add_permits(PERMITS);
    deploy.await.unwrap().unwrap();
    tokio::time::timeout(WAIT_MAX, &mut stage.served)
        .await
        .unwrap()
        .unwrap();
    let error = stage.client.whoami().await.unwrap_err();
    assert!(
        matches!(error, midge_api::ClientError::Connect { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_write_whose_caller_leaves_is_done_and_waited_for() {
    let mut stage = Stage::open().await;
    stage.deploy("hello").await;
    stage.node.held.forget_permits(PERMITS);
    let (mut request, _) = deploy_request();
    request.limits.queue = Some(1);
    let body = serde_json::to_string(&request).unwrap();
    let mut socket = TcpStream::connect(stage.address).await.unwrap();
    let head = format!(
        "POST /v1/namespaces/default/functions/hello/revisions HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        stage.token,
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    published(&stage, "r2=100").await;
    drop(socket);
    stage.stop();
    stage.client.whoami().await.unwrap_err();
    assert!(!stage.served.is_finished());
    stage.node.held.add_permits(PERMITS);
    tokio::time::timeout(WAIT_MAX, &mut stage.served)
        .await
        .unwrap()
        .unwrap();
    // Its entry in the audit log is complete.
    let who = stage.control.authenticate(
        Some(&stage.token),
        [127, 0, 0, 1].into(),
        "test".to_owned().try_into().unwrap(),
    );
    let who = who.await.unwrap();
    let log = stage
        .control
        .list_audit(&who, None, &crate::PageRequest::default())
        .await
        .unwrap();
    assert_eq!(log.items[0].action, "deploy");
    assert_eq!(log.items[0].outcome, midge_api::AuditOutcome::Done);
}

/// Waits until the function's traffic is this.
async fn published(stage: &Stage, traffic: &str) {
    let waiting = async {
        let (namespace, hello) = (NamespaceName::default(), "hello".parse().unwrap());
        loop {
            let now = stage.client.get_function(&namespace, &hello).await.unwrap();
            if now.traffic.to_string() == traffic {
                break;
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, waiting).await.unwrap();
}
