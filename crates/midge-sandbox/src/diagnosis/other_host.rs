//! Core modules that were made for JavaScript: recognised by names, because most of them say
//! nothing about their makers.

use std::fmt;

use super::Facts;
use super::missing::with_items;
use super::words::{NAMES_MAX, some_of};
use crate::imports::Import;

/// Imports, and whose program it is that provides them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherHost {
    host: Host,
    imports: Vec<Import>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    WasmBindgen,
    Go,
    AssemblyScript,
    Emscripten,
    /// Emscripten, for a module that another of its modules loads.
    EmscriptenLibrary,
    Ruby,
}

/// What AssemblyScript's library wants of its host, if nothing is done about it.
const ASSEMBLYSCRIPT_ENV: [&str; 3] = ["abort", "seed", "trace"];

/// Modules that only one kind of host has.
const TELLING: [&str; 4] = ["gojs", "rb-js-abi-host", "wbg", "__wbindgen_placeholder__"];

impl OtherHost {
    /// The host that a module was made for, if it wants something that only that one has.
    pub(super) fn of(facts: &Facts<'_>) -> Option<Self> {
        let missing: Vec<_> = facts
            .imports
            .iter()
            .filter(|import| import.is_missing())
            .collect();
        let host = host_of(facts, &missing)?;
        let mut imports: Vec<_> = missing.into_iter().cloned().collect();
        // The telling one first.
        imports.sort_by_key(|import| !TELLING.contains(&import.name.as_str()));
        Some(Self { host, imports })
    }

    pub(super) fn hint(&self) -> &'static str {
        match self.host {
            Host::WasmBindgen => {
                "build it without wasm-bindgen, for wasm32-wasip2: `midge new rust NAME` writes a \
                 project to start from"
            }
            Host::Go => {
                "build it with GOOS=wasip1 GOARCH=wasm: `midge new go NAME` writes a project to \
                 start from"
            }
            Host::AssemblyScript => {
                "build it with `asc --use abort=`: `midge new assemblyscript NAME` writes a \
                 project to start from"
            }
            Host::Emscripten => {
                "build it with wasi-sdk or `zig cc --target=wasm32-wasi`; `midge new c NAME` writes \
                 a project to start from"
            }
            Host::EmscriptenLibrary => {
                "link it into a program and build that with wasi-sdk or `zig cc \
                 --target=wasm32-wasi`"
            }
            Host::Ruby => {
                "take a build of ruby.wasm that needs no JavaScript: of its releases those that are \
                 called `full` or `minimal` without `-js`, whose `bin/ruby` is a command"
            }
        }
    }
}

fn host_of(facts: &Facts<'_>, missing: &[&Import]) -> Option<Host> {
    let imports_module = |name: &str| missing.iter().any(|import| import.name == name);
    let mut items = missing.iter().flat_map(|import| &import.functions);
    if missing.is_empty() {
        return facts
            .signs
            .is_dynamic_library
            .then_some(Host::EmscriptenLibrary);
    }
    let is_bindgen = |name: &String| name.starts_with("__wbg_") || name.starts_with("__wbindgen_");
    if items.any(is_bindgen) || missing.iter().any(|it| it.name.contains("wbindgen")) {
        return Some(Host::WasmBindgen);
    }
    if imports_module("gojs") || imports_module("go") {
        return Some(Host::Go);
    }
    if imports_module("rb-js-abi-host") {
        return Some(Host::Ruby);
    }
    if facts.signs.is_dynamic_library || imports_module("GOT.mem") || imports_module("GOT.func") {
        return Some(Host::EmscriptenLibrary);
    }
    let is_shortened = missing.iter().all(|import| import.name.len() == 1);
    if is_shortened || facts.signs.names_emscripten {
        return Some(Host::Emscripten);
    }
    let env = missing.iter().find(|import| import.name == "env")?;
    let of_assemblyscript = |name: &String| ASSEMBLYSCRIPT_ENV.contains(&name.as_str());
    if env.functions.iter().all(of_assemblyscript) {
        return Some(Host::AssemblyScript);
    }
    let of_emscripten = |name: &String| {
        [
            "emscripten_",
            "_emscripten_",
            "invoke_",
            "__syscall_",
            "_abort_js",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
    };
    env.functions
        .iter()
        .any(of_emscripten)
        .then_some(Host::Emscripten)
}

impl fmt::Display for OtherHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = match self.host {
            Host::WasmBindgen => "wasm-bindgen's JavaScript provides in a browser",
            Host::Go => "Go's `wasm_exec.js` provides in a browser",
            Host::AssemblyScript => "AssemblyScript's JavaScript provides",
            Host::Emscripten | Host::EmscriptenLibrary => "Emscripten's JavaScript provides",
            Host::Ruby => "Ruby's JavaScript provides",
        };
        if self.host == Host::EmscriptenLibrary {
            f.write_str("is a library for another module to load")?;
            if self.imports.is_empty() {
                return Ok(());
            }
            f.write_str(" and ")?;
        }
        let imports = some_of(self.imports.iter().map(with_items), NAMES_MAX);
        write!(
            f,
            "imports {imports}, which {provider} and this host does not"
        )
    }
}
