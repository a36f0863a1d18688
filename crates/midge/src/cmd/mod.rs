//! One file per command, and how each of them ends.
//!
//! Hands the parsed arguments to the command that they name. Printing errors is
//! `main.rs`.
//!
//! **Invariant:** a command returns; it never exits the process itself.

mod audit;
mod bench;
mod build;
mod bundle;
mod compile;
mod compiler;
mod completions;
mod context;
pub(crate) mod deploy;
mod dev;
mod doctor;
pub(crate) mod fault;
mod import;
mod inspect;
mod invoke;
mod kv;
mod list;
mod login;
mod logs;
mod namespace;
mod new;
mod policy;
mod pull;
mod push;
mod quota;
mod remove;
mod revisions;
mod rollback;
mod run;
mod schema;
mod secret;
mod serve;
mod session;
mod show;
mod store;
mod test;
mod token;
mod traffic;
mod worker;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use midge_model::Timestamp;
use midge_sandbox::{ArtifactCache, Engine, SandboxConfig};
use tokio::task::LocalSet;

use crate::cli::{Args, Command};
use crate::table::Table;
use crate::{prompt, say};

/// Instances alive at once in one worker. Each reserves 8 GiB of address space, of which a
/// process has 128 TiB.
const INSTANCES_MAX: u32 = 1_000;

/// How a command ended that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// What was asked for is done.
    Done,
    /// It was done in part; the log says what was not.
    Partial,
    /// The operator stopped it before it was done.
    Interrupted,
}

/// Does what was typed.
///
/// # Errors
///
/// What was refused or failed, ready to print.
pub(crate) fn run(args: Args) -> anyhow::Result<Ending> {
    match dispatch(args) {
        // Whoever types Ctrl-C at a question knows what they did.
        Err(error) if prompt::is_interruption(&error) => Ok(Ending::Interrupted),
        done => done,
    }
}

fn dispatch(args: Args) -> anyhow::Result<Ending> {
    match args.command {
        Command::New(args) => new::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Test(args) => test::run(*args),
        Command::Dev(args) => dev::run(*args),
        Command::Run(args) => run::run(*args),
        Command::Serve(args) => serve::run(*args),
        Command::Deploy(args) => deploy::run(&args),
        Command::List(args) => list::run(&args),
        Command::Revisions(args) => revisions::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Remove(args) => remove::run(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Traffic(args) => traffic::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Invoke(args) => invoke::run(*args),
        Command::Kv(args) => kv::run(args),
        Command::Secret(args) => secret::run(args),
        Command::Token(args) => token::run(args),
        Command::Namespace(args) => namespace::run(args),
        Command::Quota(args) => quota::run(args),
        Command::Audit(args) => audit::run(&args),
        Command::Login(args) => login::run(args),
        Command::Context(args) => context::run(args),
        Command::Store(args) => store::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Push(args) => push::run(&args),
        Command::Pull(args) => pull::run(&args),
        Command::Compile(args) => compile::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Bench(args) => bench::run(*args),
        Command::Doctor(args) => doctor::run(args),
        Command::Import(args) => import::run(&args),
        Command::Schema => schema::run(),
        Command::Completions(args) => completions::run(&args),
        Command::Worker => worker::run(),
        Command::Compiler(args) => compiler::run(&args),
    }
}

/// Prints records, or says in words that there are none.
fn print<const N: usize>(
    table: &Table<N>,
    nothing: impl FnOnce() -> String,
) -> anyhow::Result<Ending> {
    if table.is_empty() {
        say::line(&nothing());
    } else {
        say::data(&table.to_text(say::is_output_terminal()))?;
    }
    Ok(Ending::Done)
}

/// A moment as tables have it: to the second.
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::Partial => Self::from(1),
            Ending::Interrupted => Self::from(130),
        }
    }
}

/// Runs a command that waits for something: on this thread and no other.
fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let done = LocalSet::new().block_on(&runtime, work);
    // A file operation of a guest may still hang (a network file system does, while its server is
    // away); it is not worth waiting for, or the process would never end.
    runtime.shutdown_background();
    Ok(done)
}

/// The cache of native code for the fastest way to run guests that this machine allows.
fn open_cache(dir: &Path) -> anyhow::Result<(ArtifactCache, SandboxConfig)> {
    let (engine, sandbox, refused) = Engine::probe(INSTANCES_MAX)?;
    if let Some(refused) = refused {
        let reason = fault::chain(&refused);
        tracing::warn!(
            reason,
            "no room for a pool of instances, mapping each on demand"
        );
    }
    // Compilers and workers have engines of their own; ours has only told what is possible.
    Ok((
        ArtifactCache::open(dir, &engine).map_err(fault::hinted)?,
        sandbox,
    ))
}
