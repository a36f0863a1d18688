//! One command's talk with a node: the client, and what is said when it fails.
//!
//! Decides which remedy goes with which failure, and what is sent again when an answer got lost.
//! What the node refuses, and in which words, is the node's to say; its hint is shown as it is.
//!
//! **Invariant:** a write that is sent again carries the same key, so it is done once.

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

use anyhow::Context as _;
use midge_api::{Client, ClientConfig, ClientError, ErrorCode, Problem, WriteOptions};
use midge_model::{NamespaceName, SecretText};

use super::fault::with_hint;
use crate::config::Target;
use crate::say;

/// How long one operation may take that compiles nothing.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often a write is sent whose answer got lost.
const ATTEMPTS_MAX: u32 = 4;

/// How long is waited before a write is sent again, each time twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// The bytes of an idempotency key: nobody else makes the same.
const KEY_BYTES: usize = 16;

/// A node, and the namespace that is meant.
pub(super) struct Session {
    /// What calls the node.
    pub(super) client: Client,
    namespace: NamespaceName,
}

impl Session {
    /// For a node; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// The token is none, or certificates cannot be read.
    pub(super) fn open(target: Target) -> anyhow::Result<Self> {
        let Target {
            url,
            token,
            ca,
            namespace,
        } = target;
        if token.is_some() && url.is_readable_on_the_way() {
            say::warning(&format!(
                "the token goes to {url} unencrypted, whoever is on the way can read it"
            ));
        }
        let ca_pem = ca.map(|path| {
            let shown = path.display().to_string();
            std::fs::read(path).with_context(|| format!("read certificates from `{shown}`"))
        });
        let client = Client::new(ClientConfig {
            url: url.to_string(),
            token: token.as_ref().map(SecretText::expose).map(str::to_owned),
            timeout: TIMEOUT,
            ca_pem: ca_pem.transpose()?,
        })?;
        Ok(Self { client, namespace })
    }

    /// Does something on this thread.
    ///
    /// # Errors
    ///
    /// Those of the work.
    pub(super) fn run<T>(
        self,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        super::block_on(work(&self))?
    }

    /// The namespace that is meant.
    pub(super) fn namespace(&self) -> &NamespaceName {
        &self.namespace
    }

    /// What is said about a failure.
    pub(super) fn fault(&self, error: ClientError) -> anyhow::Error {
        fault(&self.client, error)
    }

    /// Writes something, see [`write()`].
    ///
    /// # Errors
    ///
    /// What refused it, with its remedy.
    pub(super) async fn write<T>(
        &self,
        send: impl AsyncFn(WriteOptions) -> Result<T, ClientError>,
    ) -> anyhow::Result<T> {
        write(&self.client, send).await
    }

    /// Removes something, see [`remove`].
    ///
    /// # Errors
    ///
    /// What refused it, with its remedy.
    pub(super) async fn remove(
        &self,
        send: impl AsyncFn(WriteOptions) -> Result<(), ClientError>,
    ) -> anyhow::Result<()> {
        remove(&self.client, send).await
    }
}

/// Writes something, and sends it again with the same key when its answer got lost.
///
/// # Errors
///
/// What refused it, with its remedy.
pub(super) async fn write<T>(
    client: &Client,
    send: impl AsyncFn(WriteOptions) -> Result<T, ClientError>,
) -> anyhow::Result<T> {
    let options = WriteOptions::once(new_key()?);
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS_MAX {
        match send(options.clone()).await {
            Err(error) if is_lost(&error) => tokio::time::sleep(pause).await,
            done => return done.map_err(|error| fault(client, error)),
        }
        pause *= 2;
    }
    send(options).await.map_err(|error| fault(client, error))
}

/// Removes something, and sends it again when its answer got lost: what is not there the second
/// time was removed the first time.
///
/// # Errors
///
/// What refused it, with its remedy.
async fn remove(
    client: &Client,
    send: impl AsyncFn(WriteOptions) -> Result<(), ClientError>,
) -> anyhow::Result<()> {
    let was_sent = Cell::new(false);
    write(client, async |options| {
        let sent = send(options).await;
        match sent.as_ref().map_err(ClientError::problem) {
            Err(Some(problem)) if was_sent.get() && problem.is(ErrorCode::NotFound) => Ok(()),
            _ => {
                was_sent.set(true);
                sent
            }
        }
    })
    .await
}

/// What is said about a failure, and what to type next.
pub(super) fn fault(client: &Client, error: ClientError) -> anyhow::Error {
    let url = client.url();
    let hint = match &error {
        ClientError::Problem(problem) => remedy(url, problem),
        // Only the words are left of what the TLS library found.
        ClientError::Connect { .. }
            if root(&error).is_some_and(|root| root.contains("certificate")) =>
        {
            Some("if it signed its own certificate: --ca FILE".to_owned())
        }
        ClientError::Connect { .. } => Some(
            "start one here with `midge serve`, or name the one that you mean with --control URL"
                .to_owned(),
        ),
        ClientError::Timeout { .. } | ClientError::Broken { .. } => {
            Some("it may have been done all the same; to repeat the command is safe".to_owned())
        }
        ClientError::Protocol { .. } => Some(format!(
            "is {url} the control door? Functions answer at another address"
        )),
        ClientError::Upload { .. } => None,
    };
    let error = match error {
        ClientError::Problem(problem) => anyhow::anyhow!(sentence(&problem)),
        // Between our sentence and the reason are three of the libraries' that say the same.
        error => match root(&error) {
            Some(root) => anyhow::anyhow!("{error}: {root}"),
            None => error.into(),
        },
    };
    match hint {
        Some(hint) => with_hint(error, hint),
        None => error,
    }
}

/// Whether nobody knows what became of it, or it is still at work.
fn is_lost(error: &ClientError) -> bool {
    match error {
        ClientError::Broken { .. } => true,
        ClientError::Problem(problem) => problem.is(ErrorCode::IdempotencyInProgress),
        ClientError::Connect { .. }
        | ClientError::Timeout { .. }
        | ClientError::Upload { .. }
        | ClientError::Protocol { .. } => false,
    }
}

fn remedy(url: &str, problem: &Problem) -> Option<String> {
    if problem.is(ErrorCode::Unauthenticated) {
        // The node speaks of headers, to whoever calls it; what to type is ours to know.
        return Some(format!("midge login {url}"));
    }
    if problem.is(ErrorCode::VersionMismatch) && problem.hint.is_none() {
        return Some("somebody else changed it meanwhile: look, and repeat the command".to_owned());
    }
    problem.hint.clone()
}

/// What is wrong; with the name of the request where the node's log knows more.
fn sentence(problem: &Problem) -> String {
    match &problem.request_id {
        Some(id) if problem.status >= 500 => {
            format!("{} (request {id} in the node's log)", problem.detail)
        }
        _ => problem.detail.clone(),
    }
}

/// The last of an error's causes.
fn root(error: &ClientError) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Some(cause.to_string())
}

fn new_key() -> anyhow::Result<String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).context("ask the system for random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use insta::assert_snapshot;

    use super::*;
    use crate::cmd::fault::hint_of;

    fn client(url: &str) -> Client {
        Client::new(ClientConfig {
            url: url.to_owned(),
            token: None,
            timeout: TIMEOUT,
            ca_pem: None,
        })
        .unwrap()
    }

    fn check(problem: Problem) -> String {
        let client = client("http://127.0.0.1:8081");
        let error = fault(&client, ClientError::Problem(Box::new(problem)));
        format!("{error:#}\nhint: {}", hint_of(&error).unwrap_or("none"))
    }

    #[test]
    fn the_nodes_sentence_and_hint_are_shown() {
        let mut problem = Problem::new(ErrorCode::NotFound, "there is no function `chekout`");
        problem.hint = Some("did you mean `checkout`?".to_owned());
        assert_snapshot!(check(problem), @r"
        there is no function `chekout`
        hint: did you mean `checkout`?
        ");
    }

    #[test]
    fn who_is_not_known_is_told_to_log_in() {
        let problem = Problem::new(ErrorCode::Unauthenticated, "the token is not known");
        assert_snapshot!(check(problem), @r"
        the token is not known
        hint: midge login http://127.0.0.1:8081
        ");
    }

    #[test]
    fn what_the_node_failed_at_can_be_found_in_its_log() {
        let mut problem = Problem::new(ErrorCode::Internal, "the node failed");
        problem.request_id = Some("0192".to_owned());
        assert_snapshot!(check(problem), @r"
        the node failed (request 0192 in the node's log)
        hint: none
        ");
    }

    #[test]
    fn where_nobody_answers_it_says_how_to_start_a_node() {
        // Bound, so that nobody else gets the port, and closed, so that nobody answers.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = client(&url);
        let error = crate::cmd::block_on(async { client.whoami().await }).unwrap();
        let error = fault(&client, error.unwrap_err());
        let text = format!("{error:#}\nhint: {}", hint_of(&error).unwrap_or("none"));
        assert_snapshot!(text.replace(&url, "URL"), @r"
        no node answers at `URL`: Connection refused (os error 111)
        hint: start one here with `midge serve`, or name the one that you mean with --control URL
        ");
    }

    fn problem(code: ErrorCode) -> ClientError {
        ClientError::Problem(Box::new(Problem::new(code, "no")))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_after_a_lost_answer_was_removed() {
        let client = client("http://127.0.0.1:8081");
        let answers = |codes: &'static [ErrorCode]| {
            let mut codes = codes.iter();
            RefCell::new(move || problem(*codes.next().unwrap()))
        };
        let lost = answers(&[ErrorCode::IdempotencyInProgress, ErrorCode::NotFound]);
        let removed = remove(&client, async |_| Err((lost.borrow_mut())())).await;
        assert!(removed.is_ok());
        let never_there = answers(&[ErrorCode::NotFound]);
        let removed = remove(&client, async |_| Err((never_there.borrow_mut())())).await;
        assert!(removed.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_still_at_work_is_asked_for_again_with_the_same_key() {
        let client = client("http://127.0.0.1:8081");
        let keys = RefCell::new(Vec::new());
        let done = write(&client, async |options| {
            keys.borrow_mut().push(options.idempotency_key);
            if keys.borrow().len() < 3 {
                return Err(problem(ErrorCode::IdempotencyInProgress));
            }
            Ok(7)
        });
        assert_eq!(done.await.unwrap(), 7);
        let keys = keys.into_inner();
        assert_eq!(keys.len(), 3);
        assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]));
    }
}
