//! `midge test`: cases against functions that are what they are.

mod bodies;
mod update;

use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use crate::kit::{Site, midge_in};

/// A run in this folder, without how long it took and what had to be compiled for it.
fn test(folder: &Path, args: &[&str]) -> String {
    let args: Vec<_> = ["test"].iter().chain(args).copied().collect();
    let text = midge_in(folder, &args);
    let mut without = String::new();
    let is_ours = |line: &&str| !line.starts_with("compil");
    for line in text.lines().filter(is_ours) {
        let line = match line.rsplit_once(" (") {
            Some((line, took)) if took.ends_with(" ms)") => line,
            _ => line,
        };
        let line = match line.rsplit_once(" in ") {
            Some((line, took)) if took.ends_with(" s") => line,
            _ => line,
        };
        without.push_str(line);
        without.push('\n');
    }
    without
}

/// A folder with one function of this fixture and one file of cases.
fn site(fixture: &str, lines: &str, cases: &str) -> Site {
    let lines = format!("routes = [\"/*\"]\n{lines}");
    let site = Site::of(&[("shop", fixture, &lines)]);
    write(&site, "tests/shop.toml", cases);
    site
}

fn write(site: &Site, path: &str, text: &str) {
    let path = site.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(site: &Site, path: &str) -> String {
    fs::read_to_string(site.path().join(path)).unwrap()
}

const ALLOW: &str = r#"
[function.shop.allow]
http = ["http://a.test/*"]
"#;

const ASKS: &str = r#"
[[case]]
name = "asks another server"
request = "GET /?fetch=GET+http://a.test/x"
[case.expect]
status = 200
body = "ok 200 5 hello\n"
[[case.given.http]]
request = "GET http://a.test/*"
body = "hello"
"#;

#[test]
fn the_first_run_goes_well_and_writes_down_what_was_touched() {
    let site = site("http02-probe.wasm", ALLOW, ASKS);
    assert_snapshot!(test(site.path(), &[]), @"
    exit: 0
    --- stdout
    ok   shop: asks another server
    --- stderr
    what functions touched is in tests/touched.toml
    1 passed, 0 failed
    ");
    assert_snapshot!(read(&site, "tests/touched.toml"), @r#"
    # What the functions touched in their tests, as the smallest `allow` tables that cover it.
    # A test run that sees more than this fails. `midge test --update` writes it anew.

    [function.shop.allow]
    http = ["GET http://a.test/x"]
    "#);
    let of_03 = self::site("http03-probe.wasm", ALLOW, ASKS);
    assert!(test(of_03.path(), &[]).starts_with("exit: 0\n"));
    assert_eq!(
        read(&of_03, "tests/touched.toml"),
        read(&site, "tests/touched.toml")
    );
}

#[test]
fn a_failure_shows_what_differs_and_what_was_written() {
    let cases = r#"
[[case]]
name = "is not so"
request = { method = "POST", path = "/x?y=1", headers = { x-a = "b" }, json = { a = 1 } }
[case.expect]
status = 404
headers = { content-type = "text/html", x-none = { matches = "^a" } }
body = "one\ntwo\nthree\n"

[[case]]
name = "is refused"
request = "GET /nothing-of-this"
[case.expect]
json = { a = 1 }

[[case]]
name = "matches"
request = "GET /"
[case.expect]
body-matches = '^something else$'
"#;
    let site = site("http02-echo.wasm", "", cases);
    assert_snapshot!(test(site.path(), &[]), @r#"
    exit: 1
    --- stdout
    FAIL shop: is not so
         status: expected 404, got 200
         header content-type: expected "text/html", got "application/json"
         header x-none: expected something like /^a/, got none
         body: - expected, + got
           @@ -1,3 +1 @@
           -one
           -two
           -three
           +{"a":1}
           \ No newline at end of file
    FAIL shop: is refused
         body: expected JSON, got "" (EOF while parsing a value at line 1 column 0)
    FAIL shop: matches
         body: expected something like /^something else$/, got ""
    --- stderr
    0 passed, 3 failed
    "#);
}

#[test]
fn a_function_that_crashes_fails_its_case_with_its_log() {
    let case =
        "[[case]]\nname = \"n\"\nrequest = \"GET /?at=before\"\n[case.expect]\nstatus = 200\n";
    let trap = site("http02-trap.wasm", "", case);
    let said = test(trap.path(), &[]);
    assert!(
        said.starts_with(
            "exit: 1\n--- stdout\nFAIL shop: n\n     status: expected 200, got 502: the function crashed: "
        ),
        "{said}"
    );
    let cases = r#"
[[case]]
name = "asks what nobody answers"
request = "GET /?fetch=GET+http://a.test/x"
[case.expect]
status = 500
"#;
    let alone = site("http02-probe.wasm", ALLOW, cases);
    assert_snapshot!(test(alone.path(), &[]), @r#"
    exit: 1
    --- stdout
    FAIL shop: asks what nobody answers
         status: expected 500, got 200
         | denied: GET http://a.test/x: nothing answers in place of a.test; write what it answers into the case, below [[case.given.http]] with `request = "GET http://a.test/x"`
    --- stderr
    0 passed, 1 failed
    "#);
}

#[test]
fn what_midge_answers_in_place_of_a_function_can_be_expected() {
    let ends = |fixture: &str, lines: &str, path: &str, expect: &str| {
        let cases = format!(
            "[[case]]\nname = \"n\"\nrequest = \"GET {path}\"\n\
             headers = {{ accept = \"application/json\" }}\n[case.expect]\n{expect}\n"
        );
        test(site(fixture, lines, &cases).path(), &[])
    };
    let busy = "limits = { cpu = \"50ms\" }";
    for (fixture, lines, path, expect) in [
        (
            "http02-busy.wasm",
            busy,
            "/",
            "status = 504\njson = { error = { code = \"out-of-cpu\" } }",
        ),
        (
            "http02-trap.wasm",
            "",
            "/?at=before",
            "status = 502\nheaders = { cache-control = \"no-store\" }",
        ),
        (
            "http02-no-response.wasm",
            "",
            "/",
            "status = 502\njson = { error = { code = \"no-response\" } }",
        ),
        (
            "http02-alloc.wasm",
            "limits = { memory = \"16MiB\" }",
            "/?mb=all",
            "status = 502",
        ),
        ("command01-exit.wasm", "", "/", "status = 502"),
    ] {
        let said = ends(fixture, lines, path, expect);
        assert!(said.starts_with("exit: 0\n"), "{fixture}: {said}");
    }
    assert_snapshot!(ends("http02-busy.wasm", busy, "/", "status = 504\njson = { error = { code = \"trapped\" } }"), @r#"
    exit: 1
    --- stdout
    FAIL shop: n
         body: $.error.code: expected "trapped", got "out-of-cpu"
    --- stderr
    0 passed, 1 failed
    "#);
    assert_snapshot!(ends("http02-busy.wasm", busy, "/", "headers = { x = { absent = true } }"), @"
    exit: 1
    --- stdout
    FAIL shop: n
         the function needed more than its 50ms of CPU time
    --- stderr
    0 passed, 1 failed
    ");
}

#[test]
fn an_end_without_an_answer_is_not_written_down() {
    let case = "[[case]]\nname = \"n\"\nrequest = \"GET /?at=before\"\n";
    let site = site("http02-trap.wasm", "", case);
    assert!(test(site.path(), &["--update"]).starts_with("exit: 1\n"));
    assert_eq!(read(&site, "tests/shop.toml"), case);
}

#[test]
fn servers_can_answer_first_this_and_then_that() {
    let cases = r#"
[[case]]
name = "asks again"
request = "GET /?fetch=GET+http://a.test/x&fetch=GET+http://a.test/x&fetch=GET+http://a.test/x"
[case.expect]
body = "ok 503 0 \nok 200 2 {}\nok 404 0 \n"
[[case.given.http]]
request = "GET http://a.test/*"
answers = [{ status = 503 }, { json = {} }]
[[case.given.http]]
request = "GET http://a.test/*"
status = 404

[[case]]
name = "asks too often"
request = "GET /?fetch=GET+http://a.test/x&fetch=GET+http://a.test/x"
[case.expect]
status = 200
body = "ok 503 0 \nok 200 0 \n"
[[case.given.http]]
request = "GET http://a.test/*"
answers = [{ status = 503 }]
"#;
    let site = site("http02-probe.wasm", ALLOW, cases);
    assert_snapshot!(test(site.path(), &[]), @"
    exit: 1
    --- stdout
    ok   shop: asks again
    FAIL shop: asks too often
         body: - expected, + got
           @@ -1,2 +1,2 @@
            ok 503 0 
           -ok 200 0 
           +error http-request-denied
         | denied: GET http://a.test/x: what stands in for a.test has given all of its 1 answers; write one more into `answers` if it may be asked again
    --- stderr
    1 passed, 1 failed
    ");
}

#[test]
fn what_a_case_is_given_is_found_and_gone_with_it() {
    let allow = "[function.shop.allow]\nkv = [\"default\"]\n";
    let cases = r#"
[given]
kv = { default = { n = "4" } }
[[case]]
name = "finds what is kept"
request = "GET /?open=default&get=n&set=n:9"
[case.expect]
body = "ok\nok 4\nok\n"
[[case]]
name = "finds it again"
request = "GET /?open=default&get=n"
[case.expect]
body = "ok\nok 4\n"
"#;
    for fixture in ["http02-kv.wasm", "http03-kv.wasm"] {
        let site = site(fixture, allow, cases);
        let said = test(site.path(), &[]);
        assert!(said.starts_with("exit: 0\n"), "{fixture}: {said}");
    }
}

#[test]
fn secrets_time_and_numbers_are_those_of_the_case() {
    let allow = "[function.shop.allow]\nsecrets = [\"API_KEY\"]\n";
    let cases = r#"
[[case]]
name = "has no value"
request = "GET /?env=API_KEY"
[case.expect]
status = 200
[[case]]
name = "has one"
request = "GET /?env=API_KEY&random=4&clock"
[case.expect]
body-matches = "^ok hidden\nok 4 fe9b3d26\nok monotonic [0-9]+ .* wall 1767225600.0+ "
[case.given]
secrets = { API_KEY = "hidden" }
now = 2026-01-01T00:00:00Z
random = 7
"#;
    let site = site("http02-probe.wasm", allow, cases);
    assert_snapshot!(test(site.path(), &[]), @r#"
    exit: 1
    --- stdout
    FAIL shop: has no value
         secret `API_KEY` is granted and has no value here, add to [given]: secrets = { API_KEY = "…" }
    ok   shop: has one
    --- stderr
    1 passed, 1 failed
    "#);
}

#[test]
fn a_path_without_a_route_fails_its_case() {
    let cases =
        "[[case]]\nname = \"n\"\nrequest = \"GET /elsewhere\"\n[case.expect]\nstatus = 404\n";
    let site = Site::of(&[("shop", "http02-echo.wasm", "routes = [\"POST /orders\"]")]);
    write(&site, "tests/shop.toml", cases);
    assert_snapshot!(test(site.path(), &[]), @"
    exit: 1
    --- stdout
    FAIL shop: n
         no route matches GET /elsewhere, there are: POST /orders
    --- stderr
    0 passed, 1 failed
    ");
}

#[test]
fn commands_are_tested_as_well() {
    let cases = r#"
[[case]]
name = "echoes"
request = "POST /x?y=1"
body = "hello"
[case.expect]
status = 200
body-matches = "hello"
"#;
    let site = site("command01-echo.wasm", "", cases);
    assert_snapshot!(test(site.path(), &[]), @"
    exit: 0
    --- stdout
    ok   shop: echoes
    --- stderr
    what functions touched is in tests/touched.toml
    1 passed, 0 failed
    ");
}

#[test]
fn powers_that_grow_fail_the_run() {
    let site = site("http02-probe.wasm", ALLOW, ASKS);
    let touched = "[function.shop.allow]\nhttp = [\"GET http://a.test/y\"]\n";
    write(&site, "tests/touched.toml", touched);
    assert_snapshot!(test(site.path(), &[]), @"
    exit: 1
    --- stdout
    ok   shop: asks another server
    --- stderr
    error: function shop sent GET http://a.test/x, which tests/touched.toml does not have

    hint: if it should, midge test --update writes it down
    1 passed, 0 failed
    ");
    assert_eq!(read(&site, "tests/touched.toml"), touched);
    assert_snapshot!(test(site.path(), &["--update"]), @"
    exit: 0
    --- stdout
    ok   shop: asks another server
    --- stderr
    what functions touched is in tests/touched.toml
    1 passed, 0 failed
    ");
    assert!(test(site.path(), &[]).starts_with("exit: 0\n"));
}

/// What a test sees must not depend on being watched: no grant, no bucket.
#[test]
fn being_watched_allows_nothing_more() {
    let cases = r#"
[[case]]
name = "is denied"
request = "GET /?open=default"
[case.expect]
body-matches = "^error"
"#;
    let site = site("http02-kv.wasm", "", cases);
    assert!(test(site.path(), &[]).starts_with("exit: 0\n"));
}

#[test]
fn a_report_and_records_say_the_same() {
    let site = site(
        "http02-probe.wasm",
        ALLOW,
        &ASKS.replace("hello\\n", "hallo\\n"),
    );
    let said = test(site.path(), &["--json", "--junit", "report.xml"]);
    let mut records = said.lines().filter(|line| line.starts_with('{'));
    let case: serde_json::Value = serde_json::from_str(records.next().unwrap()).unwrap();
    assert_eq!(case["passed"], false);
    assert_eq!(case["function"], "shop");
    assert_eq!(case["line"], 2);
    let totals: serde_json::Value = serde_json::from_str(records.next().unwrap()).unwrap();
    assert_eq!(
        (&totals["passed"], &totals["failed"]),
        (&0.into(), &1.into())
    );
    let report = read(&site, "report.xml");
    let difference = case["differences"][0].as_str().unwrap();
    assert!(
        report.contains(&difference.replace('"', "&quot;")),
        "{report}"
    );
    assert!(
        report.contains("<testsuites name=\"midge test\" tests=\"1\" failures=\"1\""),
        "{report}"
    );
}

#[test]
fn what_cannot_be_run_is_refused_with_what_to_do() {
    let empty = Site::of(&[("shop", "http02-echo.wasm", "")]);
    assert_snapshot!(test(empty.path(), &[]), @r#"
    exit: 1
    --- stdout
    --- stderr
    error: `.` has no cases

    hint: write some into tests/hello.toml beside midge.toml, for example
        [[case]]
        name = "says hello"
        request = "GET /"
        [case.expect]
        status = 200
    "#);
    let site = site("http02-echo.wasm", "", ASKS);
    assert_snapshot!(test(site.path(), &["nothing of this"]), @"
    exit: 1
    --- stdout
    --- stderr
    error: no case of . has `nothing of this` in its name
    ");
    assert!(test(site.path(), &["another"]).contains("shop: asks another server"));
    let by_file = test(site.path(), &["tests/shop.toml"]);
    assert!(by_file.contains("shop: asks another server"), "{by_file}");
    write(&site, "tests/shop.toml", "[[case]]\nnme = \"n\"\n");
    assert_snapshot!(test(site.path(), &[]), @"
    exit: 1
    --- stdout
    --- stderr
    error: tests/shop.toml: line 2, column 1: unknown key `nme` in [[case]], did you mean `name`?
    ");
    let unbuilt = Site::written("[function.shop]\ncomponent = \"build/shop.wasm\"\n");
    write(&unbuilt, "main.c", "");
    write(&unbuilt, "tests/shop.toml", ASKS);
    assert_snapshot!(test(unbuilt.path(), &[]), @"
    exit: 1
    --- stdout
    --- stderr
    error: function shop: there is no `./build/shop.wasm`

    hint: midge build
    ");
}
