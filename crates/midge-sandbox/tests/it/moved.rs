//! What an invocation moves over sockets comes out of the same budget as its HTTP requests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, UdpSocket};

use crate::kit::Guest;

const PROBES: [&str; 4] = [
    "http02-probe.wasm",
    "http03-probe.wasm",
    "command02-probe.wasm",
    "command03-probe.wasm",
];

/// What comes of the step for a guest that may move so many bytes.
fn check(probe: &str, step: &str, bytes: u64) -> String {
    let (_, address) = step.split_once('=').unwrap();
    let guest = Guest::of(probe)
        .limits(|limits| limits.outbound_bytes = bytes)
        .grants(|own| {
            own.tcp.push(address.parse().unwrap());
            own.udp.push(address.parse().unwrap());
        });
    match guest.get(&format!("/?{step}")) {
        Ok(reply) => reply.text(),
        Err(outcome) => format!("{outcome:?}"),
    }
}

/// Answers each connection's first line with one of so many bytes.
fn answers(line_bytes: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let line = [&vec![b'x'; line_bytes - 1][..], b"\n"].concat();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = String::new();
            let heard = BufReader::new(&stream).read_line(&mut heard);
            // A guest that left is not this thread's failure.
            drop(heard.and_then(|_| stream.write_all(&line)));
        }
    });
    address
}

#[test]
fn bytes_over_tcp_count() {
    let (short, long) = (answers(5), answers(100_000));
    for probe in PROBES {
        let said = |server: &str, bytes| check(probe, &format!("tcp={server}"), bytes);
        assert!(
            said(&short, 10).starts_with("ok "),
            "five and five: {probe}"
        );
        assert!(said(&short, 4).starts_with("error "), "out: {probe}");
        // What a stream of 0.3 brings in belongs to the engine before we could count it.
        let is_counted = probe.contains("02");
        assert_eq!(
            said(&long, 1_000).starts_with("error "),
            is_counted,
            "in: {probe}"
        );
        assert!(
            said(&long, 100_005).starts_with("ok "),
            "all of it: {probe}"
        );
    }
}

#[test]
fn bytes_over_udp_count_both_ways() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            drop(socket.send_to(b"pong", from));
        }
    });
    for probe in PROBES {
        let said = |bytes| check(probe, &format!("udp={address}"), bytes);
        assert!(said(8).starts_with("ok "), "{probe}: {}", said(8));
        assert!(said(3).starts_with("error "), "out: {probe}: {}", said(3));
        assert!(said(7).starts_with("error "), "in: {probe}: {}", said(7));
    }
}
