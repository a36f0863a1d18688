//! What a person reads when something cannot be run: whole runs, exit code included.

use std::net::TcpListener;

use insta::assert_snapshot;

use crate::kit::{midge, midge_in};

/// A run that must be refused before it listens.
fn run(args: &[&str]) -> String {
    midge(&[&["run", "--listen", "127.0.0.1:0"], args].concat())
}

#[test]
fn a_file_that_is_not_webassembly_is_refused() {
    assert_snapshot!(run(&["not-wasm.txt"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function not-wasm: `not-wasm.txt`: this is not WebAssembly: it starts with `This fil`

    hint: give a `.wasm` or `.wat` file, as your compiler wrote it
    ");
}

#[test]
fn half_a_file_is_refused_with_the_place_where_it_ends() {
    assert_snapshot!(run(&["truncated.wasm"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function truncated: `truncated.wasm`: the file is damaged or cut short at byte 175 of 200: unexpected end-of-file (at offset 0xaf)

    hint: build it again, or copy it again in full
    ");
}

#[test]
fn an_import_that_the_host_does_not_have_is_named() {
    assert_snapshot!(run(&["unknown-import.wasm"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function unknown-import: `unknown-import.wasm`: component imports `acme:widget/thing@1.2.0` (`spin`), which this host does not have

    hint: compose it with a component that exports this: `wac plug FILE.wasm --plug OTHER.wasm -o WHOLE.wasm`
    ");
}

#[test]
fn a_core_module_without_start_is_refused() {
    assert_snapshot!(run(&["no-start.wasm"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function no-start: `no-start.wasm`: core module has no `_start`, so there is nothing to run; it exports `main`

    hint: build a command (a `main` function) for wasm32-wasip1, or a component that exports `wasi:http/incoming-handler`
    ");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    assert_snapshot!(run(&["missing.wasm"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read `missing.wasm`: No such file or directory (os error 2)

    hint: midge run FILE.wasm, or a folder with a midge.toml
    ");
}

#[test]
fn text_format_with_an_error_shows_where() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("bad.wat"),
        "(module\n  (func (export)))\n",
    )
    .unwrap();
    let text = midge_in(folder.path(), &["run", "bad.wat"]);
    assert!(text.starts_with("exit: 1\n"), "{text}");
    assert!(text.contains("error: function bad: `bad.wat`"), "{text}");
}

#[test]
fn a_taken_port_is_told_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let text = midge(&["run", "http02-tiny.wasm", "--listen", &addr]);
    assert_snapshot!(text.replace(&addr, "ADDR"), @r"
    exit: 1
    --- stdout
    --- stderr
    error: listen on `ADDR`: the port is taken

    hint: choose another port, or let the system pick one: --listen 127.0.0.1:0
    ");
}

#[test]
fn an_address_of_another_machine_cannot_be_listened_on() {
    assert_snapshot!(midge(&["run", "http02-tiny.wasm", "--listen", "192.0.2.1:80"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: listen on `192.0.2.1:80`: Cannot assign requested address (os error 99)

    hint: --listen 127.0.0.1:8080
    ");
}

#[test]
fn an_address_without_a_port_says_how_to_write_it() {
    assert_snapshot!(midge(&["run", "http02-tiny.wasm", "--listen", "localhost"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: listen address `localhost` is not HOST:PORT, write for example `127.0.0.1:8080`: invalid socket address

    hint: --listen 127.0.0.1:8080
    ");
}

#[test]
fn a_folder_to_grant_that_says_no_guest_path_is_bad_usage() {
    assert_snapshot!(run(&["http02-tiny.wasm", "--dir", "data"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'data' for '--dir <HOST:GUEST[:ro|rw]>': directory `data` does not say where the guest sees it, write for example `./data:/data`

    For more information, try '--help'.
    ");
}

#[test]
fn a_folder_to_grant_that_is_not_there_is_named() {
    assert_snapshot!(run(&["http02-tiny.wasm", "--dir", "/no/such:/data"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: function http02-tiny: open folder `/no/such`: No such file or directory (os error 2)

    hint: mkdir -p /no/such
    ");
}

#[test]
fn an_unknown_flag_is_bad_usage() {
    assert_snapshot!(run(&["http02-tiny.wasm", "--memmory", "64MiB"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: unexpected argument '--memmory' found

      tip: a similar argument exists: '--memory'

    Usage: midge run --listen <HOST:PORT> --memory <SIZE> <PATH>

    For more information, try '--help'.
    ");
}

#[test]
fn a_size_without_a_unit_is_bad_usage() {
    assert_snapshot!(run(&["http02-tiny.wasm", "--memory", "64"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value '64' for '--memory <SIZE>': size `64` has no unit, write for example `64MiB`

    For more information, try '--help'.
    ");
}

#[test]
fn a_certificate_that_is_not_there_is_named_before_anything_is_compiled() {
    assert_snapshot!(run(&["http02-tiny.wasm", "--tls-cert", "no.pem", "--tls-key", "no.key"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read certificate chain from `no.pem`: I/O error: No such file or directory (os error 2)
    ");
}

#[test]
fn a_log_filter_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = midge_testkit::Run::of(crate::kit::BINARY, ["run", "--cache-dir", "cache"])
        .folder(folder.path())
        .env("MIDGE_LOG", "a=b=c")
        .to_end();
    assert_snapshot!(text, @r"
    exit: 1
    --- stdout
    --- stderr
    error: log filter MIDGE_LOG=`a=b=c` is not understood, write for example `info,guest=off`
    ");
}

#[test]
fn without_a_home_the_cache_needs_a_flag() {
    let folder = tempfile::tempdir().unwrap();
    let text = midge_testkit::Run::of(crate::kit::BINARY, ["run"]).folder(folder.path());
    assert_snapshot!(text.to_end(), @r"
    exit: 1
    --- stdout
    --- stderr
    error: no folder for compiled code: neither XDG_CACHE_HOME nor HOME is set

    hint: --cache-dir /var/cache/midge
    ");
}
