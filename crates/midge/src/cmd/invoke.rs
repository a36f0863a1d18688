//! `midge invoke NAME`: one request to a function, through the control door.
//!
//! The answer's body goes to stdout as it is, what it took goes to stderr.
//!
//! **Invariant:** the exit code tells whether the answer is one of success.

use std::io::Read as _;

use anyhow::Context as _;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Method};
use midge_api::{InvokeAnswer, InvokeRequest};

use super::Ending;
use super::fault::hinted;
use super::session::Session;
use crate::cli::InvokeArgs;
use crate::config::Target;
use crate::say;

/// Sends it.
pub(super) fn run(args: InvokeArgs) -> anyhow::Result<Ending> {
    let target = Target::scoped(&args.scope).map_err(hinted)?;
    let (include, name) = (args.include, args.name.clone());
    let request = request(args)?;
    Session::open(target)?.run(async |session| {
        let answer = session
            .client
            .invoke(session.namespace(), &name, request)
            .await;
        let answer = answer.map_err(|error| session.fault(error))?;
        let took = answer.took.as_secs_f64() * 1e3;
        say::line(&format!("{} in {took:.1} ms", answer.status));
        if include {
            say::text(&head(&answer));
        }
        let is_success = answer.status.as_u16() < 400;
        print(session, answer).await?;
        Ok(if is_success {
            Ending::Done
        } else {
            Ending::Partial
        })
    })
}

fn request(args: InvokeArgs) -> anyhow::Result<InvokeRequest> {
    let usual = if args.data.is_some() {
        Method::POST
    } else {
        Method::GET
    };
    let mut headers = HeaderMap::new();
    for (name, value) in args.headers {
        headers.append(name, value);
    }
    Ok(InvokeRequest {
        path: args.path,
        method: args.method.unwrap_or(usual),
        revision: args.revision,
        headers,
        body: body(args.data)?,
    })
}

fn body(data: Option<String>) -> anyhow::Result<Bytes> {
    let Some(data) = data else {
        return Ok(Bytes::new());
    };
    match data.strip_prefix('@') {
        None => Ok(data.into()),
        Some("-") => {
            let mut body = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut body);
            read.context("read the body from stdin")?;
            Ok(body.into())
        }
        Some(path) => {
            let body = std::fs::read(path).with_context(|| format!("read body from `{path}`"))?;
            Ok(body.into())
        }
    }
}

fn head(answer: &InvokeAnswer) -> String {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {}\n", say::clean_line(&value))
    };
    answer.headers.iter().map(field).collect()
}

async fn print(session: &Session, mut answer: InvokeAnswer) -> anyhow::Result<()> {
    let mut shown = Shown::default();
    let mut ends_line = true;
    while let Some(chunk) = answer.body.next().await {
        let chunk = chunk.map_err(|error| session.fault(error))?;
        ends_line = chunk.last().map_or(ends_line, |last| *last == b'\n');
        if say::is_output_terminal() {
            say::bytes(&shown.letters(&chunk))?;
        } else {
            say::bytes(&chunk)?;
        }
    }
    if say::is_output_terminal() {
        say::bytes(&shown.rest)?;
        if !ends_line {
            // The prompt of a shell would stand behind the answer.
            say::line("");
        }
    }
    Ok(())
}

/// Text that comes in pieces, cut between letters and not inside them.
#[derive(Debug, Default)]
struct Shown {
    rest: Vec<u8>,
}

impl Shown {
    /// The whole letters so far; the begun one is kept.
    fn letters(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(chunk);
        let whole = match std::str::from_utf8(&self.rest) {
            Ok(_) => self.rest.len(),
            // Only what may still become a letter is kept; what is none is shown as such.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.rest.len(),
        };
        let rest = self.rest.split_off(whole);
        std::mem::replace(&mut self.rest, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_is_cut_in_two_is_shown_whole() {
        let mut shown = Shown::default();
        assert_eq!(shown.letters(b"caf\xc3"), b"caf");
        assert_eq!(shown.letters(b"\xa9!"), "é!".as_bytes());
        assert_eq!(shown.letters(b"\xff\xc3"), b"\xff\xc3");
        assert_eq!(shown.rest, b"");
    }

    #[test]
    fn a_body_is_text_or_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file").unwrap();
        assert_eq!(body(None).unwrap(), "");
        assert_eq!(body(Some("text".to_owned())).unwrap(), "text");
        let path = format!("@{}", file.path().display());
        assert_eq!(body(Some(path)).unwrap(), "from a file");
        assert!(body(Some("@/no/such".to_owned())).is_err());
    }
}
