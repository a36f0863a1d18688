//! The node's own door: the same way as for everybody else, over a socket that only the node has.

use std::path::PathBuf;

use insta::assert_snapshot;
use tokio::net::UnixStream;

use super::http2::Certificates;
use super::*;

/// A folder with a socket in it, gone with the test.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("door")
    }

    async fn open(&self, config: IngressConfig, tls: Option<Rc<Tls>>) -> Door {
        let internal = UnixListener::bind(self.socket()).unwrap();
        Door::open_beside(config, tls, Some(internal)).await
    }

    async fn exchange(&self, sent: &str) -> String {
        let mut client = UnixStream::connect(self.socket()).await.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        read_to_close(&mut client).await
    }
}

#[tokio::test]
async fn the_node_takes_the_same_way_as_everybody() {
    local(async {
        let place = Place::new();
        let _door = place.open(IngressConfig::roomy(), None).await;
        let forged = "x-forwarded-for: 203.0.113.9\r\n";
        let answer = place
            .exchange(&format!(
                "GET /fields HTTP/1.1\r\nhost: r7.f.shop.midge.test\r\n{forged}\
                 x-request-id: kept\r\nconnection: close\r\n\r\n"
            ))
            .await;
        assert_snapshot!(plain(&answer), @r"
        HTTP/1.1 200 OK
        x-request-id: [x-request-id]
        connection: close
        content-length: 136
        date: [date]

        host: r7.f.shop.midge.test
        x-forwarded-for: 127.0.0.1
        x-forwarded-host: r7.f.shop.midge.test
        x-forwarded-proto: http
        x-request-id: [x-request-id]
        ");
    })
    .await;
}

#[tokio::test]
async fn the_node_shows_no_certificate_to_itself() {
    local(async {
        let place = Place::new();
        let certificates = Certificates::new();
        let tls = Rc::new(certificates.load().unwrap());
        let door = place.open(IngressConfig::roomy(), Some(tls)).await;
        let asked = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        assert!(place.exchange(asked).await.contains("hello"));
        // Others still have to speak TLS.
        let mut client = door.connect().await;
        client.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that ends in a reset is an answer too.
        drop(client.read_to_end(&mut answer).await);
        assert!(!answer.ends_with(b"hello"));
    })
    .await;
}

#[tokio::test]
async fn the_nodes_requests_are_finished_when_the_door_is_closed() {
    local(async {
        let place = Place::new();
        let door = place.open(IngressConfig::roomy(), None).await;
        let mut client = UnixStream::connect(place.socket()).await.unwrap();
        let asked = b"GET /wait HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        client.write_all(asked).await.unwrap();
        door.guests.begun(1).await;
        door.phase.send(Phase::Draining).unwrap();
        door.guests.release_one();
        assert!(read_to_close(&mut client).await.contains("waited"));
        assert_eq!(door.serving.await.unwrap().cut, 0);
    })
    .await;
}

#[tokio::test]
async fn a_guest_ends_when_the_node_asks_no_more() {
    local(async {
        let place = Place::new();
        let door = place.open(IngressConfig::roomy(), None).await;
        let mut client = UnixStream::connect(place.socket()).await.unwrap();
        let asked = b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(asked).await.unwrap();
        door.guests.begun(1).await;
        drop(client);
        door.guests.dropped(1).await;
    })
    .await;
}

#[tokio::test]
async fn the_node_that_leaves_is_noticed_like_others() {
    local(async {
        let place = Place::new();
        let door = place.open(IngressConfig::roomy(), None).await;
        let mut client = UnixStream::connect(place.socket()).await.unwrap();
        client
            .write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        door.guests.begun(1).await;
        drop(client);
        door.guests.dropped(1).await;
    })
    .await;
}
