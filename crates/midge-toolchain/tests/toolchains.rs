//! Each toolchain, installed and used: a small program is compiled with what a test would find on
//! its `PATH`. That the programs run is shown where the templates are tested.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use midge_toolchain::{TARGETS, Tool, Toolchains, or_skip, run};

/// How a component and a core module begin.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A folder with these files, and commands in it that find the tool.
struct Project {
    folder: tempfile::TempDir,
    path: std::ffi::OsString,
}

impl Project {
    fn new(tool: Tool, files: &[(&str, &str)]) -> Result<Self> {
        let path = Toolchains::shared().path(&[tool])?;
        let folder = tempfile::tempdir()?;
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap_or(Path::new("")))?;
            fs::write(file, text)?;
        }
        Ok(Self { folder, path })
    }

    /// Runs words by a shell, which looks programs up on the path it is given.
    fn run(&self, words: &str) -> Result<()> {
        run(Command::new("sh")
            .args(["-ec", words])
            .env("PATH", &self.path)
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(self.folder.path()))
    }

    fn starts_with(&self, file: &str, magic: &[u8]) -> Result<()> {
        let made = fs::read(self.folder.path().join(file))?;
        ensure!(made.starts_with(magic), "{file} is something else");
        Ok(())
    }
}

fn check(tool: Tool, files: &[(&str, &str)], words: &str, made: &str, magic: &[u8]) {
    let Some(project) = or_skip(Project::new(tool, files)) else {
        return;
    };
    let done = project
        .run(words)
        .and_then(|()| project.starts_with(made, magic));
    assert!(done.is_ok(), "{done:?}");
}

#[test]
fn rust_builds_commands_for_both_targets() {
    let files = [
        (
            "Cargo.toml",
            "[package]\nname = \"it\"\nedition = \"2024\"\n[workspace]\n[profile.release]\nlto = true\n",
        ),
        // A build script: the compiler must also build for this machine.
        (
            "build.rs",
            "fn main() { println!(\"cargo::rustc-env=FROM=build\"); }\n",
        ),
        (
            "src/main.rs",
            "fn main() {\n    println!(\"{} {:?}\", env!(\"FROM\"), std::net::TcpStream::connect(\"x:1\").is_ok());\n    \
             let mode = std::fs::metadata(\".\").unwrap().permissions();\n    \
             drop((std::fs::set_permissions(\".\", mode), std::fs::canonicalize(\".\")));\n    \
             drop(std::thread::Builder::new().spawn(|| 1).map(|thread| thread.join()));\n}\n",
        ),
    ];
    for (target, magic) in TARGETS.into_iter().zip([MODULE, COMPONENT]) {
        let words = format!("cargo build --quiet --release --offline --target {target}");
        let made = format!("target/{target}/release/it.wasm");
        check(Tool::Rust, &files, &words, &made, magic);
    }
}

/// A library has no `main`, and takes the other of the two objects that a program starts with.
#[test]
fn rust_builds_a_library() {
    let files = [(
        "it.rs",
        "#[unsafe(no_mangle)]\npub extern \"C\" fn one() -> i32 { 1 }\n",
    )];
    let words = "rustc --edition=2024 --crate-type=cdylib -O --target wasm32-wasip1 it.rs";
    check(Tool::Rust, &files, words, "it.wasm", MODULE);
}

/// What std's `malloc` asks of the host: one that takes a page for each size of block would grow
/// the memory many times. The same as rustup's targets, where each page is seen by every request.
#[test]
fn rusts_allocator_shares_pages_among_sizes() {
    let text = "fn main() {\n    \
        let before = core::arch::wasm32::memory_size::<0>();\n    \
        let blocks: Vec<Vec<u8>> = (4..13).map(|bits| vec![1; 1 << bits]).collect();\n    \
        let after = core::arch::wasm32::memory_size::<0>();\n    \
        assert!(after - before <= 1, \"{before} {after} {}\", blocks.len());\n}\n";
    let script = "const { WASI } = require('wasi');\n\
        const wasi = new WASI({ version: 'preview1', args: [], env: {} });\n\
        const code = new WebAssembly.Module(require('fs').readFileSync('it.wasm'));\n\
        wasi.start(new WebAssembly.Instance(code, wasi.getImportObject()));\n";
    let words = "rustc --edition=2024 -O --target wasm32-wasip1 it.rs\nnode --no-warnings run.cjs";
    let files = [("it.rs", text), ("run.cjs", script)];
    check(Tool::Rust, &files, words, "it.wasm", MODULE);
}

#[test]
fn go_builds_a_reactor() {
    let text =
        "package main\n\n//go:wasmexport one\nfunc one() int32 { return 1 }\n\nfunc main() {}\n";
    let files = [("go.mod", "module it\n\ngo 1.24\n"), ("main.go", text)];
    let words = "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o it.wasm .";
    check(Tool::Go, &files, words, "it.wasm", MODULE);
}

#[test]
fn zig_compiles_c_and_cpp_and_zig() {
    let c = "#include <stdlib.h>\nint one(void) { return abs(-1); }\n";
    let cpp = "#include <string>\nextern \"C\" int one() { return std::to_string(1).size(); }\n";
    let zig = "export fn one() i32 { return 1; }\n";
    let files = [("it.c", c), ("it.cpp", cpp), ("it.zig", zig)];
    for (words, made) in [
        (
            "zig cc --target=wasm32-wasi -Os -s -mexec-model=reactor it.c -o c.wasm",
            "c.wasm",
        ),
        (
            "zig c++ --target=wasm32-wasi -Os -s -fno-exceptions -mexec-model=reactor it.cpp -o cpp.wasm",
            "cpp.wasm",
        ),
        (
            "zig build-exe it.zig -target wasm32-freestanding -O ReleaseSmall -fno-entry -rdynamic",
            "it.wasm",
        ),
    ] {
        check(Tool::Zig, &files, words, made, MODULE);
    }
}

#[test]
fn componentize_py_makes_a_component() {
    let wit = "package test:it;\nworld it { export one: func() -> u32; }\n";
    let app = "import wit_world\n\n\nclass WitWorld(wit_world.WitWorld):\n    def one(self) -> int:\n        return 1\n";
    let files = [("wit/it.wit", wit), ("app.py", app)];
    let words = "componentize-py -d wit -w it componentize app -o it.wasm";
    check(Tool::ComponentizePy, &files, words, "it.wasm", COMPONENT);
}

#[test]
fn wasm_opt_optimises() {
    let files = [(
        "it.wat",
        "(module (func (export \"one\") (result i32) i32.const 1))",
    )];
    let words = "wasm-opt -O it.wat -o it.wasm";
    check(Tool::WasmOpt, &files, words, "it.wasm", MODULE);
}

#[test]
fn a_registry_starts() {
    let Some(registry) = or_skip(Toolchains::shared().registry()) else {
        return;
    };
    let said = Command::new(registry).arg("--version").output().unwrap();
    assert!(said.status.success());
}

#[test]
fn a_project_is_given_its_packages() {
    let project = tempfile::tempdir().unwrap();
    let package = "{\n  \"name\": \"it\",\n  \"private\": true,\n  \"devDependencies\": { \"assemblyscript\": \"0.28.20\" }\n}\n";
    fs::write(project.path().join("package.json"), package).unwrap();
    let Some(()) = or_skip(Toolchains::shared().link_node_modules(project.path())) else {
        return;
    };
    fs::write(
        project.path().join("it.ts"),
        "export function one(): i32 { return 1; }\n",
    )
    .unwrap();
    let words = [
        "node_modules/.bin/asc",
        "it.ts",
        "-O",
        "--runtime",
        "minimal",
        "-o",
        "it.wasm",
    ];
    run(Command::new("sh")
        .args(["-ec", &words.join(" ")])
        .current_dir(project.path()))
    .unwrap();
    let made = fs::read(project.path().join("it.wasm")).unwrap();
    assert!(made.starts_with(MODULE));
}
