//! Which lines were told already.
//!
//! Each connection begins with the newest lines that the node has, because what was written in
//! between must not be missed; so most of those are known. Lines have no numbers: two of one
//! request may be the same in all they say, so it is counted how often a line was told.
//!
//! **Invariant:** a line that the node sends once in each connection is new in the first of them
//! and in no other.

use std::collections::{BTreeMap, VecDeque};

use midge_api::LogLine;
use midge_model::Timestamp;

/// How many lines are remembered: more than a node keeps of one function.
const REMEMBERED_MAX: usize = 20_000;

/// What makes one line another than the next.
type Key = (Timestamp, Option<String>, String, String);

/// The lines that were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The newest of them, in the order they came.
    remembered: VecDeque<Key>,
    /// Those that this connection has not sent yet, and how many of each.
    expected: BTreeMap<Key, usize>,
    /// When the newest line was written that is not remembered any more.
    forgotten: Option<Timestamp>,
}

impl Told {
    /// Nothing but these.
    pub(super) fn with(lines: impl IntoIterator<Item = LogLine>) -> Self {
        let mut told = Self::default();
        for line in lines {
            told.remember(key(&line));
        }
        told
    }

    /// A new connection will send again what it still has.
    pub(super) fn begin_again(&mut self) {
        self.expected.clear();
        for key in &self.remembered {
            *self.expected.entry(key.clone()).or_default() += 1;
        }
    }

    /// Whether this line was not told yet. From then on it was.
    pub(super) fn is_new(&mut self, line: &LogLine) -> bool {
        let key = key(line);
        if let Some(count) = self.expected.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.expected.remove(&key);
            }
            return false;
        }
        // While nothing more is expected this is no repetition, whatever its time.
        let is_old = self.forgotten.is_some_and(|forgotten| line.at <= forgotten);
        if is_old && !self.expected.is_empty() {
            return false;
        }
        self.remember(key);
        true
    }

    fn remember(&mut self, key: Key) {
        self.remembered.push_back(key);
        if self.remembered.len() > REMEMBERED_MAX
            && let Some((at, ..)) = self.remembered.pop_front()
        {
            self.forgotten = self.forgotten.max(Some(at));
        }
    }
}

fn key(line: &LogLine) -> Key {
    let LogLine {
        at,
        request_id,
        stream,
        line,
        ..
    } = line;
    (*at, request_id.clone(), stream.clone(), line.clone())
}

#[cfg(test)]
mod tests {
    use midge_model::NamespaceName;
    use proptest::prelude::*;

    use super::*;

    fn line(at_ms: u64, text: &str) -> LogLine {
        LogLine {
            at: Timestamp::from_ms(at_ms),
            namespace: NamespaceName::default(),
            function: "a".parse().unwrap(),
            revision: None,
            request_id: None,
            stream: "stdout".to_owned(),
            line: text.to_owned(),
        }
    }

    fn told(told: &mut Told, lines: &[LogLine]) -> Vec<String> {
        told.begin_again();
        let new = lines.iter().filter(|line| told.is_new(line));
        new.map(|line| line.line.clone()).collect()
    }

    #[test]
    fn what_a_connection_repeats_is_not_new() {
        let lines = [line(1, "a"), line(1, "a"), line(2, "b"), line(3, "c")];
        let mut all = Told::with(lines[..1].to_vec());
        assert_eq!(told(&mut all, &lines[..3]), ["a", "b"]);
        assert_eq!(told(&mut all, &lines), ["c"]);
        assert_eq!(told(&mut all, &lines), [""; 0]);
    }

    #[test]
    fn a_line_that_comes_late_is_new_all_the_same() {
        let mut all = Told::with([line(5, "b")]);
        assert_eq!(told(&mut all, &[line(5, "b"), line(4, "a")]), ["a"]);
    }

    #[test]
    fn a_node_that_forgot_everything_repeats_nothing() {
        let mut all = Told::with([line(5, "b")]);
        assert_eq!(told(&mut all, &[line(6, "b")]), ["b"]);
    }

    proptest! {
        /// However a sequence of lines is cut into connections that overlap, each is told once.
        #[test]
        fn each_line_is_told_once(
            texts in prop::collection::vec("[ab]", 0..12),
            cuts in prop::collection::vec((0..12_usize, 0..12_usize), 0..6),
        ) {
            let lines: Vec<_> = (0..).zip(&texts).map(|(at, text)| line(at / 3, text)).collect();
            let mut all = Told::default();
            let mut new = Vec::new();
            let mut reached = 0;
            for (back, forward) in cuts {
                // A connection begins with lines that were told, and with all of one moment: of
                // two that are the same in everything nobody can tell which was told.
                let from = (reached - back.min(reached)) / 3 * 3;
                reached = (reached + forward).min(lines.len());
                new.extend(told(&mut all, &lines[from..reached]));
            }
            prop_assert_eq!(new, texts[..reached].to_vec());
        }
    }
}
