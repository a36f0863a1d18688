//! Compilers of the guests' languages, installed while everything else is being checked.
//!
//! Tests install what they need themselves; but fetching them takes the network and little of the
//! processor, compiling Midge the reverse, and a test that waits for a minute is taken for one that
//! hangs. So they are started first and waited for before the tests. Which there are is
//! `midge-toolchain`'s to say.
//!
//! **Invariant:** nothing is being installed any more when this is dropped: half an installation
//! would be in the way of the next run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use midge_toolchain::{FOR_OTHER_HOSTS, REAL_PROGRAMS, Tool, Toolchains, in_ci};

use super::step::{Runner, now};

/// The project templates, some of which want packages of npm.
const TEMPLATES: &str = "templates";

/// Guests of another platform's SDKs, one of which wants packages of npm.
const SPIN: &str = "guests/spin";

/// Installations under way.
pub(super) struct Languages {
    working: Vec<JoinHandle<()>>,
    results: Receiver<Installed>,
}

/// How one of them ended.
struct Installed {
    name: String,
    took: Duration,
    result: Result<()>,
}

impl Languages {
    /// Starts all of them.
    pub(super) fn start(runner: &Runner, root: &Path) -> Result<Self> {
        let (sender, results) = channel();
        let mut languages = Self {
            working: Vec::new(),
            results,
        };
        for tool in Tool::ALL {
            languages.work(runner, &sender, tool.to_string(), move |tools| {
                tools.programs(tool).map(drop)
            });
        }
        for file in &FOR_OTHER_HOSTS {
            let name = format!("{}, for another host", file.name);
            languages.work(runner, &sender, name, move |tools| {
                tools.file(file).map(drop)
            });
        }
        for file in &REAL_PROGRAMS {
            let name = format!("{}, a program", file.name);
            languages.work(runner, &sender, name, move |tools| {
                tools.file(file).map(drop)
            });
        }
        let name = "Spin's SDK for Python".to_owned();
        languages.work(runner, &sender, name, |tools| {
            tools.spin_for_python().map(drop)
        });
        let name = "resvg for this machine".to_owned();
        languages.work(runner, &sender, name, |tools| tools.resvg().map(drop));
        let mut projects = packages(&root.join(TEMPLATES))?;
        projects.extend(packages(&root.join(SPIN))?);
        for (name, text) in projects {
            let name = format!("npm packages of the project {name}");
            languages.work(runner, &sender, name, move |tools| {
                tools.node_modules(&text).map(drop)
            });
        }
        Ok(languages)
    }

    fn work(
        &mut self,
        runner: &Runner,
        sender: &Sender<Installed>,
        name: String,
        work: impl Fn(&Toolchains<'_>) -> Result<()> + Send + 'static,
    ) {
        let (target, sender) = (runner.target.clone(), sender.clone());
        self.working.push(thread::spawn(move || {
            let start = now();
            // Silent until it is waited for: what else is checked meanwhile talks to the terminal.
            let tools = Toolchains::in_target(&target, &|_| {});
            let result = twice(|| work(&tools));
            let took = start.elapsed();
            // A run that failed elsewhere does not listen any more.
            drop(sender.send(Installed { name, took, result }));
        }));
    }

    /// Waits for all of them and tells how each ended.
    ///
    /// # Errors
    ///
    /// In CI, one that cannot be had; elsewhere the tests that need it are skipped.
    pub(super) fn finish(mut self) -> Result<()> {
        self.wait();
        let mut missing = 0_usize;
        for Installed { name, took, result } in self.results.try_iter() {
            match result {
                Ok(()) => println!("{:>8.1} s  {name}", took.as_secs_f64()),
                Err(err) => {
                    println!("missing: {err:#}");
                    missing += 1;
                }
            }
        }
        if missing > 0 && in_ci() {
            bail!("CI has all compilers, and {missing} of them cannot be had");
        }
        Ok(())
    }

    fn wait(&mut self) {
        for working in self.working.drain(..) {
            // One that panicked has said so on stderr, and its tests will say what is missing.
            drop(working.join());
        }
    }
}

/// Tries once more what failed: a registry stumbles, and everything else is in vain without it.
fn twice(work: impl Fn() -> Result<()>) -> Result<()> {
    work().or_else(|first| work().with_context(|| format!("{first:#}; and once more")))
}

/// Where the tests of the guide leave a line for each language, below the target folder.
const ROWS: &str = "languages";

/// Forgets the rows of an earlier run.
pub(super) fn forget_rows(target: &Path) -> Result<()> {
    match fs::remove_dir_all(target.join(ROWS)) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err).context("remove old rows"),
        _ => Ok(()),
    }
}

/// What the tests of the guide measured of each language, as a table; tests build in debug, so
/// times are upper bounds. The walk is the whole guide, from a new project to a deployed function.
pub(super) fn table(target: &Path) -> String {
    let Ok(entries) = fs::read_dir(target.join(ROWS)) else {
        return String::new();
    };
    let mut rows: Vec<String> = entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .collect();
    rows.sort();
    let head = [
        "language", "build s", "size MiB", "cold ms", "warm ms", "walk s",
    ];
    let lines = std::iter::once(head.map(str::to_owned).to_vec()).chain(
        rows.iter()
            .map(|row| row.trim_end().split('\t').map(str::to_owned).collect()),
    );
    let mut text = String::new();
    for cells in lines {
        for (index, cell) in cells.iter().enumerate() {
            let cell = match index {
                0 => format!("{cell:<18}"),
                _ => format!("{cell:>10}"),
            };
            text.push_str(&cell);
        }
        text.push('\n');
    }
    text
}

impl Drop for Languages {
    fn drop(&mut self) {
        self.wait();
    }
}

/// The `package.json` of each template that has one.
fn packages(templates: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(templates).context("list the templates")? {
        let folder: PathBuf = entry.context("list the templates")?.path();
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        // A template without is in another language.
        if let Ok(text) = fs::read_to_string(folder.join("package.json")) {
            found.push((name.into_owned(), text));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::packages;

    #[test]
    fn rows_of_tests_become_a_table() {
        let target = tempfile_dir();
        assert_eq!(super::table(&target), "");
        std::fs::create_dir_all(target.join(super::ROWS)).unwrap();
        std::fs::write(
            target.join(super::ROWS).join("Go"),
            "Go\t6.3\t2.81\t16.6\t3.3\t12.0\n",
        )
        .unwrap();
        let table = super::table(&target);
        assert!(
            table.ends_with(
                "Go                       6.3      2.81      16.6       3.3      12.0\n"
            )
        );
        super::forget_rows(&target).unwrap();
        super::forget_rows(&target).unwrap();
        assert_eq!(super::table(&target), "");
        std::fs::remove_dir_all(target).unwrap();
    }

    #[test]
    fn what_fails_is_tried_once_more() {
        let tries = std::cell::Cell::new(0);
        let fails_until = |enough| {
            super::twice(|| {
                tries.set(tries.get() + 1);
                anyhow::ensure!(tries.get() >= enough, "no {}", tries.get());
                Ok(())
            })
        };
        fails_until(2).unwrap();
        assert_eq!(tries.take(), 2);
        let both = fails_until(9).unwrap_err();
        assert_eq!(format!("{both:#}"), "no 1; and once more: no 2");
        assert_eq!(tries.get(), 2);
    }

    fn tempfile_dir() -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-rows-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn templates_with_packages_are_found() {
        let folder = tempfile::tempdir().unwrap();
        for (name, file) in [
            ("b", "package.json"),
            ("go", "go.mod"),
            ("a", "package.json"),
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(file), name).unwrap();
        }
        let found = packages(folder.path()).unwrap();
        assert_eq!(found, [("a".into(), "a".into()), ("b".into(), "b".into())]);
    }
}
