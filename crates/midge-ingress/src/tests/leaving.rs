//! Clients that leave while they are owed an answer, and those that only look like it.
//!
//! Without TLS the door sees it from what the kernel says of the connection; with TLS, where the end
//! is bytes like others, hyper does by reading ahead.

use tokio::io::AsyncWriteExt;

use super::http2::Certificates;
use super::*;

const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";
const SIZED: &[u8] = b"GET /sized HTTP/1.1\r\nhost: a\r\n\r\n";

/// A client that waits for the answer to a request behind others, each of which was answered.
async fn waiting(door: &Door, answered: u32) -> TcpStream {
    let mut client = door.connect().await;
    for _ in 0..answered {
        client.write_all(SIZED).await.unwrap();
        read_until(&mut client, "hello").await;
    }
    client.write_all(WAIT).await.unwrap();
    client
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_at_whichever_request() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut begun = 0;
        for answered in 0..3 {
            let client = waiting(&door, answered).await;
            begun += answered + 1;
            door.guests.begun(begun).await;
            drop(client);
            door.guests.dropped(answered + 1).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_behind_a_body_that_was_read_is_noticed() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        let head = "POST /wait-for-body HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        door.guests.begun(1).await;
        client.write_all(b"body").await.unwrap();
        door.guests.waits(1).await;
        drop(client);
        door.guests.dropped(1).await;
    })
    .await;
}

/// Nobody can tell it from one that has closed the connection.
#[tokio::test]
async fn a_client_that_ends_its_side_before_the_answer_has_left() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = waiting(&door, 0).await;
        door.guests.begun(1).await;
        client.shutdown().await.unwrap();
        assert_eq!(read_to_close(&mut client).await, "");
        door.guests.dropped(1).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_behind_the_answer_has_it_and_a_close() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        client.write_all(SIZED).await.unwrap();
        read_until(&mut client, "hello").await;
        client.shutdown().await.unwrap();
        assert_eq!(read_to_close(&mut client).await, "");
    })
    .await;
}

/// Where a worker is behind with its work, those who gave up must not hold it up further.
#[tokio::test]
async fn no_guest_begins_for_a_client_that_has_left_already() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        client.write_all(SIZED).await.unwrap();
        read_until(&mut client, "hello").await;
        let client = client.into_std().unwrap();
        // Without a turn for the door in between.
        std::io::Write::write_all(&mut &client, SIZED).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        assert_eq!(read_to_close(&mut client).await, "");
        assert_eq!(*door.guests.begun.borrow(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_what_it_does_not_take_is_noticed() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = door.connect().await;
        client
            .write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        door.guests.begun(1).await;
        let stream = door.guests.streams.borrow_mut().remove(0);
        let piece = "x".repeat(64 * 1024);
        let mut sent = 0;
        // Until the kernel takes no more for a client that reads nothing.
        while let Ok(Ok(())) =
            tokio::time::timeout(Duration::from_millis(100), stream.send(data(&piece))).await
        {
            sent += 1;
        }
        assert!(sent > 0);
        client.shutdown().await.unwrap();
        stream.closed().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_sent_on_while_a_guest_waits_is_answered_behind_it() {
    local(async {
        let door = Door::open(IngressConfig::roomy()).await;
        let mut client = waiting(&door, 0).await;
        door.guests.begun(1).await;
        client.write_all(WAIT).await.unwrap();
        client.write_all(SIZED).await.unwrap();
        for begun in 1..=2 {
            door.guests.begun(begun).await;
            door.guests.release_one();
            read_until(&mut client, "waited").await;
        }
        read_until(&mut client, "hello").await;
    })
    .await;
}

#[tokio::test]
async fn over_tls_a_client_that_leaves_is_noticed_too() {
    local(async {
        let certificates = Certificates::new();
        let tls = Rc::new(certificates.load().unwrap());
        let door = Door::open_with(IngressConfig::roomy(), Some(tls)).await;
        for (begun, says_so) in [(1, true), (2, false)] {
            let mut client = certificates.connect(&door, &["http/1.1"]).await.unwrap();
            client.write_all(WAIT).await.unwrap();
            door.guests.begun(begun).await;
            if says_so {
                client.shutdown().await.unwrap();
            }
            drop(client);
            door.guests.dropped(begun).await;
        }
    })
    .await;
}
