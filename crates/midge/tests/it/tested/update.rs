//! `midge test --update`: what is written down, and what is not.

use insta::assert_snapshot;

use super::{ALLOW, read, site, test};

#[test]
fn an_update_takes_away_what_no_longer_comes() {
    let cases = r#"
[[case]]
name = "fewer members"
request = { method = "POST", path = "/", json = { a = 1, b = { c = 2 } } }
expect = { json = { a = 1, b = { c = 2, d = 3 }, e = 1 } }

[[case]]
name = "fewer in a table"
request = { method = "POST", path = "/", json = { a = 1 } }
[case.expect.json]
a = 2 # this
e = 1
"#;
    let site = site("http02-echo.wasm", "", cases);
    let text = test(site.path(), &["--update"]);
    assert!(text.contains("2 passed, 0 failed, 2 updated"), "{text}");
    assert_snapshot!(read(&site, "tests/shop.toml"), @r#"
    [[case]]
    name = "fewer members"
    request = { method = "POST", path = "/", json = { a = 1, b = { c = 2 } } }
    expect = { json = { a = 1, b = { c = 2 } } }

    [[case]]
    name = "fewer in a table"
    request = { method = "POST", path = "/", json = { a = 1 } }
    [case.expect.json]
    a = 1 # this
    "#);
    assert!(test(site.path(), &[]).starts_with("exit: 0\n"));
}

#[test]
fn an_update_does_not_take_a_missing_server_for_an_answer() {
    let cases = r#"
[[case]]
name = "asks another server"
request = "GET /?fetch=GET+http://a.test/x"
"#;
    let site = site("http02-probe.wasm", ALLOW, cases);
    assert_snapshot!(test(site.path(), &["--update"]), @r#"
    exit: 1
    --- stdout
    diff shop: asks another server
         nothing is expected yet; `midge test --update` writes down what comes
         | denied: GET http://a.test/x: nothing answers in place of a.test; write what it answers into the case, below [[case.given.http]] with `request = "GET http://a.test/x"`
    --- stderr
    shop: asks another server stays as it is: a server that it asked has no answer in the case
    0 passed, 1 failed
    "#);
    assert_eq!(read(&site, "tests/shop.toml"), cases);
}

/// Cases of which the first and the last can be rewritten.
const WRONG: &str = r#"# The top.

[[case]]
name = "all of it" # not that
request = "GET /?env=A&env=B"
[case.expect]
status = 201 # this
headers = { Content-Type = "text/html" }
body = "one" # and this
[case.given]
env = { A = "1" }

[[case]]
name = "a pattern"
request = "GET /?env=A"
expect = { status = 500, body-matches = "never" }

[[case]]
name = "nothing yet"
request = "GET /?env=A"
"#;

#[test]
fn an_update_changes_what_differs_and_nothing_else() {
    let site = site("http02-probe.wasm", "", WRONG);
    assert_snapshot!(test(site.path(), &["--update"]), @r#"
    exit: 1
    --- stdout
    diff shop: all of it
         status: expected 201, got 200
         header content-type: expected "text/html", got "text/plain; charset=utf-8"
         body: - expected, + got
           @@ -1 +1,2 @@
           -one
           \ No newline at end of file
           +ok 1
           +error none
    diff shop: a pattern
         status: expected 500, got 200
         body: expected something like /never/, got "error none\n"
    diff shop: nothing yet
         nothing is expected yet; `midge test --update` writes down what comes
    --- stderr
    what came is written into tests/shop.toml
    2 passed, 1 failed, 2 updated
    "#);
    assert_snapshot!(read(&site, "tests/shop.toml"), @r#"
    # The top.

    [[case]]
    name = "all of it" # not that
    request = "GET /?env=A&env=B"
    [case.expect]
    status = 200 # this
    headers = { Content-Type = "text/plain; charset=utf-8" }
    body = """
    ok 1
    error none
    """ # and this
    [case.given]
    env = { A = "1" }

    [[case]]
    name = "a pattern"
    request = "GET /?env=A"
    expect = { status = 200, body-matches = "never" }

    [[case]]
    name = "nothing yet"
    request = "GET /?env=A"

    [case.expect]
    status = 200
    headers = { content-type = "text/plain; charset=utf-8" }
    body = "error none\n"
    "#);
    assert_snapshot!(test(site.path(), &["--update"]), @r#"
    exit: 1
    --- stdout
    ok   shop: all of it
    diff shop: a pattern
         body: expected something like /never/, got "error none\n"
    ok   shop: nothing yet
    --- stderr
    2 passed, 1 failed
    "#);
}
