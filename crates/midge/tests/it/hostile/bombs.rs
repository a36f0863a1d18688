//! Files that are small for what it takes to compile them.
//!
//! A compiler is a process with limits of its own (`supervisor/compilers.rs`). They allow a large
//! honest component its minutes, which no test can wait for: these tests have the same limits
//! lowered, by what a process inherits or by the compiler's own arguments.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use midge_testkit::Run;
use midge_testkit::http::get;
use tempfile::TempDir;

use super::modules;
use crate::kit::{BINARY, server};

/// What one of these compilers may take: enough for every committed guest.
const MEMORY_KIB: u64 = 400 << 10;

/// Bombs that would compile, given gigabytes or minutes.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("functions", modules::functions(200_000, 4)),
        ("huge", modules::huge(4_000_000)),
        ("nested", modules::nested(1_000_000)),
        ("conditions", modules::nested_conditions(1_000_000)),
        ("variables", modules::variables(50_000)),
    ]
}

/// A folder with these bytes as `NAME.wasm`, and a cache that has never seen them.
fn folder_with(name: &str, bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(format!("{name}.wasm")), bytes).unwrap();
    folder
}

/// `midge ARGS` in this folder, under a bound of memory that its children inherit.
fn bounded(folder: &Path, args: &str) -> String {
    let line = format!("ulimit -d {MEMORY_KIB} && exec {BINARY} {args} --cache-dir cache");
    Run::of("/bin/sh", ["-c", &line]).folder(folder).to_end()
}

#[test]
fn a_bomb_of_memory_is_refused_by_name_with_the_limit_and_a_hint() {
    for (name, bytes) in [
        ("functions", modules::functions(200_000, 4)),
        ("huge", modules::huge(4_000_000)),
    ] {
        let folder = folder_with(name, &bytes);
        let text = bounded(
            folder.path(),
            &format!("run {name}.wasm --listen 127.0.0.1:0"),
        );
        assert!(text.starts_with("exit: 1\n"), "{text}");
        assert!(
            text.contains(&format!("error: compile {name}: it took more than")),
            "{text}"
        );
        assert!(text.contains("of memory, which is the most"), "{text}");
        assert!(text.contains("\nhint: build it for size"), "{text}");
        assert!(!text.contains("listening"), "{text}");
    }
}

#[test]
fn a_bomb_of_time_ends_with_its_compiler_and_leaves_no_file() {
    for (name, bytes) in bombs() {
        let folder = tempfile::tempdir().unwrap();
        let status = compiler(folder.path(), &bytes);
        // The kernel's signal for who has used up its time, or the abort of who wanted memory.
        assert!(
            matches!(status.signal(), Some(24 | 6)),
            "{name} ended with {status}"
        );
        assert_eq!(artifacts(folder.path()), 0, "{name} left native code");
    }
}

/// A compiler with two seconds to live, fed with these bytes.
fn compiler(cache: &Path, bytes: &[u8]) -> ExitStatus {
    let mut child = Command::new(BINARY)
        .args(["compiler", "--allocation", "pooling", "--cpu-seconds", "2"])
        .args(["--memory-bytes", &(MEMORY_KIB << 10).to_string()])
        .arg("--cache-dir")
        .arg(cache)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended before it read all of it.
    drop(stdin.write_all(bytes));
    drop(stdin);
    child.wait().unwrap()
}

/// Files with native code below a cache's folder.
fn artifacts(folder: &Path) -> usize {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            if path.is_dir() {
                artifacts(&path)
            } else {
                usize::from(path.extension().is_some_and(|ending| ending == "cwasm"))
            }
        })
        .sum()
}

#[test]
fn what_no_compiler_takes_is_refused_at_once_and_says_what_was_too_much() {
    for (name, bytes, words) in [
        ("functions", modules::functions(1_000_001, 0), "functions"),
        ("huge", modules::huge(8_000_000), "size"),
        ("variables", modules::variables(50_001), "locals"),
        ("jumps", modules::jumps(7_000_000), "`br_table`"),
        (
            "components",
            modules::nested_components(100_000),
            "exports nothing",
        ),
    ] {
        let folder = folder_with(name, &bytes);
        let text = bounded(
            folder.path(),
            &format!("run {name}.wasm --listen 127.0.0.1:0"),
        );
        assert!(text.starts_with("exit: 1\n"), "{name}: {text}");
        assert!(text.contains(words), "{name}: {text}");
        assert!(text.len() < 4_000, "{name}: {} bytes of words", text.len());
    }
}

#[test]
fn text_that_is_nested_too_deep_is_refused_and_not_followed() {
    let parentheses = "(".repeat(1_000_000);
    let components = "(component ".repeat(10_000) + &")".repeat(10_000);
    for text in [parentheses, components] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("deep.wat"), text).unwrap();
        let said = bounded(folder.path(), "run deep.wat --listen 127.0.0.1:0");
        assert!(said.starts_with("exit: 1\n"), "{}", &said[..200]);
        assert!(said.contains("error: function deep: `deep.wat`"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_compiler_that_is_bombed_a_node_goes_on_answering() {
    let midge = server("http02-tiny.wasm").args(["--workers", "2"]).start();
    let is_over = Arc::new(AtomicBool::new(false));
    let bombed = tokio::task::spawn_blocking({
        let is_over = Arc::clone(&is_over);
        move || {
            for (name, bytes) in bombs() {
                let folder = tempfile::tempdir().unwrap();
                assert!(!compiler(folder.path(), &bytes).success(), "{name}");
            }
            is_over.store(true, Ordering::Relaxed);
        }
    });
    let mut answered = 0;
    while !is_over.load(Ordering::Relaxed) && !bombed.is_finished() {
        assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
        answered += 1;
    }
    bombed.await.unwrap();
    assert!(answered > 100, "only {answered} answers meanwhile");
}
