//! How an attack may end, for its client and for the access log.

use bytes::Bytes;
use http::StatusCode;

use Ends::*;

/// The ways in which attacks end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ends {
    /// Its time was over before it answered, by the clock or on the processor.
    Spent,
    /// Its answer was cut short where its time was over, or where it became too large.
    Cut,
    /// A trap before it answered.
    Trapped,
    /// A trap while it answered: nobody takes what there was of it for the whole.
    TrappedWithin,
    /// Slow machines end it before it gets to its trap.
    TrappedOrSpent,
    /// It wanted more memory than it may have.
    OutOfMemory,
    /// An answer that no client would understand.
    Failed,
    /// An answer that turned out not to be the one that was promised.
    FailedWithin,
    /// An exit code.
    Exited,
    /// No answer.
    NoResponse,
    /// A whole answer, because the attack does nobody harm.
    Whole,
    /// A whole answer, and then a trap that may come too late to be told.
    WholeOrTrapped,
    /// A whole answer that lists what was tried, and nothing of it worked.
    Refused,
    /// Slow machines end it before it has tried all.
    RefusedOrSpent,
}

/// What a client saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// The status.
    pub(super) status: StatusCode,
    /// The beginning of the body, as far as tests look at it.
    pub(super) text: Bytes,
    /// Whether the body came to its end.
    pub(super) is_whole: bool,
}

/// What a guest says of a try that worked.
const TAKEN: &[u8] = b"TAKEN";

impl Ends {
    /// Whether a client may see this.
    pub(super) fn allows(self, seen: &Seen) -> bool {
        let status = seen.status.as_u16();
        let is_cut = status == 200 && !seen.is_whole;
        let is_answer = status == 200 && seen.is_whole;
        match self {
            Spent => status == 504,
            Cut => is_cut || status == 504,
            Trapped | OutOfMemory | Failed | Exited | NoResponse => status == 502,
            TrappedWithin | FailedWithin => is_cut || status == 502,
            TrappedOrSpent => matches!(status, 502 | 504),
            Whole => is_answer,
            WholeOrTrapped => is_answer || is_cut || status == 502,
            Refused => is_answer && !seen.says_taken(),
            RefusedOrSpent => (is_answer && !seen.says_taken()) || status == 504,
        }
    }

    /// Whether it goes on for as long as it may.
    pub(super) fn takes_all_time(self) -> bool {
        matches!(self, Spent | Cut | TrappedOrSpent | RefusedOrSpent)
    }

    /// The outcomes that the log may have for it.
    pub(super) fn outcomes(self) -> &'static [&'static str] {
        match self {
            Spent => &["out-of-time", "out-of-cpu"],
            Cut => &["out-of-time", "out-of-cpu", "response-too-large"],
            Trapped | TrappedWithin => &["trapped"],
            TrappedOrSpent => &["trapped", "out-of-time", "out-of-cpu"],
            OutOfMemory => &["out-of-memory"],
            Failed | FailedWithin => &["failed"],
            Exited => &["exited"],
            NoResponse => &["no-response"],
            Whole | Refused => &["responded"],
            WholeOrTrapped => &["responded", "trapped"],
            RefusedOrSpent => &["responded", "out-of-time", "out-of-cpu"],
        }
    }
}

impl Seen {
    fn says_taken(&self) -> bool {
        self.text.windows(TAKEN.len()).any(|word| word == TAKEN)
    }
}
