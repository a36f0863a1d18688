//! The record of one request: from its head to the end of its response, and the line it leaves.
//!
//! Lives with whoever owes the client the rest of the answer: first the task that computes it, then
//! the body. Wherever that is dropped, the request is over; a record that nobody closed is a request
//! whose client went away, or that the worker's end cut off.
//!
//! **Invariant:** each request leaves at most one line, and is counted in flight until then.

use std::rc::Rc;
use std::time::Duration;

use http::{Method, Uri};
use midge_model::{NamespaceName, Outcome, Refusal, RequestId};
use midge_runtime::{Addressee, Receipt};
use tokio::time::Instant;

use crate::render;
use crate::request::Line;
use crate::tasks::Progress;

/// The target of access lines, for filters.
pub const ACCESS_TARGET: &str = "midge::access";
/// The most of a path that is logged. Callers choose paths, so they must not choose our disk space.
const PATH_LOGGED_BYTES_MAX: usize = 256;
/// The same of its method, which a caller may invent.
const METHOD_LOGGED_BYTES_MAX: usize = 32;
/// The most of a guest's own words that is logged with its request.
const REASON_LOGGED_BYTES_MAX: usize = 512;

/// The status of a response whose head has not gone out.
const NOT_SENT: u16 = 0;

/// A request that is not over yet.
pub(crate) struct Record {
    line: Rc<Line>,
    began: Instant,
    /// Kept only if there will be a line; in a box, for the record moves about.
    facts: Option<Box<Facts>>,
    ending: Option<Ending>,
    status: u16,
    bytes_out: u64,
}

struct Facts {
    method: Method,
    uri: Uri,
    request_id: RequestId,
    addressee: Option<Addressee>,
    /// What it cost, if that is wanted and the function answered. In a box: most nodes do not want it,
    /// and requests that wait would hold room for it.
    cost: Option<Box<Receipt>>,
}

enum Ending {
    /// As the dispatcher or the response body reported it.
    Outcome(Outcome),
    /// Refused at the door, with the code the client was told.
    Code(&'static str),
}

/// Whether anybody wants the lines; that does not change while a worker lives.
pub(crate) fn is_wanted() -> bool {
    tracing::enabled!(target: ACCESS_TARGET, tracing::Level::INFO)
}

impl Record {
    /// Counts the request in.
    pub(crate) fn begin(line: &Rc<Line>, method: &Method, uri: &Uri, id: &RequestId) -> Self {
        let began = Instant::now();
        line.pulse.request_began(began);
        let facts = line.door.logs_requests.then(|| {
            Box::new(Facts {
                method: method.clone(),
                uri: uri.clone(),
                request_id: id.clone(),
                addressee: None,
                cost: None,
            })
        });
        Self {
            line: Rc::clone(line),
            began,
            facts,
            ending: None,
            status: NOT_SENT,
            bytes_out: 0,
        }
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Makes the connection end with a reset.
    pub(crate) fn reset_connection(&self) {
        self.line.pulse.break_off();
    }

    /// The guest has nothing to send at the moment.
    pub(crate) fn waits_for_guest(&self) {
        self.line.door.tasks.note(Progress::WaitsForGuest);
    }

    /// The guest has just handed over what the client is to take.
    pub(crate) fn waits_for_client(&self) {
        self.line.door.tasks.note(Progress::WaitsForClient);
    }

    pub(crate) fn addressee(&mut self, addressee: Option<Addressee>) {
        if let Some(facts) = &mut self.facts {
            facts.addressee = addressee;
        }
    }

    pub(crate) fn cost(&mut self, receipt: &Receipt) {
        if let Some(facts) = &mut self.facts
            && self.line.door.config.log_costs
        {
            facts.cost = Some(Box::new(*receipt));
        }
    }

    pub(crate) fn status(&mut self, status: http::StatusCode) {
        self.status = status.as_u16();
    }

    pub(crate) fn sent(&mut self, bytes: u64) {
        self.bytes_out = self.bytes_out.saturating_add(bytes);
    }

    /// The first report is the true one; what comes after is its consequence.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        self.ending.get_or_insert(Ending::Outcome(outcome));
    }

    pub(crate) fn end_at_the_door(&mut self, code: &'static str) {
        self.ending.get_or_insert(Ending::Code(code));
    }

    fn log(&self, facts: &Facts, ended: Instant) {
        let (code, reason) = match &self.ending {
            Some(Ending::Outcome(outcome)) => (outcome.code(), outcome.reason()),
            Some(Ending::Code(code)) => (*code, None),
            None => ("", None),
        };
        let path = facts.uri.path();
        let addressee = facts.addressee.as_ref();
        // On a node of one tenant it would be the same word in every line.
        let namespace = addressee
            .map(|addressee| &addressee.namespace)
            .filter(|namespace| **namespace != NamespaceName::default());
        tracing::info!(
            target: ACCESS_TARGET,
            namespace = namespace.map(tracing::field::display),
            function = addressee.map(|addressee| tracing::field::display(&addressee.function)),
            revision = addressee
                .and_then(|addressee| addressee.revision)
                .map(tracing::field::display),
            request_id = facts.request_id.as_str(),
            outcome = code,
            reason = reason.map(|reason| clip(reason, REASON_LOGGED_BYTES_MAX)),
            method = clip(facts.method.as_str(), METHOD_LOGGED_BYTES_MAX),
            path = clip(path, PATH_LOGGED_BYTES_MAX),
            status = self.status,
            bytes_out = self.bytes_out,
            duration_ms = millis(ended.duration_since(self.began)),
            cpu_ms = facts.cost.as_ref().map(|cost| millis(cost.cpu)),
            memory_peak_bytes = facts.cost.as_ref().map(|cost| cost.memory_peak_bytes),
            "request served"
        );
    }
}

/// Milliseconds, to the microsecond: more digits say nothing.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Drop for Record {
    fn drop(&mut self) {
        let ended = Instant::now();
        self.line.pulse.request_ended(ended);
        let tally = &self.line.door.tally;
        tally.request_over();
        if self.ending.is_none() {
            let outcome = if tally.cutting.get() {
                Outcome::Refused(Refusal::Draining)
            } else {
                Outcome::Cancelled
            };
            // A head that went out stands, whatever became of the body.
            if self.status == NOT_SENT {
                self.status = render::status(&outcome).as_u16();
            }
            self.end(outcome);
        }
        if let Some(facts) = self.facts.take() {
            self.log(&facts, ended);
        }
    }
}

/// The beginning of a text, cut between characters.
fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(clip("abc", 10), "abc");
        assert_eq!(clip("abcdef", 3), "abc");
        assert_eq!(clip("aé", 2), "a");
    }
}
