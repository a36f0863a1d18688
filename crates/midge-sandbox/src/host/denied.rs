//! What a guest was refused, told to the author of its function.
//!
//! Decides how a refusal reads in the function's log: what was tried, why it was
//! refused, and the line that would allow it. Whether something is refused is decided
//! by the capability's own file; what the guest itself sees is a WASI error code.
//!
//! **Invariant:** a guest that asks again and again for what it was not granted costs
//! its log [`DENIALS_TOLD_MAX`] lines per invocation, of text that is cut and escaped.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::guest_log::LogLabel;

/// Refusals of one invocation that are told; an author reads the first ones anyway.
const DENIALS_TOLD_MAX: u32 = 8;

/// What is kept of each text of a refusal: guests choose URLs, names and paths.
const TEXT_BYTES_MAX: usize = 256;

/// Where they stand beside what the guest itself writes.
const STREAM: &str = "denied";

/// The refusals of one invocation.
pub(crate) struct Denials {
    /// Another one for each invocation of an instance.
    label: Mutex<LogLabel>,
    count: AtomicU32,
}

/// One refusal.
pub(crate) struct Denial {
    /// What was tried: `GET https://api.example.com/v1`.
    pub(crate) what: String,
    /// Why that is refused: `no http grant covers it`.
    pub(crate) why: String,
    /// What would allow it.
    pub(crate) remedy: Remedy,
}

/// Who could allow what was refused, and by which line.
pub(crate) enum Remedy {
    /// The author of the function, in its `allow` table: `http = ["GET https://…"]`.
    Grant(String),
    /// The author, in its `limits` table: `sockets = 32`.
    Limit(String),
    /// The operator, in the policy of the namespace: `private = ["10.0.0.5"]`.
    Policy(String),
    /// Nobody: there is no grant for this.
    Nothing,
}

impl Denials {
    pub(crate) fn new(label: LogLabel) -> Self {
        Self {
            label: Mutex::new(label),
            count: AtomicU32::new(0),
        }
    }

    /// Counts and tells for the next invocation from here on.
    pub(crate) fn renew(&self, request_id: &Arc<str>) {
        self.label().request_id = Arc::clone(request_id);
        self.count.store(0, Ordering::Relaxed);
    }

    /// Tells those of one more invocation of an instance that has several.
    pub(crate) fn allow_one_more(&self) {
        self.count.store(0, Ordering::Relaxed);
    }

    fn label(&self) -> MutexGuard<'_, LogLabel> {
        self.label.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one line into the function's log, as long as there are not too many.
    pub(crate) fn tell(&self, denial: &Denial) {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if before >= DENIALS_TOLD_MAX {
            return;
        }
        let label = self.label();
        let line = denial.line(label.function.as_str());
        if label.may_write(STREAM, &line) {
            label.emit(STREAM, &line);
        }
    }

    /// How much was refused so far, told or not.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Denial {
    fn line(&self, function: &str) -> String {
        let mut line = format!("denied: {}: {}", shown(&self.what), shown(&self.why));
        let (who, to_add) = match &self.remedy {
            Remedy::Grant(to_add) => (format!("add to [function.{function}.allow]"), to_add),
            Remedy::Limit(to_add) => (format!("add to [function.{function}.limits]"), to_add),
            Remedy::Policy(to_add) => ("the operator adds to the policy".to_owned(), to_add),
            Remedy::Nothing => return line,
        };
        line.push_str(&format!("; to allow it {who}: {}", shown(to_add)));
        line
    }
}

/// The beginning of a text, with what would disturb a terminal escaped.
fn shown(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    let mut shown = String::with_capacity(kept.len());
    for character in kept.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if kept.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn check(what: &str, why: &str, remedy: Remedy) -> String {
        let (what, why) = (what.to_owned(), why.to_owned());
        Denial { what, why, remedy }.line("shop")
    }

    #[test]
    fn a_refusal_names_the_line_that_would_allow_it() {
        let grant = Remedy::Grant(r#"http = ["GET https://a.test/v1"]"#.to_owned());
        assert_snapshot!(check("GET https://a.test/v1", "no http grant covers it", grant), @r#"denied: GET https://a.test/v1: no http grant covers it; to allow it add to [function.shop.allow]: http = ["GET https://a.test/v1"]"#);
        let policy = Remedy::Policy(r#"private = ["10.0.0.5"]"#.to_owned());
        assert_snapshot!(check("connect to 10.0.0.5:80", "the address is private", policy), @r#"denied: connect to 10.0.0.5:80: the address is private; to allow it the operator adds to the policy: private = ["10.0.0.5"]"#);
        assert_snapshot!(check("listen", "a function is not a server", Remedy::Nothing), @"denied: listen: a function is not a server");
    }

    #[test]
    fn what_a_guest_chose_is_cut_and_escaped() {
        let line = check(
            &format!("GET \u{1b}[31m\n{}", "x".repeat(1 << 20)),
            "no",
            Remedy::Nothing,
        );
        assert!(line.starts_with(r"denied: GET \u{1b}[31m\nxxx"), "{line}");
        assert!(line.len() < 2 * TEXT_BYTES_MAX);
    }

    #[test]
    fn only_the_first_refusals_are_told_and_all_are_counted() {
        let label = LogLabel::of_a_test();
        let denials = Denials::new(label);
        let denial = Denial {
            what: "x".to_owned(),
            why: "y".to_owned(),
            remedy: Remedy::Nothing,
        };
        (0..100).for_each(|_| denials.tell(&denial));
        assert_eq!(denials.count(), 100);
    }
}
