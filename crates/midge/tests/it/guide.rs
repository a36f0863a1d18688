//! The guide "A function in your language", typed as it stands there, once for each language.
//!
//! Commands of a language's own section come first, then those of the sections for everybody. Lines
//! below a command are what it prints. Servers get ports of their own, and what is typed after them
//! is about these.
//!
//! Each test leaves a row for the table that `cargo xtask test` prints: a line in `target/languages`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use midge_testkit::http::get;
use midge_testkit::toolchain::{Tool, Toolchains, or_skip};
use midge_testkit::{Midge, MidgeBuilder, native_code_cache};
use tokio::time::Instant;

use crate::kit::BINARY;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/languages.md");

/// The sections that all languages share, in order.
const SHARED: [&str; 3] = ["Test it", "Run it", "Deploy it"];
/// The addresses that the guide's servers have.
const DOOR: &str = "127.0.0.1:8080";
/// Requests whose median is the warm latency.
const WARM: usize = 11;

/// A command line of the guide, and what it prints as far as the guide shows it.
#[derive(Debug)]
struct Line {
    command: String,
    printed: String,
}

/// What the table says about a language.
#[derive(Debug, Default)]
struct Row {
    build: Duration,
    component_bytes: u64,
    cold: Duration,
    warm: Duration,
}

/// A terminal in an empty folder.
struct Terminal {
    home: tempfile::TempDir,
    path: OsString,
    server: Option<Midge>,
    row: Row,
}

#[tokio::test]
async fn rust() {
    walk("Rust", &[Tool::Rust]).await;
}

#[tokio::test]
async fn rust_p3() {
    walk("Rust, WASI 0.3", &[Tool::Rust]).await;
}

#[tokio::test]
async fn go() {
    walk("Go", &[Tool::Go]).await;
}

#[tokio::test]
async fn javascript() {
    walk("JavaScript", &[]).await;
}

#[tokio::test]
async fn typescript() {
    walk("TypeScript", &[]).await;
}

#[tokio::test]
async fn python() {
    walk("Python", &[Tool::ComponentizePy]).await;
}

#[tokio::test]
async fn python_p3() {
    walk("Python, WASI 0.3", &[Tool::ComponentizePy]).await;
}

#[tokio::test]
async fn c() {
    walk("C", &[Tool::Zig]).await;
}

#[tokio::test]
async fn cpp() {
    walk("C++", &[Tool::Zig]).await;
}

#[tokio::test]
async fn zig() {
    walk("Zig", &[Tool::Zig]).await;
}

#[tokio::test]
async fn assemblyscript() {
    walk("AssemblyScript", &[]).await;
}

/// Every section of the guide is one of those above, or for everybody: a language that is written
/// about is tried out.
#[test]
fn no_section_is_left_out() {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let tested = include_str!("guide.rs");
    for heading in guide.lines().filter_map(|line| line.strip_prefix("## ")) {
        let is_tested = tested.contains(&format!("walk(\"{heading}\""));
        assert!(is_tested || SHARED.contains(&heading), "{heading}");
    }
}

/// Types a language's commands, and those for everybody.
async fn walk(language: &str, tools: &[Tool]) {
    let toolchains = Toolchains::shared();
    let Some(path) = or_skip(toolchains.path(tools)) else {
        return;
    };
    let guide = fs::read_to_string(GUIDE).unwrap();
    let mut terminal = Terminal::new(path);
    for line in section(&guide, language) {
        terminal.link_packages(&toolchains, &line);
        terminal.type_in(&line).await;
    }
    for name in SHARED {
        for line in section(&guide, name) {
            terminal.type_in(&line).await;
        }
        terminal.server = None;
    }
    terminal.row.keep(language);
}

/// The commands of a section.
fn section(guide: &str, heading: &str) -> Vec<Line> {
    let begin = format!("\n## {heading}\n");
    let at = guide.find(&begin).expect(heading) + begin.len();
    let text = guide[at..].split("\n## ").next().unwrap();
    let mut lines: Vec<Line> = Vec::new();
    let mut shown = false;
    for line in text.lines() {
        if line.starts_with("```") {
            shown = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| shown) {
            let (command, printed) = (command.to_owned(), String::new());
            lines.push(Line { command, printed });
        } else if let Some(last) = lines.last_mut().filter(|_| shown) {
            last.printed.push_str(line);
            last.printed.push('\n');
        }
    }
    assert!(!lines.is_empty(), "`{heading}` has no commands");
    lines
}

impl Terminal {
    fn new(tools: OsString) -> Self {
        let home = tempfile::tempdir().unwrap();
        let programs = home.path().join("programs");
        fs::create_dir(&programs).unwrap();
        std::os::unix::fs::symlink(BINARY, programs.join("midge")).unwrap();
        let mut path = OsString::from(programs);
        path.push(":");
        path.push(tools);
        Self {
            home,
            path,
            server: None,
            row: Row::default(),
        }
    }

    fn folder(&self) -> PathBuf {
        let folder = self.home.path().join("work");
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Packages of npm are hundreds of megabytes: those that were installed already are used, as
    /// `midge build` uses those of a project that was built before.
    fn link_packages(&self, toolchains: &Toolchains<'_>, line: &Line) {
        let project = self.folder().join("greeter");
        if line.command.starts_with("midge build") && project.join("package.json").is_file() {
            toolchains.link_node_modules(&project).unwrap();
        }
    }

    async fn type_in(&mut self, line: &Line) {
        if let Some(project) = line.command.strip_prefix("midge run ") {
            self.run(project).await;
        } else if line.command == "midge serve" {
            let store = self.folder().join(".midge");
            let node = MidgeBuilder::serve(BINARY, &store).folder(&self.folder());
            self.server = Some(node.start());
        } else {
            let begun = Instant::now();
            let output = self.shell(&line.command);
            let took = begun.elapsed();
            assert!(output.status.success(), "{}", told(line, &output));
            if !line.printed.is_empty() {
                let printed = String::from_utf8_lossy(&output.stdout);
                assert_eq!(
                    printed.trim_end(),
                    line.printed.trim_end(),
                    "{}",
                    told(line, &output)
                );
            }
            if line.command.starts_with("midge build") {
                self.row.build = took;
                let component = String::from_utf8_lossy(&output.stdout);
                let component = self.folder().join(component.trim());
                self.row.component_bytes = fs::metadata(component).unwrap().len();
            }
        }
    }

    /// `midge run`, and how quickly it answers first and later.
    async fn run(&mut self, project: &str) {
        let folder = self.folder();
        let midge = MidgeBuilder::run(BINARY, &folder.join(project)).folder(&folder);
        let midge = midge.args(["--workers", "1"]).start();
        let mut times = Vec::new();
        for _ in 0..=WARM {
            let begun = Instant::now();
            let answer = get(midge.addr(), "/").await.unwrap();
            times.push(begun.elapsed());
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        self.row.cold = times[0];
        let warm = &mut times[1..];
        warm.sort();
        self.row.warm = warm[WARM / 2];
        self.server = Some(midge);
    }

    fn shell(&self, command: &str) -> Output {
        let door = self.server.as_ref().map(|server| server.addr().to_string());
        let command = match &door {
            Some(door) => command.replace(DOOR, door),
            None => command.to_owned(),
        };
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &command])
            .current_dir(self.folder())
            .env("PATH", &self.path)
            .env("XDG_CACHE_HOME", native_code_cache())
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
            // Cargo tells those that it starts where tests build.
            .env_remove("CARGO_TARGET_DIR");
        if let Some(server) = self
            .server
            .as_ref()
            .filter(|server| server.said().contains("control door"))
        {
            shell.env("MIDGE_CONTROL", server.control());
        }
        shell.output().unwrap()
    }
}

fn told(line: &Line, output: &Output) -> String {
    format!(
        "$ {}\n{}{}",
        line.command,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

impl Row {
    fn keep(&self, language: &str) {
        let seconds = |time: Duration| time.as_secs_f64();
        let row = format!(
            "{language}\t{:.1}\t{:.2}\t{:.1}\t{:.1}\n",
            seconds(self.build),
            self.component_bytes as f64 / f64::from(1 << 20),
            seconds(self.cold) * 1e3,
            seconds(self.warm) * 1e3,
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../languages");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(language), row).unwrap();
    }
}
