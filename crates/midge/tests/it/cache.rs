//! Native code on disk: made once, checked each time, and only where nobody else writes.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use midge_testkit::fixture;
use midge_testkit::http::get;
use tempfile::TempDir;

use crate::kit::{midge_in, server};

/// A cache of its own, as the first start leaves it.
async fn warm_cache() -> TempDir {
    let cache = tempfile::tempdir().unwrap();
    let midge = server("http02-tiny.wasm").cache_dir(cache.path()).start();
    assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    cache
}

/// The files below a folder, each with what changes when it is written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, u64, i64, i64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let about = fs::metadata(&path).unwrap();
            let what = (about.ino(), about.len(), about.mtime(), about.mtime_nsec());
            found.insert(path, what);
        }
    }
    found
}

fn native_code(cache: &TempDir) -> PathBuf {
    let files = files(cache.path());
    let mut code = files
        .into_keys()
        .filter(|path| path.extension().is_some_and(|ending| ending == "cwasm"));
    let only = code.next().expect("one file of native code");
    assert_eq!(code.next(), None);
    only
}

#[tokio::test]
async fn a_second_start_compiles_nothing() {
    let cache = warm_cache().await;
    let before = files(cache.path());
    let midge = server("http02-tiny.wasm").cache_dir(cache.path()).start();
    assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    assert!(!midge.said().contains("compil"), "{}", midge.said());
    assert_eq!(files(cache.path()), before);
}

#[tokio::test]
async fn native_code_is_its_owners_alone() {
    let cache = warm_cache().await;
    let code = native_code(&cache);
    assert_eq!(fs::metadata(&code).unwrap().mode() & 0o777, 0o600);
    let folder = code.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_damaged_file_is_dropped_and_made_again() {
    let cache = warm_cache().await;
    let code = native_code(&cache);
    let good = fs::read(&code).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (bad, what) in [
        (flipped, "one bit"),
        (good[..good.len() / 2].to_vec(), "half of it"),
        (Vec::new(), "nothing in it"),
        (b"\x7fELF another program".to_vec(), "another program"),
    ] {
        fs::write(&code, bad).unwrap();
        let midge = server("http02-tiny.wasm").cache_dir(cache.path()).start();
        assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi", "{what}");
        let said = midge.said();
        assert!(
            said.contains("cached code dropped, compiling again"),
            "{what}: {said}"
        );
        assert_eq!(fs::read(&code).unwrap().len(), good.len(), "{what}");
    }
}

#[tokio::test]
async fn a_file_that_others_may_write_is_dropped() {
    let cache = warm_cache().await;
    let code = native_code(&cache);
    fs::set_permissions(&code, Permissions::from_mode(0o666)).unwrap();
    let midge = server("http02-tiny.wasm").cache_dir(cache.path()).start();
    midge.wait_until_said("it can be written by other users");
    assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    assert_eq!(
        fs::metadata(native_code(&cache)).unwrap().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_folder_that_others_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
    let guest = fixture("http02-tiny.wasm");
    let args = [
        "run",
        guest.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--cache-dir",
        "cache",
    ];
    assert_snapshot!(midge_in(folder.path(), &args), @r"
    exit: 1
    --- stdout
    --- stderr
    error: folder `cache`, where native code is kept, can be written by other users

    hint: chmod go-w cache
    ");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let guest = fixture("http02-tiny.wasm");
    let args = [
        "compile",
        guest.to_str().unwrap(),
        "--cache-dir",
        "file/cache",
    ];
    assert_snapshot!(midge_in(folder.path(), &args), @r"
    exit: 1
    --- stdout
    --- stderr
    error: create cache folder `file/cache`: Not a directory (os error 20)

    hint: give another folder with --cache-dir
    ");
}

#[tokio::test]
async fn two_first_starts_at_once_share_one_cache() {
    let cache = tempfile::tempdir().unwrap();
    let starts = [(); 2].map(|()| {
        let builder = server("http02-tiny.wasm").cache_dir(cache.path());
        std::thread::spawn(move || builder.start())
    });
    for midge in starts.map(|start| start.join().unwrap()) {
        assert_eq!(get(midge.addr(), "/").await.unwrap().text(), "hi");
    }
    native_code(&cache);
}
