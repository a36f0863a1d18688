//! What the typed client gets, for every group of operations.

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use insta::{assert_debug_snapshot, assert_snapshot};
use midge_api::{
    AuditQuery, DeployChange, InvokeRequest, NamespaceRequest, PageRequest, Role, RollbackRequest,
    SecretValue, TokenRequest, Upload, WriteOptions,
};
use midge_model::{Digest, FunctionName, NamespaceName, QuotaPatch, RevisionNumber, Traffic};

use super::kit::{COMPONENT_BYTES_MAX, Stage, client, deploy_request, line};

fn ns() -> NamespaceName {
    NamespaceName::default()
}

fn hello() -> FunctionName {
    "hello".parse().unwrap()
}

fn any() -> WriteOptions {
    WriteOptions::default()
}

fn at(version: u64) -> WriteOptions {
    WriteOptions {
        if_match: Some(version),
        ..WriteOptions::default()
    }
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, midge_api::ClientError>) -> String {
    let error = result.unwrap_err();
    let problem = error.problem().unwrap_or_else(|| panic!("{error:?}"));
    format!("{} {}: {}", problem.status, problem.code, problem.detail)
}

#[tokio::test]
async fn health_needs_no_token_and_everything_else_does() {
    let stage = Stage::open().await;
    let nobody = stage.client_of(None);
    assert_eq!(nobody.healthz().await.unwrap().status, "ok");
    assert_eq!(nobody.readyz().await.unwrap().status, "ok");
    assert_eq!(nobody.openapi().await.unwrap()["openapi"], "3.1.0");
    assert_snapshot!(code(nobody.whoami().await), @"401 unauthenticated: a token is needed that is known, not expired and not revoked");
    let who = stage.client.whoami().await.unwrap();
    assert_eq!((who.role, who.namespace), (Role::Admin, None));
    assert_eq!(
        stage.client.node_status().await.unwrap().registry_version,
        7
    );
    stage
        .node
        .ready
        .store(false, std::sync::atomic::Ordering::Relaxed);
    assert_snapshot!(code(nobody.readyz().await), @"503 busy: the node does not take traffic yet");
    assert_eq!(nobody.healthz().await.unwrap().status, "ok");
}

#[tokio::test]
async fn namespaces_and_quotas() {
    let stage = Stage::open().await;
    let request = NamespaceRequest {
        name: "shop".parse().unwrap(),
        quota: "functions=3".parse().unwrap(),
    };
    let made = stage
        .client
        .create_namespace(&request, &any())
        .await
        .unwrap();
    assert_eq!(made.quota.functions, 3);
    let again = stage.client.create_namespace(&request, &any()).await;
    assert!(code(again).starts_with("409 conflict"));
    let names = stage.client.all_namespaces().await.unwrap();
    let names: Vec<String> = names.iter().map(|found| found.name.to_string()).collect();
    assert_eq!(names, ["default", "shop"]);
    let one = PageRequest {
        cursor: None,
        limit: Some(1),
    };
    let page = stage.client.list_namespaces(&one).await.unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (1, true));

    let patch: QuotaPatch = "secrets=7".parse().unwrap();
    let quota = stage
        .client
        .set_quota(&made.name, &patch, &any())
        .await
        .unwrap();
    assert_eq!((quota.functions, quota.secrets), (3, 7));
    assert_eq!(stage.client.get_quota(&made.name).await.unwrap(), quota);
    stage
        .client
        .delete_namespace(&made.name, &any())
        .await
        .unwrap();
    assert!(code(stage.client.get_namespace(&made.name).await).starts_with("404 not-found"));
}

#[tokio::test]
async fn a_component_is_put_once_and_whole() {
    let stage = Stage::open().await;
    let (request, bytes) = deploy_request();
    assert!(
        !stage
            .client
            .has_component(&ns(), &request.digest)
            .await
            .unwrap()
    );
    let (told, hears) = std::sync::mpsc::channel();
    let upload = Upload::bytes(bytes.clone()).with_progress(move |sent| {
        told.send(sent).unwrap();
    });
    let put = stage
        .client
        .put_component(&ns(), &request.digest, upload)
        .await
        .unwrap();
    assert_eq!((put.new, put.size_bytes), (true, bytes.len() as u64));
    let told: Vec<u64> = hears.iter().collect();
    assert!(
        told.is_sorted() && told.last() == Some(&(bytes.len() as u64)),
        "{told:?}"
    );
    assert!(
        stage
            .client
            .has_component(&ns(), &request.digest)
            .await
            .unwrap()
    );
    let again = stage
        .client
        .put_component(&ns(), &request.digest, Upload::bytes(bytes))
        .await;
    assert!(!again.unwrap().new);

    let other = Upload::bytes(Bytes::from_static(b"\0asm and something else"));
    let wrong = stage
        .client
        .put_component(&ns(), &Digest::of(b"else"), other)
        .await;
    assert!(code(wrong).starts_with("422 digest-mismatch"));
    let mut large = b"\0asm\x01\0\0\0".to_vec();
    large.resize(usize::try_from(COMPONENT_BYTES_MAX).unwrap() + 1, 0);
    let large = Bytes::from(large);
    let upload = Upload::bytes(large.clone());
    let refused = stage
        .client
        .put_component(&ns(), &Digest::of(&large), upload)
        .await;
    assert!(code(refused).starts_with("413 too-large"));
    // Without a length it is found out on the way.
    let pieces = large
        .chunks(64 << 10)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)));
    let pieces: Vec<std::io::Result<Bytes>> = pieces.collect();
    let upload = Upload::stream(None, futures::stream::iter(pieces));
    let refused = stage
        .client
        .put_component(&ns(), &Digest::of(&large), upload)
        .await;
    assert!(code(refused).starts_with("413 too-large"));
}

#[tokio::test]
async fn a_deploy_and_everything_that_is_done_with_its_revisions() {
    let stage = Stage::open().await;
    let client = &stage.client;
    let (mut request, _) = deploy_request();
    let missing = client.plan(&ns(), &hello(), &request).await.unwrap();
    assert_eq!(
        (missing.change, missing.component_known),
        (DeployChange::New, false)
    );
    let unknown = client.deploy(&ns(), &hello(), &request, &any()).await;
    assert!(code(unknown).starts_with("422 component-missing"));
    let first = stage.deploy("hello").await;
    assert_eq!((first.change, first.compile_ms), (DeployChange::New, 7));
    let same = client
        .deploy(&ns(), &hello(), &request, &any())
        .await
        .unwrap();
    assert_eq!(same.change, DeployChange::Unchanged);

    let before = client.get_function(&ns(), &hello()).await.unwrap();
    request.message = Some("more memory".to_owned());
    request.limits.memory_bytes = Some(256 << 20);
    let narrow = client.deploy(&ns(), &hello(), &request, &any()).await;
    assert!(code(narrow).starts_with("409 widens"));
    request.widen = true;
    let late = client
        .deploy(&ns(), &hello(), &request, &at(before.version + 99))
        .await;
    assert!(code(late).starts_with("412 version-mismatch"));
    let second = client
        .deploy(&ns(), &hello(), &request, &at(before.version))
        .await
        .unwrap();
    assert_eq!(second.revision.number, RevisionNumber::new(2).unwrap());

    let split = Traffic::new(
        vec!["r1=90".parse().unwrap(), "r2=10".parse().unwrap()],
        None,
    );
    let split = client
        .set_traffic(&ns(), &hello(), &split.unwrap(), &any())
        .await
        .unwrap();
    assert_eq!(split.traffic.to_string(), "r1=90 r2=10");
    let (undo, now) = (RollbackRequest::default(), at(split.version));
    let back = client.rollback(&ns(), &hello(), &undo, &now).await.unwrap();
    assert_eq!(back.traffic.to_string(), "r2=100");
    let revisions = client.all_revisions(&ns(), &hello()).await.unwrap();
    assert_eq!(revisions.len(), 2);
    let second = client
        .get_revision(&ns(), &hello(), second.revision.number)
        .await
        .unwrap();
    assert_eq!(second.message.as_deref(), Some("more memory"));
    assert_eq!(client.all_functions(&ns()).await.unwrap().len(), 1);
    assert_eq!(client.invocations(&ns(), &hello()).await.unwrap().count, 3);
    client
        .remove_function(&ns(), &hello(), &any())
        .await
        .unwrap();
    assert!(code(client.get_function(&ns(), &hello()).await).starts_with("404 not-found"));

    let log = client.list_audit(&AuditQuery::default()).await.unwrap();
    let actions: Vec<&str> = log
        .items
        .iter()
        .map(|entry| entry.action.as_str())
        .collect();
    assert_eq!(actions.first(), Some(&"remove_function"));
    assert!(
        actions.contains(&"rollback") && actions.contains(&"set_traffic"),
        "{actions:?}"
    );
}

#[tokio::test]
async fn a_write_with_a_key_is_done_once() {
    let stage = Stage::open().await;
    let first = stage.deploy("hello").await;
    let (mut request, _) = deploy_request();
    request.message = Some("second".to_owned());
    request.limits.queue = Some(1);
    let once = WriteOptions::once("a key");
    let deployed = stage
        .client
        .deploy(&ns(), &hello(), &request, &once)
        .await
        .unwrap();
    assert_ne!(deployed.revision.number, first.revision.number);
    let back = RollbackRequest {
        to: Some(first.revision.number),
    };
    stage
        .client
        .rollback(&ns(), &hello(), &back, &any())
        .await
        .unwrap();
    // Not done again: the traffic stays where the rollback put it.
    let repeated = stage
        .client
        .deploy(&ns(), &hello(), &request, &once)
        .await
        .unwrap();
    assert_eq!(repeated, deployed);
    let now = stage.client.get_function(&ns(), &hello()).await.unwrap();
    assert_eq!(now.traffic.to_string(), "r1=100");
    request.message = Some("another".to_owned());
    let other = stage.client.deploy(&ns(), &hello(), &request, &once).await;
    assert_snapshot!(code(other), @"422 idempotency-mismatch: this idempotency key was used for another request");
}

#[tokio::test]
async fn a_second_request_with_a_key_waits_for_the_first() {
    let stage = Stage::open().await;
    stage.deploy("hello").await;
    let (mut request, _) = deploy_request();
    request.limits.queue = Some(1);
    let once = WriteOptions::once("key");
    // The node does not say that it serves: the first request stays at work.
    stage.node.held.forget_permits(super::kit::PERMITS);
    let first = tokio::spawn({
        let (client, request, once) = (stage.client.clone(), request.clone(), once.clone());
        async move { client.deploy(&ns(), &hello(), &request, &once).await }
    });
    let waited = async {
        loop {
            let now = stage.client.get_function(&ns(), &hello()).await.unwrap();
            if now.traffic.to_string() == "r2=100" {
                break;
            }
        }
    };
    tokio::time::timeout(super::kit::WAIT_MAX, waited)
        .await
        .unwrap();
    let second = stage.client.deploy(&ns(), &hello(), &request, &once).await;
    assert_snapshot!(code(second), @"409 idempotency-in-progress: the first request with this idempotency key is still at work");
    stage.node.held.add_permits(8);
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn secrets_come_in_and_never_out() {
    let stage = Stage::open().await;
    let value = SecretValue {
        value: midge_model::SecretText::new("hunter2").unwrap(),
    };
    assert_eq!(format!("{value:?}"), "SecretValue { value: *** }");
    let set = stage
        .client
        .put_secret(&ns(), "KEY", &value, &any())
        .await
        .unwrap();
    assert_eq!((set.name.as_str(), set.generation), ("KEY", 1));
    let listed = stage.client.all_secrets(&ns()).await.unwrap();
    assert!(!format!("{listed:?}").contains("hunter2"));
    let rotated = stage.client.rotate_key(&any()).await.unwrap();
    assert_eq!(rotated.secrets, 1);
    stage
        .client
        .delete_secret(&ns(), "KEY", &any())
        .await
        .unwrap();
    let gone = stage.client.delete_secret(&ns(), "KEY", &any()).await;
    assert!(code(gone).starts_with("404 not-found"));
    let odd = stage
        .client
        .put_secret(&ns(), "a/b?c", &value, &any())
        .await;
    assert!(code(odd).starts_with("422 "));
}

#[tokio::test]
async fn tokens_are_shown_once() {
    let stage = Stage::open().await;
    let request = TokenRequest {
        name: "ci".to_owned(),
        role: Role::Viewer,
        namespace: Some(ns()),
        expires_in_s: Some(60),
        policy: None,
    };
    let made = stage
        .client
        .create_token(&request, &WriteOptions::once("k"))
        .await
        .unwrap();
    assert!(!format!("{made:?}").contains(&made.token));
    let again = stage
        .client
        .create_token(&request, &WriteOptions::once("k"))
        .await;
    assert!(code(again).starts_with("409 idempotency-in-progress"));
    let viewer = stage.client_of(Some(&made.token));
    assert_eq!(viewer.whoami().await.unwrap().name, "ci");
    assert!(
        code(viewer.remove_function(&ns(), &hello(), &any()).await).starts_with("403 forbidden")
    );
    let elsewhere = "elsewhere".parse().unwrap();
    assert!(code(viewer.get_namespace(&elsewhere).await).starts_with("404 not-found"));
    assert_eq!(
        stage.client.get_token(&made.info.id).await.unwrap().name,
        "ci"
    );
    assert_eq!(stage.client.all_tokens().await.unwrap().len(), 2);
    stage
        .client
        .revoke_token(&made.info.id, &any())
        .await
        .unwrap();
    assert!(code(viewer.whoami().await).starts_with("401 unauthenticated"));
}

#[tokio::test]
async fn an_invocation_passes_through_and_the_token_does_not() {
    let stage = Stage::open().await;
    stage.deploy("hello").await;
    let mut headers = HeaderMap::new();
    headers.insert("x-user", HeaderValue::from_static("ada"));
    headers.insert("authorization", HeaderValue::from_static("Basic theirs"));
    headers.insert("x-midge-revision", HeaderValue::from_static("r1"));
    let request = InvokeRequest {
        path: "/orders?open=1".to_owned(),
        method: Method::DELETE,
        revision: RevisionNumber::new(1),
        headers,
        body: Bytes::from_static(b"body"),
    };
    let answer = stage.client.invoke(&ns(), &hello(), request).await.unwrap();
    assert_eq!(
        (answer.status, &answer.headers["x-own"]),
        (StatusCode::ACCEPTED, &HeaderValue::from_static("mine"))
    );
    assert_eq!(answer.bytes().await.unwrap(), "body");
    let (parts, revision) = stage.node.asked.lock().unwrap().take().unwrap();
    assert_eq!(
        (parts.method, parts.uri.to_string()),
        (Method::DELETE, "/orders?open=1".to_owned())
    );
    assert_eq!(revision, RevisionNumber::new(1));
    let mut names: Vec<&str> = parts.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_debug_snapshot!(names, @r#"
    [
        "accept",
        "authorization",
        "content-length",
        "user-agent",
        "x-user",
    ]
    "#);
    assert_eq!(parts.headers["authorization"], "Basic theirs");

    let nobody = "nobody".parse().unwrap();
    let request = InvokeRequest {
        path: "/".to_owned(),
        method: Method::GET,
        revision: None,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    let missing = stage.client.invoke(&ns(), &nobody, request).await;
    assert!(code(missing).starts_with("404 not-found"));
}

#[tokio::test]
async fn lines_are_read_and_followed() {
    let stage = Stage::open().await;
    stage.deploy("hello").await;
    let page = stage.client.logs(&ns(), &hello(), Some(2)).await.unwrap();
    let lines: Vec<&str> = page.items.iter().map(|line| line.line.as_str()).collect();
    assert_eq!(lines, ["old 2", "old 3"]);
    let mut follows = stage
        .client
        .follow_logs(&ns(), &hello(), Some(1))
        .await
        .unwrap();
    assert_eq!(follows.next().await.unwrap().unwrap().line, "old 3");
    stage.node.lines.send(line("hello", "new")).unwrap();
    assert_eq!(follows.next().await.unwrap().unwrap().line, "new");
    // More than the node keeps for who is slow.
    for number in 0..40 {
        stage
            .node
            .lines
            .send(line("hello", &format!("{number}")))
            .unwrap();
    }
    let lost = follows.next().await.unwrap().unwrap();
    assert_eq!(lost.stream, "midge");
    assert!(
        lost.line
            .ends_with("lines were lost: they came faster than they were read"),
        "{}",
        lost.line
    );
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = client(&url, None).whoami().await.unwrap_err();
    assert_eq!(error.to_string(), format!("no node answers at `{url}`"));
    assert!(matches!(error, midge_api::ClientError::Connect { .. }));
}
