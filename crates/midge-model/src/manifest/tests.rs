//! Manifests that are right, and what the wrong ones are told.

mod grants;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::{ARGS_BYTES_MAX, ARGS_MAX};

fn check(text: &str) -> String {
    match Manifest::parse(text) {
        Ok(manifest) => show(&manifest),
        Err(error) => match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        },
    }
}

fn show(manifest: &Manifest) -> String {
    let mut shown = String::new();
    for (name, spec) in &manifest.functions {
        let routes: Vec<_> = spec.routes.iter().map(Route::to_string).collect();
        shown += &format!("{name}: {} {routes:?}", spec.component);
        shown += &spec
            .build
            .as_deref()
            .map(|build| format!(" build {build:?}"))
            .unwrap_or_default();
        if let Some(keep) = spec.keep {
            shown += &format!(" keep {keep}");
        }
        if spec.limits != LimitsPatch::default() {
            shown += &format!("\n{:?}", spec.limits);
        }
        if spec.grants() != Grants::default() {
            shown += "\n";
            shown += &serde_json::to_string(&spec.grants()).unwrap();
        }
        shown += "\n";
    }
    shown
}

/// Every key that works today.
const EVERY_KEY: &str = r#"
[function.checkout]
component = "target/checkout.wasm"
build     = "cargo build --release --target wasm32-wasip2"
routes    = ["POST /checkout", "GET /orders/{id}", "shop.example.net/api/{*rest}"]
isolation = "fresh"
keep      = 20
args      = ["--std", "-"]

[function.checkout.limits]
memory         = "64MiB"
cpu            = "50ms"
time           = "5s"
concurrency    = 2_00
queue          = 0
queue-time     = "1s"
request-body   = "10MiB"
response-body  = "20MiB"
log            = "1MiB"
log-rate       = "64KiB"
outbound-calls = 3
outbound-bytes = "1GiB"
sockets        = 2
weight         = 300

[function.checkout.env]
LOG = "info"

[function.checkout.allow]
http    = ["POST https://api.stripe.com/v1/*", "https://*.example.com"]
tcp     = ["db.internal:5432"]
udp     = ["10.0.0.0/8:53"]
dns     = ["*.internal"]
listen  = ["127.0.0.1:*"]
dirs    = [{ host = "./data", guest = "/data", mode = "rw", quota = "1GiB" }, { host = "./ro", guest = "/ro" }]
secrets = [
    "STRIPE_KEY",
    { name = "CONFIG_KEY", as = "config" },
    { name = "API_KEY", as = "inject", header = "Authorization", format = "Bearer {}", to = ["https://api.example.com/*"] },
    { name = "RAW_KEY", as = "inject", header = "x-key", to = ["https://*.example.com"] },
]
clock   = "real"
tmp     = "64MiB"

[function.hello]
component = "hello.wasm"
"#;

/// A function with these lines below its component.
fn function(lines: &str) -> String {
    check(&format!("[function.x]\ncomponent = \"x.wasm\"\n{lines}"))
}

#[test]
fn a_name_and_a_component_are_enough() {
    assert_snapshot!(check("[function.hello]\ncomponent = \"hello.wasm\""), @r#"hello: hello.wasm ["/hello/*"]"#);
}

#[test]
fn every_key_that_works_today_is_read() {
    assert_snapshot!(check(EVERY_KEY), @r#"
    checkout: target/checkout.wasm ["POST /checkout", "GET /orders/{id}", "shop.example.net/api/{*rest}"] build "cargo build --release --target wasm32-wasip2" keep 20
    LimitsPatch { memory_bytes: Some(67108864), cpu: Some(50ms), time: Some(5s), concurrency: Some(200), queue: Some(0), queue_time: Some(1s), request_body_bytes: Some(10485760), response_body_bytes: Some(20971520), log_bytes: Some(1048576), log_rate_bytes: Some(65536), outbound_calls: Some(3), outbound_bytes: Some(1073741824), sockets: Some(2), weight: Some(300) }
    {"env":{"LOG":"info"},"args":["--std","-"],"dirs":[{"host":"./data","guest":"/data","mode":"rw","quota_bytes":"1GiB"},{"host":"./ro","guest":"/ro","mode":"ro"}],"http":["POST https://api.stripe.com/v1/*","https://*.example.com"],"tcp":["db.internal:5432"],"udp":["10.0.0.0/8:53"],"dns":["*.internal"],"listen":["127.0.0.1:*"],"secrets":[{"name":"STRIPE_KEY","exposure":"env"},{"name":"CONFIG_KEY","exposure":"config"},{"name":"API_KEY","exposure":{"inject":{"header":"authorization","format":"Bearer {}","to":["https://api.example.com/*"]}}},{"name":"RAW_KEY","exposure":{"inject":{"header":"x-key","format":"{}","to":["https://*.example.com"]}}}],"kv":[],"clock":"real","tmp_bytes":"64MiB"}
    hello: hello.wasm ["/hello/*"]
    "#);
}

#[test]
fn an_unknown_key_is_told_the_nearest_known_one() {
    assert_snapshot!(function("limits = { memmory = \"64MiB\" }"), @"line 3, column 12: unknown key `memmory` in [function.x.limits], did you mean `memory`?");
    assert_snapshot!(function("[function.x.limits]\n  request_body = \"64MiB\""), @"line 4, column 3: unknown key `request_body` in [function.x.limits], did you mean `request-body`?");
    assert_snapshot!(function("rout = []"), @"line 3, column 1: unknown key `rout` in [function.x], did you mean `routes`?");
    assert_snapshot!(function("banana = 1"), @"line 3, column 1: unknown key `banana` in [function.x]");
    assert_snapshot!(function("[function.x.allow]\ndir = []"), @"line 4, column 1: unknown key `dir` in [function.x.allow], did you mean `dirs`?");
    assert_snapshot!(check("[functions.x]"), @"line 1, column 2: unknown key `functions` in the manifest, did you mean `function`?");
    assert_snapshot!(check("component = \"x.wasm\""), @r"
    line 1, column 1: unknown key `component` in the manifest
    hint: if `component` is about a function, write it below `[function.NAME]`
    ");
}

#[test]
fn what_is_planned_is_not_silently_ignored() {
    assert_snapshot!(function("cron = [\"* * * * *\"]"), @r"
    line 3, column 1: `cron` in [function.x] is not supported by this version of midge yet
    hint: remove `cron`
    ");
    assert_snapshot!(function("allow.publish = [\"receipts.*\"]"), @r"
    line 3, column 7: `publish` in [function.x.allow] is not supported by this version of midge yet
    hint: remove `publish`
    ");
}

#[test]
fn a_component_from_elsewhere_has_a_digest() {
    assert_snapshot!(check("[function.x]\ncomponent = \"oci://ghcr.io/x\""), @r"
    line 2, column 13: component `oci://ghcr.io/x` does not say which bytes it has to be: its digest is missing
    hint: `midge pull oci://ghcr.io/x` fetches it once and prints the line to write
    ");
    let digest = "0123456789abcdef".repeat(4);
    let line = format!("[function.x]\ncomponent = \"https://example.com/x.wasm#sha256={digest}\"");
    assert_snapshot!(check(&format!("{line}\nbuild = \"make\"")), @r"
    line 1, column 11: [function.x] has `build` and a `component` from elsewhere, which is taken as it is
    hint: remove `build`, or write the path that it builds as `component`
    ");
    assert_snapshot!(check(&line), @r#"x: https://example.com/x.wasm#sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef ["/x/*"]"#);
}

/// The isolation of a function with these lines, or what is wrong with them.
fn isolation(lines: &str) -> String {
    match Manifest::parse(&format!("[function.x]\ncomponent = \"x.wasm\"\n{lines}")) {
        Ok(manifest) => {
            let isolation = manifest.functions.values().next().unwrap().isolation;
            isolation.map_or("nothing".to_owned(), |isolation| isolation.to_string())
        }
        Err(_) => function(lines),
    }
}

#[test]
fn isolation_is_a_level_or_a_table_with_its_bounds() {
    assert_snapshot!(isolation(""), @"nothing");
    assert_snapshot!(isolation("isolation = \"fresh\""), @"fresh");
    assert_snapshot!(isolation("isolation = \"serial\""), @"serial (requests 1000, idle 30s)");
    assert_snapshot!(isolation("isolation = { level = \"shared\", memory = \"48MiB\", concurrency = 4 }"), @"shared (requests 1000, idle 30s, memory 48MiB, concurrency 4)");
    assert_snapshot!(isolation("[function.x.isolation]\nlevel = \"serial\"\nrequests = 7\nidle = \"2s\""), @"serial (requests 7, idle 2s)");
}

#[test]
fn an_isolation_that_is_none_says_what_would_be_one() {
    assert_snapshot!(isolation("isolation = \"thread\""), @"line 3, column 13: isolation `thread` is unknown, write `fresh`, `serial` or `shared`");
    assert_snapshot!(isolation("isolation = 3"), @r#"line 3, column 13: `isolation` in [function.x] is a number, write `"serial"`, or a table such as `{ level = "serial", requests = 1000 }`"#);
    assert_snapshot!(isolation("isolation = { requests = 3 }"), @r#"
    line 3, column 13: [function.x.isolation] has no `level`
    hint: write which one, for example `level = "serial"`
    "#);
    assert_snapshot!(isolation("isolation = { level = \"serial\", request = 3 }"), @"line 3, column 33: unknown key `request` in [function.x.isolation], did you mean `requests`?");
    assert_snapshot!(isolation("isolation = { level = \"serial\", requests = 0 }"), @"line 3, column 44: isolation requests of `0` is out of range, write `1` to `1000000`");
    assert_snapshot!(isolation("isolation = { level = \"serial\", idle = 30 }"), @r#"
    line 3, column 40: duration `30` has no unit, write for example `30s` or `30ms`
    hint: quantities are text with a unit: `memory = "64MiB"`, `time = "5s"`
    "#);
    assert_snapshot!(isolation("isolation = { concurrency = 2, level = \"serial\" }"), @r#"
    line 3, column 15: `concurrency` is not for isolation `serial`
    hint: remove `concurrency`, or write `level = "shared"`
    "#);
    assert_snapshot!(isolation("isolation = { level = \"fresh\", idle = \"1s\" }"), @r"
    line 3, column 32: `idle` is not for isolation `fresh`
    hint: remove `idle`: every invocation gets a fresh instance
    ");
}

#[test]
fn a_limit_says_its_line_and_what_would_be_right() {
    assert_snapshot!(function("\nlimits.memory = \"64\""), @r#"
    line 4, column 17: size `64` has no unit, write for example `64MiB`
    hint: quantities are text with a unit: `memory = "64MiB"`, `time = "5s"`
    "#);
    assert_snapshot!(function("limits.memory = 64"), @r#"
    line 3, column 17: size `64` has no unit, write for example `64MiB`
    hint: quantities are text with a unit: `memory = "64MiB"`, `time = "5s"`
    "#);
    assert_snapshot!(function("limits.memory = true"), @r#"line 3, column 17: `memory` in [function.x.limits] is true or false, write a size such as `"64MiB"`"#);
    assert_snapshot!(function("limits.memory = \"8GiB\""), @"line 3, column 17: memory of `8GiB` is out of range, write `64KiB` to `4GiB`");
    assert_snapshot!(function("limits.time = \"5 parsecs\""), @r#"
    line 3, column 15: `5 parsecs` is not a duration, write numbers and units such as `50ms` or `1m 30s`
    hint: quantities are text with a unit: `memory = "64MiB"`, `time = "5s"`
    "#);
    assert_snapshot!(function("limits.time = \"2h\""), @"line 3, column 15: time of `2h` is out of range, write `1ms` to `1h`");
    assert_snapshot!(function("limits.concurrency = 0"), @"line 3, column 22: concurrency of `0` is out of range, write `1` to `10000`");
    assert_snapshot!(function("limits.concurrency = -1"), @"line 3, column 22: concurrency of `-1` is out of range, write `1` to `10000`");
    assert_snapshot!(function("limits.concurrency = \"many\""), @"line 3, column 22: `concurrency` in [function.x.limits] is text, write a number such as `200`");
    assert_snapshot!(function("limits = \"64MiB\""), @r#"line 3, column 10: `limits` in [function.x] is text, write a table such as `{ memory = "64MiB" }`"#);
}

#[test]
fn how_many_revisions_stay_has_bounds() {
    assert_snapshot!(function("keep = 1"), @r#"x: x.wasm ["/x/*"] keep 1"#);
    assert_snapshot!(function("keep = 0"), @"line 3, column 8: keep of `0` is out of range, write `1` to `100`");
    assert_snapshot!(function("keep = 101"), @"line 3, column 8: keep of `101` is out of range, write `1` to `100`");
    assert_snapshot!(function("keep = \"10\""), @"line 3, column 8: `keep` in [function.x] is text, write a number such as `10`");
    assert_snapshot!(function("keeps = 10"), @"line 3, column 1: unknown key `keeps` in [function.x], did you mean `keep`?");
}

#[test]
fn a_route_says_its_line_and_what_would_be_right() {
    assert_snapshot!(function("routes = [\n  \"/ok\",\n  \"get /x\",\n]"), @"line 5, column 3: route `get /x` has the method `get`, write it in capital letters: `GET`");
    assert_snapshot!(function("routes = \"/x\""), @r#"line 3, column 10: `routes` in [function.x] is text, write a list such as `["GET /orders/{id}"]`"#);
    assert_snapshot!(function("routes = [1]"), @r#"line 3, column 11: `routes` in [function.x] is a number, write a list such as `["GET /orders/{id}"]`"#);
    assert_snapshot!(function("routes = []"), @r"
    line 3, column 10: `routes` in [function.x] is empty
    hint: remove `routes` and the function answers below its own name
    ");
}

#[test]
fn routes_that_collide_are_both_named() {
    assert_snapshot!(function("routes = [\"/a/{b}\"]\n[function.y]\ncomponent = \"y\"\nroutes = [\"/\", \"/a/{c}\"]"), @r"
    line 6, column 16: route `/a/{c}` matches the same requests as `/a/{b}` of function `x`
    hint: give one of them another path, method or host
    ");
    assert_snapshot!(function("[function.y]\ncomponent = \"y\"\nroutes = [\"/x/*\"]"), @r"
    line 5, column 11: route `/x/*` matches the same requests as `/x/*` of function `x`
    hint: give one of them another path, method or host
    ");
}

#[test]
fn grants_are_checked_where_they_stand() {
    assert_snapshot!(function("env = { \"A-B\" = \"x\" }"), @"line 3, column 9: environment variable name `A-B` is not a letter or `_` followed by letters, digits and `_`");
    assert_snapshot!(function("args = \"-c\""), @r#"line 3, column 8: `args` in [function.x] is text, write a list such as `["-c"]`"#);
    assert_snapshot!(function("args = [1]"), @"line 3, column 9: `args` in [function.x] is a number, write text in quotes");
    assert_snapshot!(function("args = [\"a\\u0000b\"]"), @"line 3, column 8: arguments are more than 64, longer than 32768 bytes or have a zero byte");
    let many = vec!["\"-v\""; ARGS_MAX + 1].join(",");
    assert_snapshot!(function(&format!("args = [{many}]")), @"line 3, column 8: arguments are more than 64, longer than 32768 bytes or have a zero byte");
    let long = "x".repeat(ARGS_BYTES_MAX);
    assert_snapshot!(function(&format!("args = [\"{long}\"]")), @"line 3, column 8: arguments are more than 64, longer than 32768 bytes or have a zero byte");
    assert_snapshot!(function("env = { A = 1 }"), @"line 3, column 13: `A` in [function.x.env] is a number, write text in quotes");
    assert_snapshot!(function("allow.dirs = [{ host = \"a\" }]"), @"line 3, column 15: [function.x.allow.dirs] has no `guest`");
    assert_snapshot!(function("allow.dirs = [{ host = \"a\", guest = \"a\" }]"), @"line 3, column 15: guest path `a` must start with `/` and be without `.`, `..` and `//`, write for example `/data`");
    assert_snapshot!(function("allow.dirs = [{ host = \"a\", guest = \"/a\", mode = \"x\" }]"), @"line 3, column 50: mode `x` is unknown, write `ro` (read only) or `rw` (read and write)");
    assert_snapshot!(function("allow.dirs = [\"./a:/a\"]"), @r#"line 3, column 15: `dirs` in [function.x.allow] is text, write a table such as `{ host = "./data", guest = "/data" }`"#);
    assert_snapshot!(function("allow.dirs = [{ host = \"a\", guest = \"/a\" },\n  { host = \"a/b\", guest = \"/b\", mode = \"rw\" }]"), @"line 4, column 3: directories `a:/a:ro` and `a/b:/b:rw` share host files but not the mode, give both the same mode or keep the trees apart");
}

#[test]
fn a_manifest_without_a_function_is_told_what_one_looks_like() {
    assert_snapshot!(check(""), @r#"
    line 1, column 1: manifest has no function
    hint: add for example
        [function.hello]
        component = "hello.wasm"
    "#);
    assert_snapshot!(check("[function]"), @r#"
    line 1, column 1: manifest has no function
    hint: add for example
        [function.hello]
        component = "hello.wasm"
    "#);
    assert_snapshot!(check("[function.x]"), @r#"
    line 1, column 11: [function.x] has no `component`
    hint: add below [function.x]
        component = "path/to/function.wasm"
    "#);
    assert_snapshot!(check("[function.x]\ncomponent = \"\""), @"line 2, column 13: `component` in [function.x] is empty");
    assert_snapshot!(check("function = 1"), @"line 1, column 12: `function` in the manifest is a number, write a table such as `[function.hello]`");
    assert_snapshot!(check("function.x = 1"), @"line 1, column 14: `x` in the manifest is a number, write a table such as `[function.hello]`");
    assert_snapshot!(check("[function.Resize]\ncomponent = \"x\""), @"line 1, column 11: read function name: name `Resize` has 'R' at position 0, write lower-case letters, digits and `-` only");
}

#[test]
fn what_is_not_toml_is_shown_its_place() {
    assert_snapshot!(check("[function.x]\ncomponent = x.wasm"), @"line 2, column 13: string values must be quoted, expected literal string");
    assert_snapshot!(check("[function.x"), @"line 1, column 12: unclosed table, expected `]`");
    assert_snapshot!(check("[function.x]\n# é é\na = 1\na = 2"), @"line 4, column 1: duplicate key");
    assert_snapshot!(check("[function.x]\nbuild = \"é\" 1"), @"line 2, column 13: unexpected key or value, expected newline, `#`");
    assert_snapshot!(check(&" ".repeat(MANIFEST_BYTES_MAX + 1)), @"line 1, column 1: manifest is longer than 1048576 bytes");
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _manifest = Manifest::parse(&text);
    }

    /// Nearly right manifests get further than random text.
    #[test]
    fn never_panics_on_what_is_nearly_a_manifest(
        key in "(component|routes|limits|keep|env|args|allow|isolation|cron|[a-z]{1,6})(\\.(http|tcp|dns|dirs|secrets|tmp|cpu|[a-z]{1,6}))?",
        value in "(\"[a-z/{}:* ]{0,8}\"|\\[\"(https://)?[a-z*.:0-9]{0,8}\"\\]|\\[\\{ (name|host) = \"[a-zA-Z]{0,3}\" \\}\\]|[0-9]{1,20}|0x[0-9a-f]{1,20}|\\[\"/[a-z]{0,2}\"\\]|\\{[a-z]{1,3} = 1\\}|true|1979-05-27|nan)",
    ) {
        let text = format!("[function.x]\n{key} = {value}\n");
        if let Err(error) = Manifest::parse(&text) {
            prop_assert!((1..=3).contains(&error.line()), "{}", error);
        }
    }

    #[test]
    fn reads_back_what_it_is_given(name in "[a-z]{1,8}", path in "[a-z]{1,8}", megabytes in 1..4096_u64) {
        let text = format!("[function.{name}]\ncomponent = \"{path}\"\nlimits.memory = \"{megabytes}MiB\"");
        let manifest = Manifest::parse(&text).unwrap();
        let spec = &manifest.functions[name.as_str()];
        prop_assert_eq!(&spec.component, &ComponentSource::Path(path));
        prop_assert_eq!(spec.limits.memory_bytes, Some(megabytes << 20));
        prop_assert_eq!(spec.routes[0].to_string(), format!("/{name}/*"));
    }
}
