//! A server that answers as a test wants it, however wrong that is.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it does with a request.
pub(super) enum Answer {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends a head and then bytes until nobody takes them.
    Endless,
    /// Sends a head and then a byte now and then.
    Drip,
    /// Waits until the client goes.
    Nothing,
}

/// A running server. Its threads end with its clients.
pub(super) struct Peer {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

/// An answer with a body.
pub(super) fn answer(status: &str, fields: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n"
    );
    Answer::Bytes([head.as_bytes(), body].concat())
}

/// An answer without.
pub(super) fn bare(status: &str, fields: &str) -> Answer {
    answer(status, fields, b"")
}

impl Peer {
    /// Answers requests, each on a connection of its own, by their head and its own port.
    pub(super) fn start(respond: impl Fn(&str, u16) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (respond, heads) = (Arc::new(respond), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (respond, heads) = (Arc::clone(&respond), Arc::clone(&heads));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let head = read_request(&mut stream);
                    heads.lock().unwrap().push(head.clone());
                    // The client may have gone away, which is what most tests are about.
                    drop(converse(stream, respond(&head, port)));
                });
            }
        });
        Self { port, seen }
    }

    /// The heads of the requests until now.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Reads the head, and the body to its end: closing with something unread would be a reset.
fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            if body.len() >= length {
                return head.to_owned();
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return text,
            Ok(bytes) => read.extend_from_slice(&buffer[..bytes]),
        }
    }
}

fn converse(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
    let mut buffer = [0; 16];
    match answer {
        Answer::Bytes(bytes) => stream.write_all(&bytes),
        Answer::Endless => {
            stream.write_all(HEAD)?;
            loop {
                stream.write_all(&[b' '; 64 << 10])?;
            }
        }
        Answer::Drip => {
            stream.write_all(HEAD)?;
            // The client says nothing, so this is how long it waits for the next byte.
            stream.set_read_timeout(Some(Duration::from_millis(20)))?;
            while !matches!(stream.read(&mut buffer), Ok(0)) {
                stream.write_all(b" ")?;
            }
            Ok(())
        }
        Answer::Nothing => stream.read(&mut buffer).map(drop),
    }
}
