//! Whether this host has a component's imports with the types that it asks for, without its code.
//!
//! A component's imports and their types stand at its beginning, and that beginning is a component
//! itself, which does nothing. It is compiled and linked like any other, in about a millisecond; so
//! `midge inspect` can say what a deploy would, and the compiler says it before it starts to work.
//! Imports that stand further back are seen when the whole is linked.
//!
//! **Invariant:** no code of the file is compiled here, and no more than [`IMPORTS_BYTES_MAX`] of it
//! is looked at.

use wasmtime::component::Component;

use crate::compile::tasks_of;
use crate::contract::Contract;
use crate::diagnosis::Diagnosis;
use crate::engine::Engine;
use crate::inspect::{self, InspectError, Inspection};
use crate::linkers::Linkers;
use crate::{candidate, outline};

/// The imports of all of WASI take 40 KiB.
const IMPORTS_BYTES_MAX: usize = 1 << 20;

/// Sees whether the host's functions have the types that `source` (binary or text) imports them
/// with.
///
/// # Errors
///
/// [`InspectError::Unfit`] with the first function that does not fit, or what [`inspect::inspect`]
/// says.
pub fn check_types(engine: &Engine, source: &[u8]) -> Result<(), InspectError> {
    let inspection = inspect::inspect(source)?;
    let binary = inspect::to_binary(source)?;
    if !inspection.facts().is_component {
        return Ok(());
    }
    match Linkers::new(engine) {
        Ok(linkers) => check(&linkers, engine, &inspection, &binary),
        // The engine was made a moment ago; whatever it lacks now, a deploy will say.
        Err(_) => Ok(()),
    }
}

/// The same for who has looked into the component already.
pub(crate) fn check(
    linkers: &Linkers,
    engine: &Engine,
    inspection: &Inspection,
    component: &[u8],
) -> Result<(), InspectError> {
    debug_assert_ne!(inspection.contract, Contract::Command01, "no component");
    // What is no component, or none that this engine takes, is the compiler's to explain.
    let Ok(component) = candidate::as_released(component) else {
        return Ok(());
    };
    let Ok(imports) = outline::imports_only(&component) else {
        return Ok(());
    };
    if imports.len() > IMPORTS_BYTES_MAX {
        return Ok(());
    }
    let Ok(imports) = Component::from_binary(engine.of(tasks_of(inspection)), imports) else {
        return Ok(());
    };
    linkers.check(&imports).map_err(|error| {
        let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
        InspectError::Unfit(Diagnosis::of_link(&inspection.facts(), &causes).into())
    })
}
