//! Nothing leads out of a folder, into a folder that is only to be read, or into
//! something that is neither file nor folder. Real files, over every contract.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use midge_model::Outcome;
use tempfile::TempDir;

use crate::files::{PROBES, data, error, granted, lines, with};
use crate::kit::Guest;

/// A folder beside one that is granted, with something in it that no guest may see or change.
struct Yard {
    dir: TempDir,
}

impl Yard {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("inside/sub")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "hidden").unwrap();
        fs::write(dir.path().join("inside/file"), "file").unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        symlink(&outside, inside.join("out")).unwrap();
        symlink("../outside", inside.join("up")).unwrap();
        symlink(outside.join("secret"), inside.join("leak")).unwrap();
        symlink("../../outside/new", inside.join("sub/dangling")).unwrap();
        symlink("/proc/self/cwd", inside.join("magic")).unwrap();
        Self { dir }
    }

    fn inside(&self) -> PathBuf {
        self.dir.path().join("inside")
    }

    /// What lies outside is as it was.
    fn assert_untouched(&self, after: &str) {
        let outside = self.dir.path().join("outside");
        let names: Vec<_> = names(&outside);
        assert_eq!(names, ["secret"], "{after}");
        let secret = outside.join("secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "hidden", "{after}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The library of preview 1 hands over by itself what stands behind the folder's name.
fn as_written(probe: &str, steps: &str) -> String {
    match probe.starts_with("command01") {
        true => steps.replace("%7C", "/"),
        false => steps.to_owned(),
    }
}

/// Ways out, each as a step: `|` hands over the rest of the path as it stands.
const WAYS_OUT: &[&str] = &[
    // `..` and absolute paths.
    "read=/data%7C../outside/secret",
    "read=/data%7Csub/../../outside/secret",
    "read=/data%7C./sub/.././../outside/secret",
    "read=/data%7C/etc/hostname",
    "ls=/data%7C..",
    "ls=/data%7C../",
    "ls=/data%7Csub/../..",
    "stat=/data%7C../outside/secret",
    "write=/data%7C../outside/new",
    "mkdir=/data%7C../outside/new",
    "mkdir=/data%7C../outside/new/",
    "unlink=/data%7C../outside/secret",
    "rename=/data/file&to=/data%7C../outside/new",
    "rename=/data%7C../outside/secret&to=/data/mine",
    "link=/data%7C../outside/secret&to=/data/mine",
    "link=/data/file&to=/data%7C../outside/new",
    "symlink=x&at=/data%7C../outside/new",
    "readlink=/data%7C../inside/leak",
    // Links that lie there already, with every ending.
    "read=/data/leak",
    "truncate=/data/leak",
    "append=/data/leak",
    "write=/data/leak",
    "read=/data/out/secret",
    "read=/data/out/./secret",
    "read=/data/up/secret",
    "ls=/data/out",
    "ls=/data/out/",
    "ls=/data/out/.",
    "ls=/data%7Cout//",
    "ls=/data%7Cup/",
    "ls=/data%7Cup/.",
    "ls=/data%7Csub/../up/",
    "stat=/data/out/secret",
    "write=/data/out/new",
    "write=/data/sub/dangling",
    "write=/data%7Csub/dangling/",
    "mkdir=/data/out/new",
    "mkdir=/data%7Cout/new/",
    "rmdir=/data%7Cout/",
    "unlink=/data/out/secret",
    "unlink=/data%7Cup/secret",
    "rename=/data/file&to=/data/out/new",
    "rename=/data/out/secret&to=/data/mine",
    "link=/data/out/secret&to=/data/mine",
    "link=/data/file&to=/data/up/new",
    "symlink=x&at=/data/out/new",
    "readlink=/data/out/link",
    // What the system resolves by itself.
    "ls=/data/magic",
    "ls=/data/magic/",
    "ls=/data/magic/.",
    // Links that a guest would make.
    "symlink=../outside&at=/data/l",
    "symlink=sub/../../outside&at=/data/l",
    "symlink=/etc&at=/data/l",
];

#[test]
fn no_way_leads_out_of_a_folder() {
    for probe in PROBES {
        for mode in ["ro", "rw"] {
            for quota in [false, true] {
                if mode == "ro" && quota {
                    continue;
                }
                let yard = Yard::new();
                let mut grant = granted(&yard.inside(), "/data", mode);
                if quota {
                    grant = grant.with_quota("1MiB").unwrap();
                }
                let came = lines(
                    with(probe, [grant]),
                    &as_written(probe, &WAYS_OUT.join("&")),
                );
                assert_eq!(came.len(), WAYS_OUT.len());
                for (way, came) in WAYS_OUT.iter().zip(came) {
                    assert!(came.starts_with("error "), "{probe} {mode} {way}: {came}");
                }
                yard.assert_untouched(&format!("{probe} {mode}"));
                assert!(
                    names(&yard.inside())
                        .iter()
                        .all(|name| name != "mine" && name != "l")
                );
            }
        }
    }
}

/// Each changes something.
const CHANGES: &[&str] = &[
    "write=/data/new",
    "write=/data/file",
    "append=/data/file",
    "truncate=/data/file",
    "mkdir=/data/d",
    "rmdir=/data/sub",
    "unlink=/data/file",
    "rename=/data/file&to=/data/moved",
    "rename=/data/file&to=/other/moved",
    "rename=/other/mine&to=/data/file",
    "link=/data/file&to=/data/second",
    "link=/data/file&to=/other/second",
    "link=/other/mine&to=/data/second",
    "symlink=file&at=/data/s",
];

#[test]
fn a_folder_to_be_read_is_not_changed_not_even_from_another() {
    for probe in PROBES {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("file"), "file").unwrap();
        fs::write(other.path().join("mine"), "mine").unwrap();
        let dirs = [data(&dir, "ro"), granted(other.path(), "/other", "rw")];
        let came = lines(with(probe, dirs), &CHANGES.join("&"));
        let refused = error(probe, "not-permitted", "perm");
        for (change, came) in CHANGES.iter().zip(came) {
            assert_eq!(came, refused, "{probe} {change}");
        }
        assert_eq!(names(dir.path()), ["file", "sub"], "{probe}");
        assert_eq!(names(other.path()), ["mine"], "{probe}");
        assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "file");
    }
}

#[test]
fn the_system_s_own_links_lead_nowhere() {
    let process = PathBuf::from(format!("/proc/{}", std::process::id()));
    for probe in PROBES {
        let grant = granted(&process, "/p", "ro");
        let steps = "read=/p/exe&ls=/p/cwd&ls=/p/cwd/&ls=/p/root/.&read=/p/root/etc/hostname\
                     &read=/p/fd/0&ls=/p/task/self&read=/p/comm";
        let came = lines(with(probe, [grant]), steps);
        let (last, others) = came.split_last().unwrap();
        for came in others {
            assert!(came.starts_with("error "), "{probe}: {came}");
        }
        assert!(last.starts_with("ok "), "{probe}: {last}");
    }
}

#[test]
fn pipes_and_sockets_are_not_opened_and_hold_nobody_up() {
    for probe in PROBES {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        symlink("pipe", dir.path().join("to-pipe")).unwrap();
        let _listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        let steps = "read=/data/pipe&write=/data/pipe&append=/data/pipe&read=/data/to-pipe\
                     &write=/data/to-pipe&read=/data/socket&write=/data/socket&ls=/data";
        let came = lines(with(probe, [data(&dir, "rw")]), steps);
        let refused = error(probe, "access", "acces");
        assert_eq!(came[..7], [&*refused; 7], "{probe}");
        assert_eq!(came[7], "ok 3 pipe socket to-pipe", "{probe}");
    }
}

#[test]
fn endings_of_paths_mean_what_they_mean_to_the_system() {
    for probe in PROBES {
        let yard = Yard::new();
        symlink("sub", yard.inside().join("to-sub")).unwrap();
        let grant = granted(&yard.inside(), "/data", "rw");
        let steps = "read=/data%7Cfile/&ls=/data%7Csub/&ls=/data%7Csub/.&ls=/data%7Cto-sub/\
                     &write=/data%7Cnew/&mkdir=/data%7Cmade/&write=/data%7Cto-sub/f&ls=/data/sub";
        let came = lines(with(probe, [grant]), &as_written(probe, steps));
        let not_directory = error(probe, "not-directory", "notdir");
        assert_eq!(came[0], not_directory, "{probe}");
        assert_eq!(came[1..4], ["ok 1 dangling"; 3], "{probe}");
        assert!(came[4].starts_with("error "), "{probe}: {}", came[4]);
        assert_eq!(came[5..], ["ok", "ok 4", "ok 2 dangling f"], "{probe}");
    }
}

/// Opens two files of its first folder, puts one in the place of the other, writes to it and
/// closes it, 2,000 times; then compares the number that a listing shows for a file with the one
/// that `path_filestat_get` shows. Exits with the line that went wrong.
const RENUMBERS: &str = r#"
    (module
        (import "wasi_snapshot_preview1" "path_open" (func $open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write
            (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_readdir" (func $readdir
            (param i32 i32 i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat
            (param i32 i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "a")
        (data (i32.const 8) "\00\00\00\00\01\00\00\00") ;; one buffer: the byte at 0
        (func $must (param $result i32) (param $line i32)
            (if (local.get $result) (then (call $exit (local.get $line)))))
        (func $opened (result i32)
            (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1)
                (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 1) (i32.const 32))
                (i32.const 1))
            (i32.load (i32.const 32)))
        (func (export "_start") (local $round i32) (local $one i32) (local $two i32)
            (loop $more
                (local.set $one (call $opened))
                (local.set $two (call $opened))
                (call $must (call $renumber (local.get $two) (local.get $one)) (i32.const 2))
                (call $must (call $write (local.get $one) (i32.const 8) (i32.const 1)
                    (i32.const 40)) (i32.const 3))
                (call $must (i32.ne (call $write (local.get $two) (i32.const 8) (i32.const 1)
                    (i32.const 40)) (i32.const 8)) (i32.const 4))
                (call $must (call $close (local.get $one)) (i32.const 5))
                (local.set $round (i32.add (local.get $round) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $round) (i32.const 2000))))
            (call $must (call $readdir (i32.const 3) (i32.const 1024) (i32.const 1024)
                (i64.const 2) (i32.const 40)) (i32.const 6))
            (call $must (call $stat (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1)
                (i32.const 2048)) (i32.const 7))
            (call $must (i64.ne (i64.load (i32.const 1032)) (i64.load (i32.const 2056)))
                (i32.const 8))
            (call $exit (i32.const 42))))
"#;

#[test]
fn preview_1_numbers_stay_in_step_with_the_engine_s() {
    for quota in [None, Some("1MiB")] {
        let dir = tempfile::tempdir().unwrap();
        let mut grant = data(&dir, "rw");
        if let Some(quota) = quota {
            grant = grant.with_quota(quota).unwrap();
        }
        let guest =
            Guest::from_bytes(RENUMBERS.as_bytes()).grants(|grants| grants.dirs.push(grant));
        let outcome = guest.get("/").unwrap_err();
        assert!(
            matches!(outcome, Outcome::Exited { code: 42 }),
            "{outcome:?}"
        );
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().len(), 2_000);
    }
}
