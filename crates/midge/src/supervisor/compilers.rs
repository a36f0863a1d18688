//! Compiling components in child processes of our own.
//!
//! One child per component, as many at a time as there are cores; each is
//! bounded in memory and processor time (it sets that on itself, see
//! `cmd/compiler.rs`) and in wall time (from here). What needs compiling is
//! decided by the caller.
//!
//! **Invariant:** foreign bytes meet the code generator only in a child; the
//! supervisor reads one bounded line of its answer.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use midge_model::quantity::{format_bytes, format_duration};
use midge_model::{Digest, FunctionName};
use midge_sandbox::Allocation;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::child::{Ended, ourselves};
use super::progress::{Progress, SHOWN_AFTER};
use crate::cmd::fault::Hint;
use crate::components::COMPONENT_BYTES_MAX;
use crate::protocol::Compiled;
use crate::{machine, regular};

/// Memory of one compiler. A component of 70 MB takes about half of it.
const MEMORY_BYTES_MAX: u64 = 8 << 30;

/// The part of the machine's memory that all compilers together may take.
const SHARE_OF_MEMORY: u64 = 2;

/// Processor time of one compiler, over all its threads.
const CPU_TIME_MAX: Duration = Duration::from_secs(20 * 60);

/// How long one compiler may take by the clock, for what the operator has compiled.
pub(crate) const WALL_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// The same for what is deployed to a node, where others wait for the compiler's place.
pub(crate) const WALL_TIME_MAX_OF_TENANT: Duration = Duration::from_secs(2 * 60);

/// What we read of a compiler's answer, and of its dying words.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// What Rust says when an allocation is refused, just before it aborts.
const OUT_OF_MEMORY: &str = "memory allocation of";

/// One component to compile.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Who needs it; the first one, when several share a component.
    pub(crate) function: FunctionName,
    /// Where its bytes are.
    pub(crate) source: Source,
    /// What they were when they were looked at.
    pub(crate) digest: Digest,
    /// How much that was.
    pub(crate) size_bytes: u64,
}

/// Where the bytes of a component are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// In a file that somebody may be writing to.
    File(PathBuf),
    /// Here; whoever has them has checked their digest.
    Bytes(Bytes),
}

/// How to compile.
#[derive(Debug, Clone)]
pub(crate) struct Compiler {
    /// Where the results go.
    pub(crate) cache_dir: PathBuf,
    /// Which memory layout the code is for.
    pub(crate) allocation: Allocation,
    /// How long one component may take by the clock.
    pub(crate) wall_time_max: Duration,
}

/// A component's native code, and how long it took to make.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// What was compiled.
    pub(crate) digest: Digest,
    /// Where the native code lies.
    pub(crate) artifact: PathBuf,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Why a component has no native code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompilersError {
    /// The file cannot be read any more.
    #[error("compile {function}: read `{}`", component.display())]
    Read {
        function: FunctionName,
        component: PathBuf,
        source: io::Error,
    },
    /// Somebody writes to it.
    #[error("compile {function}: `{}` changed while it was read", component.display())]
    Changed {
        function: FunctionName,
        component: PathBuf,
    },
    /// No process, or no talking to it.
    #[error("compile {function}: run the compiler")]
    Run {
        function: FunctionName,
        source: io::Error,
    },
    /// The compiler said why not.
    #[error("compile {function}: {message}")]
    Refused {
        function: FunctionName,
        message: String,
        hint: Option<String>,
    },
    /// The compiler said that it could not, and that no other component would fare better.
    #[error("compile {function}: {message}")]
    Failed {
        function: FunctionName,
        message: String,
        hint: Option<String>,
    },
    /// More than a component may take.
    #[error(
        "compile {function}: it took more than {limit}, which is the most a component may take"
    )]
    OverLimit {
        function: FunctionName,
        limit: String,
    },
    /// Something that should not happen.
    #[error("compile {function}: the compiler ended with {ended}{last_words}")]
    Ended {
        function: FunctionName,
        ended: Ended,
        last_words: String,
    },
}

impl Hint for CompilersError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Changed { .. } => Some("start again once the build has finished".to_owned()),
            Self::Refused { hint, .. } | Self::Failed { hint, .. } => hint.clone(),
            Self::OverLimit { .. } => Some(
                "build it for size, without debug information (`-Os`, `strip`, `wasm-opt -O`)"
                    .to_owned(),
            ),
            Self::Read { .. } | Self::Run { .. } | Self::Ended { .. } => None,
        }
    }
}

impl CompilersError {
    /// Whether the component is at fault, so that trying again is no use.
    pub(crate) fn is_the_components(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::OverLimit { .. })
    }
}

impl Compiler {
    /// Compiles all jobs, the largest first, and gives up at the first that fails.
    ///
    /// # Errors
    ///
    /// Which one failed and why; the others that were ready by then are in the cache.
    pub(crate) async fn compile_all(
        &self,
        mut jobs: Vec<Job>,
        progress: &Progress,
    ) -> Result<Vec<Made>, CompilersError> {
        // The largest decides when all are done, so it must not start last.
        jobs.sort_by_key(|job| std::cmp::Reverse(job.size_bytes));
        let cores = usize::try_from(machine::cores().get()).unwrap_or(1);
        let permits = Arc::new(Semaphore::new(cores));
        let mut running = JoinSet::new();
        for job in jobs {
            let (compiler, permits, progress) = (self.clone(), permits.clone(), progress.clone());
            running.spawn_local(async move {
                let _permit = permits
                    .acquire()
                    .await
                    .expect("the semaphore is never closed");
                compiler.compile(&job, &progress).await
            });
        }
        let mut made = Vec::with_capacity(running.len());
        while let Some(result) = running.join_next().await {
            made.push(result.expect("compile tasks neither panic nor are aborted")?);
        }
        Ok(made)
    }

    /// Compiles one component.
    ///
    /// # Errors
    ///
    /// Why there is no native code of it.
    pub(crate) async fn compile(
        &self,
        job: &Job,
        progress: &Progress,
    ) -> Result<Made, CompilersError> {
        let started = Instant::now();
        let source = match &job.source {
            Source::File(component) => read_again(job, component)?,
            Source::Bytes(bytes) => bytes.clone(),
        };
        let run = self.run(&source);
        tokio::pin!(run);
        let step = tokio::select! {
            biased;
            outcome = &mut run => return finish(job, outcome, started.elapsed(), self.wall_time_max),
            () = tokio::time::sleep(SHOWN_AFTER) => {
                progress.show(job.function.as_str(), job.size_bytes, started)
            }
        };
        let made = finish(job, run.await, started.elapsed(), self.wall_time_max)?;
        step.done(made.took);
        Ok(made)
    }

    /// One child from start to end.
    async fn run(&self, source: &[u8]) -> io::Result<Spoken> {
        let mut command = ourselves("compiler");
        command.arg("--cache-dir").arg(&self.cache_dir);
        command
            .arg("--memory-bytes")
            .arg(memory_bytes_max().to_string());
        command
            .arg("--cpu-seconds")
            .arg(CPU_TIME_MAX.as_secs().to_string());
        command.arg("--allocation").arg(match self.allocation {
            Allocation::Pooling => "pooling",
            Allocation::OnDemand => "on-demand",
        });
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let spoken = tokio::time::timeout(self.wall_time_max, converse(&mut child, source)).await;
        match spoken {
            // Who is late is late, though its answer be there by the time that we look: timers go
            // by whole milliseconds.
            Ok(spoken) if started.elapsed() < self.wall_time_max => spoken,
            // The child is killed when it is dropped.
            Ok(_) | Err(_) => Ok(Spoken::TooLate),
        }
    }
}

/// What a compiler left behind.
enum Spoken {
    /// It ended by itself or by its own limits.
    Words {
        status: ExitStatus,
        answer: Vec<u8>,
        last_words: Vec<u8>,
    },
    /// It was still at it when its time was over.
    TooLate,
}

async fn converse(child: &mut Child, source: &[u8]) -> io::Result<Spoken> {
    let mut down = child.stdin.take().expect("stdin is piped");
    let answer = child.stdout.take().expect("stdout is piped");
    let last_words = child.stderr.take().expect("stderr is piped");
    let send = async move {
        // A child that died early has closed the pipe; how it died says more than that.
        drop(down.write_all(source).await);
    };
    let ((), answer, last_words) = tokio::join!(send, read(answer), read(last_words));
    let status = child.wait().await?;
    Ok(Spoken::Words {
        status,
        answer: answer?,
        last_words: last_words?,
    })
}

async fn read(from: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Reads the component a second time, because holding all of them in memory would cost more.
fn read_again(job: &Job, component: &Path) -> Result<Bytes, CompilersError> {
    let (function, component) = (job.function.clone(), component.to_owned());
    match regular::read(&component, COMPONENT_BYTES_MAX) {
        Ok(source) if Digest::of(&source) == job.digest => Ok(source.into()),
        Ok(_) => Err(CompilersError::Changed {
            function,
            component,
        }),
        Err(source) => Err(CompilersError::Read {
            function,
            component,
            source,
        }),
    }
}

fn finish(
    job: &Job,
    run: io::Result<Spoken>,
    took: Duration,
    wall_time_max: Duration,
) -> Result<Made, CompilersError> {
    let function = job.function.clone();
    let over = |limit: String| CompilersError::OverLimit {
        function: job.function.clone(),
        limit,
    };
    match run {
        Err(source) => Err(CompilersError::Run { function, source }),
        Ok(Spoken::TooLate) => Err(over(format_duration(wall_time_max))),
        Ok(Spoken::Words {
            status,
            answer,
            last_words,
        }) => match serde_json::from_slice(&answer) {
            Ok(Compiled::Done { artifact }) => Ok(Made {
                digest: job.digest,
                artifact,
                took,
            }),
            Ok(Compiled::Refused { message, hint }) => Err(CompilersError::Refused {
                function,
                message,
                hint,
            }),
            Ok(Compiled::Failed { message, hint }) => Err(CompilersError::Failed {
                function,
                message,
                hint,
            }),
            Err(_) => {
                let ended = Ended::from(status);
                let last_words = String::from_utf8_lossy(&last_words);
                Err(match limit_behind(&ended, &last_words) {
                    Some(limit) => over(limit),
                    None => CompilersError::Ended {
                        function,
                        ended,
                        last_words: tail(&last_words),
                    },
                })
            }
        },
    }
}

/// The limit that a child died of, as far as its death shows.
fn limit_behind(ended: &Ended, last_words: &str) -> Option<String> {
    const SIGXCPU: i32 = 24;
    if *ended == Ended::Signal(SIGXCPU) {
        return Some(format!(
            "{} of processor time",
            format_duration(CPU_TIME_MAX)
        ));
    }
    if last_words.contains(OUT_OF_MEMORY) {
        return Some(format!("{} of memory", format_bytes(memory_bytes_max())));
    }
    None
}

/// What one compiler may take here, where as many run as there are cores.
fn memory_bytes_max() -> u64 {
    let share = machine::memory_bytes() / SHARE_OF_MEMORY / u64::from(machine::cores().get());
    share.min(MEMORY_BYTES_MAX)
}

/// The last line of what a dying compiler wrote, to stand behind how it ended.
fn tail(last_words: &str) -> String {
    match last_words
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
    {
        Some(line) => format!(": {}", line.trim()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use insta::assert_snapshot;

    use super::*;

    fn job() -> Job {
        Job {
            function: "resize".parse().unwrap(),
            source: Source::File(PathBuf::from("resize.wasm")),
            digest: Digest::of(b"resize"),
            size_bytes: 6,
        }
    }

    fn check(wait_status: i32, answer: &str, last_words: &str) -> String {
        let spoken = Spoken::Words {
            status: ExitStatus::from_raw(wait_status),
            answer: answer.into(),
            last_words: last_words.into(),
        };
        match finish(&job(), Ok(spoken), Duration::ZERO, WALL_TIME_MAX) {
            Ok(made) => format!("made {}", made.artifact.display()),
            Err(error) => format!("{:#}", crate::cmd::fault::hinted(error))
                .replace(&format_bytes(memory_bytes_max()), "[SHARE]"),
        }
    }

    #[test]
    fn a_compiler_killed_by_a_limit_is_reported_as_such() {
        assert_snapshot!(check(24, "", ""), @"compile resize: it took more than 20m of processor time, which is the most a component may take");
        assert_snapshot!(check(6, "", "memory allocation of 4096 bytes failed\n"), @"compile resize: it took more than [SHARE] of memory, which is the most a component may take");
    }

    #[test]
    fn any_other_death_names_the_signal_and_the_last_words() {
        assert_snapshot!(check(11, "", ""), @"compile resize: the compiler ended with SIGSEGV");
        assert_snapshot!(check(101 << 8, "", "thread main panicked\nindex out of bounds\n\n"), @"compile resize: the compiler ended with exit code 101: index out of bounds");
    }

    #[test]
    fn the_answer_of_the_compiler_is_passed_on() {
        assert_snapshot!(check(0, r#"{"done":{"artifact":"/cache/a"}}"#, ""), @"made /cache/a");
        assert_snapshot!(check(0, r#"{"refused":{"message":"no `_start`","hint":null}}"#, ""), @"compile resize: no `_start`");
    }

    #[test]
    fn what_the_machine_lacks_is_not_the_components_fault() {
        let spoken = |answer: &str| Spoken::Words {
            status: ExitStatus::from_raw(0),
            answer: answer.into(),
            last_words: Vec::new(),
        };
        let is_the_components = |answer: &str| {
            let made = finish(&job(), Ok(spoken(answer)), Duration::ZERO, WALL_TIME_MAX);
            made.unwrap_err().is_the_components()
        };
        let full = r#"{"failed":{"message":"write native code: No space left","hint":null}}"#;
        assert!(!is_the_components(full));
        let refused = r#"{"refused":{"message":"no `_start`","hint":null}}"#;
        assert!(is_the_components(refused));
    }
}
