//! The guide, followed as it stands there: each command is typed, each file written, and what is
//! shown below a command is what it prints.
//!
//! How a page is read is `page.rs`, how it is followed `terminal.rs`, what counts as printed
//! `shown.rs`. "A function in your language" is walked once for each language: commands of its own
//! section come first, then those of the sections for everybody. Each walk leaves a row for the
//! table that `cargo xtask test` prints: a line in `target/languages`.

mod page;
mod shown;
mod terminal;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use midge_testkit::Registry;
use midge_testkit::http::get;
use midge_testkit::toolchain::{Tool, Toolchains, or_skip};
use tokio::time::Instant;

use self::page::{Page, Step};
use self::terminal::Terminal;

/// Where the pages are, below the repository.
const GUIDE: &str = "docs/guide";
const LANGUAGES: &str = "docs/guide/languages.md";

/// The sections that all languages share, in order.
const SHARED: [&str; 3] = ["Test it", "Run it", "Deploy it"];
/// The section that is about a function beside the first.
const SECOND: &str = "A second one";
/// Requests whose median is the warm latency.
const WARM: usize = 11;

/// What the table says about a language.
#[derive(Debug, Default)]
struct Row {
    build: Duration,
    component_bytes: u64,
    cold: Duration,
    warm: Duration,
    /// From the first command to the last.
    walk: Duration,
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
    let tested = include_str!("guide.rs");
    for heading in Page::read(LANGUAGES).headings() {
        let is_tested = tested.contains(&format!("walk(\"{heading}\""));
        let is_for_all = SHARED.contains(&heading) || heading == SECOND;
        assert!(is_tested || is_for_all, "{heading}");
    }
}

#[test]
fn a_second_function() {
    let Some(path) = or_skip(Toolchains::shared().path(&[Tool::Zig])) else {
        return;
    };
    let page = Page::read(LANGUAGES);
    let sections = ["C", "Deploy it", SECOND];
    let steps = sections.map(|section| page.section(section));
    Terminal::new(path).follow_all(steps.into_iter().flatten());
}

#[test]
fn your_first_function() {
    follow("first-function.md", &[Tool::Rust, Tool::Zig]);
}

#[test]
fn test_a_function() {
    follow("testing.md", &[Tool::Zig]);
}

#[test]
fn give_a_function_a_power() {
    follow("powers.md", &[]);
}

#[test]
fn deploy() {
    follow("deploy.md", &[]);
}

#[test]
fn measure_a_function() {
    follow("bench.md", &[]);
}

#[test]
fn share_a_component() {
    let Some(registry) = or_skip(Registry::start()) else {
        return;
    };
    let authority = registry.authority();
    let (_, port) = authority.rsplit_once(':').unwrap();
    let mut terminal = Terminal::new(std::env::var_os("PATH").unwrap());
    terminal.stands_for(":5000", port.parse().unwrap());
    terminal.follow_all(Page::read(&format!("{GUIDE}/share.md")).steps());
}

/// The first section of commands is about this repository, and builds all of it.
#[test]
fn readme() {
    let Some(path) = or_skip(Toolchains::shared().path(&[Tool::Go])) else {
        return;
    };
    let page = Page::read("README.md");
    for section in ["Sixty seconds", "A server to deploy to"] {
        Terminal::new(path.clone()).follow_all(page.section(section));
    }
}

/// Every page that has commands is one of those above.
#[test]
fn no_page_is_left_out() {
    let tested = include_str!("guide.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(GUIDE);
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let page = format!("{GUIDE}/{name}");
        let is_followed = ["follow(\"", "{GUIDE}/"].map(|begin| format!("{begin}{name}\""));
        let is_tested = page == LANGUAGES
            || is_followed
                .iter()
                .any(|call| tested.contains(call.as_str()));
        assert!(
            is_tested || Page::read(&page).steps().next().is_none(),
            "{name}"
        );
    }
}

/// Follows a page from its top to its end.
fn follow(page: &str, tools: &[Tool]) {
    let Some(path) = or_skip(Toolchains::shared().path(tools)) else {
        return;
    };
    let page = Page::read(&format!("{GUIDE}/{page}"));
    Terminal::new(path).follow_all(page.steps());
}

/// Types a language's commands, and those for everybody.
async fn walk(language: &str, tools: &[Tool]) {
    let toolchains = Toolchains::shared();
    let Some(path) = or_skip(toolchains.path(tools)) else {
        return;
    };
    let page = Page::read(LANGUAGES);
    let mut terminal = Terminal::new(path);
    let mut row = Row::default();
    let sections = [language].into_iter().chain(SHARED);
    for step in sections.flat_map(|section| page.section(section)) {
        let command = match step {
            Step::Type(line) => line.command.as_str(),
            _ => "",
        };
        let is_build = command.starts_with("midge build");
        if is_build {
            link_packages(&toolchains, &terminal);
        }
        let begun = Instant::now();
        let printed = terminal.follow(step);
        row.walk += begun.elapsed();
        if is_build {
            let component = terminal.folder().join(printed.trim());
            row.build = begun.elapsed();
            row.component_bytes = fs::metadata(component).unwrap().len();
        }
        if command.starts_with("midge run") {
            row.measure(terminal.door()).await;
        }
    }
    terminal.end_server();
    row.keep(language);
}

/// Packages of npm are hundreds of megabytes: those that were installed already are used, as
/// `midge build` uses those of a project that was built before.
fn link_packages(toolchains: &Toolchains<'_>, terminal: &Terminal) {
    let project = terminal.folder().join("greeter");
    if project.join("package.json").is_file() {
        toolchains.link_node_modules(&project).unwrap();
    }
}

impl Row {
    /// How quickly a function answers first and later.
    async fn measure(&mut self, door: SocketAddr) {
        let mut times = Vec::new();
        for _ in 0..=WARM {
            let begun = Instant::now();
            let answer = get(door, "/").await.unwrap();
            times.push(begun.elapsed());
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        self.cold = times[0];
        let warm = &mut times[1..];
        warm.sort();
        self.warm = warm[WARM / 2];
    }

    fn keep(&self, language: &str) {
        let seconds = |time: Duration| time.as_secs_f64();
        let row = format!(
            "{language}\t{:.1}\t{:.2}\t{:.1}\t{:.1}\t{:.1}\n",
            seconds(self.build),
            self.component_bytes as f64 / f64::from(1 << 20),
            seconds(self.cold) * 1e3,
            seconds(self.warm) * 1e3,
            seconds(self.walk),
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../languages");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(language), row).unwrap();
    }
}
