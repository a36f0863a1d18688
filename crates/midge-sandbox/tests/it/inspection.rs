//! What files are, told from their bytes, and what people are told about those that
//! cannot run.

use insta::assert_snapshot;
use midge_model::{Isolation, IsolationLevel};
use midge_sandbox::inspect;

fn check(source: &[u8]) -> String {
    let checked = inspect(source).and_then(|file| file.check_imports().map(|()| file.contract));
    match checked {
        Ok(contract) => format!("ok: {contract}"),
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            format!("error: {error}\nhint: {hint}")
        }
    }
}

fn check_fixture(name: &str) -> String {
    check(&std::fs::read(midge_testkit::fixture(name)).unwrap())
}

#[test]
fn every_contract_is_told_from_the_bytes() {
    assert_snapshot!(check_fixture("http02-echo.wasm"), @"ok: HTTP handler, WASI 0.2");
    assert_snapshot!(check_fixture("http03-echo.wasm"), @"ok: HTTP handler, WASI 0.3");
    assert_snapshot!(check_fixture("command01-echo.wasm"), @"ok: command (CGI), WASI preview 1 core module");
    assert_snapshot!(check_fixture("command02-echo.wasm"), @"ok: command (CGI), WASI 0.2");
    assert_snapshot!(check_fixture("command03-echo.wasm"), @"ok: command (CGI), WASI 0.3");
    assert_snapshot!(check_fixture("adapted-reactor.wasm"), @"ok: core module with an embedded component type");
}

#[test]
fn what_is_not_wasm_is_shown_its_first_bytes() {
    assert_snapshot!(check(b"#!/bin/sh\necho hi"), @r"
    error: this is not WebAssembly: it starts with `#!/bin/s`
    hint: give a `.wasm` or `.wat` file, as your compiler wrote it
    ");
    assert_snapshot!(check(b""), @r"
    error: this is not WebAssembly: it starts with nothing, the file is empty
    hint: give a `.wasm` or `.wat` file, as your compiler wrote it
    ");
}

#[test]
fn a_module_without_start_is_told_what_to_build() {
    assert_snapshot!(check(b"(module)"), @r"
    error: core module has no `_start`, so there is nothing to run
    hint: build a command (a `main` function) for wasm32-wasip1, or a component that exports `wasi:http/incoming-handler`
    ");
}

#[test]
fn a_component_for_another_world_is_told_what_midge_calls() {
    assert_snapshot!(check(b"(component)"), @r"
    error: component exports none of the functions Midge can call, it exports nothing
    hint: export `wasi:http/incoming-handler@0.2`, `wasi:http/handler@0.3` or `wasi:cli/run`
    ");
}

#[test]
fn an_unknown_import_is_named_with_its_version() {
    assert_snapshot!(check_fixture("unknown-import.wasm"), @r"
    error: component imports `acme:widget/thing@1.2.0` (`spin`), which this host does not have
    hint: compose it with a component that exports this: `wac plug FILE.wasm --plug OTHER.wasm -o WHOLE.wasm`
    ");
}

#[test]
fn a_file_cut_anywhere_is_refused_and_never_panics() {
    let whole = std::fs::read(midge_testkit::fixture("http02-tiny.wasm")).unwrap();
    for cut in 0..whole.len() {
        assert!(inspect(&whole[..cut]).is_err() || cut > 8, "cut at {cut}");
    }
}

/// Flips bits of real files: each result is an answer or an error, and never a panic.
#[test]
fn a_damaged_file_is_told_or_refused_and_never_panics() {
    const SEED: u64 = 0x6d69_6467_6500_0001;
    println!("seed {SEED:#x}");
    let mut random = SEED;
    let mut below = |bound: usize| {
        // Knuth's linear congruential generator; its high bits are good enough to pick bytes.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % bound
    };
    let files = [
        "http02-tiny.wasm",
        "http02-tables.wasm",
        "command01-exit.wasm",
    ];
    for file in files.map(|name| std::fs::read(midge_testkit::fixture(name)).unwrap()) {
        for _ in 0..500 {
            let mut damaged = file.clone();
            for _ in 0..=below(4) {
                let at = below(damaged.len());
                damaged[at] ^= 1 << below(8);
            }
            if let Ok(inspection) = inspect(&damaged) {
                drop(inspection.check_imports());
            }
        }
    }
}

#[test]
fn files_are_isolated_as_far_as_their_contract_goes() {
    let check = |name: &str, level| {
        let file = inspect(&std::fs::read(midge_testkit::fixture(name)).unwrap()).unwrap();
        match file.reusable().check(&Isolation::of_level(level)) {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("error: {error}\nhint: {}", error.hint().unwrap()),
        }
    };
    let every = [
        "http02-echo.wasm",
        "http03-echo.wasm",
        "adapted-reactor.wasm",
        "command01-echo.wasm",
        "command02-echo.wasm",
        "command03-echo.wasm",
    ];
    for name in every {
        assert_eq!(check(name, IsolationLevel::Fresh), "ok");
        let serial = check(name, IsolationLevel::Serial);
        assert_eq!(
            serial == "ok",
            !name.starts_with("command"),
            "{name}: {serial}"
        );
    }
    assert_snapshot!(check("command02-echo.wasm", IsolationLevel::Serial), @r#"
    error: isolation `serial` is not for this file: a command runs once, from the start of its `main` to its end
    hint: isolation = "fresh"
    "#);
    assert_snapshot!(check("http02-echo.wasm", IsolationLevel::Shared), @r#"
    error: isolation `shared` is not for this file: an HTTP handler of WASI 0.2 answers one request at a time
    hint: isolation = "serial"
    "#);
    assert_eq!(check("http03-echo.wasm", IsolationLevel::Shared), "ok");
    assert_snapshot!(check("command03-echo.wasm", IsolationLevel::Shared), @r#"
    error: isolation `shared` is not for this file: a command runs once, from the start of its `main` to its end
    hint: isolation = "fresh"
    "#);
}
