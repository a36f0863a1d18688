//! Commands that talk to a node: against a real one, and where there is none.
//!
//! What is different each time, such as times, ports and ids, is masked in the snapshots.

mod administration;
mod alone;
mod deploys;
mod invocations;
mod share;

use std::fs;

use insta::Settings;
use insta::internals::SettingsBindDropGuard;
use midge_testkit::{Midge, MidgeBuilder, Run, fixture};
use tempfile::TempDir;

use crate::kit::BINARY;

/// A node of its own for one test.
struct Node {
    midge: Midge,
    /// Holds the store, and the contexts of whoever types.
    home: TempDir,
    _masks: SettingsBindDropGuard,
}

impl Node {
    fn start() -> Self {
        Self::start_at(["127.0.0.1:0", "127.0.0.1:0"])
    }

    fn start_at(doors: [&str; 2]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let midge = MidgeBuilder::serve_at(BINARY, &home.path().join("store"), doors).start();
        Self {
            midge,
            home,
            _masks: masks().bind_to_scope(),
        }
    }

    /// Ends it at once and starts it anew, with the same store and doors.
    fn start_again(&mut self) {
        let doors = [self.midge.addr().to_string(), self.midge.control()];
        let control = doors[1].trim_start_matches("http://");
        self.midge.signal("KILL");
        self.midge.wait_for_exit();
        let store = self.home.path().join("store");
        self.midge = MidgeBuilder::serve_at(BINARY, &store, [&doors[0], control]).start();
    }

    fn token(&self) -> String {
        let token = fs::read_to_string(self.home.path().join("store/admin.token"));
        token.unwrap().trim().to_owned()
    }

    /// A run of the administrator's.
    fn run(&self, args: &[&str]) -> String {
        self.run_as(&self.token(), args)
    }

    /// A run of whoever has this token.
    fn run_as(&self, token: &str, args: &[&str]) -> String {
        self.shown(self.prepare(token, args))
    }

    fn prepare(&self, token: &str, args: &[&str]) -> Run {
        self.prepare_bare(args)
            .env("MIDGE_CONTROL", self.midge.control())
            .env("MIDGE_TOKEN", token)
    }

    /// A run of somebody with an empty environment.
    fn prepare_bare(&self, args: &[&str]) -> Run {
        Run::of(BINARY, args.iter().copied())
            .folder(self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
    }

    /// What a run printed, without what belongs to this node alone.
    fn shown(&self, run: Run) -> String {
        run.to_end()
            .replace(&self.midge.control(), "CONTROL")
            .replace(&self.midge.addr().to_string(), "ADDR")
            .replace(&format!(":{}/", self.midge.addr().port()), ":PORT/")
            .replace(&*self.home.path().to_string_lossy(), "HOME")
    }

    /// Deploys a fixture, of which nothing is to be seen.
    fn deploy(&self, name: &str) {
        let text = self.run(&["deploy", &path(name)]);
        assert!(text.starts_with("exit: 0\n"), "{text}");
    }
}

fn path(name: &str) -> String {
    fixture(name).to_string_lossy().into_owned()
}

/// What a run printed to stdout.
fn stdout(text: &str) -> &str {
    let (_, rest) = text.split_once("--- stdout\n").unwrap();
    rest.split_once("--- stderr\n").unwrap().0
}

/// Masks what is different each time.
fn masks() -> Settings {
    let mut settings = Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME");
    settings.add_filter(r"\d+(\.\d+)? ms", "N ms");
    settings.add_filter(r"[0-9a-f]{64}", "DIGEST");
    settings.add_filter(r"\b[0-9a-f]{12}\b", "DIGEST");
    settings.add_filter(r"\b[0-9a-f]{16}\b", "ID");
    settings.add_filter(r"\d+(\.\d+)?KiB", "SIZE");
    settings
}
