//! `midge compiler`: compiles one component under limits and exits.
//!
//! Reads the component from stdin and answers with one JSON line on stdout. Who
//! compiles what, and for how long, is `supervisor/compilers.rs`.
//!
//! **Invariant:** the limits stand before the first foreign byte is read.

use std::io::Read as _;

use anyhow::Context as _;
use midge_sandbox::{Allocation, ArtifactCache, CompileError, Engine, SandboxConfig, compile};

use super::Ending;
use super::fault::chain;
use crate::cli::{AllocationArg, CompilerArgs};
use crate::protocol::{Compiled, to_line};
use crate::{machine, say};

/// A compiler runs no instances; the engine wants room for one.
const INSTANCES_MAX: u32 = 1;

/// Compiles what stdin holds into the cache.
pub(super) fn run(args: &CompilerArgs) -> anyhow::Result<Ending> {
    machine::name_process("midge-compiler");
    machine::die_with_parent();
    machine::confine(args.memory_bytes, args.cpu_seconds).context("set limits on the compiler")?;
    let mut source = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut source)
        .context("read the component")?;
    let answer = to_line(&answer(args, &source)?);
    say::data(&String::from_utf8(answer).expect("JSON is text"))?;
    Ok(Ending::Done)
}

fn answer(args: &CompilerArgs, source: &[u8]) -> anyhow::Result<Compiled> {
    let allocation = match args.allocation {
        AllocationArg::Pooling => Allocation::Pooling,
        AllocationArg::OnDemand => Allocation::OnDemand,
    };
    let engine = Engine::new(&SandboxConfig {
        allocation,
        instances_max: INSTANCES_MAX,
    })?;
    let cache = ArtifactCache::open(&args.cache_dir, &engine)?;
    Ok(match compile(&engine, &cache, source) {
        Ok(artifact) => Compiled::Done { artifact },
        // A folder that is full or gone says nothing about the component.
        Err(CompileError::Cache(error)) => Compiled::Failed {
            message: chain(&error),
            hint: error.hint(),
        },
        Err(error) => Compiled::Refused {
            message: chain(&error),
            hint: error.hint(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_cannot_be_written_is_not_the_components_fault() {
        let dir = tempfile::tempdir().unwrap();
        let args = CompilerArgs {
            cache_dir: dir.path().to_owned(),
            memory_bytes: 0,
            allocation: AllocationArg::OnDemand,
            cpu_seconds: 0,
        };
        // A module that exports `_start`, which does nothing.
        let source = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\
            \x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
        let Compiled::Done { artifact } = answer(&args, source).unwrap() else {
            panic!("it compiles");
        };
        // The system refuses to put a file there, as it does where there is no room.
        let folder = artifact.parent().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        std::fs::write(folder, "").unwrap();
        let Compiled::Failed { message, hint } = answer(&args, source).unwrap() else {
            panic!("it cannot be written");
        };
        assert!(message.contains("create cache folder"), "{message}");
        assert!(hint.is_some());
        let Compiled::Refused { .. } = answer(&args, b"nonsense").unwrap() else {
            panic!("it is no component");
        };
    }
}
