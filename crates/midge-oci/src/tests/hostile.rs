//! Registries and web servers that mean harm: none gets more than a clear refusal.

use insta::assert_snapshot;
use midge_model::{ComponentReference, OciPlace};

use super::peer::{Answer, Peer, answer, bare};
use super::*;

/// Small enough that a test runs into each of them at once.
const BOUNDS: Bounds = Bounds {
    component_bytes_max: 1 << 20,
    connect_time_max: Duration::from_secs(5),
    answer_time_max: Duration::from_millis(300),
    bytes_per_second_min: 1 << 20,
    redirects_max: 3,
};

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.enable_all().build().unwrap().block_on(work)
}

fn me() -> Credentials {
    Credentials {
        user: "me".to_owned(),
        password: "hunter2".to_owned(),
    }
}

/// What comes of fetching from a peer; `PORT` stands for its.
fn pull(reference: &str, peer: &Peer) -> String {
    let folder = tempfile::tempdir().unwrap();
    let cache = Blobs::at(folder.path());
    let reference = reference.replace("PORT", &peer.port.to_string());
    let reference: ComponentReference = reference.parse().unwrap();
    let kept = (&cache, u64::MAX);
    let fetched = run(fetch(&reference, Some(me()), false, kept, BOUNDS));
    let text = match fetched {
        Ok(fetched) => format!("{} bytes", fetched.component.len()),
        Err(error) => {
            let is_empty = !folder.path().join("sha256").exists();
            assert!(is_empty, "what was refused is not kept");
            let hint = error.hint();
            let mut text = error.to_string();
            let mut next = std::error::Error::source(&error);
            while let Some(cause) = next {
                text = format!("{text}: {cause}");
                next = cause.source();
            }
            format!("{text}\nhint: {}", hint.unwrap_or("none".to_owned()))
        }
    };
    assert!(
        !text.contains("hunter2") && !text.contains("aHVudGVyMg"),
        "{text}"
    );
    text.replace(&format!(":{}", peer.port), ":PORT")
}

fn pull_from(respond: impl Fn(&str, u16) -> Answer + Send + Sync + 'static) -> String {
    pull("oci://127.0.0.1:PORT/a/b:1", &Peer::start(respond))
}

/// A registry with one artifact, whose component is not what it is said to be.
fn with_component(component: Answer) -> String {
    let component = std::sync::Mutex::new(Some(component));
    pull_from(move |head, _| match head.contains("/manifests/") {
        true => answer("200 OK", "", &artifact(COMPONENT).manifest),
        false => component.lock().unwrap().take().unwrap(),
    })
}

#[test]
fn an_honest_one_is_believed() {
    assert_snapshot!(with_component(answer("200 OK", "", COMPONENT)), @"8 bytes");
}

#[test]
fn a_body_without_end_is_not_read() {
    assert_snapshot!(pull_from(|_, _| Answer::Endless), @r"
    127.0.0.1:PORT sends more than 1048576 bytes as manifest a/b:1
    hint: look whether that is the name of a component: none is so large
    ");
    assert_snapshot!(with_component(Answer::Endless), @r"
    127.0.0.1:PORT sends more than 8 bytes as the component
    hint: look whether that is the name of a component: none is so large
    ");
    let large = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    assert_snapshot!(pull_from(move |_, _| Answer::Bytes(large.into())), @r"
    127.0.0.1:PORT sends more than 1048576 bytes as manifest a/b:1
    hint: look whether that is the name of a component: none is so large
    ");
    let peer = Peer::start(|_, _| Answer::Endless);
    assert_snapshot!(pull("http://127.0.0.1:PORT/x.wasm", &peer), @r"
    127.0.0.1:PORT sends more than 1048576 bytes as `/x.wasm`
    hint: look whether that is the name of a component: none is so large
    ");
}

#[test]
fn who_is_too_slow_is_left() {
    let masked = |text: String| text.replace(|found: char| found.is_ascii_digit(), "N");
    assert_snapshot!(masked(pull_from(|_, _| Answer::Nothing)), @r"
    NNN.N.N.N:PORT is too slow with manifest a/b:N: no answer within NNNms
    hint: try again later
    ");
    assert_snapshot!(masked(pull_from(|_, _| Answer::Drip)), @r"
    NNN.N.N.N:PORT is too slow with manifest a/b:N: NN bytes in N s
    hint: try again later
    ");
    let peer = Peer::start(|_, _| Answer::Drip);
    assert_snapshot!(masked(pull("http://127.0.0.1:PORT/x.wasm", &peer)), @r"
    NNN.N.N.N:PORT is too slow with `/x.wasm`: NN bytes in N s
    hint: try again later
    ");
}

#[test]
fn other_bytes_than_those_that_were_meant_are_refused() {
    let digest = Digest::of(b"what was meant");
    let wanted = format!("oci://127.0.0.1:PORT/a/b@{digest}");
    let peer = Peer::start(|_, _| answer("200 OK", "", &artifact(COMPONENT).manifest));
    assert_snapshot!(pull(&wanted, &peer), @r"
    the manifest has the digest sha256:fa43fd360bb44a6d2c0d7b354f3f486980225edaf7f8953c908f601058ff0950, and sha256:ec367b1fa9e947901ad90826febb6e2629be60deb161a3839cd7697d6e1adfa7 was asked for
    hint: somebody changed it on its way, or in the registry: do not use it
    ");
    assert_snapshot!(with_component(answer("200 OK", "", MODULE)), @r"
    the component has the digest sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476, and sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29 was asked for
    hint: somebody changed it on its way, or in the registry: do not use it
    ");
    let wanted = format!("http://127.0.0.1:PORT/x#sha256={}", digest.hex());
    let peer = Peer::start(|_, _| answer("200 OK", "", COMPONENT));
    assert_snapshot!(pull(&wanted, &peer), @r"
    the file has the digest sha256:24eaf3439a60c96764c4f2c92a0a81b52bd4fe5d5b91f090184a0f6486b1bf29, and sha256:ec367b1fa9e947901ad90826febb6e2629be60deb161a3839cd7697d6e1adfa7 was asked for
    hint: the file was changed: look at it before you write its new digest
    ");
}

#[test]
fn what_is_no_manifest_is_refused() {
    assert_snapshot!(pull_from(|_, _| answer("200 OK", "", b"<!DOCTYPE html>\x1b[2J")), @r"
    manifest a/b:1: the manifest is not JSON of a manifest: expected value at line 1 column 1
    hint: look whether there is a registry at that host and port
    ");
    let layer = r#"{"mediaType": "application/wasm", "digest": "DIGEST", "size": 9}"#;
    let two = with_layers(&format!("{layer}, {layer}"));
    assert_snapshot!(pull_from(move |_, _| answer("200 OK", "", two.as_bytes())), @r"
    manifest a/b:1: the artifact has 2 layers, a component is exactly one
    hint: name a component, as `midge push` and `wkg oci push` make them; images of containers are none
    ");
}

#[test]
fn redirects_end_and_do_not_lead_to_where_everybody_listens() {
    assert_snapshot!(pull_from(|_, port| {
        bare("307 Temporary Redirect", &format!("location: http://127.0.0.1:{port}/v2/x\r\n"))
    }), @r"
    127.0.0.1:PORT redirects manifest a/b:1 more than 3 times
    hint: write the address that it should lead to
    ");
    assert_snapshot!(pull_from(|_, _| bare("302 Found", "location: http://192.0.2.1/x?token=secret\r\n")), @r"
    127.0.0.1:PORT redirects manifest a/b:1 to `http://192.0.2.1/x`, which is not `https://`
    hint: write the address that it should lead to
    ");
    assert_snapshot!(pull_from(|_, _| bare("302 Found", "location: file:///etc/passwd\r\n")), @r"
    127.0.0.1:PORT answers 302 Found to manifest a/b:1
    hint: none
    ");
}

#[test]
fn a_component_may_lie_elsewhere() {
    let elsewhere = Peer::start(|_, _| answer("200 OK", "", COMPONENT));
    let to = format!("location: http://127.0.0.1:{}/x\r\n", elsewhere.port);
    assert_snapshot!(with_component(bare("302 Found", &to)), @"8 bytes");
}

#[test]
fn a_login_is_asked_for_once() {
    let peer = Peer::start(|head, port| match head.starts_with("get /token") {
        true => answer("200 OK", "", br#"{"token": "abc"}"#),
        false => {
            let realm = format!("http://127.0.0.1:{port}/token");
            let field = format!("www-authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\n");
            bare("401 Unauthorized", &field)
        }
    });
    assert_snapshot!(pull("oci://127.0.0.1:PORT/a/b:1", &peer), @r"
    127.0.0.1:PORT wants other credentials for manifest a/b:1
    hint: docker login 127.0.0.1:PORT, or set MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD
    ");
    let seen = peer.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[1].starts_with("get /token?service=s&scope=repository%3aa%2fb%3apull "));
    assert!(
        seen[1].contains("authorization: basic ") && seen[2].contains("authorization: bearer abc")
    );
}

#[test]
fn credentials_go_to_no_strange_place() {
    let challenged = |field: &'static str| {
        pull_from(move |_, _| bare("401 Unauthorized", &format!("{field}\r\n")))
    };
    assert_snapshot!(challenged("x-nothing: 1"), @r"
    127.0.0.1:PORT answers to manifest a/b:1 with something that no registry would: it wants a login, and does not say which
    hint: look whether there is a registry at that host and port
    ");
    assert_snapshot!(challenged("www-authenticate: Negotiate"), @r"
    127.0.0.1:PORT answers to manifest a/b:1 with something that no registry would: it wants a login, and does not say which
    hint: look whether there is a registry at that host and port
    ");
    assert_snapshot!(challenged("www-authenticate: Bearer realm=\"http://192.0.2.1/token\""), @r"
    127.0.0.1:PORT answers to a request with something that no registry would: its realm is `http://192.0.2.1/token`
    hint: look whether there is a registry at that host and port
    ");
    assert_snapshot!(challenged("www-authenticate: Bearer realm=\"file:///etc/passwd\""), @r"
    127.0.0.1:PORT answers to a request with something that no registry would: its realm is `file:///etc/passwd`
    hint: look whether there is a registry at that host and port
    ");
    assert_snapshot!(challenged("www-authenticate: Basic realm=\"x\""), @r"
    127.0.0.1:PORT wants other credentials for manifest a/b:1
    hint: docker login 127.0.0.1:PORT, or set MIDGE_REGISTRY_USER and MIDGE_REGISTRY_PASSWORD
    ");
}

/// Where the registry leads, somebody else may listen, with a realm of their own.
#[test]
fn another_server_does_not_say_who_gets_the_login() {
    let thief = || {
        Peer::start(|head, port| match head.starts_with("get /token") {
            true => answer("200 OK", "", br#"{"token": "x"}"#),
            false => {
                let realm = format!("http://127.0.0.1:{port}/token");
                let field = format!("www-authenticate: Bearer realm=\"{realm}\"\r\n");
                bare("401 Unauthorized", &field)
            }
        })
    };
    let asked_for_no_token = |thief: &Peer| {
        let seen = thief.seen();
        let is_login = |head: &String| head.contains("authorization") || head.contains("/token");
        !seen.is_empty() && !seen.iter().any(is_login)
    };
    let (redirected, located) = (thief(), thief());
    let to = redirected.port;
    let text = pull_from(move |_, _| {
        let location = format!("location: http://127.0.0.1:{to}/blob\r\n");
        bare("307 Temporary Redirect", &location)
    });
    assert_snapshot!(text.replace(&to.to_string(), "THIEF"), @r"
    127.0.0.1:PORT answers to manifest a/b:1 with something that no registry would: it leads to 127.0.0.1:THIEF, which wants a login of its own
    hint: look whether there is a registry at that host and port
    ");
    assert!(asked_for_no_token(&redirected));

    let to = located.port;
    let (text, _) = push_to(move |head, _| match head.starts_with("head") {
        true => bare("404 Not Found", ""),
        false => bare(
            "202 Accepted",
            &format!("location: http://127.0.0.1:{to}/u\r\n"),
        ),
    });
    assert_snapshot!(text.replace(&to.to_string(), "THIEF"), @"127.0.0.1:PORT answers to the component with something that no registry would: it leads to 127.0.0.1:THIEF, which wants a login of its own");
    assert!(asked_for_no_token(&located));
}

#[test]
fn a_token_without_end_is_not_read() {
    assert_snapshot!(pull_from(|head, port| match head.starts_with("get /token") {
        true => Answer::Endless,
        false => {
            let realm = format!("http://127.0.0.1:{port}/token");
            bare("401 Unauthorized", &format!("www-authenticate: Bearer realm=\"{realm}\"\r\n"))
        }
    }), @r"
    127.0.0.1:PORT sends more than 1048576 bytes as a token
    hint: look whether that is the name of a component: none is so large
    ");
}

#[test]
fn an_explanation_is_shown_without_its_control_characters() {
    let body = br#"{"errors": [{"code": "DENIED", "message": "no\u001b[2J"}]}"#;
    assert_snapshot!(pull_from(|_, _| answer("429 Too Many Requests", "", body)), @r"
    127.0.0.1:PORT answers 429 Too Many Requests to manifest a/b:1: DENIED no\u{1b}[2J
    hint: try again later
    ");
    assert_snapshot!(pull_from(|_, _| answer("500 Internal Server Error", "", b"<html>")), @r"
    127.0.0.1:PORT answers 500 Internal Server Error to manifest a/b:1
    hint: try again later
    ");
    assert_snapshot!(pull_from(|_, _| bare("404 Not Found", "")), @r"
    127.0.0.1:PORT has no manifest a/b:1, or shows it to nobody who is not logged in
    hint: look whether its name is right; if it is private: docker login 127.0.0.1:PORT
    ");
    assert!(
        pull_from(|_, _| Answer::Bytes(b"SSH-2.0-OpenSSH\r\n".to_vec()))
            .contains("ask 127.0.0.1:PORT")
    );
}

fn push_to(respond: impl Fn(&str, u16) -> Answer + Send + Sync + 'static) -> (String, Peer) {
    let peer = Peer::start(respond);
    let place: OciPlace = format!("oci://127.0.0.1:{}/a", peer.port).parse().unwrap();
    let mut registry = Registry::new(&place, Some(me()), false, BOUNDS).unwrap();
    let text = match run(registry.push(&artifact(COMPONENT), "1")) {
        Ok(digest) => digest.to_string(),
        Err(error) => error.to_string(),
    };
    (text.replace(&format!(":{}", peer.port), ":PORT"), peer)
}

#[test]
fn a_push_goes_nowhere_strange() {
    let located = |field: &'static str| {
        push_to(move |head, _| match head.starts_with("head") {
            true => bare("404 Not Found", ""),
            false => bare("202 Accepted", field),
        })
        .0
    };
    assert_snapshot!(located(""), @"127.0.0.1:PORT answers to the component with something that no registry would: it does not say where to send it");
    assert_snapshot!(located("location: http://[\r\n"), @"127.0.0.1:PORT answers to the component with something that no registry would: it does not say where to send it");
    assert_snapshot!(located("location: http://192.0.2.1/upload\r\n"), @"127.0.0.1:PORT answers to the component with something that no registry would: it does not say where to send it");
    assert_snapshot!(located("location: file:///tmp/x\r\n"), @"127.0.0.1:PORT answers to the component with something that no registry would: it does not say where to send it");
}

#[test]
fn another_server_for_uploads_is_not_shown_the_login() {
    let elsewhere = Peer::start(|_, _| bare("201 Created", ""));
    let port = elsewhere.port;
    let (text, peer) = push_to(move |head, _| {
        if !head.contains("authorization: ") {
            return bare(
                "401 Unauthorized",
                "www-authenticate: Basic realm=\"x\"\r\n",
            );
        }
        match head {
            head if head.starts_with("head") => bare("404 Not Found", ""),
            head if head.starts_with("post") => bare(
                "202 Accepted",
                &format!("location: http://127.0.0.1:{port}/u?state=1\r\n"),
            ),
            _ => bare("201 Created", ""),
        }
    });
    assert_eq!(text, artifact(COMPONENT).digest().to_string());
    assert!(
        peer.seen()
            .last()
            .unwrap()
            .contains("authorization: basic ")
    );
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 2);
    for head in seen {
        assert!(
            head.starts_with("put /u?state=1&digest=sha256%3a"),
            "{head}"
        );
        assert!(!head.contains("authorization"), "{head}");
    }
}

#[test]
fn a_registry_that_stored_something_else_is_told() {
    let other = Digest::of(b"else");
    let (text, _) = push_to(move |head, _| match head.starts_with("put") {
        true => bare(
            "201 Created",
            &format!("docker-content-digest: {other}\r\n"),
        ),
        false => bare("200 OK", ""),
    });
    assert_snapshot!(text, @"the manifest that was pushed has the digest sha256:7dd530c4d36da47cd33396718ef1fa1e8c0f7d91ee551d7fdc1c73aa65edb454, and sha256:fa43fd360bb44a6d2c0d7b354f3f486980225edaf7f8953c908f601058ff0950 was asked for");
    let (text, _) = push_to(|head, _| match head.starts_with("put") {
        true => bare(
            "307 Temporary Redirect",
            "location: http://127.0.0.1:1/\r\n",
        ),
        false => bare("200 OK", ""),
    });
    assert_snapshot!(text, @"127.0.0.1:PORT answers 307 Temporary Redirect to manifest a:1");
}
