//! C and C++: a clang with a C library for WASI, which is the WASI SDK's or zig's.
//!
//! With a world (`wit/`) bindings are made and the sources become a reactor that is wrapped here;
//! without, they are a command.

use std::env;
use std::path::PathBuf;

use super::{NEWEST, Plan, World, interfaces};
use crate::bindings;
use crate::error::BuildError;
use crate::language::{Language, sources};
use crate::project::Project;
use crate::step::Step;
use crate::tools::ZIG;

const C: &[&str] = &["c"];
const CPP: &[&str] = &["c", "cc", "cpp", "cxx"];

pub(super) fn plan(project: &Project, language: Language) -> Result<Plan, BuildError> {
    let is_cpp = language == Language::Cpp;
    let own = sources(project.folder(), if is_cpp { CPP } else { C });
    if !project.wit().is_dir() {
        let product = project.component().to_owned();
        let step = compiler(project, language)?
            .args(own)
            .arg("-o")
            .arg(&product);
        return Ok(Plan::component(language, vec![step], product));
    }
    let interfaces = interfaces(project, NEWEST)?;
    let folder = project.scratch().join("bindings");
    let made = bindings::c(&interfaces, &folder)?;
    let module = project.core_module();
    let mut include = std::ffi::OsString::from("-I");
    include.push(&folder);
    let (c, others): (Vec<PathBuf>, Vec<PathBuf>) = made
        .into_iter()
        .chain(own)
        .partition(|file| file.extension().is_some_and(|extension| extension == "c"));
    let mut steps = Vec::new();
    let mut objects = others;
    if is_cpp {
        // A C++ compiler would take C for C++.
        for source in c {
            let mut name = source.file_stem().unwrap_or_default().to_owned();
            name.push(".o");
            let object = folder.join(name);
            let step = compiler(project, Language::C)?
                .arg(&include)
                .arg("-c")
                .arg(&source)
                .arg("-o")
                .arg(&object);
            steps.push(step);
            objects.push(object);
        }
    } else {
        objects.extend(c);
    }
    let step = compiler(project, language)?
        .arg("-mexec-model=reactor")
        .arg(&include)
        .args(objects)
        .arg("-o")
        .arg(&module);
    steps.push(step);
    let world = World::Of(Box::new(interfaces));
    Ok(Plan::module(language, steps, module, world))
}

/// The compiler, for a small program.
fn compiler(project: &Project, language: Language) -> Result<Step, BuildError> {
    let is_cpp = language == Language::Cpp;
    let folder = project.folder();
    let compiler = match env::var_os("WASI_SDK_PATH") {
        Some(sdk) => {
            let name = if is_cpp { "bin/clang++" } else { "bin/clang" };
            Step::new(PathBuf::from(sdk).join(name), folder).arg("--target=wasm32-wasip1")
        }
        None => ZIG
            .step(language, folder)?
            .arg(if is_cpp { "c++" } else { "cc" })
            .arg("--target=wasm32-wasi")
            .env("ZIG_LOCAL_CACHE_DIR", project.scratch().join("zig")),
    };
    let compiler = compiler.args(["-Os", "-s"]);
    Ok(match is_cpp {
        true => compiler.args(["-std=c++23", "-fno-exceptions"]),
        false => compiler,
    })
}
