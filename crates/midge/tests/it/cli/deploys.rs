//! Deploys, traffic and what became of them.

use insta::assert_snapshot;
use midge_testkit::http::get;

use super::{Node, stdout};
use crate::kit::Site;

#[tokio::test]
async fn from_nothing_to_an_answer_and_no_deploy_twice() {
    let node = Node::start();
    let site = Site::of(&[
        ("one", "http02-tiny.wasm", ""),
        ("two", "http02-log.wasm", ""),
    ]);
    let path = site.path().to_string_lossy().into_owned();
    assert_snapshot!(node.run(&["list"]), @r"
    exit: 0
    --- stdout
    --- stderr
    no functions in namespace default
    ");
    assert_snapshot!(node.run(&["deploy", &path, "--message", "first"]), @r"
    exit: 0
    --- stdout
    http://ADDR/one
    http://ADDR/two
    --- stderr
    new        one  http://ADDR/one
      + route  /one/*
    new        two  http://ADDR/two
      + route  /two/*
    deployed one r1, compiled in N ms
    deployed two r1, compiled in N ms
    ");
    let answer = get(node.midge.addr(), "/one").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_snapshot!(node.run(&["deploy", &path, "--function", "one"]), @r"
        exit: 0
        --- stdout
        http://ADDR/one
        --- stderr
        unchanged  one  r1
        ");
    assert_snapshot!(node.run(&["list"]), @r"
    exit: 0
    --- stdout
    one  r1  1  fresh  TIME  http://one.default.localhost:PORT/
    two  r1  1  fresh  TIME  http://two.default.localhost:PORT/
    --- stderr
    ");
    assert_snapshot!(node.run(&["revisions", "two"]), @r"
    exit: 0
    --- stdout
    r1  100  TIME  first admin  DIGEST  SIZE  first
    --- stderr
    ");
    let json = node.run(&["list", "--json"]);
    assert_eq!(stdout(&json).lines().count(), 2);
    for line in stdout(&json).lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "{line}"
        );
    }
}

#[test]
fn what_widens_needs_a_yes() {
    let node = Node::start();
    let narrow = Site::of(&[("one", "http02-tiny.wasm", "limits = { memory = \"1MiB\" }")]);
    let wide = Site::of(&[(
        "one",
        "http02-tiny.wasm",
        "limits = { memory = \"2MiB\" }\nallow = { http = [\"https://api.example.com\"] }",
    )]);
    let deploy = |site: &Site, flag: &[&str]| {
        let path = site.path().to_string_lossy().into_owned();
        node.run(&[&["deploy", &path], flag].concat())
    };
    deploy(&narrow, &[]);
    assert_snapshot!(deploy(&wide, &["--dry-run"]), @r"
    exit: 0
    --- stdout
    changed    one  after r1
      ~ limit  memory 1MiB -> 2MiB  (widens)
      + http  https://api.example.com  (widens)
    --- stderr
    ");
    assert_snapshot!(deploy(&wide, &[]), @r"
    exit: 1
    --- stdout
    --- stderr
    changed    one  after r1
      ~ limit  memory 1MiB -> 2MiB  (widens)
      + http  https://api.example.com  (widens)
    error: functions would get more than they have
        one: memory 1MiB -> 2MiB
        one: http https://api.example.com

    hint: repeat the command with --grant
    ");
    assert_snapshot!(deploy(&wide, &["--grant"]), @r"
    exit: 0
    --- stdout
    http://ADDR/one
    --- stderr
    changed    one  after r1
      ~ limit  memory 1MiB -> 2MiB  (widens)
      + http  https://api.example.com  (widens)
    deployed one r2
    ");
    // To get less needs nobody's yes.
    assert_snapshot!(deploy(&narrow, &[]), @r"
    exit: 0
    --- stdout
    http://ADDR/one
    --- stderr
    changed    one  after r2
      ~ limit  memory 2MiB -> 1MiB
      - http  https://api.example.com
    deployed one r3
    ");
}

#[test]
fn traffic_is_split_and_rolled_back() {
    let node = Node::start();
    for memory in ["1MiB", "2MiB"] {
        let limits = format!("limits = {{ memory = \"{memory}\" }}");
        let site = Site::of(&[("one", "http02-tiny.wasm", &limits)]);
        node.run(&["deploy", &site.path().to_string_lossy(), "--grant"]);
    }
    assert_snapshot!(node.run(&["rollback", "one"]), @r"
    exit: 0
    --- stdout
    --- stderr
    one: from r2 to r1
    ");
    assert_snapshot!(node.run(&["traffic", "one", "r1=90", "r2=10", "--sticky", "cookie:id"]), @r"
        exit: 0
        --- stdout
        --- stderr
        one: r1=90 r2=10, by cookie:id
        ");
    assert_snapshot!(node.run(&["traffic", "one"]), @r"
    exit: 0
    --- stdout
    r1  90  90%
    r2  10  10%
    --- stderr
    sticks to cookie:id
    ");
    assert_snapshot!(node.run(&["rollback", "one", "--to", "r2"]), @r"
    exit: 0
    --- stdout
    --- stderr
    one: from r1=90 r2=10 to r2
    ");
    assert_snapshot!(node.run(&["rollback", "one", "--to", "r9"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function `one` has no revision r9, or not any more

    hint: it keeps r1, r2
    ");
    assert_snapshot!(node.run(&["show", "one"]), @r"
    exit: 0
    --- stdout
    function     one
    namespace    default
    url          http://one.default.localhost:PORT/
    traffic      r2=100
    isolation    fresh
    routes       /one/*
    revisions    r1 r2 (at most 10)
    created      TIME
    updated      TIME
    invocations  0 since TIME
    --- stderr
    ");
    assert_snapshot!(node.run(&["show", "one@r1"]), @r"
    exit: 0
    --- stdout
    function   one
    namespace  default
    revision   r1
    url        http://r1.one.default.localhost:PORT/
    weight     0
    deployed   TIME
    by         first admin
    message    -
    component  sha256:DIGEST
    size       SIZE
    routes     /one/*
    isolation  fresh
    grants     none
    limits     memory 1MiB
               cpu 2s
               time 10s
               concurrency 200
               queue 1000
               queue-time 10s
               request-body 10MiB
               response-body 1GiB
               log SIZE
               log-rate 1MiB
               outbound-calls 50
               outbound-bytes 100MiB
               sockets 16
               weight 100
    --- stderr
    ");
    assert_snapshot!(node.run(&["remove", "one"]), @r"
    exit: 0
    --- stdout
    --- stderr
    removed one and its 2 revisions
    ");
    assert_snapshot!(node.run(&["show", "one"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: namespace `default` has no function `one`

    hint: midge list --namespace default
    ");
}

#[test]
fn the_first_failure_stops_a_deploy_and_says_what_is_there() {
    let node = Node::start();
    let site = Site::of(&[
        ("a", "http02-tiny.wasm", ""),
        ("b", "unknown-import.wasm", ""),
        ("c", "http02-tiny.wasm", ""),
    ]);
    let path = site.path().to_string_lossy().into_owned();
    assert_snapshot!(node.run(&["deploy", &path]), @r"
    exit: 1
    --- stdout
    http://ADDR/a
    --- stderr
    new        a  http://ADDR/a
      + route  /a/*
    new        b  http://ADDR/b
      + route  /b/*
    new        c  http://ADDR/c
      + route  /c/*
    deployed a r1, compiled in N ms
    deployed: a
    not deployed: b, c
    error: deploy b: component imports `acme:widget/thing@1.2.0` (`spin`), which this host does not have

    hint: compose it with a component that exports this: `wac plug FILE.wasm --plug OTHER.wasm -o WHOLE.wasm`
    ");
    assert_snapshot!(node.run(&["list"]), @r"
    exit: 0
    --- stdout
    a  r1  1  fresh  TIME  http://a.default.localhost:PORT/
    --- stderr
    ");
}

#[tokio::test]
async fn a_route_that_is_taken_is_refused_with_the_ways_out() {
    let node = Node::start();
    let all = ("http02-tiny.wasm", "routes = [\"/*\"]");
    let first = Site::of(&[("greeter", all.0, all.1)]);
    let path = first.path().to_string_lossy().into_owned();
    assert!(node.run(&["deploy", &path]).starts_with("exit: 0\n"));
    let second = Site::of(&[("shouter", all.0, all.1)]);
    let path = second.path().to_string_lossy().into_owned();
    assert_snapshot!(node.run(&["deploy", &path]), @"
    exit: 1
    --- stdout
    --- stderr
    new        shouter  http://ADDR/
      + route  /*
      ! route `/*` matches the same requests as `/*` of function `greeter`
    error: deploy shouter: route `/*` matches the same requests as `/*` of function `greeter`

    hint: change it, or remove it from `greeter`
        or leave `routes` out: then shouter answers below /shouter/, where its code sees the whole path,
        and at its own host from the root on, as in http://shouter.default.localhost:8080/
        or deploy it into another namespace: midge deploy -n NAMESPACE
    ");
    // The first of the ways.
    let hosted = Site::of(&[("shouter", all.0, "")]);
    let path = hosted.path().to_string_lossy().into_owned();
    assert!(node.run(&["deploy", &path]).starts_with("exit: 0\n"));
}

#[test]
fn what_is_not_built_is_said_before_anything_is_sent() {
    let node = Node::start();
    let site = Site::written("[function.shop]\ncomponent = \"build/shop.wasm\"\n");
    std::fs::write(site.path().join("main.c"), "").unwrap();
    let path = site.path().to_string_lossy().into_owned();
    let text = node.run(&["deploy", &path]).replace(&path, "FOLDER");
    assert_snapshot!(text, @"
    exit: 1
    --- stdout
    --- stderr
    error: function shop: there is no `FOLDER/build/shop.wasm`

    hint: midge build FOLDER
    ");
}
