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
        Err(error) => {
            let hint = match &error {
                CompileError::Inspect(error) => error.hint(),
                CompileError::Cache(error) => error.hint(),
                CompileError::Componentize { .. } | CompileError::Invalid { .. } => None,
            };
            Compiled::Refused {
                message: chain(&error),
                hint,
            }
        }
    })
}
