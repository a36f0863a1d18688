//! The fuzz section: every target of `fuzz/` runs for some seconds, from its seeds.
//!
//! Builds the targets once, instrumented but without a sanitizer, which the stable compiler can,
//! and runs as many at a time as there are cores. What a target checks is in the target; longer
//! hunts with sanitizers are cargo-fuzz's (CONTRIBUTING.md).
//!
//! **Invariant:** a target that crashes, hangs, has no seeds or ran nothing fails the section.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use super::count::Count;
use super::step::{Runner, run as run_command};

/// The workspace of the targets.
const MANIFEST: &str = "fuzz/Cargo.toml";
/// The inputs that are checked in, a folder for each target.
const SEEDS: &str = "fuzz/seeds";
/// More seeds than this are a corpus that somebody forgot to minimise.
const SEEDS_MAX: usize = 200;

/// How long one target runs where nobody says otherwise.
pub(super) const SECONDS: u32 = 10;
/// Loading the seeds and the last input come on top; what takes longer hangs.
const SECONDS_MORE: u32 = 50;
/// One input may take this long, a thousand times what the slowest takes: else it is a hang.
const INPUT_SECONDS_MAX: u32 = 5;
/// What a parser may hold; the largest holds 60 MiB.
const MEMORY_MIB_MAX: u32 = 1024;
/// Longer inputs find no more and cost time. The bounds on length have tests of their own.
const INPUT_BYTES_MAX: u32 = 4096;

/// What tells libFuzzer which branches an input took. Nothing of it is a nightly flag.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// The line in which libFuzzer says how many inputs it tried.
const INPUTS: &str = "stat::number_of_executed_units:";
/// How much is shown of a run that failed.
const LINES_SHOWN: usize = 40;

/// Builds and runs all targets, `seconds` each; each counts as one test.
pub(super) fn run(runner: &Runner, root: &Path, seconds: u32, count: &mut Count) -> Result<()> {
    let targets = targets(&fs::read_to_string(root.join(MANIFEST))?)?;
    for name in &targets {
        check_seeds(root, name)?;
    }
    let fuzzing = Fuzzing::build(runner)?;
    let waiting = Mutex::new(targets.iter());
    let ended = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                // Taken out of the lock before it runs, or only one would run at a time.
                while let Some(name) = next(&waiting) {
                    let inputs = fuzzing.run(runner, name, seconds);
                    lock(&ended).push((name, inputs));
                }
            });
        }
    });
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ensure!(ended.len() == targets.len(), "not every target ran");
    let (mut inputs_all, mut crashed) = (0, 0);
    for (name, inputs) in ended {
        match inputs {
            Ok(inputs) => {
                println!("fuzz {name}: {inputs} inputs");
                inputs_all += inputs;
                count.passed += 1;
            }
            Err(err) => {
                println!("fuzz {name}: {err:#}");
                crashed += 1;
            }
        }
    }
    let ran = targets.len();
    println!("{ran} fuzz targets ran for {seconds} s each, {inputs_all} inputs, {crashed} failed");
    count.failed += crashed;
    ensure!(crashed == 0, "{crashed} of {ran} fuzz targets failed");
    Ok(())
}

/// The names of the targets: every `[[bin]]` of the workspace.
fn targets(manifest: &str) -> Result<Vec<String>> {
    let table: toml::Table = manifest.parse().context(MANIFEST)?;
    let bins = table.get("bin").and_then(toml::Value::as_array);
    let names = bins.into_iter().flatten().map(|bin| {
        let name = bin.get("name").and_then(toml::Value::as_str);
        name.map(str::to_owned).context("a target without a name")
    });
    let names = names.collect::<Result<Vec<_>>>()?;
    ensure!(!names.is_empty(), "{MANIFEST} has no target");
    Ok(names)
}

fn check_seeds(root: &Path, name: &str) -> Result<()> {
    let folder = format!("{SEEDS}/{name}");
    let seeds = fs::read_dir(root.join(&folder)).with_context(|| format!("read {folder}"))?;
    let seeds = seeds.count();
    ensure!(
        (1..=SEEDS_MAX).contains(&seeds),
        "{folder} has {seeds} files, write 1 to {SEEDS_MAX}"
    );
    Ok(())
}

/// Built targets.
struct Fuzzing {
    /// Where everything of this section lies.
    folder: PathBuf,
    binaries: PathBuf,
}

impl Fuzzing {
    fn build(runner: &Runner) -> Result<Self> {
        let host = host(runner)?;
        let folder = runner.target.join("fuzz");
        let mut cargo = runner.command("cargo");
        // With `--target`, or build scripts would be instrumented too and not link.
        cargo.args(["build", "--release", "--locked", "--manifest-path"]);
        cargo.args([MANIFEST, "--target", &host, "--target-dir"]);
        run_command(cargo.arg(&folder).env("RUSTFLAGS", INSTRUMENTED))?;
        let binaries = folder.join(host).join("release");
        Ok(Self { folder, binaries })
    }

    /// Runs one target and says how many inputs it tried.
    fn run(&self, runner: &Runner, name: &str, seconds: u32) -> Result<u64> {
        // What is found starts from nothing each time: a run shall not depend on those before it.
        let found = self.folder.join("found").join(name);
        if found.exists() {
            fs::remove_dir_all(&found)?;
        }
        fs::create_dir_all(&found)?;
        let log = self.folder.join(format!("{name}.log"));
        let artifacts = format!("-artifact_prefix={}/{name}-", self.folder.display());
        let mut command = runner.command("timeout");
        command
            .arg(seconds.saturating_add(SECONDS_MORE).to_string())
            .arg(self.binaries.join(name))
            .args([
                format!("-max_total_time={seconds}"),
                format!("-timeout={INPUT_SECONDS_MAX}"),
                format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
                format!("-max_len={INPUT_BYTES_MAX}"),
                artifacts,
                "-print_final_stats=1".to_owned(),
            ])
            .arg(&found)
            .arg(format!("{SEEDS}/{name}"))
            // Its own would push the message of a panic out of what is shown.
            .env("RUST_BACKTRACE", "0")
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let status = command.status().with_context(|| format!("start {name}"))?;
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        ensure!(
            status.success(),
            "ended with {status}, its last words:\n{}",
            last_lines(&said)
        );
        inputs(&said).with_context(|| format!("{} does not say what it ran", log.display()))
    }
}

fn host(runner: &Runner) -> Result<String> {
    let said = runner.command("rustc").arg("-vV").output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

fn inputs(said: &str) -> Option<u64> {
    let number = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(INPUTS));
    number?.trim().parse().ok().filter(|inputs| *inputs > 0)
}

fn last_lines(said: &str) -> String {
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

fn next<'a>(waiting: &Mutex<impl Iterator<Item = &'a String>>) -> Option<&'a String> {
    lock(waiting).next()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{inputs, last_lines, targets};

    #[test]
    fn every_binary_is_a_target() {
        let manifest = "[[bin]]\nname = \"one\"\n[[bin]]\nname = \"two\"\n";
        assert_eq!(targets(manifest).unwrap(), ["one", "two"]);
        targets("[package]\nname = \"none\"\n").unwrap_err();
    }

    #[test]
    fn a_run_without_inputs_is_none() {
        let said = "Done 7 runs in 1 second(s)\nstat::number_of_executed_units: 7\nstat::x: 1\n";
        assert_eq!(inputs(said), Some(7));
        assert_eq!(inputs("stat::number_of_executed_units: 0"), None);
        assert_eq!(inputs("Done"), None);
    }

    #[test]
    fn only_the_end_of_a_failure_is_shown() {
        let said: String = (0..100).map(|line| format!("{line}\n")).collect();
        assert!(last_lines(&said).starts_with("60\n"));
        assert!(last_lines(&said).ends_with("\n99"));
    }
}
