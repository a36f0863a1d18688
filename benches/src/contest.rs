//! Interleaved rounds: every contestant in turn, again and again, under the same load.
//!
//! All servers stand ready before the first round, so that a round follows the other within
//! seconds and a slow stretch of the machine meets all of them. Who fails once is out, with the
//! reason; the others go on.
//!
//! **Invariant:** each contestant has a figure of every round, or none.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ask;
use crate::lab::Lab;
use crate::load::{Loaded, client, wrk};
use crate::record::{Measure, Run};
use crate::server::Server;
use crate::work::{Expect, Work};

/// How long a server is warmed before the first round.
const WARM_UP: Duration = Duration::from_secs(1);

/// Who takes part, and what it is asked.
pub struct Entrant {
    subject: String,
    server: Result<Server>,
    work: Work,
}

impl Entrant {
    /// A server that was started, or why it was not.
    pub fn new(subject: &str, server: Result<Server>, work: Work) -> Self {
        Self {
            subject: subject.to_owned(),
            server,
            work,
        }
    }
}

/// How hard and how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Rounds that are kept.
    pub rounds: usize,
    /// Of each contestant in each round.
    pub time: Duration,
    /// Connections at the same time.
    pub connections: usize,
    /// Who asks.
    pub generator: Generator,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// `wrk`, each connection again and again.
    Wrk,
    /// A client of ours over HTTP/1.1, likewise.
    Own,
    /// The same over HTTP/2, with so many requests at a time on each connection.
    Http2(usize),
}

impl Load {
    /// The same over so many connections.
    #[must_use]
    pub fn over(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// The same, made by this generator.
    #[must_use]
    pub fn by(mut self, generator: Generator) -> Self {
        self.generator = generator;
        self
    }
}

/// Measures everybody in turns and adds the figures to the run.
pub fn contest(lab: &Lab, run: &mut Run, scenario: &str, entrants: Vec<Entrant>, load: &Load) {
    let mut ready = Vec::new();
    for Entrant {
        subject,
        server,
        work,
    } in entrants
    {
        let warmed = server.and_then(|mut server| {
            server.wait_for(&work)?;
            let warm = Load {
                time: WARM_UP,
                ..*load
            };
            ask_hard(lab, &server, &work, &warm).context("while it was warmed")?;
            Ok(server)
        });
        match warmed {
            Ok(server) => ready.push((subject, server, work)),
            Err(err) => give_up(lab, run, scenario, &subject, &err),
        }
    }
    for round in 1..=load.rounds {
        ready.retain(
            |(subject, server, work)| match measure(lab, server, work, load) {
                Ok(figures) => {
                    lab.say(&format!(
                        "{scenario} {round}/{} {subject}: {:.1} µs CPU, {:.0}/s, p99 {:.2} ms",
                        load.rounds, figures.cpu_us, figures.rate, figures.loaded.p99_ms
                    ));
                    figures.add_to(run, scenario, subject);
                    true
                }
                Err(err) => {
                    give_up(lab, run, scenario, subject, &err);
                    false
                }
            },
        );
    }
    for (subject, server, work) in ready {
        if let Err(err) = ask::check(server.port, &work) {
            give_up(
                lab,
                run,
                scenario,
                &subject,
                &err.context("after the last round"),
            );
        }
    }
}

fn give_up(lab: &Lab, run: &mut Run, scenario: &str, subject: &str, err: &anyhow::Error) {
    lab.say(&format!("{scenario} {subject}: {err:#}"));
    run.miss(scenario, subject, format!("{err:#}"));
}

/// One round of one contestant.
pub struct Figures {
    /// Processor time of the server's tree for each answer.
    pub cpu_us: f64,
    /// Answers a second.
    pub rate: f64,
    /// What the generator saw.
    pub loaded: Loaded,
    memory_mib: f64,
}

impl Figures {
    /// Adds them to a run.
    pub fn add_to(&self, run: &mut Run, scenario: &str, subject: &str) {
        run.add(scenario, subject, Measure::CpuMicros, self.cpu_us);
        run.add(scenario, subject, Measure::Rate, self.rate);
        run.add(scenario, subject, Measure::P50Millis, self.loaded.p50_ms);
        run.add(scenario, subject, Measure::P99Millis, self.loaded.p99_ms);
        run.add(scenario, subject, Measure::MemoryMib, self.memory_mib);
    }
}

/// Loads a server and reads what it cost.
///
/// # Errors
///
/// One answer was not right, or the server ended.
#[expect(
    clippy::cast_precision_loss,
    reason = "answers of seconds and bytes of a machine are far below 2^52"
)]
pub fn measure(lab: &Lab, server: &Server, work: &Work, load: &Load) -> Result<Figures> {
    let before = server.cpu()?;
    let loaded = ask_hard(lab, server, work, load)?;
    let spent = server.cpu()?.saturating_sub(before);
    ensure!(loaded.answered > 0, "no request was answered");
    Ok(Figures {
        cpu_us: spent.as_secs_f64() * 1e6 / loaded.answered as f64,
        rate: loaded.answered as f64 / loaded.seconds,
        loaded,
        memory_mib: server.memory()?.pss as f64 / f64::from(1 << 20),
    })
}

fn ask_hard(lab: &Lab, server: &Server, work: &Work, load: &Load) -> Result<Loaded> {
    let streams = match load.generator {
        Generator::Wrk => {
            return wrk::run(server.port, work, load.connections, load.time, &lab.scratch);
        }
        Generator::Own => 1,
        Generator::Http2(streams) => streams,
    };
    let Expect::Contains(contains) = &work.expect else {
        anyhow::bail!("our own client knows texts only");
    };
    client::run(&client::Spec {
        http2: load.generator != Generator::Own,
        connections: load.connections,
        streams,
        ..client::Spec::get(server.port, &work.path, contains, load.time)
    })
}
