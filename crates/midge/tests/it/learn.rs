//! Learning: what a function was seen to use is all that it needs, and nothing of it is too much.

use std::fs;

use insta::assert_snapshot;
use midge_testkit::{Midge, Upstream, fixture};

use crate::kit::Site;

/// A folder with a manifest, and beside it `data` to read and `out` to write.
fn site(manifest: &str) -> Site {
    let site = Site::written(manifest);
    for folder in ["data", "out", "unused"] {
        fs::create_dir(site.path().join(folder)).unwrap();
    }
    fs::write(site.path().join("data/hello.txt"), "hello").unwrap();
    site
}

/// A manifest with the function `shop` and this more.
fn manifest(guest: &str, more: &str) -> String {
    let component = fixture(guest);
    let component = component.display();
    format!("[function.shop]\ncomponent = \"{component}\"\nroutes = [\"/*\"]\n\n{more}")
}

/// Where the probe goes: a server of HTTP, and one that says a line.
struct World {
    http: Upstream,
    line: Upstream,
}

impl World {
    fn start() -> Self {
        Self {
            http: Upstream::start(),
            line: Upstream::saying("hello\n"),
        }
    }

    /// A request that has the probe use one thing of every kind.
    fn request(&self) -> String {
        let (http, line) = (self.http.port(), self.line.port());
        format!(
            "/?fetch=GET+http://127.0.0.1:{http}/v1/orders&fetch=POST+http://127.0.0.1:{http}/v1/count\
             &tcp=127.0.0.1:{line}&dns=localhost&read=/data/hello.txt&write=/out/new.txt&write=/tmp/x"
        )
    }
}

/// The lines of the probe's answer.
async fn ask(midge: &Midge, path: &str) -> Vec<String> {
    let answer = midge_testkit::http::get(midge.addr(), path).await.unwrap();
    let text = String::from_utf8(answer.body.unwrap().to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn is_ok(line: &str) -> bool {
    line.starts_with("ok")
}

/// What is learnt from these requests, with the ports named.
async fn learn(site: &Site, world: &World, requests: &[String]) -> String {
    let file = site.path().join("learnt.toml");
    let learning = format!("--learn={}", file.display());
    let mut midge = site.server().args([learning.as_str()]).start();
    assert!(
        midge
            .said()
            .contains("learning: functions may do everything"),
        "{}",
        midge.said()
    );
    for request in requests {
        let lines = ask(&midge, request).await;
        assert!(
            lines.iter().all(|line| is_ok(line)),
            "{lines:?} {}",
            midge.said()
        );
    }
    midge.signal("TERM");
    assert!(midge.wait_for_exit().success(), "{}", midge.said());
    assert!(midge.said().contains("what functions used is in"));
    let learnt = fs::read_to_string(file).unwrap();
    learnt
        .replace(&world.http.port().to_string(), "HTTP")
        .replace(&world.line.port().to_string(), "LINE")
}

/// The lines of a table that say something by themselves.
fn grant_lines(table: &str) -> Vec<&str> {
    let says = |line: &&str| !line.starts_with('[') && !line.ends_with('[') && *line != "]";
    table
        .lines()
        .filter(says)
        .filter(|line| !line.is_empty())
        .collect()
}

const FOLDERS: &str = r#"
[function.shop.allow]
dirs = [
    { host = "data", guest = "/data", mode = "rw" },
    { host = "out", guest = "/out", mode = "rw" },
    { host = "unused", guest = "/unused", mode = "ro" },
]
"#;

#[tokio::test]
async fn a_function_runs_with_what_was_learnt_and_fails_without_any_line_of_it() {
    let world = World::start();
    for guest in [
        "http02-probe.wasm",
        "http03-probe.wasm",
        "command02-probe.wasm",
        "command03-probe.wasm",
    ] {
        let site = site(&manifest(guest, FOLDERS));
        let learnt = learn(&site, &world, &[world.request()]).await;
        insta::allow_duplicates!(assert_snapshot!(learnt, @r#"
        [function.shop.allow]
        http = ["GET,POST http://127.0.0.1:HTTP/v1/*"]
        tcp = ["127.0.0.1:LINE"]
        dns = ["localhost"]
        dirs = [
            { host = "./data", guest = "/data", mode = "ro" },
            { host = "./out", guest = "/out", mode = "rw" },
        ]
        tmp = "64MiB"
        "#));
        let table = learnt
            .replace("HTTP", &world.http.port().to_string())
            .replace("LINE", &world.line.port().to_string());
        assert!(runs_with(&site, guest, &table, &world).await, "{table}");
        for line in grant_lines(&table) {
            let without = table.replace(&format!("{line}\n"), "");
            assert_ne!(without, table);
            assert!(
                !runs_with(&site, guest, &without, &world).await,
                "{guest} runs without `{line}`"
            );
        }
    }
}

/// Whether everything in the probe's request is answered with this table in place of its own.
async fn runs_with(site: &Site, guest: &str, table: &str, world: &World) -> bool {
    fs::write(site.path().join("midge.toml"), manifest(guest, table)).unwrap();
    let midge = site.server().args(["--workers", "1"]).start();
    let lines = ask(&midge, &world.request()).await;
    assert_eq!(lines.len(), 7, "{lines:?}");
    lines.iter().all(|line| is_ok(line))
}

#[tokio::test]
async fn what_the_policy_refuses_is_refused_to_a_watched_function_too() {
    let world = World::start();
    let site = site(&manifest("http02-probe.wasm", ""));
    // Beside the manifest, so it holds without being named.
    let policy = "[namespace.\"*\"]\nhttp = [\"GET http://127.0.0.1:*\"]\ntcp = []\nprivate = [\"127.0.0.1\"]\n";
    fs::write(site.path().join("policy.toml"), policy).unwrap();
    let midge = site.server().args(["--learn"]).start();
    let lines = ask(&midge, &world.request()).await;
    let answers: Vec<_> = lines.iter().map(|line| is_ok(line)).collect();
    // GET by the policy; POST and TCP not; names and `/tmp` where it says nothing; no folders.
    assert_eq!(
        answers,
        [true, false, false, true, false, false, true],
        "{lines:?}"
    );
}

#[test]
fn who_uses_nothing_is_told_so_on_stdout() {
    let site = Site::of(&[("idle", "http02-tiny.wasm", "")]);
    let data = site.path().join("stdout");
    let mut midge = site.server().args(["--learn"]).stdout_into(&data).start();
    midge.signal("TERM");
    assert!(midge.wait_for_exit().success(), "{}", midge.said());
    assert_snapshot!(fs::read_to_string(data).unwrap(), @"# [function.idle.allow]: it used nothing that has to be granted");
}

#[tokio::test]
async fn a_bucket_that_was_opened_is_learnt() {
    let world = World::start();
    let site = site(&manifest("http02-kv.wasm", ""));
    let learnt = learn(&site, &world, &["/?open=carts&set=a:x".to_owned()]).await;
    assert_snapshot!(learnt, @r#"
    [function.shop.allow]
    kv = ["carts"]
    "#);
}
