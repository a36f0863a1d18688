//! Flags that say what functions may touch: what is refused, and that secrets stay secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use midge_testkit::http::get;

use crate::kit::{Site, midge, midge_in, server};

/// A run that must be refused before it listens.
fn run(args: &[&str]) -> String {
    let first = ["run", "http02-tiny.wasm", "--listen", "127.0.0.1:0"];
    midge(&[&first, args].concat())
}

/// What the probe finds for these questions.
async fn ask(midge: &midge_testkit::Midge, query: &str) -> String {
    let answer = get(midge.addr(), &format!("/?{query}")).await.unwrap();
    String::from_utf8(answer.body.unwrap().to_vec()).unwrap()
}

#[test]
fn grants_that_say_nothing_are_bad_usage() {
    assert_snapshot!(run(&["--allow-http", "ftp://x"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'ftp://x' for '--allow-http <[METHOD ]URL>': http grant `ftp://x` has the scheme `ftp`, write `https`, `http`, or `*` for both

    For more information, try '--help'.
    ");
    assert_snapshot!(run(&["--allow-tcp", "db.internal"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'db.internal' for '--allow-tcp <HOST:PORT>': grant `db.internal` has no port, write for example `db.internal:5432`, or `db.internal:*` for every port

    For more information, try '--help'.
    ");
    assert_snapshot!(run(&["--allow-udp", "0xa9fea9fe:53"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value '0xa9fea9fe:53' for '--allow-udp <HOST:PORT>': grant `0xa9fea9fe:53` has a host that ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`

    For more information, try '--help'.
    ");
    assert_snapshot!(run(&["--allow-dns", "*.*"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value '*.*' for '--allow-dns <NAME>': dns grant `*.*` has a wildcard that is not the whole first part of the host, write for example `*.example.com`

    For more information, try '--help'.
    ");
    assert_snapshot!(run(&["--allow-private", "8.8.8.8"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value '8.8.8.8' for '--allow-private <ADDRESS|BLOCK|NAME>': private host `8.8.8.8` is public and needs no rule

    For more information, try '--help'.
    ");
    assert_snapshot!(run(&["--tmp", "9TiB"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value '9TiB' for '--tmp <SIZE>': tmp of `9TiB` is out of range, write `1B` to `4GiB`

    For more information, try '--help'.
    ");
    assert_snapshot!(run(&["--cpu", "1"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value '1' for '--cpu <DURATION>': duration `1` has no unit, write for example `1s` or `1ms`

    For more information, try '--help'.
    ");
    assert_snapshot!(run(&["--dns", "localhost"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'localhost' for '--dns <ADDRESS:PORT>': not an address and a port, write for example `127.0.0.1:53` or `[::1]:53`

    For more information, try '--help'.
    ");
}

#[test]
fn certificates_to_trust_are_read_before_anything_is_compiled() {
    assert_snapshot!(run(&["--outbound-ca", "no.pem"]), @"
    exit: 1
    --- stdout
    --- stderr
    error: load root certificates for guests: read root certificates from `no.pem`: I/O error: No such file or directory (os error 2)
    ");
}

#[test]
fn the_value_of_a_secret_is_never_repeated() {
    assert_snapshot!(run(&["--secret", "KEY=hunter2"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: the value of secret `KEY` stands on the command line, where every user of this machine can read it, write `KEY=@FILE` or put it into the environment
    ");
    let site = Site::written("[function.x]\ncomponent = \"x.wasm\"\n");
    let keys = site.path().join("keys");
    fs::write(&keys, "hunter2\n").unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).unwrap();
    assert_snapshot!(midge_in(site.path(), &["run", "--secrets", "keys"]), @"
    exit: 1
    --- stdout
    --- stderr
    error: `keys`, line 1: not a secret, write `NAME=VALUE`
    ");
}

#[test]
fn a_secret_without_a_value_says_how_to_give_one() {
    let manifest =
        "[function.x]\ncomponent = \"x.wasm\"\n\n[function.x.allow]\nsecrets = [\"KEY\"]\n";
    let site = Site::written(manifest);
    assert_snapshot!(midge_in(site.path(), &["run"]), @"
    exit: 1
    --- stdout
    --- stderr
    error: function x: secret `KEY` is granted and has no value

    hint: give its value with one of
        --secret KEY (and the environment variable KEY)
        --secret KEY=@FILE
        --secrets FILE (and a line KEY=VALUE in it)
    ");
    assert_snapshot!(midge_in(site.path(), &["run", "--secret", "KEY"]), @"
    exit: 1
    --- stdout
    --- stderr
    error: secret `KEY`: there is no environment variable of this name

    hint: give its value with one of
        --secret KEY (and the environment variable KEY)
        --secret KEY=@FILE
        --secrets FILE (and a line KEY=VALUE in it)
    ");
}

/// By flag, file and environment; to the function that was granted it and to nobody else; and
/// nowhere that others can look.
#[tokio::test]
async fn a_secret_reaches_its_function_and_nothing_else() {
    let site = Site::of(&[
        (
            "one",
            "http02-probe.wasm",
            "allow = { secrets = [\"FROM_ENV\", \"FROM_FILE\", \"FROM_LINE\"] }",
        ),
        ("two", "http02-probe.wasm", ""),
    ]);
    let file = |name: &str, text: &str, mode: u32| {
        let path = site.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let single = format!("FROM_FILE=@{}", file("single", "value-of-file\n", 0o600));
    let several = file(
        "several",
        "FROM_LINE=value-of-line\nLEFT_OVER=value-of-none\n",
        0o644,
    );
    let midge = site
        .server()
        .args([
            "--secret",
            "FROM_ENV",
            "--secret",
            &single,
            "--secrets",
            &several,
        ])
        .env("FROM_ENV", "value-of-env")
        .env("MIDGE_LOG", "debug,midge=trace")
        .start();
    let query = "env=FROM_ENV&env=FROM_FILE&env=FROM_LINE&env=LEFT_OVER";
    let of = async |function: &str| {
        let answer = get(midge.addr(), &format!("/{function}/?{query}"))
            .await
            .unwrap();
        String::from_utf8(answer.body.unwrap().to_vec()).unwrap()
    };
    assert_eq!(
        of("one").await,
        "ok value-of-env\nok value-of-file\nok value-of-line\nerror none\n"
    );
    assert_eq!(of("two").await, "error none\n".repeat(4));
    let said = midge.said();
    assert!(!said.contains("value-of"), "{said}");
    assert!(
        said.contains("other users may read this file of secrets"),
        "{said}"
    );
    assert!(
        said.contains("no function is granted this secret"),
        "{said}"
    );
    for worker in midge.workers() {
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{worker}/{file}")).unwrap();
            let text = String::from_utf8_lossy(&text);
            assert!(!text.contains("value-of"), "{file}: {text}");
        }
    }
}

#[tokio::test]
async fn a_single_component_gets_the_secrets_that_were_typed() {
    let midge = server("http02-probe.wasm")
        .args(["--secret", "KEY"])
        .env("KEY", "hunter2")
        .start();
    assert_eq!(ask(&midge, "env=KEY").await, "ok hunter2\n");
}

/// Each flag is a grant for every function.
#[tokio::test]
async fn what_is_typed_is_granted() {
    let http = midge_testkit::Upstream::start();
    let line = midge_testkit::Upstream::saying("hello\n");
    let (http, line) = (http.address(), line.address());
    let query = format!("fetch=http://{http}/v1&tcp={line}&dns=localhost&write=/tmp/x");
    let bare = server("http02-probe.wasm").start();
    let refused = ask(&bare, &query).await;
    assert!(
        refused.lines().all(|line| line.starts_with("error ")),
        "{refused}"
    );
    let url = format!("GET http://{http}/v1");
    let line = line.to_string();
    let granted = server("http02-probe.wasm")
        .args([
            "--allow-http",
            &url,
            "--allow-tcp",
            &line,
            "--allow-dns",
            "localhost",
            "--tmp",
            "1MiB",
        ])
        .start();
    let answered = ask(&granted, &query).await;
    assert!(
        answered.lines().all(|line| line.starts_with("ok ")),
        "{answered}"
    );
}

#[test]
fn a_doctor_needs_to_know_what_to_look_at() {
    assert_snapshot!(midge(&["doctor"]), @"
    exit: 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      --isolation

    Usage: midge doctor --isolation

    For more information, try '--help'.
    ");
}

#[test]
fn a_doctor_finds_instances_fresh() {
    let folder = tempfile::tempdir().unwrap();
    let text = midge_in(
        folder.path(),
        &[
            "doctor",
            "--isolation",
            "--cycles",
            "30",
            "--cache-dir",
            "cache",
        ],
    );
    assert!(
        text.starts_with("exit: 0\n--- stdout\ninstances  30, "),
        "{text}"
    );
    for row in [
        "\ntime       ",
        "\nreset      ",
        "\nsafe here  ",
        "\nfound      nothing that another instance had left\n",
    ] {
        assert!(text.contains(row), "{row:?} in {text}");
    }
}

#[tokio::test]
async fn values_are_in_memory_until_the_end_or_in_a_folder_for_longer() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("values");
    let kept = kept.to_str().unwrap();
    let count = async |flags: &[&str]| {
        let midge = server("http02-kv.wasm").args(flags.iter().copied()).start();
        ask(&midge, "open=default&increment=n").await;
        ask(&midge, "open=default&increment=n").await
    };
    let memory = ["--workers", "2", "--allow-kv", "default"];
    let on_disk = ["--workers", "1", "--allow-kv", "default", "--kv-dir", kept];
    assert_eq!(count(&memory).await, "ok\nok 2\n");
    assert_eq!(count(&memory).await, "ok\nok 2\n");
    assert_eq!(count(&on_disk).await, "ok\nok 2\n");
    assert_eq!(count(&on_disk).await, "ok\nok 4\n");
    assert_eq!(
        count(&[]).await,
        "error access-denied\n".to_owned() + "error nothing is open\n"
    );
}
