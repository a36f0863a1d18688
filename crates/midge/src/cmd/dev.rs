//! `midge dev [PATH]`: serves functions while they are being written.
//!
//! `midge run` (`run.rs`), and beside it: watch, build, put the new revision in place of the one
//! before. What a file is made of is `dev/sources.rs`, building is `build.rs`.
//!
//! **Invariant:** what served last goes on serving until what comes after it can be served; a
//! mistake in a source or in the manifest is shown and changes nothing.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use midge_build::Optimize;
use midge_model::{FunctionName, Revision, RevisionNumber, SecretText, Traffic};
use midge_sandbox::{ArtifactCache, Rehearsal};
use tokio::time::Instant;

use self::sources::Sources;
use super::fault::{hint_of, hinted, with_hint};
use super::run::{self, Asked};
use super::{Ending, build};
use crate::cli::DevArgs;
use crate::config::RunConfig;
use crate::functions;
use crate::prepare::{Prepared, prepare};
use crate::protocol::FunctionKey;
use crate::supervisor::{Compiler, NativeCode, Progress, Roster, WantedFunction};
use crate::{log, machine, say};

/// How long workers may take to load what was built before it is taken for served.
const SERVED_WITHIN: Duration = Duration::from_secs(30);

/// Serves and reloads until told to stop.
pub(super) fn run(args: DevArgs) -> anyhow::Result<Ending> {
    if args.run.end_with_parent {
        machine::die_with_parent();
    }
    let rehearsal = args.dials.rehearsal();
    let mut config = RunConfig::new(args.run).map_err(hinted)?;
    config.log.brief = true;
    if let Some(pinned) = functions::elsewhere(&config.path).map_err(hinted)? {
        let error = anyhow::anyhow!("`{pinned}` never changes, and there is nothing to watch");
        return Err(with_hint(error, format!("midge run {pinned}")));
    }
    let _log = log::start(&config.log, None);
    machine::raise_descriptor_limit();
    super::block_on(async {
        let sources = first_build(&config).await?;
        run::serve(config, Some(Try { sources, rehearsal })).await
    })?
}

/// What makes serving a trial.
pub(super) struct Try {
    sources: Sources,
    /// How the world is bent.
    pub(super) rehearsal: Rehearsal,
}

/// Builds until it works: nothing can be served before.
async fn first_build(config: &RunConfig) -> anyhow::Result<Sources> {
    let mut sources = Sources::watch(vec![config.path.clone()]).context("watch for changes")?;
    loop {
        let built = build_all(config, None).await;
        sources.built();
        match built {
            Ok(()) => break,
            // There is nothing to be mended by waiting.
            Err(error) if !config.path.exists() => return Err(error),
            Err(error) => tell(&error, "nothing serves yet, waiting for a change"),
        }
        sources.changed().await.context("watch for changes")?;
    }
    Ok(sources)
}

/// Builds the functions that have sources: all of them, or those that one of these files may be of.
async fn build_all(config: &RunConfig, changed: Option<&BTreeSet<PathBuf>>) -> anyhow::Result<()> {
    if functions::is_component(&config.path) {
        return Ok(());
    }
    let projects = functions::buildable(&config.path, &[]);
    let projects = projects.map_err(|error| error.hinted_for("dev"))?;
    let folders: Vec<_> = projects
        .iter()
        .map(|project| project.project.folder().to_owned())
        .collect();
    for project in projects {
        let is_meant = changed.is_none_or(|files| {
            let mut files = files.iter();
            files.any(|file| may_be_of(project.project.folder(), &folders, file))
        });
        if is_meant && project.has_sources() {
            // Compilers take their time, and workers may have something to say meanwhile.
            tokio::task::spawn_blocking(move || build::build(&project, Optimize::No))
                .await
                .context("build")??;
        }
    }
    Ok(())
}

/// Whether a file may be one of the sources in a folder: it is in there, or in the folder of no
/// function, where what several share is.
fn may_be_of(folder: &Path, folders: &[PathBuf], file: &Path) -> bool {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.starts_with(folder) || !folders.iter().any(|folder| file.starts_with(folder))
}

fn tell(error: &anyhow::Error, then: &str) {
    say::error(&format!("{error:#}"), hint_of(error));
    say::line(then);
}

/// Puts new revisions in place of those before.
pub(super) struct Reloading {
    sources: Sources,
    /// What changed since everything was built.
    changed: BTreeSet<PathBuf>,
    config: RunConfig,
    cache: ArtifactCache,
    compiler: Compiler,
    progress: Progress,
    roster: Arc<Roster>,
    native: Rc<NativeCode>,
    /// What is served, by function.
    serving: BTreeMap<FunctionName, Serving>,
    /// The number of the last reload.
    version: u64,
}

/// What is served of a function.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Serving {
    pub(super) revision: Revision,
    pub(super) secrets: BTreeMap<String, SecretText>,
}

impl Reloading {
    /// Of what is served now.
    pub(super) fn new(
        Try { sources, .. }: Try,
        config: RunConfig,
        (cache, compiler, progress): (ArtifactCache, Compiler, Progress),
        (roster, native, serving): (Arc<Roster>, Rc<NativeCode>, Vec<Serving>),
    ) -> Self {
        let named = serving.into_iter();
        let named = named.map(|serving| (serving.revision.function.clone(), serving));
        Self {
            sources,
            changed: BTreeSet::new(),
            config,
            cache,
            compiler,
            progress,
            roster,
            native,
            serving: named.collect(),
            version: 0,
        }
    }

    /// Follows changes; resolves when that is not possible any more.
    pub(super) async fn follow(&mut self) -> String {
        loop {
            match self.sources.changed().await {
                Ok(mut changed) => self.changed.append(&mut changed),
                Err(error) => return format!("watch for changes: {error}"),
            }
            if let Err(error) = self.reload().await {
                tell(&error, "what served before goes on");
            }
        }
    }

    async fn reload(&mut self) -> anyhow::Result<()> {
        let built = build_all(&self.config, Some(&self.changed)).await;
        self.sources.built();
        built?;
        self.changed.clear();
        let begun = Instant::now();
        let asked = Asked::read(&mut self.config)?;
        let prepared = prepare(
            &asked.functions,
            &self.cache,
            &self.compiler,
            &self.progress,
        );
        let prepared = prepared.await.map_err(hinted)?;
        // Before anybody serves them: a cache may be wiped and a worker replaced at any time.
        let components = run::components(&prepared);
        self.native.add_files(components);
        let Prepared { revisions, .. } = prepared;
        self.version += 1;
        let secrets = asked.functions.into_iter().map(|function| function.secrets);
        let wanted: Vec<_> = revisions
            .into_iter()
            .zip(secrets)
            .map(|(revision, secrets)| Serving { revision, secrets })
            .collect();
        self.remove_others(&wanted);
        for serving in wanted {
            let function = serving.revision.function.clone();
            if self.put(serving).await? {
                let took = begun.elapsed().as_millis();
                say::line(&format!("{function} is new, {took} ms after it was built"));
            }
        }
        let served = self.serving.values();
        let served = served.map(|serving| serving.revision.digest).collect();
        self.native.keep_files(&served);
        Ok(())
    }

    /// Functions that are not in the manifest any more.
    fn remove_others(&mut self, wanted: &[Serving]) {
        let is_wanted = |name: &FunctionName| {
            let mut names = wanted.iter().map(|serving| &serving.revision.function);
            names.any(|wanted| wanted == name)
        };
        let gone: Vec<_> = self
            .serving
            .keys()
            .filter(|name| !is_wanted(name))
            .cloned()
            .collect();
        for function in gone {
            if let Some(serving) = self.serving.remove(&function) {
                self.roster.remove(&key(&serving.revision), self.version);
                say::line(&format!("{function} is gone"));
            }
        }
    }

    /// Has a function served so by all workers. Says whether that is new.
    async fn put(&mut self, mut serving: Serving) -> anyhow::Result<bool> {
        let function = serving.revision.function.clone();
        let mut moves = true;
        if let Some(before) = self.serving.get(&function) {
            serving.revision.number = before.revision.number;
            if *before == serving {
                return Ok(false);
            }
            serving.revision.number = next(before.revision.number);
            moves = before.revision.routes != serving.revision.routes;
        }
        let routes = moves.then(|| serving.revision.routes.clone());
        let key = key(&serving.revision);
        let wanted = serving.clone().wanted(self.version);
        self.roster
            .set(wanted)
            .with_context(|| format!("serve {function}"))?;
        self.serving.insert(function.clone(), serving);
        let served = self.roster.served(&key, self.version);
        // Where a worker is being replaced, its successor begins with the new one.
        if let Ok(served) = tokio::time::timeout(SERVED_WITHIN, served).await {
            served
                .context("the node is ending")?
                .with_context(|| format!("serve {function}"))?;
        }
        for route in routes.into_iter().flatten() {
            say::line(&format!("{route}  -> {function}"));
        }
        Ok(true)
    }
}

impl Serving {
    /// The same as workers are to have it.
    pub(super) fn wanted(self, version: u64) -> WantedFunction {
        WantedFunction {
            key: key(&self.revision),
            traffic: Traffic::all_to(self.revision.number),
            revisions: vec![Arc::new(self.revision)],
            secrets: self.secrets,
            version,
        }
    }
}

fn key(revision: &Revision) -> FunctionKey {
    FunctionKey {
        namespace: revision.namespace.clone(),
        function: revision.function.clone(),
    }
}

/// There are more numbers than anybody saves a file.
fn next(number: RevisionNumber) -> RevisionNumber {
    number.next().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_the_function_it_lies_with_or_of_all() {
        let folders = ["/p/a", "/p/b"].map(PathBuf::from);
        let of_a = |file: &str| may_be_of(&folders[0], &folders, Path::new(file));
        assert!(of_a("/p/a/main.c"));
        assert!(!of_a("/p/b/main.c"));
        assert!(of_a("/p/shared/list.h"));
        assert!(of_a("/p/midge.toml"));
        // With one that is built where the manifest lies, everything may be of that one.
        let folders = ["/p", "/p/b"].map(PathBuf::from);
        assert!(may_be_of(&folders[0], &folders, Path::new("/p/b/main.c")));
        assert!(!may_be_of(&folders[1], &folders, Path::new("/p/a.c")));
    }
}
