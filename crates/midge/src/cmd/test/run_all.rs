//! All cases, several at a time, told in the order they were written in.
//!
//! **Invariant:** a case is told as soon as it and all before it are done.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::act::{Act, Stage};
use super::files::Planned;

/// Acts all of them, on as many threads as there are processors.
///
/// # Errors
///
/// What `each` fails with; cases that run then are awaited, and no others begun.
pub(super) fn run(
    stage: &Stage,
    planned: &[Planned<'_>],
    mut each: impl FnMut(&Planned<'_>, Act) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (done, acts) = mpsc::channel();
        for _ in 0..processors.min(planned.len()) {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                while let Some((index, planned)) = take(next, planned) {
                    if done.send((index, stage.act(planned))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let mut waiting = BTreeMap::new();
        let mut told = 0;
        for (index, act) in acts {
            waiting.insert(index, act);
            while let Some(act) = waiting.remove(&told) {
                each(&planned[told], act)?;
                told += 1;
            }
        }
        Ok(())
    })
}

fn take<'a, T>(next: &AtomicUsize, all: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, all.get(index)?))
}
