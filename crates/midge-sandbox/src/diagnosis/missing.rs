//! Imports that this host does not have at all, or in other versions only.

use std::fmt;

use super::words::{FUNCTIONS_MAX, NAMES_MAX, item, quoted, some_of};
use crate::imports::{self, Import};

/// What a file imports and this host does not have; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// In no version.
    unknown: Vec<Import>,
    /// In other versions.
    versioned: Vec<Import>,
}

impl Missing {
    pub(super) fn of(imports: &[Import]) -> Option<Self> {
        let missing = imports.iter().filter(|import| import.is_missing()).cloned();
        let is_versioned = |import: &Import| !import.versions_here().is_empty();
        let (versioned, unknown): (Vec<_>, Vec<_>) = missing.partition(is_versioned);
        (!versioned.is_empty() || !unknown.is_empty()).then_some(Self { unknown, versioned })
    }

    pub(super) fn hint(&self, is_component: bool) -> String {
        match (self.unknown.first(), self.versioned.first()) {
            (Some(import), _) => unknown_hint(import, is_component),
            (None, Some(import)) => versioned_hint(import),
            // Never empty.
            (None, None) => String::new(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.unknown.is_empty() {
            let imports = some_of(self.unknown.iter().map(with_items), NAMES_MAX);
            write!(f, "imports {imports}, which this host does not have")?;
        }
        let Some(first) = self.versioned.first() else {
            return Ok(());
        };
        if !self.unknown.is_empty() {
            f.write_str("; it ")?;
        }
        let names = self
            .versioned
            .iter()
            .map(|import| quoted(&import.full_name()));
        let names = some_of(names, NAMES_MAX);
        write!(f, "imports {names}; this host has {}", versions_of(first))
    }
}

/// An interface and what is wanted of it: `` `env` (`abort` and `seed`) ``.
pub(super) fn with_items(import: &Import) -> String {
    let name = quoted(&import.full_name());
    if import.functions.is_empty() {
        return name;
    }
    let items = import.functions.iter().map(|name| quoted(item(name)));
    format!("{name} ({})", some_of(items, FUNCTIONS_MAX))
}

/// `` `wasi:cli/stdin` in version 0.2.12 and 0.3.0 ``.
pub(super) fn versions_of(import: &Import) -> String {
    let versions = import.versions_here();
    if versions == [imports::NO_VERSION] {
        return format!("`{}` without a version", import.name);
    }
    let versions = versions.into_iter().map(|version| match version {
        imports::NO_VERSION => "none",
        version => version,
    });
    format!(
        "`{}` in version {}",
        import.name,
        some_of(versions, usize::MAX)
    )
}

fn versioned_hint(import: &Import) -> String {
    let asked = import.version.as_deref().unwrap_or_default();
    let here = import.versions_here();
    build_for(asked, here.last().copied().unwrap_or_default())
}

/// What to build for, for who built for `asked`; `newest` is what this host has.
pub(super) fn build_for(asked: &str, newest: &str) -> String {
    if asked.starts_with("0.3.0-") {
        // Each candidate is a version of its own.
        return "build it for WASI 0.3.0: with the crate wasip3 0.9, or with the WIT that `midge \
                build` puts into `wit/deps`"
            .to_owned();
    }
    if asked.starts_with("0.2.0-rc") {
        return "build it with tools of 2024 or later: the version asked for is a draft from before \
                WASI 0.2 was released"
            .to_owned();
    }
    match is_newer(asked, newest) {
        true => format!("build it for version {newest}, or ask a newer Midge"),
        false => format!("build it with tools for version {newest}"),
    }
}

/// Compares major and minor numbers.
fn is_newer(asked: &str, here: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        let parts = version.split('.').take(2);
        parts.map(|part| part.parse().unwrap_or(0)).collect()
    };
    numbers(asked) > numbers(here)
}

fn unknown_hint(import: &Import, is_component: bool) -> String {
    let name = import.name.as_str();
    match name {
        "wasi_unstable" => "this is WASI preview 0: build it for wasm32-wasip1 or later".to_owned(),
        "wasi" => "this asks for WASI threads or a runtime's own additions: build it for \
                   wasm32-wasip1 without threads"
            .to_owned(),
        "wasix_32v1" | "wasix_64v1" => {
            "WASIX is known to one runtime only: build it for wasm32-wasip1".to_owned()
        }
        "env" => {
            "`env` has what was declared and not linked: link the library that defines it, or \
                  build with wasi-sdk or `zig cc --target=wasm32-wasi`"
                .to_owned()
        }
        _ if name.starts_with("wasi:") => format!(
            "build it without; of WASI this host has {}",
            imports::packages_of_wasi()
        ),
        _ if name.starts_with("fermyon:spin/") || name.starts_with("spin:") => format!(
            "of Spin's interfaces this host has `fermyon:spin/key-value` and \
             `fermyon:spin/variables` in version {}: build without the others, with an SDK of \
             Spin 3 or earlier",
            imports::SPIN_VERSION
        ),
        _ if is_component => "compose it with a component that exports this: `wac plug FILE.wasm \
                              --plug OTHER.wasm -o WHOLE.wasm`"
            .to_owned(),
        _ => format!(
            "{} is for the program to provide that this file was made for: run it there, or build a \
             command for wasm32-wasip1",
            quoted(name)
        ),
    }
}
