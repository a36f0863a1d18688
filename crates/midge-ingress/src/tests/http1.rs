//! HTTP/1.0 and 1.1 as a client on a plain socket sees them.

use insta::assert_snapshot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn check(sent: &str) -> String {
    local(async {
        plain(
            &Door::open(IngressConfig::roomy())
                .await
                .exchange(sent)
                .await,
        )
    })
    .await
}

/// A request for that path on a connection that ends with it.
async fn get(path: &str) -> String {
    check(&format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    ))
    .await
}

#[tokio::test]
async fn an_answer_that_is_there_has_its_length_and_carries_the_request_id() {
    assert_snapshot!(get("/hello").await, @r#"
    HTTP/1.1 200 OK
    x-request-id: [x-request-id]
    connection: close
    content-length: 5
    date: [date]

    hello
    "#);
}

#[tokio::test]
async fn an_answer_that_is_still_written_is_chunked() {
    assert_snapshot!(get("/pieces").await, @r#"
    HTTP/1.1 200 OK
    x-request-id: [x-request-id]
    connection: close
    transfer-encoding: chunked
    date: [date]

    5
    hello
    0
    "#);
}

#[tokio::test]
async fn an_answer_without_a_byte_has_its_length_too() {
    assert_snapshot!(get("/empty").await, @r#"
    HTTP/1.1 200 OK
    x-request-id: [x-request-id]
    connection: close
    content-length: 0
    date: [date]
    "#);
}

#[tokio::test]
async fn http10_keeps_the_connection_if_asked_and_if_the_answer_is_there() {
    let answer =
        check("GET /hello HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /hello HTTP/1.0\r\n\r\n")
            .await;
    assert_eq!(answer.matches("hello").count(), 2);
    assert_eq!(answer.matches("content-length: 5").count(), 2);
}

#[tokio::test]
async fn bodiless_answers_get_no_length_that_the_guest_did_not_give() {
    for path in ["/nothing", "/unchanged"] {
        let answer = get(path).await;
        assert!(!answer.contains("content-length"), "{answer}");
        assert!(answer.ends_with("\n\n"), "{answer}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let answer = check(
        "GET /sized HTTP/1.1\r\nhost: a\r\n\r\n\
         GET /fields HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_snapshot!(answer, @r#"
    HTTP/1.1 200 OK
    content-length: 5
    x-request-id: [x-request-id]
    date: [date]

    helloHTTP/1.1 200 OK
    x-request-id: [x-request-id]
    connection: close
    content-length: 98
    date: [date]

    host: a
    x-forwarded-for: 127.0.0.1
    x-forwarded-host: a
    x-forwarded-proto: http
    x-request-id: [x-request-id]
    "#);
}

#[tokio::test]
async fn http10_gets_a_plain_body_and_a_close() {
    assert_snapshot!(check("GET /pieces HTTP/1.0\r\n\r\n").await, @r#"
    HTTP/1.0 200 OK
    x-request-id: [x-request-id]
    date: [date]

    hello
    "#);
}

#[tokio::test]
async fn http10_keeps_the_connection_if_asked_and_if_the_length_is_known() {
    let answer =
        check("GET /sized HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /sized HTTP/1.0\r\n\r\n")
            .await;
    assert_eq!(answer.matches("hello").count(), 2);
    assert_eq!(answer.matches("connection: keep-alive").count(), 1);
}

#[tokio::test]
async fn an_absolute_target_decides_the_host() {
    let answer =
        check("GET http://b.example/fields HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("\nhost: b.example\n"), "{answer}");
}

#[tokio::test]
async fn a_guest_does_not_speak_for_the_connection() {
    assert_snapshot!(get("/hops").await, @r#"
    HTTP/1.1 200 OK
    x-request-id: [x-request-id]
    connection: close
    content-length: 4
    date: [date]

    hops
    "#);
}

#[tokio::test]
async fn a_body_is_echoed_with_its_trailers() {
    let answer = check(
        "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n",
    )
    .await;
    assert!(answer.contains("\n3\nabc\n9\nx-sum: 6\n"), "{answer}");
}

#[tokio::test]
async fn declared_trailers_go_to_clients_that_take_them() {
    let with =
        |te: &str| format!("GET /trailers HTTP/1.1\r\nhost: a\r\n{te}connection: close\r\n\r\n");
    assert!(
        check(&with("te: trailers\r\n"))
            .await
            .ends_with("3\nsum\n0\nx-sum: 42\n\n")
    );
    assert!(check(&with("")).await.ends_with("3\nsum\n0\n\n"));
}

#[tokio::test]
async fn head_gets_the_head_only_and_the_connection_goes_on() {
    let answer = check(
        "HEAD /sized HTTP/1.1\r\nhost: a\r\n\r\n\
         HEAD /hello HTTP/1.1\r\nhost: a\r\n\r\n\
         HEAD /none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_snapshot!(answer, @r#"
    HTTP/1.1 200 OK
    content-length: 5
    x-request-id: [x-request-id]
    date: [date]

    HTTP/1.1 200 OK
    x-request-id: [x-request-id]
    date: [date]

    HTTP/1.1 404 Not Found
    content-type: text/plain; charset=utf-8
    cache-control: no-store
    x-request-id: [x-request-id]
    content-length: 36
    connection: close
    date: [date]
    "#);
}

#[tokio::test]
async fn a_204_has_no_body_and_no_length() {
    let answer = get("/nothing").await;
    assert!(
        !answer.contains("content-length") && answer.ends_with("\n\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn continue_is_said_when_the_guest_reads() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\
                    connection: close\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(
            read_until(&mut client, "\r\n\r\n").await,
            "HTTP/1.1 100 Continue\r\n\r\n"
        );
        client.write_all(b"body").await.unwrap();
        assert!(read_to_close(&mut client).await.contains("4\r\nbody\r\n"));
    })
    .await;
}

#[tokio::test]
async fn continue_is_not_said_when_the_answer_needs_no_body() {
    let answer = check(
        "POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n",
    );
    let answer = answer.await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\n"), "{answer}");
}

#[tokio::test]
async fn half_a_body_is_never_a_whole_one() {
    let answer = get("/half").await;
    assert!(
        answer.ends_with("4\nhalf\n"),
        "without the last chunk: {answer}"
    );
    assert!(
        get("/short").await.ends_with("hello"),
        "shorter than its content-length"
    );
    assert!(
        !get("/long").await.contains("hello"),
        "longer than its content-length"
    );
}

#[tokio::test]
async fn half_a_body_to_http10_ends_in_a_reset() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        client
            .write_all(b"GET /half HTTP/1.0\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        let error = client.read_to_end(&mut answer).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    })
    .await;
}

#[tokio::test]
async fn a_head_no_client_would_understand_is_the_guests_failure() {
    for path in ["/two-lengths", "/continue", "/trap"] {
        assert!(get(path).await.starts_with("HTTP/1.1 502 "), "{path}");
    }
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        let head = "POST /none HTTP/1.1\r\nhost: a\r\ncontent-length: 400000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&[b'x'; 100_000]).await.unwrap();
        let answer = read_until(&mut client, "\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        // Still not reset: what is sent now is taken and forgotten.
        client.write_all(&[b'x'; 100_000]).await.unwrap();
        let rest = read_to_close(&mut client).await;
        assert_eq!(rest, "no function answers at this address\n");
    })
    .await;
}

/// hyper reads no further than the guest does, so it never sees the end behind unread bytes.
#[tokio::test]
async fn a_client_that_goes_away_behind_an_unread_body_is_noticed() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        for (begun, behind) in [
            (
                1,
                "POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nunread",
            ),
            (2, "GET /wait HTTP/1.1\r\nhost: a\r\n\r\nG"),
        ] {
            let mut client = door.connect().await;
            client.write_all(behind.as_bytes()).await.unwrap();
            door.guests.begun(begun).await;
            drop(client);
            door.guests.dropped(begun).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_invocation() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        client
            .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        door.guests.begun(1).await;
        drop(client);
        door.guests.dropped(1).await;

        let mut client = door.connect().await;
        client
            .write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        door.guests.begun(2).await;
        let stream = door.guests.streams.borrow_mut().remove(0);
        stream.send(data("first")).await.unwrap();
        read_until(&mut client, "first\r\n").await;
        drop(client);
        stream.closed().await;
    })
    .await;
}

#[tokio::test]
async fn a_panic_costs_its_own_connection_only() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut other = door.connect().await;
        other
            .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        door.guests.begun(1).await;
        assert_eq!(
            door.exchange("GET /panic HTTP/1.1\r\nhost: a\r\n\r\n")
                .await,
            ""
        );
        door.guests.release_one();
        read_until(&mut other, "waited").await;
    })
    .await;
}

#[tokio::test]
async fn a_receipt_is_given_if_configured() {
    local(async {
        let config = IngressConfig {
            receipt: true,
            ..IngressConfig::roomy()
        };
        let door = Door::open(config).await;
        let answer = door
            .exchange("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        assert!(
            answer.contains("\r\nserver-timing: queue;dur=0.001, instantiate;dur=0.002, "),
            "{answer}"
        );
    })
    .await;
}

#[tokio::test]
async fn json_clients_get_json_errors() {
    let answer = check(
        "GET /none HTTP/1.1\r\nhost: a\r\naccept: application/json\r\nx-request-id: r1\r\n\
         connection: close\r\n\r\n",
    )
    .await;
    let want = r#"{"error":{"code":"no-route","message":"no function answers at this address","request_id":"r1"}}"#;
    assert_eq!(answer.lines().last(), Some(want));
}

#[tokio::test]
async fn random_bytes_are_a_400() {
    assert!(
        check("\u{1}\u{2}\u{3} nonsense\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    assert!(
        check("GET /hello HTTP/1.1\r\nconnection: close\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
}

#[tokio::test]
async fn a_large_body_streams_through() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        let body = "x".repeat(1_000_000);
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\nconnection: close\r\n\r\n";
        let (mut read, mut write) = client.split();
        let send = async {
            write.write_all(head.as_bytes()).await.unwrap();
            write.write_all(body.as_bytes()).await.unwrap();
        };
        let mut answer = Vec::new();
        let (received, ()) = tokio::join!(read.read_to_end(&mut answer), send);
        received.unwrap();
        assert_eq!(answer.iter().filter(|byte| **byte == b'x').count(), 1_000_001, "x-request-id too");
    })
    .await;
}
