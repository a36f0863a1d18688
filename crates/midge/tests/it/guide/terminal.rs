//! A terminal in an empty folder, in which the steps of a page are followed.
//!
//! Commands are typed as they stand there, with these exceptions. Servers get ports and certificates
//! of their own, and what is typed, written and printed after them is about those. Loads are short.
//! A question is answered with a word. `guests` is the repository's folder.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use midge_testkit::{Midge, MidgeBuilder, native_code_cache, wait_until};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::page::{Line, Step};
use super::shown::{is_shown, not_said};
use crate::kit::BINARY;

/// The home of who wrote the guide.
const HOME: &str = "/home/ada";
/// The node of somebody else, which is the one that runs.
const ELSEWHERE: &str = "https://midge.example.net:8081";
/// What a question is answered with.
const ANSWER: &[u8] = b"a word\n";
/// What a load is cut down to.
const SHORT: &str = "midge bench --duration 500ms --rounds 3 --connections 4 --cold 2";

/// Where a step's commands run, and what they left running.
pub(super) struct Terminal {
    home: tempfile::TempDir,
    folder: PathBuf,
    path: OsString,
    server: Option<Server>,
    /// Ports of the guide and those that stand for them.
    ports: Vec<(&'static str, u16)>,
    beside: Vec<Beside>,
    /// From then on commands find the node by themselves.
    logged_in: bool,
}

/// A server, and what it should have said when it ends.
struct Server {
    midge: Midge,
    shown: String,
    certificate: Option<PathBuf>,
}

/// What was started with `&`.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Terminal {
    /// One that finds these programs, and `midge`.
    pub(super) fn new(tools: OsString) -> Self {
        let home = tempfile::tempdir().unwrap();
        let programs = home.path().join("programs");
        fs::create_dir(&programs).unwrap();
        std::os::unix::fs::symlink(BINARY, programs.join("midge")).unwrap();
        let mut path = OsString::from(programs);
        path.push(":");
        path.push(tools);
        let folder = home.path().join("work");
        fs::create_dir(&folder).unwrap();
        let guests = midge_testkit::examples();
        let guests = guests.parent().unwrap().canonicalize().unwrap();
        std::os::unix::fs::symlink(guests, folder.join("guests")).unwrap();
        Self {
            home,
            folder,
            path,
            server: None,
            ports: Vec::new(),
            beside: Vec::new(),
            logged_in: false,
        }
    }

    /// Has a server that runs already stand for one of the page's.
    pub(super) fn stands_for(&mut self, theirs: &'static str, port: u16) {
        self.ports.push((theirs, port));
    }

    /// The folder that the next command is typed in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the functions of the server answer.
    pub(super) fn door(&self) -> SocketAddr {
        self.server.as_ref().expect("a server").midge.addr()
    }

    /// Does what all the steps say, to the end.
    pub(super) fn follow_all<'a>(mut self, steps: impl IntoIterator<Item = &'a Step>) {
        for step in steps {
            self.follow(step);
        }
        self.end_server();
    }

    /// Does what the page says. What a command wrote to stdout.
    pub(super) fn follow(&mut self, step: &Step) -> String {
        match step {
            Step::Type(line) => return self.type_in(line),
            Step::See(shown) => {
                let server = self.server.as_mut().expect("a server that says it");
                server.shown.push_str(shown);
            }
            Step::Write { file, text } => {
                let file = self.folder.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, self.ours(text)).unwrap();
            }
            Step::Append { file, text } => {
                let file = fs::OpenOptions::new()
                    .append(true)
                    .open(self.folder.join(file));
                let text = self.ours(text);
                file.unwrap().write_all(text.as_bytes()).unwrap();
            }
            Step::Interrupt => self.end_server(),
        }
        String::new()
    }

    fn type_in(&mut self, line: &Line) -> String {
        if let Some((program, flags)) = server(&line.command) {
            self.end_server();
            self.start(program, flags, &line.printed);
            return String::new();
        }
        if let Some(command) = line.command.strip_suffix(" &") {
            self.start_beside(command);
            return String::new();
        }
        let output = self.shell(&line.command);
        let fails = line.printed.lines().any(|line| line.starts_with("error: "));
        let is_load = line.command.starts_with("midge bench");
        if !is_load {
            assert_eq!(output.status.success(), !fails, "{}", told(line, &output));
        }
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let (before, behind) = (format!("{stderr}{stdout}"), format!("{stdout}{stderr}"));
        // Nobody is asked where nobody types.
        let printed = line.printed.lines().filter(|line| !line.ends_with(':'));
        let shown = theirs_shown(&printed.collect::<Vec<_>>().join("\n"));
        let is_as_shown = match is_load {
            true => labels(&line.printed).all(|label| labels(&before).any(|found| found == label)),
            false => {
                let is = |printed: &str| is_shown(&shown, &self.theirs(printed));
                shown.is_empty() || is(&stdout) || is(&before) || is(&behind)
            }
        };
        assert!(is_as_shown, "{}", told(line, &output));
        self.logged_in |= line.command.starts_with("midge login");
        stdout
    }

    fn shell(&mut self, command: &str) -> Output {
        let command = self.ours(command).replace("midge bench", SHORT);
        let ends_in = self.home.path().join("ends-in");
        let script = format!(
            "{command}\nended=$?\npwd > {}\nexit $ended",
            ends_in.display()
        );
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &script])
            .current_dir(&self.folder)
            .env("PATH", &self.path)
            .env("XDG_CACHE_HOME", native_code_cache())
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
            // Cargo tells those that it starts where tests build.
            .env_remove("CARGO_TARGET_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(server) = &self.server {
            if let Some(certificate) = &server.certificate {
                shell.env("SSL_CERT_FILE", certificate);
            }
            if server.midge.said().contains("control door") && !self.logged_in {
                shell.env("MIDGE_CONTROL", server.midge.control());
            }
        }
        let mut shell = shell.spawn().unwrap();
        // Most commands ask nothing and have ended before.
        drop(shell.stdin.take().unwrap().write_all(ANSWER));
        let output = shell.wait_with_output().unwrap();
        if let Ok(folder) = fs::read_to_string(ends_in) {
            self.folder = PathBuf::from(folder.trim_end());
        }
        output
    }

    fn start(&mut self, program: &str, flags: &str, shown: &str) {
        let folder = self.folder.clone();
        let flags = self.ours(flags);
        let mut words: Vec<_> = flags
            .split(' ')
            .map(|word| word.trim_matches('\''))
            .collect();
        for flag in ["--listen", "--control"] {
            if let Some(at) = words.iter().position(|word| *word == flag) {
                words.drain(at..at + 2);
            }
        }
        words.retain(|word| !word.is_empty());
        let certificate = words.contains(&"--tls-cert").then(|| self.certify());
        let midge = match program {
            "serve" => MidgeBuilder::serve(BINARY, &folder.join(".midge")),
            program => {
                let target = Path::new(words.remove(0));
                match program {
                    "dev" => MidgeBuilder::dev(BINARY, target),
                    _ => MidgeBuilder::run(BINARY, target),
                }
            }
        };
        // `midge dev` builds.
        let midge = midge.env("PATH", self.path.to_str().unwrap());
        let midge = midge.args(words).folder(&folder).start();
        self.ports
            .retain(|(port, _)| !matches!(*port, ":8080" | ":8081"));
        self.ports.push((":8080", midge.addr().port()));
        if program == "serve" {
            let url = midge.control();
            let (_, port) = url.rsplit_once(':').unwrap();
            self.ports.push((":8081", port.parse().unwrap()));
        }
        self.server = Some(Server {
            midge,
            shown: shown.to_owned(),
            certificate,
        });
    }

    /// A certificate as an operator has one.
    fn certify(&self) -> PathBuf {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = self.folder.join("cert.pem");
        fs::write(&certificate, cert.pem()).unwrap();
        fs::write(self.folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
        certificate
    }

    /// Ends the server, which has said by then what the guide shows.
    pub(super) fn end_server(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let shown = theirs_shown(&server.shown);
        let missing = || not_said(&shown, &self.theirs(&server.midge.said())).map(str::to_owned);
        if let Some(line) = missing() {
            wait_until(
                &format!("it says `{line}`:\n{}", server.midge.said()),
                || missing().is_none(),
            );
        }
        server.midge.signal("INT");
        server.midge.wait_for_exit();
    }

    /// Python's server of files, which says where it listens if it may choose.
    fn start_beside(&mut self, command: &str) {
        let child = Command::new("sh")
            .args(["-c", &format!("exec {}", command.replace(" 9000 ", " 0 "))])
            .current_dir(&self.folder)
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut beside = Beside(child.unwrap());
        let mut said = String::new();
        let stdout = beside.0.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        let (_, port) = said.split_once("port ").expect("it says its port");
        let port = port.split(' ').next().unwrap().parse().unwrap();
        self.ports.push((":9000", port));
        self.beside.push(beside);
    }

    /// What the guide says, for the servers that run here.
    fn ours(&self, text: &str) -> String {
        let scheme = match self.server.as_ref().map(|server| &server.certificate) {
            Some(Some(_)) => "https",
            _ => "http",
        };
        let mut text = text.replace(ELSEWHERE, &format!("{scheme}://127.0.0.1:8081"));
        for (port, ours) in &self.ports {
            text = text.replace(port, &format!(":{ours}"));
        }
        text
    }

    /// What is printed here, as the guide has it.
    fn theirs(&self, text: &str) -> String {
        let work = self.home.path().join("work");
        let mut text = text.replace(&*work.to_string_lossy(), HOME);
        for (port, ours) in &self.ports {
            text = text.replace(&format!(":{ours}"), port);
        }
        text.replace("https://127", "http://127")
    }
}

/// What is shown of the node of somebody else.
fn theirs_shown(text: &str) -> String {
    let (_, address) = ELSEWHERE.split_once("//").unwrap();
    let text = text.replace(ELSEWHERE, "http://127.0.0.1:8081");
    text.replace(address, "127.0.0.1:8081")
}

/// `run . --learn` of `midge run . --learn`, if it is a server that is started.
fn server(command: &str) -> Option<(&str, &str)> {
    let (command, _) = command.split_once(" #").unwrap_or((command, ""));
    let words = command.strip_prefix("midge ")?.trim_end();
    let (program, flags) = words.split_once(' ').unwrap_or((words, ""));
    matches!(program, "run" | "dev" | "serve").then_some((program, flags))
}

/// What stands in front of figures.
fn labels(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with("  "));
    let labels = lines.filter_map(|line| line.split("  ").next());
    labels.filter(|label| {
        let varies = ["error:", "round ", "timing ", "…"];
        !varies.iter().any(|begin| label.starts_with(begin)) && !label.is_empty()
    })
}

fn told(line: &Line, output: &Output) -> String {
    format!(
        "$ {}\n{}{}",
        line.command,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
