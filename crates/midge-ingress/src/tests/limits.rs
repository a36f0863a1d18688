//! Bounds on connections, heads and waits.

use tokio::io::AsyncWriteExt;

use super::*;

const SHORT: Duration = Duration::from_millis(100);

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes()
}

/// What a client reads that sends this and then waits.
async fn check(config: IngressConfig, sent: &[u8]) -> String {
    local(async {
        let door = Door::open(config).await;
        let mut client = door.connect().await;
        client.write_all(sent).await.unwrap();
        read_to_close(&mut client).await
    })
    .await
}

fn head_timeout() -> IngressConfig {
    IngressConfig {
        header_timeout: SHORT,
        ..IngressConfig::roomy()
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    assert_eq!(check(head_timeout(), b"").await, "");
}

#[tokio::test]
async fn a_head_begun_and_not_ended_is_closed() {
    assert_eq!(check(head_timeout(), b"GET / HTTP/1.1\r\nho").await, "");
    assert_eq!(
        check(head_timeout(), b"PRI * HT").await,
        "",
        "nor half a preface"
    );
}

#[tokio::test]
async fn a_second_head_begun_and_not_ended_is_closed() {
    local(async {
        let door = Door::open(head_timeout()).await;
        let mut client = door.connect().await;
        client.write_all(&get("/sized")).await.unwrap();
        read_until(&mut client, "hello").await;
        client.write_all(b"GET /").await.unwrap();
        assert_eq!(read_to_close(&mut client).await, "");
    })
    .await;
}

#[tokio::test]
async fn two_hundred_slow_heads_do_not_hold_up_a_request() {
    local(async {
        let door = Door::open(IngressConfig {
            connections_max: 300,
            ..head_timeout()
        })
        .await;
        let mut slow = Vec::new();
        for _ in 0..200 {
            let mut client = door.connect().await;
            client.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
            slow.push(client);
        }
        let mut client = door.connect().await;
        client.write_all(&get("/sized")).await.unwrap();
        read_until(&mut client, "hello").await;
        for mut client in slow {
            assert_eq!(read_to_close(&mut client).await, "");
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    let config = IngressConfig {
        idle_timeout: SHORT,
        ..IngressConfig::roomy()
    };
    assert!(check(config, &get("/sized")).await.ends_with("hello"));
}

#[tokio::test]
async fn a_request_in_flight_is_not_idle() {
    local(async {
        let config = IngressConfig {
            idle_timeout: SHORT,
            header_timeout: SHORT,
            ..IngressConfig::roomy()
        };
        let door = Door::open(config).await;
        let mut waiting = door.connect().await;
        waiting.write_all(&get("/wait")).await.unwrap();
        door.guests.begun(1).await;
        // A whole idle timeout passes on another connection meanwhile.
        assert_eq!(read_to_close(&mut door.connect().await).await, "");
        let mut idle = door.connect().await;
        idle.write_all(&get("/sized")).await.unwrap();
        read_to_close(&mut idle).await;
        door.guests.release_one();
        assert!(read_to_close(&mut waiting).await.contains("waited"));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    local(async {
        let config = IngressConfig {
            stall_timeout: SHORT,
            ..IngressConfig::roomy()
        };
        let door = Door::open(config).await;
        let mut client = door.connect().await;
        client.write_all(&get("/stream")).await.unwrap();
        door.guests.begun(1).await;
        let stream = door.guests.streams.borrow_mut().remove(0);
        // Sends until the door drops the body, which it does only if it gives up on the client.
        while stream.send(data(&"x".repeat(64 * 1024))).await.is_ok() {}
    })
    .await;
}

#[tokio::test]
async fn a_head_beyond_its_bounds_is_a_431() {
    let config = || IngressConfig {
        header_count_max: 10,
        ..IngressConfig::roomy()
    };
    let head = |fields: usize, bytes: usize| {
        let field = format!("x: {}\r\n", "x".repeat(bytes));
        format!(
            "GET /hello HTTP/1.1\r\nhost: a\r\n{}\r\n",
            field.repeat(fields)
        )
        .into_bytes()
    };
    assert!(
        check(config(), &head(20, 1))
            .await
            .starts_with("HTTP/1.1 431 ")
    );
    assert!(
        check(config(), &head(1, 20_000))
            .await
            .starts_with("HTTP/1.1 431 ")
    );
}

#[tokio::test]
async fn a_full_door_leaves_connections_waiting_until_one_ends() {
    local(async {
        let door = Door::open(IngressConfig {
            connections_max: 1,
            ..IngressConfig::roomy()
        })
        .await;
        let mut first = door.connect().await;
        first.write_all(&get("/sized")).await.unwrap();
        read_until(&mut first, "hello").await;
        let mut second = door.connect().await;
        second.write_all(&get("/wait")).await.unwrap();
        first.write_all(&get("/sized")).await.unwrap();
        read_until(&mut first, "hello").await;
        assert_eq!(
            *door.guests.begun.borrow(),
            2,
            "the second is not served yet"
        );
        drop(first);
        door.guests.begun(3).await;
    })
    .await;
}

#[tokio::test]
async fn who_is_idle_makes_room_at_a_full_door() {
    local(async {
        let door = Door::open(IngressConfig {
            connections_max: 2,
            ..IngressConfig::roomy()
        })
        .await;
        let mut idle = [door.connect().await, door.connect().await];
        for connection in &mut idle {
            connection.write_all(&get("/sized")).await.unwrap();
            read_until(connection, "hello").await;
        }
        // The idle timeout of a roomy door is a minute; the test would end long before.
        let mut late = door.connect().await;
        late.write_all(&get("/sized")).await.unwrap();
        read_until(&mut late, "hello").await;
    })
    .await;
}
