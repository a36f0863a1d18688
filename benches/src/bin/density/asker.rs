//! One kept connection, which asks and waits: the time of an answer is what a client sees.
//!
//! Plain blocking sockets: a runtime of our own would add its wake-ups to the figures.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use crate::made::Made;

/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// No answer is longer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A connection to a node.
pub(crate) struct Asker {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Asker {
    /// A connection to this port.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connect")?;
        stream.set_nodelay(true).context("send at once")?;
        stream
            .set_read_timeout(Some(ANSWER_MAX))
            .context("bound the wait")?;
        Ok(Self {
            stream,
            answer: Vec::with_capacity(ANSWER_BYTES_MAX),
        })
    }

    /// Asks this function, checks that it was this one that answered, and says how long it took.
    pub(crate) fn ask(&mut self, made: &Made, at: usize) -> Result<Duration> {
        let request = format!(
            "GET /{}/ HTTP/1.1\r\nhost: density.test\r\n\r\n",
            Made::name(at)
        );
        self.answer.clear();
        let began = Instant::now();
        self.stream.write_all(request.as_bytes()).context("ask")?;
        let mut part = [0; 4096];
        while !is_whole(&self.answer) {
            let read = self.stream.read(&mut part).context("wait for the answer")?;
            ensure!(read > 0, "the node closed the connection");
            self.answer.extend_from_slice(&part[..read]);
            ensure!(
                self.answer.len() < ANSWER_BYTES_MAX,
                "the answer has no end"
            );
        }
        let took = began.elapsed();
        let text = String::from_utf8_lossy(&self.answer);
        ensure!(
            text.starts_with("HTTP/1.1 200 "),
            "{} answered {text}",
            Made::name(at)
        );
        ensure!(
            made.is_answer_of(at, &text),
            "{} answered {text}",
            Made::name(at)
        );
        Ok(took)
    }
}

/// Whether an answer is there to its end: of a known length, or in chunks.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|part| part == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    match length.and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) => answer.len() >= head + 4 + length,
        None => answer.ends_with(b"\r\n0\r\n\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh"));
        assert!(is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\n2\r\nhi\r\n"));
        assert!(is_whole(b"HTTP/1.1 200 OK\r\n\r\n2\r\nhi\r\n0\r\n\r\n"));
    }
}
