//! A connection of a socket is an outbound call, like a request.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use crate::kit::Guest;

/// Every contract that has sockets.
const PROBES: [&str; 4] = [
    "http02-probe.wasm",
    "http03-probe.wasm",
    "command02-probe.wasm",
    "command03-probe.wasm",
];

#[test]
fn connections_beyond_the_limit_of_calls_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = String::new();
            let heard = BufReader::new(&stream).read_line(&mut heard);
            // A guest that left is not this thread's failure.
            drop(heard.and_then(|_| stream.write_all(b"pong\n")));
        }
    });
    for probe in PROBES {
        let guest = Guest::of(probe)
            .limits(|limits| limits.outbound_calls = 2)
            .grants(|own| own.tcp.push(server.parse().unwrap()));
        let reply = guest.get(&format!("/?tcp={server}&times=3")).unwrap();
        let said = reply.text();
        let is_ok: Vec<_> = said.lines().map(|line| line.starts_with("ok ")).collect();
        assert_eq!(is_ok, [true, true, false], "{probe}: {said}");
    }
}
