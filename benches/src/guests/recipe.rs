//! How each guest is made that is not committed built.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use midge_toolchain::{COMPONENTIZE_PY, GO, Toolchains, run};

use super::Guests;
use super::wit::{self, Wit};

/// JavaScript to WebAssembly, an npm package.
const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js@0.23.0";
/// What componentize-js needs and leaves to whoever installs it.
const PREVIEW2_SHIM: &str = "@bytecodealliance/preview2-shim@0.17.4";

/// A guest and its source.
pub(super) struct Recipe {
    /// What it is called, and its folder.
    pub(super) name: &'static str,
    /// Who makes it.
    pub(super) tool: Tool,
    /// Its files, in its folder; the first is what the tool is given.
    files: &'static [&'static str],
}

/// Who makes a guest.
#[derive(Clone, Copy)]
pub(super) enum Tool {
    /// Go's own compiler; the component is made here.
    Go,
    /// componentize-js, without these of its features.
    JavaScript(&'static [&'static str]),
    /// componentize-py.
    Python,
}

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "hello-go",
        tool: Tool::Go,
        files: &["main.go", "go.mod"],
    },
    Recipe {
        name: "hello-js",
        tool: Tool::JavaScript(&[]),
        files: &["hello.js"],
    },
    Recipe {
        name: "hello-js-serial",
        tool: Tool::JavaScript(&["fetch-event"]),
        files: &["hello.js"],
    },
    Recipe {
        name: "hello-py",
        tool: Tool::Python,
        files: &["app.py"],
    },
];

/// Makes a component of a JavaScript file.
const JS_SCRIPT: &str = "componentize.mjs";
/// The world of all of them.
const WORLD_FILE: &str = "world.wit";

impl Tool {
    pub(super) fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Go => &[GO],
            Self::JavaScript(_) => &[COMPONENTIZE_JS, PREVIEW2_SHIM],
            Self::Python => &[COMPONENTIZE_PY],
        }
    }
}

impl Recipe {
    /// The files that it is made from, below the folder of all guests.
    pub(super) fn sources(&self) -> Vec<String> {
        let own = self
            .files
            .iter()
            .map(|file| format!("{}/{file}", self.name));
        let script = matches!(self.tool, Tool::JavaScript(_)).then(|| JS_SCRIPT.to_owned());
        own.chain(script).chain([WORLD_FILE.to_owned()]).collect()
    }

    /// Makes the component and leaves it as `out`.
    pub(super) fn build(&self, guests: &Guests<'_>, out: &Path) -> Result<()> {
        let target = guests.folder.parent();
        let target = target.context("the bench's folder lies in no other")?;
        let tools = Toolchains::in_target(target, guests.say);
        let sources = guests.sources();
        let world = sources.join(WORLD_FILE);
        let source = sources.join(self.name);
        let engine = wit::engines_packages(guests.root)?;
        let wit = guests.folder.join("guests/wit");
        match self.tool {
            Tool::Go => {
                let go = tools.go()?;
                (guests.say)(&format!("building {}", self.name));
                let module = out.with_extension("core");
                run(go_build(&go).arg("-o").arg(&module).current_dir(&source))?;
                let bytes = fs::read(&module).context("read what Go made")?;
                fs::remove_file(&module).context("remove what Go made")?;
                let wit = Wit::copy(&engine, &world, wit::NEWEST, &wit)?;
                let component = wit
                    .component(bytes)
                    .context("make a component of Go's module")?;
                fs::write(out, component).context("write the component")
            }
            Tool::JavaScript(left_out) => {
                let packages = [COMPONENTIZE_JS, PREVIEW2_SHIM];
                let folder = tools.npm("componentize-js", &packages)?;
                (guests.say)(&format!("building {}", self.name));
                let wit = Wit::copy(&engine, &world, wit::OF_JAVASCRIPT, &wit)?;
                let script = folder.join(JS_SCRIPT);
                fs::copy(sources.join(JS_SCRIPT), &script).context("copy our script")?;
                let mut node = Command::new("node");
                node.arg(script).arg(source.join(self.files[0]));
                run(node.arg(wit.folder()).arg(out).args(left_out))
            }
            Tool::Python => {
                let mut python = Command::new(tools.componentize_py()?);
                (guests.say)(&format!("building {}", self.name));
                let wit = Wit::copy(&engine, &world, wit::NEWEST, &wit)?;
                python
                    .arg("-d")
                    .arg(wit.folder())
                    .args(["-w", wit::WORLD, "componentize", "-p"]);
                let app = Path::new(self.files[0]).file_stem();
                let app = app.unwrap_or(OsStr::new("app"));
                run(python.arg(&source).arg("-o").arg(out).arg(app))
            }
        }
    }
}

/// `go build` of a reactor for WASI, with nothing fetched.
fn go_build(go: &Path) -> Command {
    let mut command = Command::new(go);
    command
        .args([
            "build",
            "-trimpath",
            "-buildmode=c-shared",
            "-ldflags=-s -w",
        ])
        .env_remove("GOFLAGS")
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm")])
        .envs([("GOWORK", "off"), ("GOPROXY", "off")]);
    command
}
