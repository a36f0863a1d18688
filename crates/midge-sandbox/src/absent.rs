//! Interfaces that a component imports because its SDK imports them in every program.
//!
//! Spin's SDK for Python makes each component for the whole world of Spin: databases, queues and
//! language models, whatever the program does. Its import says nothing about need, so it is linked
//! all the same, and a call ends the invocation. One such import alone is that of a program that
//! means it, and is refused like any other:
//! `docs/decisions/0040-a-world-imported-whole-is-not-a-need.md`.
//!
//! **Invariant:** depends on nothing of the engine, so that it can be fuzzed without one.

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
