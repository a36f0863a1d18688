//! Files of cases that are right, and what the wrong ones are told.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn check(text: &str) -> String {
    match Cases::parse(text) {
        Ok(cases) => {
            let given = cases.cases.iter().map(|case| cases.given(case));
            let shown = cases.cases.iter().zip(given).map(|(case, given)| {
                let Case {
                    name,
                    line,
                    request,
                    expect,
                    ..
                } = case;
                format!("{line}: {name}\n  {request:?}\n  {expect:?}\n  {given:?}\n")
            });
            shown.collect()
        }
        Err(error) => match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        },
    }
}

/// A case with these lines below its name and its request.
fn case(lines: &str) -> String {
    check(&format!(
        "[[case]]\nname = \"n\"\nrequest = \"GET /\"\n{lines}\n"
    ))
}

const EVERY_KEY: &str = r#"
[given]
env = { LOG = "info", KEPT = "yes" }
random = 1
[[given.http]]
request = "https://*"
status = 500

[[case]]
name = "greets by name"
request = "GET /hello/Ada?greeting=Hi"
headers = { accept = ["text/plain", "text/html"] }
body = "text"
[case.expect]
status = 200
headers = { x-language = "Rust", content-type = { matches = "^text/" }, x-secret = { absent = true } }
body = "Hi, Ada!\n"
[case.given]
kv = { default = { count = 4 } }
env = { LOG = "debug" }
secrets = { API_KEY = "hidden" }
now = 2026-01-01T00:00:00Z
random = 7
[[case.given.http]]
request = "GET https://example.com/?x=1"
headers = { x-a = "b" }
json = { a = [1, 2.5, true] }
[[case.given.http]]
request = "https://in-turn.test"
answers = [{ status = 503, headers = { retry-after = "1" } }, { json = {} }]

[[case]]
name = "piece by piece"
request = { method = "POST", path = "/x", headers = { x-b = "c" }, body-file = "x.bin" }
expect = { json = { a = { b = 1 } } }
given = { now = "+3d" }
"#;

#[test]
fn every_key_is_read() {
    assert_snapshot!(check(EVERY_KEY), @r#"
    9: greets by name
      CaseRequest { method: GET, target: "/hello/Ada?greeting=Hi", headers: {"accept": "text/plain", "accept": "text/html"}, body: Text("text") }
      Expect { status: Some(200), headers: {"content-type": Matches(/^text//), "x-language": Is("Rust"), "x-secret": Absent}, body: Some(Text("Hi, Ada!\n")) }
      Given { kv: {BucketName("default"): {"count": "4"}}, env: {"KEPT": "yes", "LOG": "debug"}, secrets: {"API_KEY": ***}, now: Some(At(Timestamp(1767225600000))), random: Some(7), http: [StandIn { request: StandInRequest { request: HttpGrant { methods: {"GET"}, scheme: Https, host: Is(Name("example.com")), ports: None, path: Some(PathPattern { segments: [Literal("")], is_open: false }) }, query: Some("x=1") }, answers: Always(StandInAnswer { status: 200, headers: {"x-a": "b", "content-type": "application/json"}, body: Json(Object {"a": Array [Number(1), Number(2.5), Bool(true)]}) }) }, StandIn { request: StandInRequest { request: HttpGrant { methods: {}, scheme: Https, host: Is(Name("in-turn.test")), ports: None, path: None }, query: None }, answers: InTurn([StandInAnswer { status: 503, headers: {"retry-after": "1"}, body: Nothing }, StandInAnswer { status: 200, headers: {"content-type": "application/json"}, body: Json(Object {}) }]) }, StandIn { request: StandInRequest { request: HttpGrant { methods: {}, scheme: Https, host: Any, ports: None, path: None }, query: None }, answers: Always(StandInAnswer { status: 500, headers: {}, body: Nothing }) }] }
    32: piece by piece
      CaseRequest { method: POST, target: "/x", headers: {"x-b": "c"}, body: File("x.bin") }
      Expect { status: None, headers: {}, body: Some(Json(Object {"a": Object {"b": Number(1)}})) }
      Given { kv: {}, env: {"KEPT": "yes", "LOG": "info"}, secrets: {}, now: Some(Later(259200s)), random: Some(1), http: [StandIn { request: StandInRequest { request: HttpGrant { methods: {}, scheme: Https, host: Any, ports: None, path: None }, query: None }, answers: Always(StandInAnswer { status: 500, headers: {}, body: Nothing }) }] }
    "#);
}

#[test]
fn the_samples_of_the_templates_are_read() {
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/../../templates");
    let mut read = 0;
    for template in std::fs::read_dir(templates).unwrap() {
        let Ok(tests) = std::fs::read_dir(template.unwrap().path().join("tests")) else {
            continue;
        };
        for file in tests {
            let path = file.unwrap().path();
            if path.ends_with("touched.toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let cases = Cases::parse(&text);
            assert!(cases.is_ok(), "{}: {}", path.display(), cases.unwrap_err());
            read += 1;
        }
    }
    assert!(read >= 10, "{read} files");
}

#[test]
fn the_examples_of_the_guide_are_read() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/testing.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let blocks = guide.split("```toml\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 3);
    for block in blocks {
        let cases = Cases::parse(block);
        assert!(cases.is_ok(), "{}:\n{block}", cases.unwrap_err());
    }
}

#[test]
fn a_slip_is_told_with_its_place() {
    assert_snapshot!(check(""), @r#"
    line 1, column 1: the file has no case
    hint: write for example
        [[case]]
        name = "says hello"
        request = "GET /"
        [case.expect]
        status = 200
    "#);
    assert_snapshot!(check("[[cases]]"), @"line 1, column 3: unknown key `cases` in the cases, did you mean `case`?");
    assert_snapshot!(check("case = 3"), @"line 1, column 8: `case` in the cases is a number, write a table that begins with `[[case]]`");
    assert_snapshot!(check("[[case]]\nrequest = \"GET /\""), @"line 1, column 1: [[case]] has no `name`");
    assert_snapshot!(check("[[case]]\nname = \"\"\nrequest = \"GET /\""), @"line 2, column 8: `name` in [[case]] is empty");
    assert_snapshot!(check("[[case]]\nname = \"n\""), @"line 1, column 1: [[case]] has no `request`");
    assert_snapshot!(case("[case.expect]\nstatu = 200"), @"line 5, column 1: unknown key `statu` in [case.expect], did you mean `status`?");
    assert_snapshot!(case("[case.expect]\nstatus = 20"), @"line 5, column 10: status 20 is not one, write 100 to 999");
    assert_snapshot!(case("[case.expect]\nbody = \"a\"\njson = {}"), @"line 6, column 1: `body` and `json` say the same, keep one of them");
    assert_snapshot!(case("[case.expect]\nbody-matches = \"a(\""), @r"
    line 5, column 16: pattern `a(`: unclosed group
    hint: in '…' a backslash stands for itself: `body-matches = '^\d+$'`
    ");
    assert_snapshot!(case("[case.expect]\njson = { at = 2026-01-01 }"), @"
    line 5, column 15: a date has no place in JSON
    hint: put it in quotes
    ");
    assert_snapshot!(case("[case.expect]\nheaders = { x = 3 }"), @r#"line 5, column 17: `x` in [case.expect.headers] is a number, write text, `{ matches = "…" }` or `{ absent = true }`"#);
    assert_snapshot!(case("[case.expect]\nheaders = { \"x y\" = \"3\" }"), @"line 5, column 13: header `x y` is not a name");
    assert_snapshot!(case("body = \"a\"\nbody-file = \"b\""), @"line 5, column 1: `body` and `body-file` say the same, keep one of them");
    assert_snapshot!(case("headers = { x = \"a\\nb\" }"), @"line 4, column 17: header `x` has a value that cannot be sent");
    assert_snapshot!(case("[[case]]\nname = \"n\"\nrequest = \"GET /\""), @"line 5, column 8: another case of the file is called `n`");
    let request = |text: &str| check(&format!("[[case]]\nname = \"n\"\nrequest = \"{text}\""));
    assert_snapshot!(request("/"), @"line 3, column 11: request `/` has no path, write for example `GET /orders/7`");
    assert_snapshot!(request("get /"), @"line 3, column 11: request `get` has the method `get`, write it in capital letters: `GET`");
    assert_snapshot!(request("GET orders"), @"line 3, column 11: path `orders` is not one, write it as it is sent: from `/` on, and encoded");
    assert_snapshot!(request("GET /a b"), @"line 3, column 11: path `/a b` is not one, write it as it is sent: from `/` on, and encoded");
}

#[test]
fn what_could_not_be_given_in_earnest_is_refused() {
    assert_snapshot!(case("[case.given]\nkv = { \"A B\" = {} }"), @"line 5, column 8: bucket `A B` is not 1 to 63 of `a`-`z`, `0`-`9`, `-` and `_`");
    assert_snapshot!(case("[case.given]\nkv = { a = { \"\" = \"x\" } }"), @"line 5, column 14: key `` has 0 bytes, write 1 to 512");
    assert_snapshot!(case("[case.given]\nkv = { a = { k = [] } }"), @"line 5, column 18: `k` in [case.given.kv.a] is a list, write text in quotes");
    assert_snapshot!(case("[case.given]\nenv = { \"A=\" = \"x\" }"), @"line 5, column 9: environment variable name `A=` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(case("[case.given]\nsecrets = { A = \"\\u0000\" }"), @"line 5, column 17: secret contains a zero byte");
    assert_snapshot!(case("[case.given]\nnow = \"soon\""), @"line 5, column 7: time `soon` is not RFC 3339 in UTC, write for example `2026-11-22T14:00:00Z`, or `+3d` or `-1h` for a clock that is ahead or behind");
    assert_snapshot!(case("[case.given]\nnow = 2026-01-01"), @"line 5, column 7: time `2026-01-01` is not RFC 3339 in UTC, write for example `2026-11-22T14:00:00Z`, or `+3d` or `-1h` for a clock that is ahead or behind");
    assert_snapshot!(case("[case.given]\nrandom = -1"), @"line 5, column 10: random numbers come from a number, 0 or more");
    assert_snapshot!(case("[[case.given.http]]\nstatus = 200"), @"line 4, column 1: [[case.given.http]] has no `request`");
    assert_snapshot!(case("[[case.given.http]]\nrequest = \"https://a.test\"\nanswers = []"), @"line 6, column 11: `answers` has none, write for example `answers = [{ status = 503 }, { status = 200 }]`");
    assert_snapshot!(case("[[case.given.http]]\nrequest = \"https://a.test\"\nanswers = [{ statu = 1 }]"), @"line 6, column 14: unknown key `statu` in `answers`, did you mean `status`?");
    assert_snapshot!(case("[[case.given.http]]\nrequest = \"https://a.test\"\nbody = \"x\"\nanswers = [{}]"), @"line 7, column 1: `answers` and `body` say the same, keep one of them");
    assert_snapshot!(case("[[case.given.http]]\nrequest = \"example.com\""), @"line 5, column 11: http grant `example.com` has no scheme, write for example `https://example.com`");
    assert_snapshot!(case("[[case.given.http]]\nrequest = \"GET https://a.test/?a b\""), @"line 5, column 11: query `a b` is not one, write it as it is sent");
}

#[test]
fn a_stand_in_answers_what_a_grant_would_allow_and_its_query() {
    let host = "a.test".parse().unwrap();
    let matches = |request: &str, path, query| {
        let request: StandInRequest = request.parse().unwrap();
        let asked = crate::Outbound {
            method: &Method::GET,
            https: true,
            host: &host,
            port: 443,
            path,
        };
        request.matches(&asked, query)
    };
    assert!(matches("GET https://a.test/x", "/x", None));
    assert!(matches("GET https://a.test/x", "/x", Some("y=1")));
    assert!(matches("https://a.test/*", "/x", None));
    assert!(matches("GET https://a.test/x?y=1", "/x", Some("y=1")));
    assert!(!matches("GET https://a.test/x?y=1", "/x", Some("y=2")));
    assert!(!matches("GET https://a.test/x?y=1", "/x", None));
    assert!(!matches("POST https://a.test/x", "/x", None));
    assert!(!matches("GET http://a.test/x", "/x", None));
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        drop(Cases::parse(&text));
    }

    /// Slips in a file that was right: a few bytes out of it, and others in.
    #[test]
    fn no_slip_panics(at in 0..EVERY_KEY.len(), cut in 0..20_usize, text in "[\\[\\]a-z\"'=.{}\n0-9 ]{0,6}") {
        let end = (at + cut).min(EVERY_KEY.len());
        let slip = EVERY_KEY.get(..at).zip(EVERY_KEY.get(end..));
        if let Some((before, behind)) = slip
            && let Err(error) = Cases::parse(&format!("{before}{text}{behind}"))
        {
            prop_assert!(error.line() >= 1 && !error.to_string().is_empty());
        }
    }
}
