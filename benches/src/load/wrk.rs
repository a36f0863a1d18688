//! Load by `wrk`: one thread, many connections, each asking again when it was answered.
//!
//! A script makes it print one line of exact figures in place of its table of rounded ones.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fmt::Write as _, fs};

use anyhow::{Context, Result, bail, ensure};

use super::Loaded;
use crate::work::Work;

/// An answer that takes longer counts as none.
const TIMEOUT: &str = "30s";
/// How the line of figures begins.
const MARK: &str = "midge-bench ";

/// Prints the figures; the names are ours, the fields are wrk's.
const DONE: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("midge-bench requests=%d duration_us=%d bytes=%d connect=%d read=%d "
    .. "write=%d status=%d timeout=%d p50_us=%d p99_us=%d\n", summary.requests, summary.duration,
    summary.bytes, e.connect, e.read, e.write, e.status, e.timeout,
    latency:percentile(50.0), latency:percentile(99.0)))
end
"#;

/// Asks a server on `port` over so many connections for so long; scripts are written to `folder`.
///
/// # Errors
///
/// `wrk` is not there, or one answer was not right.
pub fn run(
    port: u16,
    work: &Work,
    connections: usize,
    time: Duration,
    folder: &Path,
) -> Result<Loaded> {
    let script = folder.join(format!("wrk-{port}.lua"));
    fs::write(&script, lua(work, folder)?).context("write the script for wrk")?;
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), "--timeout", TIMEOUT])
        .arg(format!("-d{}", time.as_secs().max(1)))
        .arg("-s")
        .arg(&script)
        .arg(format!("http://127.0.0.1:{port}{}", work.path))
        .output()
        .context("start wrk")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("wrk ended with {}: {}", output.status, why.trim());
    }
    judge(&parse(&said)?, work.expect.bytes_min())
}

fn lua(work: &Work, folder: &Path) -> Result<String> {
    let mut script = String::new();
    if let Some((body, media_type)) = &work.body {
        let file = folder.join(format!("body-{}", body.len()));
        fs::write(&file, body).context("write the body for wrk")?;
        let name = file
            .to_str()
            .context("the target folder's name is not UTF-8")?;
        writeln!(script, "wrk.method = \"POST\"")?;
        writeln!(script, "wrk.headers[\"Content-Type\"] = \"{media_type}\"")?;
        writeln!(script, "wrk.body = io.open({name:?}, \"rb\"):read(\"*a\")")?;
    }
    if work.close {
        writeln!(script, "wrk.headers[\"Connection\"] = \"close\"")?;
    }
    Ok(script + DONE)
}

/// What the script printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    requests: u64,
    duration_us: u64,
    bytes: u64,
    connect: u64,
    read: u64,
    write: u64,
    status: u64,
    timeout: u64,
    p50_us: u64,
    p99_us: u64,
}

fn parse(said: &str) -> Result<Figures> {
    let line = said.lines().find_map(|line| line.strip_prefix(MARK));
    let line = line.with_context(|| format!("wrk printed no figures: {}", said.trim()))?;
    let mut figures = Figures::default();
    let mut seen = 0_usize;
    for word in line.split_whitespace() {
        let (name, value) = word
            .split_once('=')
            .with_context(|| format!("read `{word}` of wrk"))?;
        let value: u64 = value
            .parse()
            .with_context(|| format!("read `{word}` of wrk"))?;
        let field = match name {
            "requests" => &mut figures.requests,
            "duration_us" => &mut figures.duration_us,
            "bytes" => &mut figures.bytes,
            "connect" => &mut figures.connect,
            "read" => &mut figures.read,
            "write" => &mut figures.write,
            "status" => &mut figures.status,
            "timeout" => &mut figures.timeout,
            "p50_us" => &mut figures.p50_us,
            "p99_us" => &mut figures.p99_us,
            _ => bail!("wrk has no figure `{name}`"),
        };
        *field = value;
        seen += 1;
    }
    ensure!(seen == 10, "wrk printed {seen} figures in place of 10");
    Ok(figures)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and microseconds of one load are far below 2^52"
)]
fn judge(figures: &Figures, bytes_min: usize) -> Result<Loaded> {
    let Figures {
        requests,
        connect,
        read,
        write,
        status,
        timeout,
        ..
    } = *figures;
    ensure!(requests > 0, "no request was answered");
    ensure!(
        status == 0,
        "{status} of {requests} answers had a bad status"
    );
    ensure!(
        connect + read + write + timeout == 0,
        "of {requests} requests {connect} found no connection, {read} broke off, {write} could \
         not be sent, {timeout} had no answer in time"
    );
    let bytes_each = figures.bytes / requests;
    ensure!(
        bytes_each >= bytes_min as u64,
        "answers had {bytes_each} bytes with their heads, a right body alone has {bytes_min}"
    );
    Ok(Loaded {
        answered: requests,
        seconds: figures.duration_us as f64 / 1e6,
        p50_ms: figures.p50_us as f64 / 1e3,
        p99_ms: figures.p99_us as f64 / 1e3,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::{judge, lua, parse};
    use crate::work::{Expect, Work};

    const SAID: &str = "Running 2s test @ http://127.0.0.1:4000/\n  1 threads and 32 connections\n\
        Requests/sec:  20000.10\n\
        midge-bench requests=40000 duration_us=2000100 bytes=6000000 connect=0 read=0 write=0 \
        status=0 timeout=0 p50_us=1500 p99_us=4250\n";

    fn check(said: &str, bytes_min: usize) -> String {
        match parse(said).and_then(|figures| judge(&figures, bytes_min)) {
            Ok(loaded) => format!("{loaded:?}"),
            Err(err) => format!("error: {err:#}"),
        }
    }

    #[test]
    fn the_line_of_figures_is_found_and_read() {
        insta::assert_snapshot!(
            check(SAID, 17),
            @"Loaded { answered: 40000, seconds: 2.0001, p50_ms: 1.5, p99_ms: 4.25 }"
        );
    }

    #[test]
    fn one_bad_answer_spoils_the_load() {
        let status = SAID.replace("status=0", "status=3");
        insta::assert_snapshot!(check(&status, 17), @"error: 3 of 40000 answers had a bad status");
        let broken = SAID.replace("read=0", "read=1");
        insta::assert_snapshot!(
            check(&broken, 17),
            @"error: of 40000 requests 0 found no connection, 1 broke off, 0 could not be sent, 0 had no answer in time"
        );
        insta::assert_snapshot!(
            check(SAID, 151),
            @"error: answers had 150 bytes with their heads, a right body alone has 151"
        );
        let none = SAID.replace("requests=40000", "requests=0");
        insta::assert_snapshot!(check(&none, 0), @"error: no request was answered");
    }

    #[test]
    fn what_is_not_a_line_of_figures_is_refused() {
        insta::assert_snapshot!(
            check("unable to connect", 0),
            @"error: wrk printed no figures: unable to connect"
        );
        insta::assert_snapshot!(
            check("midge-bench requests=1", 0),
            @"error: wrk printed 1 figures in place of 10"
        );
        let more = SAID.replace("p50_us=1500", "p51_us=1500");
        insta::assert_snapshot!(check(&more, 0), @"error: wrk has no figure `p51_us`");
    }

    #[test]
    fn a_script_says_how_to_ask() {
        let folder = tempfile::tempdir().unwrap();
        let expect = Expect::Exactly(Bytes::from_static(b"{}"));
        let work = Work::post(Bytes::from_static(b"{}"), "application/json", expect).closing();
        let script = lua(&work, folder.path()).unwrap();
        let shown = script.replace(folder.path().to_str().unwrap(), "FOLDER");
        let head: Vec<&str> = shown.lines().take(4).collect();
        insta::assert_snapshot!(head.join("\n"), @r#"
        wrk.method = "POST"
        wrk.headers["Content-Type"] = "application/json"
        wrk.body = io.open("FOLDER/body-2", "rb"):read("*a")
        wrk.headers["Connection"] = "close"
        "#);
    }

    proptest! {
        /// Whatever a program that is not ours prints, it is read or refused.
        #[test]
        fn any_text_is_read_or_refused(said in "(midge-bench )?([a-z0-9_]{1,12}=[0-9.-]{0,25} ?){0,12}") {
            check(&said, 1);
        }
    }
}
