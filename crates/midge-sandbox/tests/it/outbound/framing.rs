//! Where one request ends and the next begins is nobody's choice but the host's.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use midge_testkit::Upstream;

use super::{PROBES, ask, granted, here};

/// The length that a server waits for would be the beginning of the guest's next request on the
/// connection, request line and all.
#[test]
fn a_length_without_a_body_is_not_announced() {
    for probe in PROBES {
        let upstream = Upstream::start();
        let here = here(&upstream);
        let steps = format!(
            "fetch=GET+{here}/one&header=content-length:25&fetch=GET+{here}/two&header=x-a:DELETE /three HTTP/1.1"
        );
        let said = ask(granted(probe, &[&here]), &steps);
        assert!(said.starts_with("error "), "{probe}: {said}");
        assert!(said.ends_with("ok 200 9 from afar\n"), "{probe}: {said}");
        let lines: Vec<_> = upstream
            .requests()
            .into_iter()
            .map(|seen| seen.line)
            .collect();
        assert_eq!(lines, ["GET /two HTTP/1.1"], "{probe}");
    }
}

#[test]
fn two_lengths_are_none() {
    for probe in PROBES {
        let upstream = Upstream::start();
        let here = here(&upstream);
        let steps =
            format!("fetch=POST+{here}/&header=content-length:4&header=content-length:5&body=4");
        let said = ask(granted(probe, &[&here]), &steps);
        assert!(said.starts_with("error "), "{probe}: {said}");
        assert!(upstream.requests().is_empty(), "{probe}");
    }
}

#[test]
fn interim_answers_without_end_are_hung_up_on() {
    for probe in PROBES {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = format!("http://{}", listener.local_addr().unwrap());
        let (sent, told) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            drop(stream.read(&mut head));
            let hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(100);
            let mut bytes = 0;
            while stream.write_all(&hints).is_ok() {
                bytes += hints.len();
            }
            sent.send(bytes).unwrap();
        });
        let said = ask(granted(probe, &[&here]), &format!("fetch={here}/"));
        assert!(said.starts_with("error "), "{probe}: {said}");
        // What the buffers of two sockets take comes on top of what was read.
        let bytes = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(bytes < 32 << 20, "{probe}: {bytes} bytes before the end");
    }
}
