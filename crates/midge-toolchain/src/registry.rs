//! A registry for OCI artifacts: Debian's `docker-registry`, the one that most others are measured by.
//!
//! It is one program and needs the C library, nothing else.
//!
//! **Invariant:** its service is not installed and never started: tests start it themselves.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian::Debian;
use crate::once::remove;
use crate::programs::{make_program, write_program};
use crate::run::run;
use crate::{PROGRAMS, Toolchains};

/// Counts up when anything here changes what is made.
const RECIPE: &str = "docker-registry of Debian, recipe 1";

impl Toolchains<'_> {
    pub(crate) fn install_registry(&self) -> Result<PathBuf> {
        self.once("registry", RECIPE, |folder| {
            let scratch = folder.join("scratch");
            let debian = Debian::open(scratch.join("debian"))?;
            let root = folder.join("root");
            debian.unpack(&["docker-registry"], &root, "usr/bin/*")?;
            remove(&scratch)?;
            let program = root.join("usr/bin/docker-registry");
            make_program(&program)?;
            run(Command::new(&program).arg("--version")).context("start docker-registry")?;
            let script = folder.join(PROGRAMS).join("docker-registry");
            write_program(&script, &[], &[&program.to_string_lossy()])
        })
    }
}
