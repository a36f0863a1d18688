//! How a project in any language becomes a component.
//!
//! Decides what language a folder is written in, which programs build it and how people get
//! them, which interface texts it needs, and what is done to the file that comes out: a core
//! module is wrapped, a component gets its name and version. Nothing here runs what was built.
//!
//! ```text
//! project ─► language ─► recipe (tools, interfaces) ─► steps ─► finish (wrap, metadata)
//! ```
//!
//! **Invariant:** what is missing is named together with the one line that gets it.

#![forbid(unsafe_code)]

mod adapter_room;
mod bindings;
mod error;
mod finish;
mod language;
mod metadata;
mod project;
mod recipe;
mod spin;
mod step;
mod templates;
mod tools;
mod wit;
mod wrap;

pub use self::error::BuildError;
pub use self::finish::{Finished, Optimize, finish};
pub use self::language::Language;
pub use self::metadata::Metadata;
pub use self::project::Project;
pub use self::recipe::{Plan, plan};
pub use self::spin::{Imported, SPIN_BYTES_MAX, SpinError, from_spin};
pub use self::step::{Step, quoted};
pub use self::templates::{Template, TemplateError, Written, templates, templates_in};
pub use self::wrap::component_of_reactor;
