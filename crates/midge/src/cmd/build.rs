//! `midge build [PATH]`: from sources to components.
//!
//! Decides which functions are built and what is said meanwhile. How a language is built is
//! `midge-build`'s.
//!
//! **Invariant:** what the tools print goes to stderr as they print it, paths of components go to
//! stdout.

use midge_build::{BuildError, Optimize, Project, Step, finish, plan};
use midge_model::quantity::format_bytes;
use tokio::time::Instant;

use super::Ending;
use super::fault::{Hint, hinted};
use crate::cli::BuildArgs;
use crate::functions::{self, Buildable};
use crate::say;

impl Hint for BuildError {
    fn hint(&self) -> Option<String> {
        Self::hint(self)
    }
}

/// Builds what was typed.
pub(super) fn run(args: &BuildArgs) -> anyhow::Result<Ending> {
    let functions = functions::buildable(&args.path, &args.functions);
    let functions = functions.map_err(|error| error.hinted_for("build"))?;
    let optimize = match args.optimize {
        true => Optimize::WasmOpt,
        false => Optimize::No,
    };
    if functions.is_empty() {
        say::line("nothing to build: components from elsewhere are taken as they are");
    }
    for function in &functions {
        if args.dry_run {
            let plan = plan(&function.project, function.line.as_deref()).map_err(hinted)?;
            for step in plan.steps() {
                say::data(&format!("{}\n", step.line()))?;
            }
        } else {
            build(function, optimize)?;
            let component = function.project.component().display();
            say::data(&format!("{component}\n"))?;
        }
    }
    Ok(Ending::Done)
}

/// Builds one function and says how long it took.
pub(super) fn build(function: &Buildable, optimize: Optimize) -> anyhow::Result<()> {
    let Buildable { project, line } = function;
    let begun = Instant::now();
    let plan = plan(project, line.as_deref()).map_err(hinted)?;
    for step in plan.steps() {
        say::line(&format!("$ {}", short(step)));
        step.run().map_err(hinted)?;
    }
    let finished = finish(project, &plan, optimize).map_err(hinted)?;
    let name = Project::name(project);
    let mut done = format!(
        "built {name} in {:.1} s: {}",
        begun.elapsed().as_secs_f32(),
        format_bytes(finished.bytes)
    );
    if finished.wrapped {
        done.push_str(", made a component of a core module");
    }
    if optimize == Optimize::WasmOpt && !finished.optimized {
        done.push_str("; wasm-opt takes core modules, and this was a component already");
    }
    say::line(&done);
    Ok(())
}

/// A command line without the text of a script.
fn short(step: &Step) -> String {
    let line = step.line();
    match line.split_once('\n') {
        Some((first, _)) => format!("{first} …"),
        None => line,
    }
}
