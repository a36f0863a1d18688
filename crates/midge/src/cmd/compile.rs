//! `midge compile PATH`: fills the cache before the first start.
//!
//! The same way as `midge run`, up to the point where it would open a port.
//! Prints where the native code lies to stdout and how long it took to stderr.

use midge_model::Policy;

use super::Ending;
use super::fault::hinted;
use crate::cli::CompileArgs;
use crate::config::{self, Overrides};
use crate::functions::{self, Function};
use crate::prepare::{Prepared, prepare};
use crate::supervisor::{Compiler, Progress, SHOWN_AFTER, WALL_TIME_MAX};
use crate::{log, say};

/// Compiles what is not in the cache yet.
pub(super) fn run(args: CompileArgs) -> anyhow::Result<Ending> {
    let log = config::default_log().map_err(hinted)?;
    let _log = log::start(&log, None);
    let cache_dir = config::cache_dir(args.cache).map_err(hinted)?;
    let functions =
        functions::read(&args.path, &Overrides::default(), &Policy::operator()).map_err(hinted)?;
    let components = functions.iter().map(Function::component);
    functions::check_built(&args.path, components).map_err(hinted)?;
    let (cache, sandbox) = super::open_cache(&cache_dir)?;
    let compiler = Compiler {
        cache_dir,
        allocation: sandbox.allocation,
        wall_time_max: WALL_TIME_MAX,
    };
    let progress = Progress::new(&log);
    let prepare = prepare(&functions, &cache, &compiler, &progress);
    let prepared = super::block_on(prepare)?;
    show(&prepared.map_err(hinted)?)?;
    Ok(Ending::Done)
}

fn show(prepared: &Prepared) -> anyhow::Result<()> {
    for revision in &prepared.revisions {
        let function = &revision.function;
        match prepared
            .made
            .iter()
            .find(|made| made.digest == revision.digest)
        {
            Some(made) if made.took < SHOWN_AFTER => {
                say::line(&format!(
                    "compiled {function} in {:.1} s",
                    made.took.as_secs_f32()
                ));
            }
            // It took long enough for its progress to be shown, and that says how long.
            Some(_) => {}
            None => say::line(&format!("{function} was compiled before")),
        }
        let artifact = prepared.artifacts[&revision.digest].display();
        say::data(&format!("{artifact}\n"))?;
    }
    Ok(())
}
