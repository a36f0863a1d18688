//! A connection that knows nothing of HTTP: what tests send arrives byte by byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long any single read or write may take.
const IO_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that knows nothing of HTTP.
pub struct RawConnection {
    stream: TcpStream,
    /// What came after the words that the last read waited for.
    ahead: Vec<u8>,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Panics
    ///
    /// Nobody listens there.
    pub fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("connect");
        stream
            .set_read_timeout(Some(IO_TIMEOUT))
            .expect("set a timeout");
        stream
            .set_write_timeout(Some(IO_TIMEOUT))
            .expect("set a timeout");
        stream.set_nodelay(true).expect("set nodelay");
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// Sends these bytes.
    ///
    /// # Errors
    ///
    /// The server closed the connection.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent, and goes on reading.
    ///
    /// # Errors
    ///
    /// The server closed the connection.
    pub fn end_sending(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads until the server closes the connection, politely or by a reset.
    ///
    /// # Panics
    ///
    /// It does not, for a long time.
    pub fn read_to_close(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.ahead);
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("read: {error}, after {:?}", String::from_utf8_lossy(&bytes)),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads up to and including `words`; what comes behind them is for the next read.
    ///
    /// # Panics
    ///
    /// The connection ended before that.
    pub fn read_until(&mut self, words: &str) -> String {
        let mut bytes = std::mem::take(&mut self.ahead);
        let mut chunk = [0; 4096];
        loop {
            if let Some(at) = find(&bytes, words.as_bytes()) {
                self.ahead = bytes.split_off(at + words.len());
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            let read = self.stream.read(&mut chunk);
            let text = || String::from_utf8_lossy(&bytes).into_owned();
            let read_bytes = read.unwrap_or_else(|error| panic!("{error}, after {:?}", text()));
            assert!(
                read_bytes > 0,
                "closed before `{words}`, after {:?}",
                text()
            );
            bytes.extend_from_slice(&chunk[..read_bytes]);
        }
    }
}

fn find(text: &[u8], words: &[u8]) -> Option<usize> {
    text.windows(words.len()).position(|window| window == words)
}
