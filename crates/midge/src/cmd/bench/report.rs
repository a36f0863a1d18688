//! The figures of a bench, as they are kept and compared.
//!
//! What is measured is decided by the modules beside this one, how it becomes figures by `figures.rs`;
//! here is what it is called, in which unit, and what a file of figures is.
//!
//! **Invariant:** a file that was written by one version is read by the next, or refused in words.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use midge_model::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cmd::fault::Hint;

/// What these files are; another number is another meaning.
pub(super) const VERSION: u32 = 1;

/// A longer file is none of ours.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Everything that a bench found out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    /// What this file is.
    pub(super) version: u32,
    /// Which Midge measured.
    pub(super) midge: String,
    /// When.
    pub(super) at: Timestamp,
    /// Whether it was stopped before its time.
    pub(super) interrupted: bool,
    /// On what.
    pub(super) machine: Machine,
    /// What was measured, and how.
    pub(super) setup: Setup,
    /// Latency and throughput.
    pub(super) load: LoadFigures,
    /// What receipts said, where there were any.
    pub(super) invocation: Option<InvocationFigures>,
    /// What the node used, where it is ours.
    pub(super) node: Option<NodeFigures>,
    /// First requests.
    pub(super) cold: Option<ColdFigures>,
    /// The same figures of each round.
    pub(super) rounds: Vec<RoundFigures>,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// Cores that we may use.
    pub(super) cores: u32,
    /// Its processor, as it names itself.
    pub(super) processor: String,
    /// Its memory.
    pub(super) memory_bytes: u64,
    /// Its kernel.
    pub(super) kernel: String,
}

/// What was measured, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Setup {
    /// The function, or the URL.
    pub(super) target: String,
    /// Its component.
    pub(super) component: Option<Digest>,
    /// Flags of the node; values of variables are left out.
    pub(super) flags: Vec<String>,
    /// Method and path.
    pub(super) request: String,
    /// Body of each request.
    pub(super) body_bytes: u64,
    /// Connections.
    pub(super) connections: u32,
    /// Requests a second, if they were due by the clock.
    pub(super) rate: Option<u32>,
    /// How long each round is.
    pub(super) round_ms: u64,
    /// How many rounds.
    pub(super) rounds: u32,
}

/// Latency and throughput.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LoadFigures {
    /// Answers of any status.
    pub(super) answers: u64,
    /// The same in a second.
    pub(super) per_second: f64,
    /// By status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub(super) broken: BTreeMap<String, u64>,
    /// Bytes of bodies that came.
    pub(super) body_bytes: u64,
    /// Requests that were due and never sent.
    pub(super) unsent: u64,
    /// Requests that had no answer when the load had ended.
    pub(super) cut: u64,
    /// Of answers of success.
    pub(super) latency: Option<Spectrum>,
    /// How much of one core the load generator took.
    pub(super) generator_cores: f64,
}

/// How times are spread, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Spectrum {
    pub(super) count: u64,
    pub(super) p50_us: f64,
    pub(super) p90_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
    /// For a plot.
    pub(super) bars: Vec<Bar>,
}

/// How many values are below a bound, and not below the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Bar {
    pub(super) below_us: f64,
    pub(super) count: u64,
}

/// What receipts said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InvocationFigures {
    /// Waiting for a place, and for code.
    pub(super) queue: Option<Part>,
    /// Making the instance.
    pub(super) instantiate: Option<Part>,
    /// Running until the head of the response.
    pub(super) run: Option<Part>,
    /// What the guest was charged.
    pub(super) cpu: Option<Part>,
    /// The most memory of an instance: of half of them not more than this.
    pub(super) memory_p50_bytes: Option<u64>,
    /// Of all of them not more than this.
    pub(super) memory_max_bytes: Option<u64>,
}

/// One part of the receipts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) max_us: f64,
}

/// What the node used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NodeFigures {
    /// From its start until it listened.
    pub(super) ready_ms: f64,
    /// Of all its processes, user and system, for each answer.
    pub(super) cpu_us_per_request: f64,
    /// Of all its processes before the load.
    pub(super) memory_before_bytes: u64,
    /// The most at the end of a round.
    pub(super) memory_under_load_bytes: u64,
}

/// First requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ColdFigures {
    /// Until a node with all these functions listened.
    pub(super) ready_ms: f64,
    /// By status.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub(super) broken: BTreeMap<String, u64>,
    /// The first answers of success.
    pub(super) latency: Option<Spectrum>,
    /// Where their time went.
    pub(super) parts: Option<InvocationFigures>,
}

/// One round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RoundFigures {
    pub(super) per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) cpu_us_per_request: Option<f64>,
}

/// Why figures are not there to compare with.
#[derive(Debug, thiserror::Error)]
pub(super) enum BaselineError {
    /// No such file, or not ours to read.
    #[error("read baseline `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Not such a file.
    #[error("baseline `{}` is not a file that --save wrote", path.display())]
    Parse {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// A file of another version.
    #[error("baseline `{}` has version {version}, this Midge knows {VERSION}", path.display())]
    Version { path: PathBuf, version: u32 },
    /// Longer than any of ours.
    #[error("baseline `{}` is longer than 4MiB, none that --save wrote is", path.display())]
    TooLong { path: PathBuf },
}

impl Hint for BaselineError {
    fn hint(&self) -> Option<String> {
        Some("write one with --save FILE".to_owned())
    }
}

impl Report {
    /// Figures that were written down.
    ///
    /// # Errors
    ///
    /// They cannot be read; nothing was measured yet.
    pub(super) fn load(path: &Path) -> Result<Self, BaselineError> {
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| {
            let mut file = file.take(FILE_BYTES_MAX + 1);
            file.read_to_end(&mut text)
        });
        let path = path.to_owned();
        if let Err(source) = read {
            return Err(BaselineError::Read { path, source });
        }
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(BaselineError::TooLong { path });
        }
        // A later version may have other fields, so its number is read first.
        let value: serde_json::Value = match serde_json::from_slice(&text) {
            Ok(value) => value,
            Err(source) => return Err(BaselineError::Parse { path, source }),
        };
        let version = value.get("version").and_then(serde_json::Value::as_u64);
        match version.and_then(|version| u32::try_from(version).ok()) {
            Some(version) if version != VERSION => Err(BaselineError::Version { path, version }),
            _ => serde_json::from_value(value)
                .map_err(|source| BaselineError::Parse { path, source }),
        }
    }

    /// Writes them down, whole or not at all.
    ///
    /// # Errors
    ///
    /// The folder does not let us.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::from)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let file = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(file.path(), format!("{text}\n"))?;
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cmd::bench::histogram::Histogram;

    /// Figures that somebody might have measured: p50, p99 and CPU of each round.
    pub(in crate::cmd::bench) fn sample(rounds: &[[f64; 3]]) -> Report {
        let mut latency = Histogram::default();
        for us in 1..=1_000_u64 {
            latency.add(us * us * 10);
        }
        let spectrum = Spectrum::of(&latency);
        let part = Part::of(&latency);
        Report {
            version: VERSION,
            midge: "0.1.0".to_owned(),
            at: Timestamp::from_ms(0),
            interrupted: false,
            machine: Machine {
                cores: 2,
                processor: "Abacus 9".to_owned(),
                memory_bytes: 8 << 30,
                kernel: "6.1.0".to_owned(),
            },
            setup: Setup {
                target: "hello in hello.wasm".to_owned(),
                component: Some(Digest::of(b"hello")),
                flags: vec!["--workers=2".to_owned()],
                request: "GET /".to_owned(),
                body_bytes: 0,
                connections: 32,
                rate: None,
                round_ms: 2_000,
                rounds: 3,
            },
            load: LoadFigures {
                answers: 1_003,
                per_second: 167.2,
                statuses: BTreeMap::from([(200, 1_000), (503, 3)]),
                broken: BTreeMap::from([("closed".to_owned(), 1)]),
                body_bytes: 2_000,
                unsent: 7,
                cut: 2,
                latency: spectrum.clone(),
                generator_cores: 0.25,
            },
            invocation: Some(InvocationFigures {
                queue: part.clone(),
                instantiate: part.clone(),
                run: part.clone(),
                cpu: part,
                memory_p50_bytes: Some(1 << 20),
                memory_max_bytes: Some(3 << 20),
            }),
            node: Some(NodeFigures {
                ready_ms: 120.0,
                cpu_us_per_request: 37.25,
                memory_before_bytes: 60 << 20,
                memory_under_load_bytes: 72 << 20,
            }),
            cold: Some(ColdFigures {
                ready_ms: 150.0,
                statuses: BTreeMap::from([(200, 20)]),
                broken: BTreeMap::new(),
                latency: spectrum,
                parts: None,
            }),
            rounds: rounds
                .iter()
                .map(|[p50_us, p99_us, cpu_us]| RoundFigures {
                    per_second: 167.0,
                    p50_us: *p50_us,
                    p99_us: *p99_us,
                    cpu_us_per_request: Some(*cpu_us),
                })
                .collect(),
        }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let report = sample(&[[1.0, 2.0, 3.0]]);
        report.save(&path).unwrap();
        report.save(&path).unwrap();
        let loaded = Report::load(&path).unwrap();
        let json = |report: &Report| serde_json::to_value(report).unwrap();
        assert_eq!(json(&loaded), json(&report));
        let file = File::create(&path).unwrap();
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(matches!(
            Report::load(&path),
            Err(BaselineError::TooLong { .. })
        ));
    }
}
