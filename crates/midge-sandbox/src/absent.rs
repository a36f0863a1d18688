//! Interfaces that a component imports because its SDK imports them in every program.
//!
//! Spin's SDK for Python makes each component for the whole world of Spin: databases, queues and
//! language models, whatever the program does. Its import says nothing about need, so it is linked
//! all the same, and a call ends the invocation. One such import alone is that of a program that
//! means it, and is refused like any other:
//! `docs/decisions/0040-a-world-imported-whole-is-not-a-need.md`.
//!
//! **Invariant:** what the host has is never stubbed, whatever else a component imports.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceType};

use crate::guest::Guest;

/// Whoever imports all of these imports a world and not what it needs.
const SIGNS: [&str; 5] = [
    "fermyon:spin/llm@2.0.0",
    "fermyon:spin/mysql@2.0.0",
    "fermyon:spin/postgres@2.0.0",
    "fermyon:spin/redis@2.0.0",
    "fermyon:spin/sqlite@2.0.0",
];

/// What of that world is not here.
const ABSENT: [&str; 11] = [
    "fermyon:spin/llm@2.0.0",
    "fermyon:spin/mqtt@2.0.0",
    "fermyon:spin/mysql@2.0.0",
    "fermyon:spin/postgres@2.0.0",
    "fermyon:spin/rdbms-types@2.0.0",
    "fermyon:spin/redis@2.0.0",
    "fermyon:spin/sqlite@2.0.0",
    "spin:postgres/postgres@3.0.0",
    "spin:postgres/postgres@4.0.0",
    "spin:sqlite/sqlite@3.0.0",
    "wasi:config/store@0.2.0-draft-2024-09-27",
];

/// Whether a component imports a world whole; `imports` says whether it imports an interface.
pub(crate) fn is_whole_world(imports: impl Fn(&str) -> bool) -> bool {
    SIGNS.into_iter().all(imports)
}

/// Whether an interface belongs to such a world and is not here.
pub(crate) fn is_absent(name: &str) -> bool {
    ABSENT.contains(&name)
}

/// The linker with what `component` imports of such a world and is not here; none if it needs none.
///
/// # Errors
///
/// A name that is linked already, which the list above does not have.
pub(crate) fn link_absent(
    linker: &Linker<Guest>,
    component: &Component,
) -> wasmtime::Result<Option<Linker<Guest>>> {
    let types = component.component_type();
    let engine = component.engine();
    if !is_whole_world(|name| types.get_import(engine, name).is_some()) {
        return Ok(None);
    }
    let mut linker = linker.clone();
    for (name, item) in types.imports(engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else {
            continue;
        };
        if !is_absent(name) {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (item, kind) in interface.exports(engine) {
            match kind.ty {
                ComponentItem::ComponentFunc(_) => {
                    let called = format!("{name}#{item}");
                    instance.func_new(item, move |_, _, _, _| {
                        wasmtime::bail!(
                            "`{called}` is not here: the SDK imports it, this host has none"
                        )
                    })?;
                }
                // There is never one of it.
                ComponentItem::Resource(_) => {
                    instance.resource(item, ResourceType::host::<()>(), |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(Some(linker))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::Import;

    #[test]
    fn one_import_is_meant_and_a_world_is_not() {
        assert!(is_whole_world(|name| ABSENT.contains(&name)));
        assert!(is_whole_world(|name| SIGNS.contains(&name)));
        assert!(!is_whole_world(|name| SIGNS[1..].contains(&name)));
        assert!(!is_whole_world(|name| name == "fermyon:spin/sqlite@2.0.0"));
    }

    #[test]
    fn what_is_here_is_not_said_to_be_absent() {
        for name in ABSENT {
            assert!(!Import::of(name).provided, "{name}");
        }
        assert!(SIGNS.iter().all(|sign| is_absent(sign)));
    }
}
