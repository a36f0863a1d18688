//! `midge logs NAME [-f]`: what a function wrote.
//!
//! Decides how a lost connection is taken up again; which lines were told already is
//! `logs/told.rs`.
//!
//! **Invariant:** while following, a line is printed once, however often the connection is lost.

mod told;

use std::time::Duration;

use futures::StreamExt as _;
use midge_api::{ClientError, LogLine};

use self::told::Told;
use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::LogsArgs;
use crate::config::Target;
use crate::say;

/// How long is waited before the first attempt to connect again, and before the last.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Prints lines to stdout.
pub(super) fn run(args: &LogsArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    Session::open(target)?.run(async |session| {
        let page = session
            .client
            .logs(session.namespace(), &args.name, None)
            .await;
        let lines = page.map_err(|error| session.fault(error))?.items;
        let last = args
            .last
            .map(|last| usize::try_from(last).unwrap_or(usize::MAX));
        let skipped = lines.len().saturating_sub(last.unwrap_or(usize::MAX));
        for line in &lines[skipped..] {
            print(args, line)?;
        }
        if args.follow {
            return follow(session, args, Told::with(lines)).await;
        }
        if lines.is_empty() {
            say::line(&format!("{} wrote nothing that is still kept", args.name));
        }
        Ok(Ending::Done)
    })
}

/// Prints what is new for as long as there is somebody to read it.
async fn follow(session: &Session, args: &LogsArgs, mut told: Told) -> anyhow::Result<Ending> {
    let mut pause = PAUSE_MIN;
    let mut is_lost = false;
    loop {
        match follow_once(session, args, &mut told).await {
            Ok(()) => pause = PAUSE_MIN,
            Err(Stopped::Lost) => {}
            Err(Stopped::Refused(error)) => return Err(error),
        }
        if !is_lost {
            say::line("the connection is lost, trying again");
            is_lost = true;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Why following stopped.
enum Stopped {
    /// The node is away for the moment.
    Lost,
    /// There is nothing to follow any more, or nobody to print for.
    Refused(anyhow::Error),
}

/// One connection's lines; fine once there was one.
async fn follow_once(session: &Session, args: &LogsArgs, told: &mut Told) -> Result<(), Stopped> {
    let (client, namespace) = (&session.client, session.namespace());
    let followed = client.follow_logs(namespace, &args.name, None).await;
    let mut lines = followed.map_err(|error| stopped(session, error))?;
    told.begin_again();
    let mut any = false;
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => {
                any = true;
                if told.is_new(&line) {
                    print(args, &line).map_err(Stopped::Refused)?;
                }
            }
            Err(error) => match stopped(session, error) {
                Stopped::Lost if any => return Ok(()),
                stopped => return Err(stopped),
            },
        }
    }
    Ok(())
}

/// A node that is being started anew is worth waiting for; one that refuses is not.
fn stopped(session: &Session, error: ClientError) -> Stopped {
    match &error {
        ClientError::Problem(problem) if problem.status < 500 => {
            Stopped::Refused(session.fault(error))
        }
        ClientError::Protocol { .. } => Stopped::Refused(session.fault(error)),
        ClientError::Problem(_)
        | ClientError::Connect { .. }
        | ClientError::Timeout { .. }
        | ClientError::Broken { .. }
        | ClientError::Upload { .. } => Stopped::Lost,
    }
}

fn print(args: &LogsArgs, line: &LogLine) -> anyhow::Result<()> {
    if args.form.json {
        say::record(line)?;
    } else {
        say::data(&format!("{}\n", say::clean_line(&text(line))))?;
    }
    Ok(())
}

fn text(line: &LogLine) -> String {
    let revision = line
        .revision
        .map_or("-".to_owned(), |number| number.to_string());
    let request = line.request_id.as_deref().unwrap_or("-");
    let LogLine {
        at, stream, line, ..
    } = line;
    // A refusal says itself what it is.
    let line = match line.strip_prefix(stream.as_str()) {
        Some(rest) if stream == "denied" => rest.trim_start_matches([':', ' ']),
        _ => line,
    };
    format!("{at} {revision} {request} {stream} {line}")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use midge_model::{NamespaceName, RevisionNumber, Timestamp};

    use super::*;

    #[test]
    fn a_line_says_when_who_and_for_which_request() {
        let line = LogLine {
            at: Timestamp::from_ms(1_795_356_000_123),
            namespace: NamespaceName::default(),
            function: "a".parse().unwrap(),
            revision: Some(RevisionNumber::FIRST),
            request_id: Some("0192".to_owned()),
            stream: "stdout".to_owned(),
            line: "ready".to_owned(),
        };
        assert_snapshot!(text(&line), @"2026-11-22T14:00:00.123Z r1 0192 stdout ready");
        let denied = LogLine {
            stream: "denied".to_owned(),
            line: "denied: GET http://a.test/: no http grant covers it".to_owned(),
            ..line
        };
        assert_snapshot!(text(&denied), @"2026-11-22T14:00:00.123Z r1 0192 denied GET http://a.test/: no http grant covers it");
    }
}
