//! The lines that guests wrote lately.
//!
//! Decides how many are kept, of how many functions, and who loses theirs first: of the namespace
//! that has most, the function that wrote longest ago; so no tenant empties another's. They are in memory; who wants to keep lines reads the node's stderr.
//!
//! **Invariant:** at most [`LINES_BYTES_MAX`] of lines are kept, whatever workers say.

use std::collections::{BTreeMap, VecDeque};

use midge_api::LogLine;
use tokio::sync::broadcast;

use crate::protocol::{FunctionKey, GuestLine};

/// Lines of one function.
const LINES_MAX: usize = 1_000;

/// Bytes of lines of one function.
const FUNCTION_BYTES_MAX: usize = 256 << 10;

/// Functions whose lines are kept.
const FUNCTIONS_MAX: usize = 1_000;

/// Bytes of lines of all functions.
const LINES_BYTES_MAX: usize = 64 << 20;

/// What a line counts beside its text: about what keeping it costs.
const LINE_COST_BYTES: usize = 256;

/// How far whoever follows a function's lines may be behind before some are lost to them.
const FOLLOW_LINES: usize = 256;

/// The longest request id that is kept; ours have 36 letters.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The lines that guests wrote lately.
#[derive(Debug, Default)]
pub(super) struct KeptLines {
    by_function: BTreeMap<FunctionKey, Kept>,
    bytes: usize,
    lost: u64,
    /// Grows with each line.
    clock: u64,
}

/// Those of one function.
#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// When the last one was written.
    last: u64,
    /// Who follows.
    follow: Option<broadcast::Sender<LogLine>>,
}

impl KeptLines {
    /// Keeps one more.
    pub(super) fn add(&mut self, line: GuestLine) {
        let GuestLine {
            key,
            revision,
            at,
            mut request_id,
            stream,
            line,
        } = line;
        request_id.truncate(request_id.floor_char_boundary(REQUEST_ID_BYTES_MAX));
        // A worker's words, and it runs foreign code: no fourth stream comes from there.
        let known_stream = match stream.as_str() {
            known @ ("stderr" | "denied") => known,
            _ => "stdout",
        };
        let line = LogLine {
            at,
            namespace: key.namespace.clone(),
            function: key.function.clone(),
            revision: Some(revision),
            request_id: Some(request_id).filter(|id| !id.is_empty()),
            stream: known_stream.to_owned(),
            line,
        };
        self.clock += 1;
        let kept = self.by_function.entry(key).or_default();
        kept.last = self.clock;
        self.bytes += kept.add(line);
        self.bytes -= kept.shrink();
        while self.bytes > LINES_BYTES_MAX || self.by_function.len() > FUNCTIONS_MAX {
            let by_bytes = self.bytes > LINES_BYTES_MAX;
            if !self.drop_oldest(by_bytes) {
                break;
            }
        }
    }

    /// So many more could not even be told.
    pub(super) fn lose(&mut self, lines: u64) {
        self.lost = self.lost.saturating_add(lines);
    }

    /// How many could not be told.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// What a function wrote lately, and what it will.
    pub(super) fn follow(
        &mut self,
        key: &FunctionKey,
    ) -> (Vec<LogLine>, broadcast::Receiver<LogLine>) {
        // Who followed and left gives up the place of a function that never wrote.
        self.by_function.retain(|_, kept| !kept.is_idle());
        let kept = self.by_function.entry(key.clone()).or_default();
        let sender = kept
            .follow
            .get_or_insert_with(|| broadcast::channel(FOLLOW_LINES).0);
        (kept.lines.iter().cloned().collect(), sender.subscribe())
    }

    /// Forgets the lines of a function that is no more.
    pub(super) fn forget(&mut self, key: &FunctionKey) {
        if let Some(kept) = self.by_function.remove(key) {
            self.bytes -= kept.bytes;
        }
    }

    /// Drops the lines of the function that wrote longest ago, of the namespace that has most bytes
    /// or else functions; false if there are none left.
    fn drop_oldest(&mut self, by_bytes: bool) -> bool {
        let mut namespaces = BTreeMap::<_, usize>::new();
        let with_lines = || {
            let functions = self.by_function.iter();
            functions.filter(|(_, kept)| !kept.lines.is_empty())
        };
        for (key, kept) in with_lines() {
            let had = namespaces.entry(&key.namespace).or_default();
            *had += if by_bytes { kept.bytes } else { 1 };
        }
        let most = namespaces.into_iter().max_by_key(|(_, had)| *had);
        let most = most.map(|(namespace, _)| namespace);
        let with_lines = with_lines().filter(|(key, _)| Some(&key.namespace) == most);
        let oldest = with_lines.min_by_key(|(_, kept)| kept.last);
        let Some((key, _)) = oldest else {
            return false;
        };
        let key = key.clone();
        let kept = self.by_function.get_mut(&key).expect("just found");
        self.bytes -= std::mem::take(&mut kept.bytes);
        kept.lines.clear();
        if kept.is_idle() {
            self.by_function.remove(&key);
        }
        true
    }
}

impl Kept {
    /// Adds a line; says how many bytes more that are.
    fn add(&mut self, line: LogLine) -> usize {
        if let Some(follow) = &self.follow {
            // Nobody may be left; then nobody misses it.
            if follow.send(line.clone()).is_err() {
                self.follow = None;
            }
        }
        let bytes = cost(&line);
        self.bytes += bytes;
        self.lines.push_back(line);
        bytes
    }

    /// Drops the oldest lines over the bounds; says how many bytes less that are.
    fn shrink(&mut self) -> usize {
        let before = self.bytes;
        while self.lines.len() > LINES_MAX || self.bytes > FUNCTION_BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= cost(&oldest);
        }
        before - self.bytes
    }

    /// Whether it holds nothing and nobody waits for anything.
    fn is_idle(&self) -> bool {
        let follow = self.follow.as_ref();
        self.lines.is_empty() && follow.is_none_or(|follow| follow.receiver_count() == 0)
    }
}

fn cost(line: &LogLine) -> usize {
    line.line.len() + LINE_COST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(function: &str, text: &str) -> GuestLine {
        GuestLine {
            key: key(function),
            revision: midge_model::RevisionNumber::FIRST,
            at: midge_model::Timestamp::from_ms(0),
            request_id: "request".to_owned(),
            stream: "stdout".to_owned(),
            line: text.to_owned(),
        }
    }

    fn key(function: &str) -> FunctionKey {
        FunctionKey {
            namespace: midge_model::NamespaceName::default(),
            function: function.parse().unwrap(),
        }
    }

    #[test]
    fn the_newest_lines_are_kept() {
        let mut kept = KeptLines::default();
        for number in 0..3 * LINES_MAX {
            kept.add(line("shop", &number.to_string()));
        }
        let (recent, _) = kept.follow(&key("shop"));
        assert!(recent.len() <= LINES_MAX);
        assert_eq!(recent.last().unwrap().line, (3 * LINES_MAX - 1).to_string());
        assert!(kept.bytes <= FUNCTION_BYTES_MAX);
    }

    #[test]
    fn who_wrote_longest_ago_loses_lines_first() {
        let mut kept = KeptLines::default();
        for number in 0..FUNCTIONS_MAX + 1 {
            kept.add(line(&format!("f{number}"), "hello"));
        }
        assert_eq!(kept.by_function.len(), FUNCTIONS_MAX);
        assert!(kept.follow(&key("f0")).0.is_empty());
        assert_eq!(kept.follow(&key("f1")).0.len(), 1);
    }

    #[test]
    fn no_namespace_empties_anothers_lines() {
        let mut kept = KeptLines::default();
        kept.add(line("victim", "hello"));
        for number in 0..3 * FUNCTIONS_MAX {
            let mut line = line(&format!("f{number}"), "x");
            line.key.namespace = "evil".parse().unwrap();
            kept.add(line);
        }
        assert_eq!(kept.by_function.len(), FUNCTIONS_MAX);
        assert_eq!(kept.follow(&key("victim")).0.len(), 1);
    }

    #[test]
    fn no_flood_of_long_lines_keeps_more_than_there_is_room_for() {
        let mut kept = KeptLines::default();
        let long = "x".repeat(16 << 10);
        for number in 0..20_000 {
            kept.add(line(&format!("f{}", number % 700), &long));
        }
        assert!(kept.bytes <= LINES_BYTES_MAX);
        let counted: usize = kept.by_function.values().map(|kept| kept.bytes).sum();
        assert_eq!(kept.bytes, counted);
    }

    #[test]
    fn who_follows_hears_of_each_line_and_is_forgotten_afterwards() {
        let mut kept = KeptLines::default();
        let (recent, mut follow) = kept.follow(&key("shop"));
        assert!(recent.is_empty());
        kept.add(line("shop", "hello"));
        assert_eq!(follow.try_recv().unwrap().line, "hello");
        drop(follow);
        kept.forget(&key("shop"));
        kept.follow(&key("other"));
        assert_eq!(kept.by_function.len(), 1);
        assert_eq!(kept.bytes, 0);
    }
}
