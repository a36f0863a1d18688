//! Folders: what counts, what is kept apart, and what ends with the instance. Real files,
//! over every contract. That nothing leads out of a folder is `confined.rs`.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use http::Request;
use midge_model::{Clock, DirGrant, Outcome, SecretExposure, SecretGrant, Use};
use midge_sandbox::{LoadedFunction, RequestBody, UsagePage};
use tempfile::TempDir;

use crate::denied::told_during;
use crate::kit::{Guest, invoke, reply};

pub(crate) const PROBES: [&str; 5] = [
    "http02-probe.wasm",
    "http03-probe.wasm",
    "command01-probe.wasm",
    "command02-probe.wasm",
    "command03-probe.wasm",
];

/// A grant of `dir` as `/data`.
pub(crate) fn data(dir: &TempDir, mode: &str) -> DirGrant {
    granted(dir.path(), "/data", mode)
}

pub(crate) fn granted(dir: &Path, guest: &str, mode: &str) -> DirGrant {
    let host = dir.canonicalize().unwrap();
    format!("{}:{guest}:{mode}", host.display())
        .parse()
        .unwrap()
}

pub(crate) fn with(probe: &str, dirs: impl IntoIterator<Item = DirGrant>) -> Guest {
    Guest::of(probe).grants(|grants| grants.dirs.extend(dirs))
}

/// What came of each step.
pub(crate) fn lines(guest: Guest, steps: &str) -> Vec<String> {
    guest.run(async |function| asked(&function, steps).await)
}

async fn asked(function: &Rc<LoadedFunction>, steps: &str) -> Vec<String> {
    let request = Request::get(format!("/?{steps}"));
    let request = request.body(RequestBody::empty()).unwrap();
    let answer = invoke(function, request).await.unwrap();
    let reply = reply(answer).await.unwrap();
    reply.text().lines().map(str::to_owned).collect()
}

/// The same error in the words of preview 1.
pub(crate) fn error(probe: &str, components: &str, preview1: &str) -> String {
    let is_preview1 = probe.starts_with("command01");
    format!("error {}", if is_preview1 { preview1 } else { components })
}

#[test]
fn a_quota_holds_and_freed_room_is_found_again() {
    for probe in PROBES {
        let dir = tempfile::tempdir().unwrap();
        let grant = data(&dir, "rw").with_quota("64KiB").unwrap();
        // 4 KiB for each name: a second file of 40,000 bytes does not fit.
        let came = lines(
            with(probe, [grant]),
            "write=/data/a&bytes=40000&write=/data/b&bytes=40000&unlink=/data/a\
             &write=/data/b&bytes=40000&append=/data/b&bytes=30000&read=/data/b",
        );
        let full = error(probe, "quota", "dquot");
        assert_eq!(came[0], "ok 40000", "{probe}");
        assert!(came[1].starts_with(&full), "{probe}: {}", came[1]);
        assert_eq!(came[2], "ok", "{probe}");
        assert_eq!(came[3], "ok 40000", "{probe}");
        assert!(came[4].starts_with(&full), "{probe}: {}", came[4]);
        let held: u64 = fs::metadata(dir.path().join("b")).unwrap().len();
        assert!(held <= (64 << 10) - 4096, "{probe}: {held}");
        assert!(
            came[5].starts_with(&format!("ok {held} ")),
            "{probe}: {}",
            came[5]
        );
    }
}

#[test]
fn holes_and_names_count() {
    for probe in PROBES {
        let dir = tempfile::tempdir().unwrap();
        let grant = data(&dir, "rw").with_quota("64KiB").unwrap();
        let came = lines(
            with(probe, [grant]),
            "write=/data/a&truncate=/data/a&size=1000000&truncate=/data/a&size=50000\
             &truncate=/data/a&size=50000&mkdir=/data/d&mkdir=/data/e&symlink=a&at=/data/s\
             &link=/data/a&to=/data/h",
        );
        let full = error(probe, "quota", "dquot");
        // 54,096 are used after the third step: two more names fit, and no third.
        let want = ["ok 4", &*full, "ok", "ok", "ok", "ok", &*full, &*full];
        assert_eq!(came, want, "{probe}");
    }
}

#[test]
fn what_lay_there_before_counts_and_writing_over_it_does_not() {
    for probe in PROBES {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old"), [b'o'; 50_000]).unwrap();
        let grant = data(&dir, "rw").with_quota("64KiB").unwrap();
        let came = lines(
            with(probe, [grant]),
            "write=/data/new&bytes=20000&unlink=/data/new&write=/data/old&bytes=50000&times=5",
        );
        let full = error(probe, "quota", "dquot");
        assert!(came[0].starts_with(&full), "{probe}: {}", came[0]);
        assert_eq!(came[2..], ["ok 50000"; 5], "{probe}");
    }
}

#[test]
fn two_folders_count_apart_and_nothing_moves_between_them() {
    for probe in PROBES {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dirs = [
            granted(one.path(), "/one", "rw")
                .with_quota("32KiB")
                .unwrap(),
            granted(two.path(), "/two", "rw")
                .with_quota("64KiB")
                .unwrap(),
        ];
        let came = lines(
            with(probe, dirs),
            "mkdir=/two/sub&write=/one/a&bytes=20000&write=/two/sub/a&bytes=40000\
             &write=/one/b&bytes=20000&rename=/one/a&to=/two/a&link=/two/sub/a&to=/one/c\
             &rename=/two/sub/a&to=/two/a&stat=/two/a",
        );
        let full = error(probe, "quota", "dquot");
        let apart = error(probe, "cross-device", "xdev");
        assert_eq!(came[..3], ["ok", "ok 20000", "ok 40000"], "{probe}");
        assert!(came[3].starts_with(&full), "{probe}: {}", came[3]);
        assert_eq!(
            came[4..],
            [&*apart, &apart, "ok", "ok file 40000"],
            "{probe}"
        );
    }
}

/// Makes a file, fills it with 32,768 bytes, deletes it and keeps it open; again and again. Exits
/// with how many it filled.
const DELETES_WHAT_IS_OPEN: &str = r#"
    (module
        (import "wasi_snapshot_preview1" "path_open" (func $open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write
            (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink
            (param i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "f")
        (data (i32.const 8) "\00\00\00\00\00\80\00\00") ;; one buffer: 32,768 bytes from 0 on
        (func (export "_start") (local $filled i32)
            (loop $more
                (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1)
                        (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32))
                    (then (call $exit (local.get $filled))))
                (if (call $write (i32.load (i32.const 32)) (i32.const 8) (i32.const 1)
                        (i32.const 40))
                    (then (call $exit (local.get $filled))))
                (if (call $unlink (i32.const 3) (i32.const 0) (i32.const 1))
                    (then (call $exit (i32.const 99))))
                (local.set $filled (i32.add (local.get $filled) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $filled) (i32.const 20))))
            (call $exit (local.get $filled))))
"#;

#[test]
fn what_was_deleted_and_is_still_open_counts() {
    for quota in ["64KiB", "128KiB"] {
        let dir = tempfile::tempdir().unwrap();
        let grant = data(&dir, "rw").with_quota(quota).unwrap();
        let outcome = Guest::from_bytes(DELETES_WHAT_IS_OPEN.as_bytes())
            .grants(|grants| grants.dirs.push(grant))
            .get("/")
            .unwrap_err();
        // 32 KiB each and 4 KiB for the name that each has at first.
        let fit = if quota == "64KiB" { 1 } else { 3 };
        assert!(
            matches!(outcome, Outcome::Exited { code } if code == fit),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_refusal_names_the_line_that_would_allow_it() {
    for probe in PROBES {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dirs = [
            data(&dir, "rw").with_quota("64KiB").unwrap(),
            granted(other.path(), "/other", "ro"),
        ];
        let guest = with(probe, dirs).grants(|grants| grants.tmp_bytes = Some(8 << 10));
        let steps = "write=/data/a&bytes=70000&mkdir=/other/d&write=/tmp/t&bytes=9000";
        let (_, told) = told_during(|| lines(guest, steps));
        let (data, other) = (
            dir.path().canonicalize().unwrap(),
            other.path().canonicalize().unwrap(),
        );
        let add = "to allow it add to [function.guest.allow]";
        let want = [
            format!(
                "denied: write to a file below /data: the folder is full at 64KiB; {add}: \
                 dirs = [{{ host = {data:?}, guest = \"/data\", mode = \"rw\", quota = \"128KiB\" }}]"
            ),
            format!(
                "denied: create folder d below /other: the folder is granted to be read; {add}: \
                 dirs = [{{ host = {other:?}, guest = \"/other\", mode = \"rw\" }}]"
            ),
            format!(
                "denied: write to a file below /tmp: the folder is full at 8KiB; {add}: \
                 tmp = \"16KiB\""
            ),
        ];
        assert_eq!(told, want, "{probe}");
    }
}

#[test]
fn workers_count_together() {
    let dir = tempfile::tempdir().unwrap();
    let page = tempfile::tempfile().unwrap();
    page.set_len(UsagePage::size_bytes(2, 1)).unwrap();
    let worker = |number: usize| {
        let page = UsagePage::map(&page, 2, 1).unwrap();
        page.join(number);
        let grant = data(&dir, "rw").with_quota("64KiB").unwrap();
        with("http02-probe.wasm", [grant]).usage(page.cells([0]))
    };
    worker(0).run(async |one| {
        let two = worker(1).try_load().unwrap();
        let filled = asked(&one, "write=/data/a&bytes=40000").await;
        assert_eq!(filled, ["ok 40000"]);
        let full = asked(&two, "write=/data/b&bytes=40000").await;
        assert_eq!(full, ["error quota after 16384"]);
        asked(&one, "unlink=/data/a").await;
        let found = asked(&two, "append=/data/b&bytes=20000").await;
        assert_eq!(found, ["ok 20000"]);
        // Both at once never get more than there is.
        let (first, second) = (
            asked(&one, "write=/data/c&bytes=40000&times=3"),
            asked(&two, "write=/data/d&bytes=40000&times=3"),
        );
        futures::join!(first, second);
        let held: u64 = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len() + 4096)
            .sum();
        assert!(held <= 64 << 10, "{held}");
    });
}

#[test]
fn a_private_folder_has_its_own_quota_and_ends_with_the_instance() {
    for probe in PROBES {
        let root = tempfile::tempdir().unwrap();
        let guest = Guest::of(probe)
            .grants(|grants| grants.tmp_bytes = Some(64 << 10))
            .powers(|powers| powers.tmp_dir = root.path().to_owned());
        let steps = "ls=/tmp&mkdir=/tmp/d&write=/tmp/d/a&bytes=40000&write=/tmp/b&bytes=40000";
        guest.run(async |function| {
            let full = error(probe, "quota", "dquot");
            for _ in 0..3 {
                let came = asked(&function, steps).await;
                assert_eq!(came[..3], ["ok 0 ", "ok", "ok 40000"], "{probe}");
                assert!(came[3].starts_with(&full), "{probe}: {}", came[3]);
            }
            let process = fs::read_dir(root.path()).unwrap().next().unwrap().unwrap();
            while fs::read_dir(process.path()).unwrap().count() > 0 {
                tokio::task::yield_now().await;
            }
        });
        // The process's own folder goes with the last function.
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "{probe}");
    }
}

#[test]
fn a_folder_of_many_names_is_listed_whole() {
    const NAMES: usize = 3_000;
    let dir = tempfile::tempdir().unwrap();
    for number in 0..NAMES {
        fs::write(dir.path().join(format!("name-{number:0100}")), "").unwrap();
    }
    for probe in PROBES {
        let came = lines(with(probe, [data(&dir, "ro")]), "ls=/data");
        assert!(
            came[0].starts_with(&format!("ok {NAMES} name-")),
            "{probe}: {}",
            came[0]
        );
    }
}

#[test]
fn clocks_are_coarse_unless_granted() {
    for probe in PROBES {
        let nanos = |clock: Clock| -> Vec<u64> {
            let guest = Guest::of(probe).grants(|grants| grants.clock = clock);
            let came = lines(guest, "clock&times=5");
            // `ok monotonic NS resolution NS wall SECONDS.NANOS …`
            let wall = |line: &String| {
                let wall = line.split(' ').skip_while(|word| *word != "wall").nth(1);
                let nanos = wall.unwrap().split('.').nth(1);
                nanos.unwrap().parse().unwrap()
            };
            came.iter().map(wall).collect()
        };
        // Half a microsecond is lost where a guest's library takes a detour through floating point.
        let coarse = |nanos: &u64| (nanos + 500) % 1_000_000 < 1_000;
        assert!(nanos(Clock::Coarse).iter().all(coarse), "{probe}");
        assert!(!nanos(Clock::Real).iter().all(coarse), "{probe}");
    }
}

#[test]
fn secrets_are_where_they_were_granted() {
    let secret = |name: &str, exposure| SecretGrant::new(name, exposure).unwrap();
    let guest = |probe: &str| {
        Guest::of(probe)
            .grants(|grants| {
                let inject = SecretExposure::Inject {
                    header: "authorization".to_owned(),
                    format: "{}".to_owned(),
                    to: vec!["https://api.test".parse().unwrap()],
                };
                grants.secrets = vec![
                    secret("IN_ENV", SecretExposure::Env),
                    secret("IN_CONFIG", SecretExposure::Config),
                    secret("INJECTED", inject),
                ];
            })
            .secret("IN_ENV", "e-value")
            .secret("IN_CONFIG", "c-value")
            .secret("INJECTED", "i-value")
            .secret("NOT_GRANTED", "n-value")
    };
    for probe in PROBES {
        let came = lines(
            guest(probe),
            "env=IN_ENV&env=IN_CONFIG&env=INJECTED&env=NOT_GRANTED",
        );
        let want = [
            "ok e-value",
            "error none",
            "ok midge-secret:INJECTED",
            "error none",
        ];
        assert_eq!(came, want, "{probe}");
    }
    let came = lines(
        guest("http02-config.wasm"),
        "config=IN_ENV&config=IN_CONFIG&config=INJECTED&config=NOT_GRANTED",
    );
    assert_eq!(
        came,
        ["error none", "ok c-value", "error none", "error none"]
    );
}

#[test]
fn what_was_used_is_learned() {
    let used = |probe: &str, steps: &str| {
        let (read, written, unused) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        fs::write(read.path().join("f"), "f").unwrap();
        let dirs = [
            granted(read.path(), "/read", "rw"),
            granted(written.path(), "/written", "rw"),
            granted(unused.path(), "/unused", "rw"),
        ];
        let guest = with(probe, dirs)
            .grants(|grants| grants.tmp_bytes = Some(64 << 10))
            .powers(|powers| powers.learn = true);
        guest.run(async |function| {
            asked(&function, steps).await;
            let mut uses = function.take_uses();
            uses.sort();
            uses
        })
    };
    let dir = |guest: &str, wrote| Use::Dir {
        guest: guest.to_owned(),
        wrote,
    };
    for probe in PROBES {
        let steps = "read=/read/f&mkdir=/written/d&write=/tmp/t";
        let want = [dir("/read", false), dir("/written", true), Use::Tmp];
        assert_eq!(used(probe, steps), want, "{probe}");
        assert_eq!(
            used(probe, "stat=/read/f"),
            [dir("/read", false)],
            "{probe}"
        );
        assert_eq!(used(probe, "env=X"), [], "{probe}");
    }
}
