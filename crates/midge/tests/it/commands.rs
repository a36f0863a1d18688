//! The commands that end by themselves: `inspect`, `compile`, `completions`, `--version`.

use insta::assert_snapshot;
use midge_testkit::fixture;

use crate::kit::{midge, midge_in};

#[test]
fn the_version_is_one_line_on_stdout() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        midge(&["--version"]),
        format!("exit: 0\n--- stdout\nmidge {version}\n--- stderr\n")
    );
}

#[test]
fn no_command_at_all_is_bad_usage() {
    let text = midge(&[]);
    assert!(
        text.starts_with("exit: 2\n--- stdout\n--- stderr\n"),
        "{text}"
    );
    for command in [
        "run",
        "inspect",
        "compile",
        "policy",
        "bench",
        "doctor",
        "completions",
    ] {
        assert!(
            text.contains(&format!("  {command}  ")),
            "{command}: {text}"
        );
    }
    assert!(!text.contains("worker"), "hidden from people: {text}");
}

/// An inspection without what differs each time that the fixture is built.
fn inspect(name: &str) -> String {
    let report = midge(&["inspect", name, "--json"]);
    let digest = report.split('"').find(|word| word.starts_with("sha256:"));
    let digest = digest.expect("a digest in the report").to_owned();
    let text = midge(&["inspect", name]).replace(&digest, "DIGEST");
    let lines = text
        .lines()
        .map(|line| match line.split_once("size       ") {
            Some(("", size)) if size.ends_with("KiB") => "size       SIZE\n".to_owned(),
            _ => format!("{line}\n"),
        });
    lines.collect()
}

#[test]
fn a_component_is_inspected_in_two_columns() {
    assert_snapshot!(inspect("http02-memory-two.wasm"), @r"
    exit: 0
    --- stdout
    file       http02-memory-two.wasm
    contract   HTTP handler, WASI 0.2
    size       SIZE
    digest     DIGEST
    made with  none
    imports    wasi:http/types@0.2.0
               wasi:io/error@0.2.0
               wasi:io/streams@0.2.0
    exports    wasi:http/incoming-handler@0.2.0
    limits     memory 128MiB
               cpu 2s
               time 10s
               concurrency 200
               queue 1000
               queue-time 10s
               request-body 10MiB
               response-body 1GiB
               log 256KiB
               log-rate 1MiB
               outbound-calls 50
               outbound-bytes 100MiB
               sockets 16
               weight 100
    bounds     stack 1MiB
               core instances 64
               memories 8
               tables 32
               table elements 131072
               handles 512
               header fields 64KiB
               host-call arguments 16MiB
               random at once 64KiB
    --- stderr
    ");
}

/// Nothing is compiled for that: there is no code in it.
#[test]
fn inspect_tells_types_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"(component
        (import "wasi:clocks/wall-clock@0.2.30" (instance
            (export "leap-seconds" (func (result u64)))))
        (instance $handler)
        (export "wasi:http/incoming-handler@0.2.30" (instance $handler)))"#;
    std::fs::write(folder.path().join("later.wat"), text).unwrap();
    let told = midge_in(folder.path(), &["inspect", "later.wat"]);
    let (_, stderr) = told.split_once("--- stderr\n").unwrap();
    assert_snapshot!(stderr, @r"
    error: `later.wat`: component imports `leap-seconds` of `wasi:clocks/wall-clock@0.2.30`, which this host's version 0.2.12 does not have

    hint: build it for version 0.2.12, or ask a newer Midge
    ");
}

#[test]
fn a_core_module_is_inspected_too() {
    assert_snapshot!(inspect("command01-plain.wasm"), @r"
    exit: 0
    --- stdout
    file       command01-plain.wasm
    contract   command (CGI), WASI preview 1 core module
    size       SIZE
    digest     DIGEST
    made with  none
    imports    wasi_snapshot_preview1 (could reach folders of the host; denied without a grant: dirs or tmp)
    exports    __main_void
               _start
               memory
    limits     memory 128MiB
               cpu 2s
               time 10s
               concurrency 200
               queue 1000
               queue-time 10s
               request-body 10MiB
               response-body 1GiB
               log 256KiB
               log-rate 1MiB
               outbound-calls 50
               outbound-bytes 100MiB
               sockets 16
               weight 100
    bounds     stack 1MiB
               core instances 64
               memories 8
               tables 32
               table elements 131072
               handles 512
               header fields 64KiB
               host-call arguments 16MiB
               random at once 64KiB
    --- stderr
    ");
}

#[test]
fn inspection_as_json_is_one_object_on_one_line() {
    let text = midge(&["inspect", "http02-echo.wasm", "--json"]);
    let (_, data) = text.split_once("--- stdout\n").unwrap();
    let (data, words) = data.split_once("--- stderr\n").unwrap();
    assert_eq!(words, "");
    assert_eq!(data.lines().count(), 1);
    let report: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(report["contract"], "http02");
    assert_eq!(
        report["size_bytes"],
        std::fs::metadata(fixture("http02-echo.wasm"))
            .unwrap()
            .len()
    );
    let imports = report["imports"].as_array().unwrap();
    let types = imports
        .iter()
        .find(|import| import["name"] == "wasi:http/types")
        .unwrap();
    assert_eq!(types["provided"], true);
}

#[test]
fn what_cannot_be_run_is_inspected_and_then_refused() {
    assert_snapshot!(inspect("unknown-import.wasm"), @r"
    exit: 1
    --- stdout
    file       unknown-import.wasm
    contract   command (CGI), WASI 0.2
    size       222B
    digest     DIGEST
    made with  none
    imports    acme:widget/thing@1.2.0 (this host does not have it)
    exports    wasi:cli/run@0.2.0
    limits     memory 128MiB
               cpu 2s
               time 10s
               concurrency 200
               queue 1000
               queue-time 10s
               request-body 10MiB
               response-body 1GiB
               log 256KiB
               log-rate 1MiB
               outbound-calls 50
               outbound-bytes 100MiB
               sockets 16
               weight 100
    bounds     stack 1MiB
               core instances 64
               memories 8
               tables 32
               table elements 131072
               handles 512
               header fields 64KiB
               host-call arguments 16MiB
               random at once 64KiB
    --- stderr
    error: `unknown-import.wasm`: component imports `acme:widget/thing@1.2.0` (`spin`), which this host does not have

    hint: compose it with a component that exports this: `wac plug FILE.wasm --plug OTHER.wasm -o WHOLE.wasm`
    ");
}

#[test]
fn what_is_no_webassembly_cannot_be_inspected() {
    assert_snapshot!(midge(&["inspect", "not-wasm.txt", "--json"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: `not-wasm.txt`: this is not WebAssembly: it starts with `This fil`

    hint: give a `.wasm` or `.wat` file, as your compiler wrote it
    ");
    assert_snapshot!(midge(&["inspect", "missing.wasm"]), @r"
    exit: 1
    --- stdout
    --- stderr
    error: read `missing.wasm`: No such file or directory (os error 2)

    hint: midge inspect FILE.wasm
    ");
}

#[test]
fn compiling_twice_compiles_once() {
    let folder = tempfile::tempdir().unwrap();
    let guest = fixture("http02-tiny.wasm");
    let args = ["compile", guest.to_str().unwrap(), "--cache-dir", "cache"];
    let first = midge_in(folder.path(), &args);
    let second = midge_in(folder.path(), &args);
    assert!(first.starts_with("exit: 0\n"), "{first}");
    assert!(!first.contains("was compiled before"), "{first}");
    assert!(
        second.contains("http02-tiny was compiled before"),
        "{second}"
    );

    // stdout is data: where the code lies, the same both times.
    let path = |text: &str| {
        let (_, rest) = text.split_once("--- stdout\n").unwrap();
        rest.lines().next().unwrap().to_owned()
    };
    assert_eq!(path(&first), path(&second));
    assert!(folder.path().join(path(&first)).is_file());
}

#[test]
fn what_cannot_be_run_is_not_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let guest = fixture("no-start.wasm");
    let args = ["compile", guest.to_str().unwrap(), "--cache-dir", "cache"];
    let text = midge_in(folder.path(), &args);
    assert!(text.starts_with("exit: 1\n"), "{text}");
    assert!(text.contains("core module has no `_start`"), "{text}");
}

#[test]
fn every_shell_gets_completions() {
    for (shell, word) in [
        ("bash", "_midge()"),
        ("zsh", "#compdef midge"),
        ("fish", "complete -c midge"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let text = midge(&["completions", shell]);
        assert!(text.starts_with("exit: 0\n"), "{shell}: {text}");
        assert!(text.contains(word), "{shell}");
        assert!(text.contains("inspect"), "{shell}");
    }
}

#[test]
fn an_unknown_shell_is_bad_usage() {
    assert_snapshot!(midge(&["completions", "klingon"]), @r"
    exit: 2
    --- stdout
    --- stderr
    error: invalid value 'klingon' for '<SHELL>'
      [possible values: bash, elvish, fish, powershell, zsh]

    For more information, try '--help'.
    ");
}
