//! Which host interfaces are linked, and whether code fits them.
//!
//! Decides what a guest can import at all; what it is granted of that is decided when it calls.
//! The compiler links once to see that it can be done, a sandbox once per function.
//!
//! **Invariant:** code that one of them links, the other links too: both have these linkers and
//! the same engine.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{self, Component, InstancePre, ResourceType};

use crate::absent;
use crate::artifact::{ArtifactCode, LoadFault};
use crate::contract::{CommandProgram, Program};
use crate::engine::{self, Engine, Tasks};
use crate::guest::{Guest, Guest01};
use crate::host::http_out;
use crate::host::{config, files01, files02, files03, kv, names, sockets, variables};

/// Everything that guests may import, by the kind of their code.
pub(crate) struct Linkers {
    components: component::Linker<Guest>,
    /// The same and WASI 0.3, for the variant of the engine that can have it.
    components03: component::Linker<Guest>,
    modules: wasmtime::Linker<Guest01>,
    /// The same for functions that have a folder.
    modules_with_files: wasmtime::Linker<Guest01>,
}

impl Linkers {
    /// Linkers for code of this engine.
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let modules = module_linker(engine)?;
        let mut modules_with_files = modules.clone();
        modules_with_files.allow_shadowing(true);
        files01::link(&mut modules_with_files)?;
        Ok(Self {
            components: component_linker(engine.of(Tasks::One))?,
            components03: component_linker03(engine.of(Tasks::Many))?,
            modules,
            modules_with_files,
        })
    }

    /// The code with its imports resolved, and how many slots of a pool one instance takes.
    ///
    /// # Errors
    ///
    /// An import that is not linked or has another type, or more memories and tables than a slot
    /// has: nothing of ours makes it run.
    pub(crate) fn link(
        &self,
        code: ArtifactCode,
        has_folders: bool,
    ) -> Result<(Program, u32), LoadFault> {
        match code {
            ArtifactCode::Module(module) => {
                let linker = match has_folders {
                    true => &self.modules_with_files,
                    false => &self.modules,
                };
                let pre = linker.instantiate_pre(&module)?;
                let slots = engine::slots(Some(module.resources_required()));
                Ok((CommandProgram::Preview1(pre).into(), slots))
            }
            ArtifactCode::Component(component) => {
                let pre = self.pre(&component)?;
                let slots = engine::slots(component.resources_required());
                Ok((Program::of_component(pre)?, slots))
            }
        }
    }

    /// Whether a component's imports are linked, with the types that it asks for.
    ///
    /// # Errors
    ///
    /// The first that is not.
    pub(crate) fn check(&self, component: &Component) -> wasmtime::Result<()> {
        self.pre(component).map(drop)
    }

    fn pre(&self, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
        let is_one = wasmtime::Engine::same(component.engine(), self.components.engine());
        let linker = match is_one {
            true => &self.components,
            false => &self.components03,
        };
        let paired = kv::wasi::link_paired(linker, component)?;
        let linker = paired.as_ref().unwrap_or(linker);
        let whole = link_absent(linker, component)?;
        whole.as_ref().unwrap_or(linker).instantiate_pre(component)
    }
}

/// The linker with what `component` imports because its SDK imports a world whole, and is not here; none
/// if it needs none. What is here is never stubbed.
///
/// # Errors
///
/// A name that is linked already, which the list of what is absent does not have.
fn link_absent(
    linker: &component::Linker<Guest>,
    component: &Component,
) -> wasmtime::Result<Option<component::Linker<Guest>>> {
    let types = component.component_type();
    let engine = component.engine();
    if !absent::is_whole_world(|name| types.get_import(engine, name).is_some()) {
        return Ok(None);
    }
    let mut linker = linker.clone();
    for (name, item) in types.imports(engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else {
            continue;
        };
        if !absent::is_absent(name) {
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

/// Every interface that a component may import, in all versions but 0.3. Linked is not
/// granted: each answers "denied" where the revision has no grant for it.
fn component_linker(engine: &wasmtime::Engine) -> wasmtime::Result<component::Linker<Guest>> {
    let mut linker = component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    // What the engine linked is replaced by what looks at grants.
    linker.allow_shadowing(true);
    http_out::link_code02(&mut linker)?;
    config::link(&mut linker)?;
    variables::link(&mut linker)?;
    kv::wasi::link(&mut linker)?;
    kv::spin::link(&mut linker)?;
    files02::link(&mut linker)?;
    names::link02(&mut linker)?;
    sockets::link02(&mut linker)?;
    Ok(linker)
}

/// The same with 0.3.
fn component_linker03(engine: &wasmtime::Engine) -> wasmtime::Result<component::Linker<Guest>> {
    let mut linker = component_linker(engine)?;
    linker.allow_shadowing(false);
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    files03::link(&mut linker)?;
    names::link03(&mut linker)?;
    sockets::link03(&mut linker)?;
    Ok(linker)
}

fn module_linker(engine: &Engine) -> wasmtime::Result<wasmtime::Linker<Guest01>> {
    let mut linker = wasmtime::Linker::new(engine.of(Tasks::One));
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |guest: &mut Guest01| &mut guest.wasi)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Allocation, SandboxConfig};
    use crate::imports;

    /// What `midge inspect` promises is what the linker has: a component that imports
    /// every claimed interface as an empty instance must link.
    #[test]
    fn every_claimed_interface_is_linked() {
        let config = SandboxConfig {
            allocation: Allocation::OnDemand,
            instances_max: 1,
        };
        let engine = Engine::new(&config).unwrap();
        let linker = component_linker03(engine.of(Tasks::Many)).unwrap();
        for interface in imports::claimed() {
            let text = format!(r#"(component (import "{interface}" (instance)))"#);
            let component = Component::new(linker.engine(), text).unwrap();
            linker.instantiate_pre(&component).unwrap_or_else(|error| {
                panic!("`{interface}` is claimed but not linked: {error:#}")
            });
        }
    }

    /// What is said to be no function of preview 1 must not be one.
    #[test]
    fn every_function_of_preview_1_is_linked() {
        let config = SandboxConfig {
            allocation: Allocation::OnDemand,
            instances_max: 1,
        };
        let engine = Engine::new(&config).unwrap();
        let linker = module_linker(&engine).unwrap();
        for function in imports::PREVIEW1_FUNCTIONS {
            // No function has this type.
            let text = format!(
                r#"(module (import "wasi_snapshot_preview1" "{function}" (func (param v128))))"#
            );
            let module = wasmtime::Module::new(linker.engine(), text).unwrap();
            let Err(error) = linker.instantiate_pre(&module) else {
                panic!("`{function}` takes a vector");
            };
            let text = error.to_string();
            assert!(text.starts_with("incompatible import type"), "{text}");
        }
    }
}
