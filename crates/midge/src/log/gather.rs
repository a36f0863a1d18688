//! Lines on their way to stderr: gathered, and written by a thread of their own.
//!
//! Decides when lines are written, and how many at once. A request leaves a line, and a write per
//! line, with a thread woken for it, costs a third of a small request: so the thread rests for a
//! moment after each write. What a line says is made elsewhere.
//!
//! **Invariant:** a write is whole lines and, but for one line that alone is longer, no more than a
//! pipe takes at once, so lines of several workers that share one stderr do not mix; and adding a
//! line never waits for the reader: what does not fit is counted and lost.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long the thread rests after a write, while lines come together. One that comes later is
/// written at once: who reads along sees each line when it happens, and lines of different workers
/// in the order in which they were said.
const GATHER: Duration = Duration::from_millis(5);

/// Lines that may wait for a slow reader of stderr.
const LINES_WAITING_MAX: usize = 8 * 1024;

/// Their bytes.
const BYTES_WAITING_MAX: usize = 4 << 20;

/// From here on nothing waits for more.
const BYTES_IN_A_HURRY: usize = 64 << 10;

/// What a pipe takes in one piece, or not at all: `PIPE_BUF` of Linux.
const WRITE_BYTES_MAX: usize = 4096;

/// How long the end of the log waits for its reader.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Where lines are added. Clones add to the same.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    shared: Arc<Shared>,
    /// Whether what is added now is worth waking the thread for at once.
    hurry: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do for the thread.
    work: Condvar,
    /// The thread has ended.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    phase: Phase,
    lost: u64,
}

/// What the thread is at.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It looks for more lines by itself.
    #[default]
    Busy,
    /// It sleeps until there is a line.
    Asleep,
    /// It lets lines come together.
    Gathering,
    /// It writes what is left, and ends.
    Ending,
    Ended,
}

/// Lines behind each other.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    /// How long each is.
    lengths: VecDeque<usize>,
}

/// The thread that writes, as whoever ends it sees it.
#[derive(Debug)]
pub(super) struct Writing {
    shared: Arc<Shared>,
}

/// Starts the thread that writes to `out`.
pub(super) fn start(out: impl Write + Send + 'static) -> (Lines, Writing) {
    let shared = Arc::new(Shared::default());
    let lines = Lines {
        shared: Arc::clone(&shared),
        hurry: false,
    };
    let writing = Writing {
        shared: Arc::clone(&shared),
    };
    let thread = std::thread::Builder::new().name("midge-log".to_owned());
    // Without it lines are counted as lost, which is told at the end; there is no log to say it in.
    if thread.spawn(move || shared.write_to(out)).is_err() {
        writing.shared.lock().phase = Phase::Ended;
    }
    (lines, writing)
}

impl Lines {
    /// Adds a line, its end included.
    pub(super) fn add(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        let ending = matches!(state.phase, Phase::Ending | Phase::Ended);
        if ending || !state.waiting.takes(line) {
            state.lost += 1;
            return;
        }
        state.waiting.push(line);
        let hurries = self.hurry || state.waiting.text.len() >= BYTES_IN_A_HURRY;
        let wakes = match state.phase {
            Phase::Asleep => true,
            Phase::Gathering => hurries,
            Phase::Busy | Phase::Ending | Phase::Ended => false,
        };
        if wakes {
            // Who adds the next line need not wake it again.
            state.phase = Phase::Busy;
            drop(state);
            self.shared.work.notify_one();
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }

    /// What somebody should look at is written before anything worse can happen.
    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self {
        Self {
            hurry: *event.level() <= Level::WARN,
            ..self.clone()
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    /// The life of the thread.
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Batch::default();
        loop {
            let is_last = self.take(&mut batch);
            let lost = batch.write_to(&mut out);
            let mut state = self.lock();
            state.lost += lost;
            if is_last {
                state.phase = Phase::Ended;
                self.done.notify_all();
                return;
            }
            self.rest(state);
        }
    }

    /// Waits for lines, and takes them. Says whether they are the last.
    fn take(&self, batch: &mut Batch) -> bool {
        let mut state = self.lock();
        if state.waiting.is_empty() && state.phase != Phase::Ending {
            state.phase = Phase::Asleep;
            let asleep = |state: &mut State| state.phase == Phase::Asleep;
            let woken = self.work.wait_while(state, asleep);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, batch);
        let is_last = state.phase == Phase::Ending;
        if !is_last {
            state.phase = Phase::Busy;
        }
        is_last
    }

    /// Lets lines come together.
    fn rest(&self, mut state: MutexGuard<'_, State>) {
        if state.phase == Phase::Busy && state.waiting.text.len() < BYTES_IN_A_HURRY {
            state.phase = Phase::Gathering;
            let gathering = |state: &mut State| state.phase == Phase::Gathering;
            let rested = self.work.wait_timeout_while(state, GATHER, gathering);
            drop(rested.unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// Writes what still waits, for a second at most, and says how many lines were lost in all.
    pub(super) fn end(&self) -> u64 {
        let mut state = self.shared.lock();
        if state.phase != Phase::Ended {
            state.phase = Phase::Ending;
            self.shared.work.notify_one();
        }
        let unfinished = |state: &mut State| state.phase != Phase::Ended;
        let ended = self
            .shared
            .done
            .wait_timeout_while(state, FLUSH_MAX, unfinished);
        let (state, _) = ended.unwrap_or_else(PoisonError::into_inner);
        state.lost + state.waiting.len()
    }
}

impl Batch {
    fn takes(&self, line: &[u8]) -> bool {
        self.lengths.len() < LINES_WAITING_MAX
            && (self.text.is_empty() || self.text.len() + line.len() <= BYTES_WAITING_MAX)
    }

    fn push(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.lengths.push_back(line.len());
    }

    fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    fn len(&self) -> u64 {
        u64::try_from(self.lengths.len()).unwrap_or(u64::MAX)
    }

    /// Writes all of it and is empty then; says how many lines could not be written.
    fn write_to(&mut self, out: &mut impl Write) -> u64 {
        let mut from = 0;
        let mut lost = 0;
        while let Some(first) = self.lengths.pop_front() {
            let mut to = from + first;
            let mut lines = 1;
            while let Some(next) = self.lengths.front()
                && to + next - from <= WRITE_BYTES_MAX
            {
                to += next;
                lines += 1;
                self.lengths.pop_front();
            }
            if out.write_all(&self.text[from..to]).is_err() {
                lost += lines;
            }
            from = to;
        }
        self.text.clear();
        // What a flood took is given back.
        self.text.shrink_to(BYTES_IN_A_HURRY);
        self.lengths
            .shrink_to(BYTES_IN_A_HURRY / size_of::<usize>());
        lost
    }
}

#[cfg(test)]
mod tests;
