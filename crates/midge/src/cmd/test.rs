//! `midge test [PATH] [FILTER]`: functions against cases that people wrote down.
//!
//! Walks from flags to a verdict: find the cases, build if asked to, compile, act every case in a
//! sandbox of its own, compare, write down what changed. Each step is a file in `test/`; the order is
//! decided here.
//!
//! **Invariant:** a case runs under the manifest's own grants and limits, and what it is given is
//! gone with it.

mod act;
mod compare;
mod files;
mod heard;
mod junit;
mod run_all;
mod show;
mod touched;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use midge_build::Optimize;
use midge_model::{ComponentSource, FunctionName, Policy, RouteTable, Use};
use midge_sandbox::SandboxConfig;
use tokio::time::Instant;

use self::act::{Act, Stage};
use self::compare::Difference;
use self::files::CaseFile;
use self::touched::Snapshot;
use super::Ending;
use super::fault::{hinted, with_hint};
use crate::cli::{CacheArgs, TestArgs};
use crate::config::{self, Overrides};
use crate::functions::{self, Function};
use crate::log::LogConfig;
use crate::prepare::prepare;
use crate::supervisor::{Compiler, Progress, WALL_TIME_MAX};
use crate::{log, policy, say};

/// Instances in the sandbox of one case: there is one invocation.
const INSTANCES_MAX: u32 = 2;

/// How a case ended.
struct Verdict {
    act: Act,
    /// What was not as expected; nothing if it went well.
    differences: Vec<Difference>,
}

impl Verdict {
    fn is_good(&self) -> bool {
        self.differences.is_empty()
    }

    /// The same as it is kept until all cases are done: without a body that nobody writes down.
    fn kept(mut self, is_update: bool) -> Self {
        let is_needed = is_update && !self.is_good();
        if let Ok(reply) = &mut self.act.reply
            && !is_needed
        {
            reply.body = Bytes::new();
        }
        self
    }
}

/// Tests what was typed.
pub(super) fn run(args: TestArgs) -> anyhow::Result<Ending> {
    let log = config::default_log().map_err(hinted)?;
    let _log = log::start(&log, None);
    let asked = Asked::of(args);
    let files = files::find(&asked.path, &asked.args.cases).map_err(hinted)?;
    let planned = files::plan(&files, asked.filter.as_deref());
    if planned.is_empty() {
        return Err(nothing_planned(&asked, &files));
    }
    if asked.args.build {
        let functions = functions::buildable(&asked.path, &[]);
        for function in functions.map_err(|error| error.hinted_for("test"))? {
            super::build::build(&function, Optimize::No)?;
        }
    }
    let stage = stage(&asked, &log)?;
    let snapshot = Snapshot::beside(&asked.path, &stage.functions).map_err(hinted)?;

    let begun = Instant::now();
    let mut verdicts = Vec::with_capacity(planned.len());
    run_all::run(&stage, &planned, |planned, act| {
        let differences = compare::differences(planned, &act);
        let verdict = Verdict { act, differences };
        show::case(planned, &verdict, &asked.args)?;
        verdicts.push(verdict.kept(asked.args.update));
        Ok(())
    })?;
    let took = begun.elapsed();

    let updated = match asked.args.update {
        true => update::update(&files, &planned, &verdicts)?,
        false => Vec::new(),
    };
    for index in &updated {
        // What was expected is what came now.
        verdicts[*index].differences.clear();
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.is_good()).count();
    let is_whole = asked.filter.is_none() && asked.args.cases.is_empty();
    let uses = uses(&verdicts);
    let new = match (asked.args.update, is_whole, failed) {
        (true, true, 0) => snapshot.write(&uses).map(|()| Vec::new())?,
        (_, true, 0) if snapshot.is_first() => snapshot.write(&uses).map(|()| Vec::new())?,
        _ => snapshot.new_uses(&uses),
    };
    if let Some(path) = &asked.args.junit {
        let text = junit::report(&planned, &verdicts, &new, took)?;
        std::fs::write(path, text).with_context(|| format!("write `{}`", path.display()))?;
    }
    let totals = show::Totals {
        passed: verdicts.len() - failed,
        failed,
        updated: updated.len(),
        new,
        took,
    };
    totals.show(&snapshot, asked.args.json)?;
    Ok(match totals.is_good() {
        true => Ending::Done,
        false => Ending::Partial,
    })
}

/// What was typed, with the one word that could be either put in its place.
struct Asked {
    args: TestArgs,
    path: PathBuf,
    filter: Option<String>,
}

impl Asked {
    /// One word that leads nowhere is a filter, where this folder has a manifest; a file of cases is
    /// about the functions that it lies with.
    fn of(mut args: TestArgs) -> Self {
        let here = Path::new(".");
        if let Some(project) = tested_by(&args.path) {
            args.cases.push(std::mem::replace(&mut args.path, project));
        }
        let is_place = ComponentSource::is_place(&args.path.to_string_lossy());
        let is_path = is_place || args.path.exists() || args.path == here;
        if !is_path && args.filter.is_none() && functions::manifest_at(here).is_ok() {
            let filter = args.path.to_string_lossy().into_owned();
            return Self {
                path: here.to_owned(),
                filter: Some(filter),
                args,
            };
        }
        Self {
            path: args.path.clone(),
            filter: args.filter.clone(),
            args,
        }
    }
}

/// The folder with the manifest whose cases are in this file.
fn tested_by(file: &Path) -> Option<PathBuf> {
    let tests = file
        .parent()
        .filter(|tests| tests.ends_with(files::FOLDER))?;
    let project = match tests.parent()? {
        above if above == Path::new("") => Path::new("."),
        above => above,
    };
    let is_case_file = file.is_file()
        && file.extension().is_some_and(|it| it == "toml")
        && !file.ends_with(functions::MANIFEST);
    (is_case_file && functions::manifest_at(project).is_ok()).then(|| project.to_owned())
}

fn nothing_planned(asked: &Asked, files: &[CaseFile]) -> anyhow::Error {
    let path = asked.path.display();
    match &asked.filter {
        Some(filter) if !files.is_empty() => {
            anyhow::anyhow!("no case of {path} has `{filter}` in its name")
        }
        _ => with_hint(
            anyhow::anyhow!("`{path}` has no cases"),
            "write some into tests/hello.toml beside midge.toml, for example\n    [[case]]\n    \
             name = \"says hello\"\n    request = \"GET /\"\n    [case.expect]\n    status = 200",
        ),
    }
}

/// All that is the same for every case: the functions, compiled.
fn stage(asked: &Asked, log: &LogConfig) -> anyhow::Result<Stage> {
    let policy = Policy::operator();
    let read = functions::read(&asked.path, &Overrides::default(), &policy);
    let functions = read.map_err(|error| error.hinted_for("test"))?;
    policy::check(&policy, &functions).map_err(hinted)?;
    let components = functions.iter().map(Function::component);
    functions::check_built(&asked.path, components).map_err(hinted)?;
    let cache_dir = config::cache_dir(CacheArgs {
        cache_dir: asked.args.cache.cache_dir.clone(),
    })
    .map_err(hinted)?;
    let (cache, sandbox) = super::open_cache(&cache_dir)?;
    let compiler = Compiler {
        cache_dir,
        allocation: sandbox.allocation,
        wall_time_max: WALL_TIME_MAX,
    };
    let progress = Progress::new(log);
    let prepared = super::block_on(prepare(&functions, &cache, &compiler, &progress))?;
    let prepared = prepared.map_err(hinted)?;
    let routes = functions.iter().enumerate().flat_map(|(index, function)| {
        let routes = function.routes.iter().cloned();
        routes.map(move |route| (route, index))
    });
    Ok(Stage {
        routes: RouteTable::new(routes.collect()).context("gather the routes")?,
        prepared,
        functions,
        policy,
        sandbox: SandboxConfig {
            instances_max: INSTANCES_MAX,
            ..sandbox
        },
        tmp_dir: config::temporary_folder(),
    })
}

/// What each function was seen to use, over all cases.
fn uses(verdicts: &[Verdict]) -> BTreeMap<FunctionName, BTreeSet<Use>> {
    let mut uses: BTreeMap<FunctionName, BTreeSet<Use>> = BTreeMap::new();
    for Verdict { act, .. } in verdicts {
        if let Some(function) = &act.function {
            let own = uses.entry(function.clone()).or_default();
            own.extend(act.uses.iter().cloned());
        }
    }
    uses
}

/// Says what is now true of a file that was written.
fn say_written(path: &Path, what: &str) {
    say::line(&format!("{what} {}", path.display()));
}
