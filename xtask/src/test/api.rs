//! The API section: what the OpenAPI document promises, asked of a running node.
//!
//! Starts `midge serve` with an empty store, deploys one function, and has schemathesis make
//! requests out of the document: valid ones, invalid ones, sequences. Which statuses are right is
//! decided by the document and `xtask/schemathesis`.
//!
//! **Invariant:** any finding fails the section, and the node is ended by its own process id.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use super::count::Count;
use super::step::{Runner, run as run_command};

/// The tester and all it needs, with digests.
const PINNED: &str = "xtask/schemathesis/requirements.txt";
/// Which statuses are right where the document cannot say.
const CONFIG: &str = "xtask/schemathesis/config.toml";
/// What a refusal of a bad token is.
const HOOKS: &str = "xtask/schemathesis/hooks.py";
/// Requests for each operation, beside those that examples and bounds give.
const EXAMPLES_MAX: &str = "15";
/// The longest that one answer may take.
const ANSWER_SECONDS_MAX: &str = "20";
/// What the one function is deployed from; the document's examples call it `hello`.
const COMPONENT: &str = "guests/examples/prebuilt/hello-rust.wasm";
/// The line in which a node says where its control door is.
const DOOR: &str = "control door at ";

/// What is asked in one go. What removes things goes last, or the others would find nothing; and a
/// token that revokes itself would find nothing but 401.
const ROUNDS: [(&str, &[&str]); 3] = [
    (
        "everything that removes nothing",
        &[
            "--exclude-operation-id=remove_function",
            "--exclude-operation-id=revoke_token",
        ],
    ),
    (
        "sequences",
        &["--phases=stateful", "--exclude-operation-id=revoke_token"],
    ),
    (
        "what removes",
        &[
            "--phases=examples,coverage,fuzzing",
            "--include-operation-id=remove_function",
            "--include-operation-id=revoke_token",
        ],
    ),
];

/// Runs all rounds; each counts as one test.
pub(super) fn run(runner: &Runner, root: &Path, count: &mut Count) -> Result<()> {
    let tester = install(runner)?;
    runner.cargo("build --workspace --locked")?;
    let node = Node::start(runner, root)?;
    node.deploy(runner, root)?;
    // Nothing depends on it being unguessable, only on it being another one each time.
    let since = now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = since.subsec_nanos().to_string();
    for (name, words) in ROUNDS {
        println!("api: {name}, seed {seed}");
        let mut test = runner.command(&tester.to_string_lossy());
        test.arg("--config-file").arg(root.join(CONFIG));
        test.arg("run")
            .arg(format!("{}/openapi.json", node.control));
        test.args(["--checks=all", "--no-color", "--workers=1"]);
        test.args(["--max-examples", EXAMPLES_MAX, "--seed", &seed]);
        test.args(["--request-timeout", ANSWER_SECONDS_MAX])
            .args(words);
        test.env("MIDGE_TOKEN", &node.token)
            .env("SCHEMATHESIS_HOOKS", root.join(HOOKS))
            // Its own notes about former runs would change what it tries.
            .current_dir(&node.folder);
        run_command(&mut test)?;
        count.passed += 1;
    }
    node.stop(runner)
}

/// Makes schemathesis answer, in a folder of its own.
fn install(runner: &Runner) -> Result<PathBuf> {
    let folder = runner.tools.join("schemathesis");
    let tester = folder.join("bin/schemathesis");
    let wanted = fs::read(PINNED).with_context(|| format!("read {PINNED}"))?;
    let installed = folder.join("requirements.txt");
    if tester.exists() && fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(tester);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).context("remove the former tester")?;
    }
    if make_venv(runner, &folder).is_err() {
        // Debian has it in a package of its own, which a fresh machine may lack.
        let mut apt = runner.command("apt-get");
        run_command(apt.args(["install", "--yes", "--quiet", "python3-venv"]))
            .and_then(|()| make_venv(runner, &folder))
            .context("python3 with venv is needed (on Debian: apt-get install python3-venv)")?;
    }
    let mut pip = runner.command(&folder.join("bin/python").to_string_lossy());
    pip.args(["-m", "pip", "--disable-pip-version-check", "--quiet"])
        .args(["install", "--no-deps", "--only-binary=:all:"])
        .args(["--require-hashes", "--requirement", PINNED]);
    run_command(&mut pip)?;
    fs::write(&installed, wanted).context("note what is installed")?;
    Ok(tester)
}

fn make_venv(runner: &Runner, folder: &Path) -> Result<()> {
    let mut venv = runner.command("python3");
    run_command(venv.args(["-m", "venv", "--clear"]).arg(folder))
}

/// A running `midge serve`.
struct Node {
    child: Child,
    binary: PathBuf,
    folder: PathBuf,
    control: String,
    token: String,
    /// What it says from now on: a pipe that nobody reads would stop it.
    _said: std::thread::JoinHandle<()>,
}

impl Node {
    fn start(runner: &Runner, root: &Path) -> Result<Self> {
        let binary = runner.target.join("debug/midge");
        let folder = runner
            .target
            .join(format!("tmp/api-{}", std::process::id()));
        fs::create_dir_all(&folder).context("make a folder for the store")?;
        let mut serve = runner.command(&binary.to_string_lossy());
        serve
            .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
            .args(["--workers=2", "--store"])
            .arg(folder.join("store"))
            .current_dir(root)
            .stderr(Stdio::piped());
        let mut child = serve.spawn().context("start `midge serve`")?;
        let said = child.stderr.take().expect("it was asked for above");
        let mut said = BufReader::new(said);
        let control = match door_of(&mut said) {
            Ok(control) => control,
            Err(error) => {
                end(&mut child);
                return Err(error);
            }
        };
        let token = fs::read_to_string(folder.join("store/admin.token"));
        let said = std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                // A line for each request would hide what matters.
                if !line.contains(" INFO ") {
                    println!("midge: {line}");
                }
            }
        });
        let mut node = Self {
            child,
            binary,
            folder,
            control,
            token: String::new(),
            _said: said,
        };
        node.token = token.context("read the admin token")?.trim().to_owned();
        Ok(node)
    }

    fn deploy(&self, runner: &Runner, root: &Path) -> Result<()> {
        let component = self.folder.join("hello.wasm");
        fs::copy(root.join(COMPONENT), &component).with_context(|| format!("copy {COMPONENT}"))?;
        let mut deploy = runner.command(&self.binary.to_string_lossy());
        deploy.arg("deploy").arg(&component).arg("--yes");
        deploy.args(["--control", &self.control]);
        run_command(deploy.env("MIDGE_TOKEN", &self.token))
    }

    /// Ends it as an operator would.
    fn stop(mut self, runner: &Runner) -> Result<()> {
        let id = self.child.id().to_string();
        run_command(runner.command("kill").args(["-TERM", &id]))?;
        let status = self.child.wait().context("wait for `midge serve`")?;
        ensure!(status.success(), "`midge serve` ended with {status}");
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.child);
        // What is left behind is in the target folder.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Reads what a node says until it says where its control door is.
fn door_of(said: &mut BufReader<ChildStderr>) -> Result<String> {
    let mut line = String::new();
    while said
        .read_line(&mut line)
        .context("read what `midge serve` says")?
        > 0
    {
        if let Some((_, control)) = line.split_once(DOOR) {
            return Ok(control.trim().to_owned());
        }
        print!("midge: {line}");
        line.clear();
    }
    bail!("`midge serve` ended before its control door was open")
}

/// Kills it, if it has not ended by itself.
fn end(child: &mut Child) {
    // Either it is there and can be killed, or it has ended.
    drop(child.kill());
    drop(child.wait());
}

#[expect(
    clippy::disallowed_methods,
    reason = "a seed, and nothing that is compared"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
