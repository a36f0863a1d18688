//! Whoever takes all it can get, and what the others are left.

use midge_api::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep, timeout};

use super::kit::{Stage, WAIT_MAX};
use crate::door::connections::{ADDRESS_CONNECTIONS_MAX, CONNECTIONS_MAX};
use crate::door::places::{
    ADMIN_PLACES, FOLLOWERS_MAX, INVOCATIONS_MAX, NAMESPACE_SHARE, TOKEN_SHARE, UPLOADS_MAX,
};

const OF_TOKEN: usize = UPLOADS_MAX / TOKEN_SHARE;
const OF_NAMESPACE: usize = UPLOADS_MAX / NAMESPACE_SHARE;

/// An upload that has begun and sends nothing, or the refusal of one.
async fn upload(stage: &Stage, token: &str, namespace: &str) -> (TcpStream, String) {
    let digest = "0".repeat(64);
    let head = format!(
        "PUT /v1/namespaces/{namespace}/components/sha256:{digest} HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/wasm\r\n\
         content-length: 1000000\r\nexpect: 100-continue\r\n\r\n"
    );
    answered(stage, &head).await
}

/// The connection, and the beginning of what comes back.
async fn answered(stage: &Stage, request: &str) -> (TcpStream, String) {
    let mut socket = stage.sent(request.as_bytes()).await;
    let mut answer = vec![0; 2000];
    let reading = timeout(WAIT_MAX, socket.read(&mut answer));
    let read = reading.await.unwrap().unwrap();
    answer.truncate(read);
    (socket, String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn slow_uploads_of_a_tenant_lock_nobody_out() {
    let stage = Stage::open().await;
    for name in ["evil", "shop", "blog"] {
        let body = format!("{{\"name\":\"{name}\"}}");
        let made = stage.ask_as_admin("POST /v1/namespaces", &body).await;
        assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    }
    let mut held = Vec::new();
    let mut fill = async |namespace: &'static str| {
        let token = stage.token_of(Role::Deployer, Some(namespace)).await;
        for number in 0..OF_TOKEN {
            let (socket, answer) = upload(&stage, &token, namespace).await;
            assert!(answer.starts_with("HTTP/1.1 100"), "{number}: {answer}");
            held.push(socket);
        }
        token
    };
    let evil = fill("evil").await;
    let (_, refused) = upload(&stage, &evil, "evil").await;
    assert!(
        refused.contains("this token is at its bound of uploads"),
        "{refused}"
    );
    for _ in 1..OF_NAMESPACE / OF_TOKEN {
        fill("evil").await;
    }
    let other = stage.token_of(Role::Deployer, Some("evil")).await;
    let (_, refused) = upload(&stage, &other, "evil").await;
    assert!(
        refused.contains("this namespace is at its bound of uploads"),
        "{refused}"
    );
    for _ in 0..(UPLOADS_MAX - ADMIN_PLACES - OF_NAMESPACE) / OF_TOKEN {
        fill("shop").await;
    }
    let blog = stage.token_of(Role::Deployer, Some("blog")).await;
    let (_, refused) = upload(&stage, &blog, "blog").await;
    assert!(
        refused.contains("the node is at its bound of uploads"),
        "{refused}"
    );
    // An admin of the node has places of its own, and everything else goes on.
    let (_upload, answer) = upload(&stage, &stage.token, "blog").await;
    assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
    stage.client.whoami().await.unwrap();
    stage.client_of(Some(&evil)).whoami().await.unwrap();
    // What is given back is anybody's again.
    drop(held);
    let again = async {
        while !upload(&stage, &blog, "blog")
            .await
            .1
            .starts_with("HTTP/1.1 100")
        {}
    };
    timeout(WAIT_MAX, again).await.unwrap();
}

#[tokio::test]
async fn an_answer_keeps_its_place_until_it_is_sent() {
    let stage = Stage::open().await;
    stage.deploy("hello").await;
    let invoker = stage.token_of(Role::Invoker, Some("default")).await;
    // The function answers with what it is sent, of which there is always more to come.
    let request = format!(
        "POST /v1/namespaces/default/functions/hello/invoke HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {invoker}\r\ncontent-length: 1000\r\n\r\nbegun"
    );
    let mut held = Vec::new();
    for _ in 0..INVOCATIONS_MAX / TOKEN_SHARE {
        let (socket, answer) = answered(&stage, &request).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        held.push(socket);
    }
    let (_, refused) = answered(&stage, &request).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    stage.client_of(Some(&invoker)).whoami().await.unwrap();
    let mut one = held.pop().unwrap();
    one.write_all(&[b'x'; 995]).await.unwrap();
    let again = async {
        while !answered(&stage, &request)
            .await
            .1
            .starts_with("HTTP/1.1 202")
        {}
    };
    timeout(WAIT_MAX, again).await.unwrap();
}

#[tokio::test]
async fn followers_of_a_token_leave_room_for_others() {
    let stage = Stage::open().await;
    stage.deploy("hello").await;
    let viewer = stage.token_of(Role::Viewer, Some("default")).await;
    let request = |token: &str| {
        format!(
            "GET /v1/namespaces/default/functions/hello/logs HTTP/1.1\r\nhost: localhost\r\n\
             authorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n"
        )
    };
    let mut held = Vec::new();
    for _ in 0..FOLLOWERS_MAX / TOKEN_SHARE {
        let (socket, answer) = answered(&stage, &request(&viewer)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        held.push(socket);
    }
    let (_, refused) = answered(&stage, &request(&viewer)).await;
    assert!(
        refused.contains("this token is at its bound of followers"),
        "{refused}"
    );
    let (_, admin) = answered(&stage, &request(&stage.token)).await;
    assert!(admin.starts_with("HTTP/1.1 200"), "{admin}");
}

#[tokio::test]
async fn connections_that_say_nothing_make_room() {
    let stage = Stage::open().await;
    stage.deploy("hello").await;
    let follow = format!(
        "GET /v1/namespaces/default/functions/hello/logs HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {}\r\naccept: text/event-stream\r\n\r\n",
        stage.token
    );
    let (mut follower, answer) = answered(&stage, &follow).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX + ADDRESS_CONNECTIONS_MAX {
        silent.push(stage.sent(b"GET /v1/whoami HTTP/1.1\r\nhost: loc").await);
        if silent.len() % ADDRESS_CONNECTIONS_MAX == 0 {
            let health = answered(&stage, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert!(health.1.starts_with("HTTP/1.1 200"), "{}", health.1);
        }
    }
    // The first of them is gone, and who has something at work is not.
    let read = timeout(WAIT_MAX, silent[0].read(&mut [0])).await.unwrap();
    assert!(!matches!(read, Ok(1..)), "{read:?}");
    stage
        .node
        .lines
        .send(super::kit::line("hello", "still there"))
        .unwrap();
    let still = async {
        let mut lines = answer;
        while !lines.contains("still there") {
            let mut piece = vec![0; 2000];
            let read = follower.read(&mut piece).await.unwrap();
            assert_ne!(read, 0, "{lines}");
            lines.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    };
    timeout(WAIT_MAX, still).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_trickles_ends() {
    let stage = Stage::open().await;
    let (mut socket, answer) = upload(&stage, &stage.token, "default").await;
    assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
    socket.write_all(b"\0asm").await.unwrap();
    tokio::time::pause();
    for _ in 0..20 {
        sleep(Duration::from_secs(8)).await;
        if socket.write_all(b"x").await.is_err() {
            break;
        }
    }
    // What the node writes down about it takes real time.
    tokio::time::resume();
    let mut answer = vec![0; 2000];
    let read = timeout(WAIT_MAX, socket.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read.unwrap()]);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("less than 256 KiB in 30 seconds"),
        "{answer}"
    );
}
