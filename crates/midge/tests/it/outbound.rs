//! Requests that functions send, through the whole binary: flags, manifest and policy
//! decide, every kind of guest obeys, and the log of the function says what was refused.

use std::fs;

use midge_testkit::http::get;
use midge_testkit::{DnsServer, Midge, Upstream, wait_until_async};

use crate::kit::{Site, server};

/// Every kind of guest that can ask for a request.
const PROBES: [&str; 4] = [
    "http02-probe.wasm",
    "http03-probe.wasm",
    "command02-probe.wasm",
    "command03-probe.wasm",
];

const FROM_AFAR: &str = "ok 200 9 from afar\n";
const DENIED: &str = "error http-request-denied\n";
const PROHIBITED: &str = "error destination-ip-prohibited\n";

async fn ask(midge: &Midge, path: &str) -> String {
    let answer = get(midge.addr(), path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

fn here(upstream: &Upstream) -> String {
    format!("http://127.0.0.1:{}", upstream.port())
}

#[tokio::test]
async fn no_kind_of_guest_sends_what_was_not_granted() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let midge = server(probe).start();
        assert_eq!(
            ask(&midge, &format!("/?fetch={here}/x")).await,
            DENIED,
            "{probe}"
        );
        midge.wait_until_said(&format!("http = [\"GET {here}/x\"]"));
        let line = midge.said();
        let line = line.lines().find(|line| line.contains("denied: ")).unwrap();
        assert!(line.contains("no http grant covers it"), "{line}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn every_kind_of_guest_sends_what_was_granted() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    for probe in PROBES {
        let midge = server(probe)
            .args(["--allow-http", &format!("GET {here}/x")])
            .start();
        let steps = format!("/?fetch={here}/x&fetch={here}/y&fetch=POST+{here}/x");
        let said = ask(&midge, &steps).await;
        assert_eq!(said, format!("{FROM_AFAR}{DENIED}{DENIED}"), "{probe}");
    }
}

#[tokio::test]
async fn a_manifest_grants_to_its_function_and_to_no_other() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let allow = format!("allow = {{ http = [\"{here}\"] }}");
    let site = Site::of(&[
        ("one", "http02-probe.wasm", &allow),
        ("two", "http02-probe.wasm", ""),
    ]);
    let midge = site.server().start();
    assert_eq!(
        ask(&midge, &format!("/one/?fetch={here}/")).await,
        FROM_AFAR
    );
    assert_eq!(ask(&midge, &format!("/two/?fetch={here}/")).await, DENIED);
}

#[tokio::test]
async fn functions_share_no_connection_and_invocations_do() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let allow = format!("allow = {{ http = [\"{here}\"] }}");
    let site = Site::of(&[
        ("one", "http02-probe.wasm", &allow),
        ("two", "http03-probe.wasm", &allow),
    ]);
    let midge = site.server().args(["--workers", "1"]).start();
    for _ in 0..5 {
        assert_eq!(
            ask(&midge, &format!("/one/?fetch={here}/")).await,
            FROM_AFAR
        );
        assert_eq!(
            ask(&midge, &format!("/two/?fetch={here}/")).await,
            FROM_AFAR
        );
    }
    assert_eq!(upstream.connections(), 2);
    drop(midge);
    wait_until_async("they are closed with the worker", async || {
        upstream.open() == 0
    })
    .await;
}

#[tokio::test]
async fn names_are_asked_of_the_given_server_and_their_addresses_are_judged() {
    let upstream = Upstream::start();
    let dns = DnsServer::start();
    dns.answer("inside.test", &["127.0.0.1".parse().unwrap()]);
    let there = format!("http://inside.test:{}", upstream.port());
    let run = |more: &[&str]| {
        server("http02-probe.wasm")
            .args(["--allow-http", &there, "--dns", &dns.address().to_string()])
            .args(more.iter().copied())
            .start()
    };
    let steps = format!("/?fetch={there}/");
    let midge = run(&[]);
    assert_eq!(ask(&midge, &steps).await, PROHIBITED);
    midge.wait_until_said("private = [\"inside.test\"]");
    let midge = run(&["--allow-private", "inside.test"]);
    assert_eq!(ask(&midge, &steps).await, FROM_AFAR);
}

#[tokio::test]
async fn a_given_root_is_trusted_in_place_of_the_systems() {
    let upstream = Upstream::tls(&["localhost"], &["h2", "http/1.1"]);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.pem");
    fs::write(&root, upstream.certificate()).unwrap();
    let there = format!("https://localhost:{}", upstream.port());
    let run = |more: &[&str]| {
        server("http03-probe.wasm")
            .args(["--allow-http", &there])
            .args(more.iter().copied())
            .start()
    };
    let steps = format!("/?fetch={there}/");
    let midge = run(&["--outbound-ca", root.to_str().unwrap()]);
    assert_eq!(ask(&midge, &steps).await, FROM_AFAR);
    assert_eq!(
        ask(&run(&[]), &steps).await,
        "error tls-certificate-error\n"
    );
}

/// The function never sees it, nor does any log at its most talkative.
#[tokio::test]
async fn an_injected_secret_reaches_its_server_and_no_log() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let site = Site::of(&[(
        "one",
        "http02-probe.wasm",
        &format!(
            "[function.one.allow]\nhttp = [\"{here}\"]\n\
             secrets = [{{ name = \"KEY\", as = \"inject\", header = \"authorization\", \
             format = \"Bearer {{}}\", to = [\"{here}/in/*\"] }}]"
        ),
    )]);
    let file = site.path().join("key");
    fs::write(&file, "value-of-key").unwrap();
    let midge = site
        .server()
        .args(["--secret", &format!("KEY=@{}", file.display())])
        .env("MIDGE_LOG", "trace")
        .start();
    let steps = format!("/one/?fetch={here}/in/x&fetch={here}/out&fetch=http://b.test/&env=KEY");
    let said = ask(&midge, &steps).await;
    assert!(!said.contains("value-of"), "{said}");
    let fields: Vec<_> = upstream
        .requests()
        .into_iter()
        .map(|request| request.headers.get("authorization").cloned())
        .collect();
    assert_eq!(fields, [Some("Bearer value-of-key".parse().unwrap()), None]);
    assert!(!midge.said().contains("value-of"), "{}", midge.said());
}

/// A server may say what it likes: the guest gets an error code, and the node has nothing to
/// tell about it.
#[tokio::test]
async fn a_server_that_misbehaves_is_no_event_of_the_nodes() {
    let servers = [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
    ]
    .map(Upstream::saying);
    for probe in PROBES {
        let midge = server(probe)
            .args(["--allow-http", "http://127.0.0.1:*"])
            .start();
        for upstream in &servers {
            let said = ask(&midge, &format!("/?fetch={}/", here(upstream))).await;
            assert!(said.starts_with("error "), "{probe}: {said}");
        }
        let said = midge.said();
        assert!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    }
}

#[tokio::test]
async fn a_response_is_passed_on_while_it_comes() {
    let upstream = Upstream::start();
    let here = here(&upstream);
    let midge = server("http02-probe.wasm")
        .args(["--allow-http", &here])
        .start();
    let request = http::Request::get(format!("/?pipe={here}/endless"));
    let mut client = midge_testkit::http::Client::http1(midge.addr())
        .await
        .unwrap();
    let body = midge_testkit::http::whole("");
    let mut response = client.begin(request.body(body).unwrap()).await.unwrap();
    let frame = http_body_util::BodyExt::frame(response.body_mut()).await;
    assert!(
        frame
            .unwrap()
            .unwrap()
            .data_ref()
            .unwrap()
            .starts_with(b"hello")
    );
    assert_eq!(upstream.open(), 1);
    drop((response, client));
    wait_until_async("the request ends with its client", async || {
        upstream.open() == 0
    })
    .await;
}
