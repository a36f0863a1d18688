//! Whom a guest's connections trust, and which protocol they speak.

use midge_sandbox::{NodePowers, PowersConfig, RootsConfig};
use midge_testkit::Upstream;
use tempfile::TempDir;

use super::{PROBES, ask, granted, path};
use crate::kit::{Guest, invoke, reply};

/// A guest that may fetch from `upstream` over TLS, and the folder with the root it trusts.
fn trusting(probe: &str, upstream: &Upstream, root: &Upstream) -> (Guest, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, root.certificate()).unwrap();
    let there = format!("https://localhost:{}", upstream.port());
    let guest =
        granted(probe, &[&there]).powers(|powers| powers.roots = RootsConfig::Pem(file.clone()));
    (guest, there, folder)
}

#[test]
fn a_server_that_a_given_root_vouches_for_is_trusted() {
    for (protocols, spoken) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let upstream = Upstream::tls(&["localhost"], protocols);
        for probe in PROBES {
            let (guest, there, _folder) = trusting(probe, &upstream, &upstream);
            let said = ask(guest, &format!("fetch=GET+{there}/x"));
            assert_eq!(said, "ok 200 9 from afar\n", "{probe} {protocols:?}");
        }
        let seen = &upstream.requests()[0];
        assert!(seen.line.ends_with(spoken), "{seen:?}");
        let host = format!("localhost:{}", upstream.port());
        assert_eq!(seen.headers["host"], host.as_str());
    }
}

#[test]
fn a_server_that_no_root_vouches_for_is_not() {
    let upstream = Upstream::tls(&["localhost"], &["h2"]);
    let stranger = Upstream::tls(&["localhost"], &["h2"]);
    for probe in PROBES {
        let (guest, there, _folder) = trusting(probe, &upstream, &stranger);
        let said = ask(guest, &format!("fetch=GET+{there}/"));
        assert_eq!(said, "error tls-certificate-error\n", "{probe}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let upstream = Upstream::tls(&["other.test"], &["h2"]);
    let (guest, there, _folder) = trusting("http02-probe.wasm", &upstream, &upstream);
    let said = ask(guest, &format!("fetch=GET+{there}/"));
    assert_eq!(said, "error tls-certificate-error\n");
    assert!(upstream.requests().is_empty());
}

#[test]
fn the_roots_of_this_machine_do_not_vouch_for_a_test() {
    let upstream = Upstream::tls(&["localhost"], &["h2"]);
    let there = format!("https://localhost:{}", upstream.port());
    let said = ask(
        granted("http02-probe.wasm", &[&there]),
        &format!("fetch=GET+{there}/"),
    );
    assert_eq!(said, "error tls-certificate-error\n");
}

#[test]
fn a_server_without_tls_is_a_protocol_error() {
    let upstream = Upstream::start();
    let there = format!("https://localhost:{}", upstream.port());
    let said = ask(
        granted("http02-probe.wasm", &[&there]),
        &format!("fetch=GET+{there}/"),
    );
    assert_eq!(said, "error tls-protocol-error\n");
}

#[test]
fn requests_at_the_same_time_share_a_connection_of_http2() {
    let upstream = Upstream::tls(&["localhost"], &["h2"]);
    let (guest, there, _folder) = trusting("http02-probe.wasm", &upstream, &upstream);
    guest.run(async |function| {
        let fetch = async |steps: String| {
            let request =
                http::Request::get(path(&steps)).body(midge_sandbox::RequestBody::empty());
            let answer = invoke(&function, request.unwrap()).await.unwrap();
            reply(answer).await.unwrap().text()
        };
        assert_eq!(
            fetch(format!("fetch={there}/")).await,
            "ok 200 9 from afar\n"
        );
        let both = futures::future::join(
            fetch(format!("fetch={there}/a&times=5")),
            fetch(format!("fetch={there}/b&times=5")),
        );
        let (one, two) = both.await;
        assert_eq!(one, "ok 200 9 from afar\n".repeat(5));
        assert_eq!(one, two);
    });
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.requests().len(), 11);
}

#[test]
fn roots_that_cannot_be_used_are_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str| {
        let mut config = crate::kit::powers();
        config.roots = RootsConfig::Pem(folder.path().join(name));
        let error = NodePowers::new(config as PowersConfig).err().unwrap();
        let source = std::error::Error::source(&error).unwrap().to_string();
        source.replace(&*folder.path().to_string_lossy(), "FOLDER")
    };
    std::fs::write(folder.path().join("empty"), "nothing").unwrap();
    assert_eq!(
        check("empty"),
        "no certificate in `FOLDER/empty`, it should begin with `-----BEGIN CERTIFICATE-----`"
    );
    assert_eq!(check("none"), "read root certificates from `FOLDER/none`");
}
