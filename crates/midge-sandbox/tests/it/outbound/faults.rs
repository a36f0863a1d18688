//! Servers that are not there, break off or speak something else: an error code for the
//! guest, and nothing for anybody else.

use midge_sandbox::DnsConfig;
use midge_testkit::{DnsServer, Upstream};

use super::{PROBES, ask, granted, here};

/// What each version of the probe makes of a server that says this.
fn check(says: &str) -> String {
    let upstream = Upstream::saying(says);
    let fine = Upstream::start();
    let there = here(&fine);
    let here = here(&upstream);
    let said = PROBES.map(|probe| {
        let steps = format!("fetch={here}/&fetch={there}/");
        let said = ask(granted(probe, &[&here, &there]), &steps);
        let said = said.strip_suffix("ok 200 9 from afar\n");
        said.expect("the next request is answered")
            .trim()
            .to_owned()
    });
    assert_eq!(said[0], said[1], "both versions say the same");
    said[0].clone()
}

#[test]
fn a_server_that_closes_early_or_talks_nonsense_is_an_error_code() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\n";
    for (says, code) in [
        ("".to_owned(), "connection-terminated"),
        ("HTTP/1.1 2".to_owned(), "connection-terminated"),
        ("nonsense\r\n\r\n".to_owned(), "http-protocol-error"),
        ("HTTP/9.9 200 OK\r\n\r\n".to_owned(), "http-protocol-error"),
        ("HTTP/1.1 99 Low\r\n\r\n".to_owned(), "http-protocol-error"),
        (format!("{HEAD}a\0b: 1\r\n\r\n"), "http-protocol-error"),
        (
            format!("{HEAD}content-length: 1, 2\r\n\r\n"),
            "http-protocol-error",
        ),
        (
            format!("{HEAD}content-length: 10\r\n\r\nhalf"),
            "http-response-incomplete after 200 4",
        ),
        (
            format!("{HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
            "http-response-incomplete after 200 5",
        ),
        (
            format!("{HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nz\r\n"),
            "http-protocol-error after 200 5",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
                .to_owned(),
            "http-upgrade-failed",
        ),
    ] {
        assert_eq!(check(&says), format!("error {code}"), "{says:?}");
    }
}

#[test]
fn a_response_that_ends_with_its_connection_is_whole() {
    assert_eq!(check("HTTP/1.0 200 OK\r\n\r\nold"), "ok 200 3 old");
}

#[test]
fn nobody_there_is_an_error_code() {
    let closed = {
        let closing = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", closing.local_addr().unwrap())
    };
    for probe in PROBES {
        let said = ask(granted(probe, &[&closed]), &format!("fetch={closed}/"));
        assert_eq!(said, "error connection-refused\n", "{probe}");
    }
}

#[test]
fn a_name_that_is_not_there_is_an_error_code() {
    let dns = DnsServer::start();
    for probe in PROBES {
        let guest = granted(probe, &["http://none.test"])
            .powers(|powers| powers.dns = DnsConfig::Servers(vec![dns.address()]));
        let said = ask(guest, "fetch=http://none.test/");
        assert_eq!(said, "error dns-error \"NXDOMAIN\"\n", "{probe}");
    }
}
