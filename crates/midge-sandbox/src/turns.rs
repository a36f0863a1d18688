//! Whose turn it is to compute, among the guests of one worker.
//!
//! Decides the order of guests that were interrupted at a tick: one at a time, round
//! robin over *functions* and first come, first served within one. A guest that has
//! not used up a tick yet never waits here, so a quick request of one function runs
//! between two ticks of another, however many busy requests that one has.
//!
//! **Invariant:** at most one interrupted guest is ready to run; all others cost the
//! worker's scheduler nothing.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The turns of one worker. Clones share them.
///
/// Behind a mutex only because the engine asks that what it calls can move between
/// threads; there is one thread, and the lock is taken once per tick of a busy guest.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    /// Functions with waiting guests, the next one first.
    functions: VecDeque<(FunctionId, VecDeque<Ticket>)>,
    /// Whose turn it is.
    current: Option<Ticket>,
    tickets: u64,
}

/// Tells the functions of a worker apart.
pub(crate) type FunctionId = usize;

/// One wait of one guest. Numbers start at 1.
struct Ticket {
    number: u64,
    waker: Waker,
}

/// One guest, as far as turns are concerned.
pub(crate) struct Contender {
    turns: Turns,
    function: FunctionId,
    /// The ticket of the turn that this guest is having; 0 when it has none.
    having: AtomicU64,
}

impl Turns {
    /// A new guest of `function`.
    pub(crate) fn contender(&self, function: FunctionId) -> Arc<Contender> {
        Arc::new(Contender {
            turns: self.clone(),
            function,
            having: AtomicU64::new(0),
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contender {
    /// Waits until this guest may compute for another tick.
    pub(crate) fn next_turn(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let mut turn = Turn {
            contender: Arc::clone(self),
            number: None,
        };
        async move {
            (&mut turn).await;
            // Tokio's own yield goes behind the I/O driver. Without it the turns of busy guests
            // would follow each other and sockets wait for 61 of them.
            tokio::task::yield_now().await;
            turn.begin();
        }
    }

    /// Gives up the turn that this guest is having, if any. To be called whenever the guest stops
    /// computing: it was interrupted, waits for something, or has ended.
    pub(crate) fn end_turn(&self) {
        let number = self.having.swap(0, Ordering::Relaxed);
        if number != 0 {
            self.turns.queue().forget(number);
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        self.end_turn();
    }
}

impl Queue {
    fn push(&mut self, function: FunctionId, waker: Waker) -> u64 {
        self.tickets += 1;
        let number = self.tickets;
        let ticket = Ticket { number, waker };
        match self.functions.iter_mut().find(|(id, _)| *id == function) {
            Some((_, waiting)) => waiting.push_back(ticket),
            None => self.functions.push_back((function, [ticket].into())),
        }
        if self.current.is_none() {
            self.advance();
        }
        number
    }

    /// Gives the turn to the next guest of the next function.
    fn advance(&mut self) {
        self.current = None;
        let Some((function, mut waiting)) = self.functions.pop_front() else {
            return;
        };
        if let Some(ticket) = waiting.pop_front() {
            ticket.waker.wake_by_ref();
            self.current = Some(ticket);
        }
        if !waiting.is_empty() {
            self.functions.push_back((function, waiting));
        }
    }

    fn forget(&mut self, number: u64) {
        if self
            .current
            .as_ref()
            .is_some_and(|ticket| ticket.number == number)
        {
            self.advance();
            return;
        }
        for (_, waiting) in &mut self.functions {
            waiting.retain(|ticket| ticket.number != number);
        }
        self.functions.retain(|(_, waiting)| !waiting.is_empty());
    }

    fn waiting(&mut self, number: u64) -> Option<&mut Ticket> {
        self.functions
            .iter_mut()
            .flat_map(|(_, waiting)| waiting)
            .find(|ticket| ticket.number == number)
    }
}

/// A wait for one's turn. Dropping it gives the turn up.
struct Turn {
    contender: Arc<Contender>,
    number: Option<u64>,
}

impl Turn {
    /// The guest computes from now on, until [`Contender::end_turn`].
    fn begin(&mut self) {
        if let Some(number) = self.number.take() {
            self.contender.having.store(number, Ordering::Relaxed);
        }
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let contender = Arc::clone(&self.contender);
        let mut queue = contender.turns.queue();
        let number = match self.number {
            Some(number) => number,
            None => queue.push(contender.function, cx.waker().clone()),
        };
        self.number = Some(number);
        match queue.waiting(number) {
            Some(ticket) => {
                ticket.waker.clone_from(cx.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.contender.turns.queue().forget(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn waits(contender: &Arc<Contender>) -> Waiting {
        let mut waiting: Waiting = Box::pin(contender.next_turn());
        assert!(waiting.as_mut().now_or_never().is_none());
        waiting
    }

    /// Polls often enough for the yield behind the I/O driver.
    fn has_turn(waiting: &mut Waiting) -> bool {
        (0..3).any(|_| waiting.as_mut().now_or_never().is_some())
    }

    #[test]
    fn turns_go_round_over_functions_and_not_over_guests() {
        let turns = Turns::default();
        let busy: Vec<_> = (0..200).map(|_| turns.contender(1)).collect();
        let mut waiting: Vec<_> = busy.iter().map(waits).collect();
        let other = turns.contender(2);
        let mut other_waits = waits(&other);
        assert!(has_turn(&mut waiting[0]) && !has_turn(&mut waiting[1]));
        assert!(!has_turn(&mut other_waits));
        busy[0].end_turn();
        assert!(
            has_turn(&mut waiting[1]),
            "it waited before the other function did"
        );
        busy[1].end_turn();
        assert!(
            has_turn(&mut other_waits),
            "198 guests of function 1 come after it"
        );
        other.end_turn();
        assert!(has_turn(&mut waiting[2]));
    }

    #[test]
    fn a_turn_lasts_until_it_is_ended() {
        let turns = Turns::default();
        let (one, two) = (turns.contender(1), turns.contender(2));
        let (mut first, mut second) = (waits(&one), waits(&two));
        assert!(has_turn(&mut first));
        assert!(!has_turn(&mut second));
        drop(first);
        assert!(!has_turn(&mut second), "the wait is over, the turn is not");
        drop(one);
        assert!(has_turn(&mut second));
    }

    #[test]
    fn who_leaves_does_not_hold_up_the_others() {
        let turns = Turns::default();
        let guests: Vec<_> = (0..3).map(|_| turns.contender(1)).collect();
        let first = waits(&guests[0]);
        let second = waits(&guests[1]);
        let mut third = waits(&guests[2]);
        drop(second);
        assert!(!has_turn(&mut third));
        drop(first);
        assert!(has_turn(&mut third));
        guests[2].end_turn();
        assert!(turns.queue().functions.is_empty() && turns.queue().current.is_none());
    }
}
