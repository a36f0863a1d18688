//! `midge dev`: an edit is answered by the new code, and nobody who asks meanwhile notices.
//!
//! The function's compiler is `cp`: what is measured and counted is Midge's part.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use midge_testkit::http::{Answer, Client, get};
use midge_testkit::toolchain::{Tool, Toolchains, or_skip};
use midge_testkit::{Midge, MidgeBuilder, Run, process, wait_until};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::kit::BINARY;

/// A command whose output is its source.
fn source(text: &str) -> String {
    let length = text.len();
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\{length:02x}\00\00\00")
            (data (i32.const 16) "{text}")
            (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

/// A project with one function that says `text`.
fn project(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[function.hello]\ncomponent = \"build/hello.wat\"\nroutes = [\"/*\"]\n\
                    build = \"mkdir -p build && cp hello.wat build/hello.wat\"\n";
    fs::write(folder.path().join("midge.toml"), manifest).unwrap();
    write(folder.path(), &source(text));
    folder
}

fn write(folder: &Path, source: &str) {
    // As editors do: another file under the same name.
    let new = folder.join("hello.wat.new");
    fs::write(&new, source).unwrap();
    fs::rename(new, folder.join("hello.wat")).unwrap();
}

fn dev(folder: &Path) -> Midge {
    MidgeBuilder::dev(BINARY, folder).start()
}

async fn text(midge: &Midge) -> String {
    get(midge.addr(), "/").await.unwrap().text()
}

async fn wait_for(midge: &Midge, wanted: &str) {
    let begun = Instant::now();
    while text(midge).await != wanted {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            midge.said()
        );
    }
}

#[tokio::test]
async fn an_edit_is_answered_by_the_new_code() {
    let folder = project("one");
    let midge = dev(folder.path());
    assert_eq!(text(&midge).await, "one");
    write(folder.path(), &source("two"));
    wait_for(&midge, "two").await;
    // Said once all workers have it; the first to have it may have answered.
    wait_until("it says so", || midge.said().contains("hello is new"));
}

#[tokio::test]
async fn a_mistake_is_shown_and_changes_nothing() {
    let folder = project("one");
    let midge = dev(folder.path());
    write(folder.path(), "(module");
    wait_until("the mistake is shown", || {
        midge.said().contains("what served before goes on")
    });
    assert_eq!(text(&midge).await, "one");
    let manifest = folder.path().join("midge.toml");
    let sound = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, "[function.hello]\ncomponet = 1\n").unwrap();
    wait_until("the manifest's mistake is shown", || {
        midge.said().contains("componet")
    });
    assert_eq!(text(&midge).await, "one");
    fs::write(&manifest, sound).unwrap();
    write(folder.path(), &source("two"));
    wait_for(&midge, "two").await;
}

/// Building one takes seconds in some languages, and the other is what it was.
#[tokio::test]
async fn only_what_changed_is_built_again() {
    let Some(path) = or_skip(Toolchains::shared().path(&[Tool::Zig])) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let made = Run::of(BINARY, ["new", "c", name]).folder(home.path());
        assert!(made.to_end().starts_with("exit: 0"));
        fs::remove_file(home.path().join(name).join("midge.toml")).unwrap();
    }
    let function = |name: &str, route: &str| {
        format!(
            "[function.{name}]\ncomponent = \"{name}/build/{name}.wasm\"\nroutes = [\"{route}\"]\n"
        )
    };
    let manifest = home.path().join("midge.toml");
    fs::write(&manifest, function("a", "/hello/*") + &function("b", "/b")).unwrap();
    let midge = MidgeBuilder::dev(BINARY, home.path()).env("PATH", path.to_str().unwrap());
    let midge = midge.start();
    let ask = async || get(midge.addr(), "/hello/you").await.unwrap().text();
    let was = ask().await;
    let source = home.path().join("a/main.c");
    let text = fs::read_to_string(&source).unwrap();
    let changed = text.replace(": \"Hello\"", ": \"Bye\"");
    fs::write(&source, changed).unwrap();
    wait_until("the change is served", || midge.said().contains("a is new"));
    assert_eq!(ask().await, was.replace("Hello, ", "Bye, "));
    let built = |name: &str| midge.said().matches(&format!("built {name} in")).count();
    assert_eq!((built("a"), built("b")), (2, 1), "{}", midge.said());
    // Where it answers is said when that changes, and the manifest is everybody's.
    fs::write(&manifest, function("a", "/hello/*") + &function("b", "/c")).unwrap();
    wait_until("the route is told", || midge.said().contains("/c  -> b"));
    assert_eq!((built("a"), built("b")), (3, 2), "{}", midge.said());
}

/// A worker that is replaced begins with the cache; where that was wiped meanwhile, native code is
/// made again of what was built last.
#[tokio::test]
async fn a_new_revision_outlives_the_cache_and_its_worker() {
    let folder = project("one");
    let cache = tempfile::tempdir().unwrap();
    let midge = MidgeBuilder::dev(BINARY, folder.path())
        .cache_dir(cache.path())
        .args(["--workers", "2"])
        .start();
    write(folder.path(), &source("two"));
    wait_for(&midge, "two").await;
    wait_until("the reload is over", || midge.said().contains("is new"));
    for entry in fs::read_dir(cache.path()).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    // With both gone, only their successors can answer.
    for worker in midge.workers() {
        process::signal(worker, "KILL");
    }
    assert_eq!(text(&midge).await, "two", "{}", midge.said());
}

#[tokio::test]
async fn each_request_leaves_a_line_with_what_it_cost() {
    let folder = project("one");
    let midge = dev(folder.path());
    text(&midge).await;
    wait_until("the request is told", || {
        midge.said().contains("[hello] GET / 200 in ")
    });
    let said = midge.said();
    let line = said.lines().find(|line| line.contains("GET /")).unwrap();
    assert!(
        line.contains(" ms, cpu ") && line.contains(" ms, memory 64KiB"),
        "{line}"
    );
    let quiet = MidgeBuilder::dev(BINARY, folder.path()).args(["--quiet"]);
    let quiet = quiet.start_unheard();
    text(&quiet).await;
    assert!(!quiet.said().contains("GET /"), "{}", quiet.said());
}

#[tokio::test]
async fn connections_stay_open_over_a_reload() {
    let folder = project("one");
    let midge = dev(folder.path());
    let mut before = Client::http1(midge.addr()).await.unwrap();
    assert_eq!(before.get("/").await.unwrap().text(), "one");
    write(folder.path(), &source("two"));
    wait_for(&midge, "two").await;
    wait_until("every worker has it", || midge.said().contains("is new"));
    assert_eq!(before.get("/").await.unwrap().text(), "two");
}

#[tokio::test]
async fn functions_come_and_go_with_the_manifest() {
    let folder = project("one");
    let midge = dev(folder.path());
    let manifest = folder.path().join("midge.toml");
    let more = fs::read_to_string(&manifest)
        .unwrap()
        .replace("\"/*\"", "\"/one\"")
        + "[function.more]\ncomponent = \"build/hello.wat\"\nroutes = [\"/more\"]\nbuild = \"true\"\n";
    fs::write(&manifest, more).unwrap();
    let status = async |path: &str| get(midge.addr(), path).await.unwrap().status.as_u16();
    let begun = Instant::now();
    while status("/more").await != 200 || status("/").await != 404 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            midge.said()
        );
    }
    assert_eq!(status("/one").await, 200);
}

#[tokio::test]
async fn dials_bend_the_world() {
    let folder = project("one");
    let refused = crate::kit::midge_in(folder.path(), &["dev", "--slow", "disk:1s"]);
    assert!(
        refused.contains("exit: 2") && refused.contains("disk"),
        "{refused}"
    );
}

mod load {
    use super::*;

    /// Requests at 20 a second while the function is written anew 50 times; each is answered, and
    /// each edit is answered soon.
    #[tokio::test(flavor = "multi_thread")]
    async fn fifty_reloads_lose_no_request() {
        let folder = project("v00");
        let midge = Arc::new(dev(folder.path()));
        let over = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU32::new(0));
        let (its_midge, its_over, its_asked) =
            (Arc::clone(&midge), Arc::clone(&over), Arc::clone(&asked));
        let asker = tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(50));
            let mut failed = Vec::new();
            while !its_over.load(Ordering::Relaxed) {
                every.tick().await;
                match get(its_midge.addr(), "/").await {
                    Ok(Answer { status, .. }) if status == 200 => {}
                    Ok(answer) => failed.push(answer.text()),
                    Err(error) => failed.push(format!("{error:#}")),
                }
                its_asked.fetch_add(1, Ordering::Relaxed);
            }
            failed
        });
        let mut took = Vec::new();
        for round in 1..=50 {
            let wanted = format!("v{round:02}");
            let begun = Instant::now();
            write(folder.path(), &source(&wanted));
            wait_for(&midge, &wanted).await;
            took.push(begun.elapsed());
            // One request or more for each state.
            while asked.load(Ordering::Relaxed) < round {
                tokio::task::yield_now().await;
            }
        }
        over.store(true, Ordering::Relaxed);
        let failed = asker.await.unwrap();
        took.sort();
        let asked = asked.load(Ordering::Relaxed);
        println!(
            "median {:?}, slowest {:?}, {asked} requests beside",
            took[25], took[49]
        );
        assert!(failed.is_empty(), "{failed:?}");
        // What the issue allows is 300 ms in a release build; this is to notice a second.
        assert!(took[25] < Duration::from_secs(2), "{took:?}");
    }
}
