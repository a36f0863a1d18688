//! Attacks on what a function may reach, in a world that the test has made: what lies beside a
//! grant stays out of reach, and what lies within is used as much as it may be and no more.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use midge_testkit::http::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::ground::NEIGHBOUR;
use crate::kit::Site;

/// A server that answers every connection with these bytes, and counts them.
struct Upstream {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    async fn answering(answer: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    // Whoever says nothing is held until it leaves.
                    if matches!(stream.read(&mut head).await, Ok(1..)) {
                        drop(stream.write_all(answer.as_bytes()).await);
                    }
                });
            }
        });
        Self { addr, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A node with the attacker, who has these lines, and its neighbour.
fn site(lines: &str) -> Site {
    Site::of(&[
        ("attacker", "hostile-http02.wasm", lines),
        (NEIGHBOUR, "http02-tiny.wasm", ""),
    ])
}

#[tokio::test]
async fn a_redirect_is_judged_like_a_first_request() {
    let secret =
        Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let port = secret.addr.port();
    let mut answer = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n".to_owned();
    for location in [
        "169.254.169.254/latest/meta-data/".to_owned(),
        "[::ffff:169.254.169.254]/".to_owned(),
        format!("127.0.0.1:{port}/"),
        format!("127.1:{port}/"),
        format!("2130706433:{port}/"),
        format!("0x7f000001:{port}/"),
        format!("localhost:{port}/"),
        format!("[::1]:{port}/"),
        format!("[::ffff:127.0.0.1]:{port}/"),
        format!("0.0.0.0:{port}/"),
    ] {
        answer += &format!("location: http://{location}\r\n");
    }
    let first = Upstream::answering(answer + "\r\n").await;
    let grant = format!("allow.http = [\"http://{}\"]", first.addr);
    let site = site(&grant);
    let midge = site.server().start();

    let path = format!("/attacker/?attack=redirect&url={}/", first.addr);
    let text = get(midge.addr(), &path).await.unwrap().text();
    assert!(text.starts_with("first 302\n"), "{text}");
    assert_eq!(text.matches("refused ").count(), 10, "{text}");
    assert!(!text.contains("TAKEN"), "{text}");
    assert_eq!(secret.connections(), 0, "{text}");
}

#[tokio::test]
async fn a_flood_of_sockets_ends_at_the_limit_of_sockets() {
    let upstream = Upstream::answering(String::new()).await;
    let addr = upstream.addr;
    let site = site(&format!(
        "allow.tcp = [\"{addr}\"]\nallow.udp = [\"{addr}\"]\nlimits = {{ sockets = 5 }}"
    ));
    let midge = site.server().start();
    for attack in ["tcp-flood", "udp-flood"] {
        let path = format!("/attacker/?attack={attack}&to={addr}");
        let text = get(midge.addr(), &path).await.unwrap().text();
        assert!(text.starts_with("kept 5 of "), "{attack}: {text}");
        assert!(text.contains("new-socket-limit"), "{attack}: {text}");
    }
    assert!(upstream.connections() <= 5);
    let answer = get(midge.addr(), &format!("/{NEIGHBOUR}/")).await.unwrap();
    assert_eq!(answer.text(), "hi");
}

#[tokio::test]
async fn a_flood_of_datagrams_ends_with_its_time_at_the_latest() {
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = sink.local_addr().unwrap();
    let site = site(&format!(
        "allow.udp = [\"{addr}\"]\nlimits = {{ time = \"1s\", cpu = \"500ms\" }}"
    ));
    let midge = site.server().start();
    let path = format!("/attacker/?attack=udp-spray&to={addr}");
    let answer = get(midge.addr(), &path).await.unwrap();
    assert!(
        answer.status == 504 || answer.text().starts_with("sent "),
        "{}",
        answer.text()
    );
    let answer = get(midge.addr(), &format!("/{NEIGHBOUR}/")).await.unwrap();
    assert_eq!(answer.text(), "hi");
}
