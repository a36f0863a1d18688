//! Whose turn it is to compute, among the guests of one worker.
//!
//! Decides who must wait for a turn, and when a turn begins. Turns go by weighted fair queueing
//! over *functions* (`queue.rs`): the one that has used least for its weight is next, however many
//! guests it has. Within a function, guests that begin and guests that were interrupted
//! alternate. Measuring what they use is `cpu.rs`.
//!
//! **Invariant:** between two looks at the sockets guests compute for about two ticks, however many
//! there are; of those that wait, one is ready to run and the others cost the scheduler nothing.

mod queue;

use std::cell::{Cell, RefCell, RefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::Instant;

use self::queue::{Account, Queue};

/// Who has a turn lets whatever the sockets brought go first: until so many rounds of the worker's
/// tasks passed in which no guest ran. From a connection to its guest is one round.
const QUIET_ROUNDS: u32 = 2;

/// The turns of one worker. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Turns(Rc<RefCell<Queue>>);

/// One function's account. A function without guests costs nothing but the memory of it.
#[derive(Clone)]
pub(crate) struct Share {
    turns: Turns,
    account: Rc<Account>,
}

/// One guest, as far as turns are concerned.
pub(crate) struct Contender {
    share: Share,
    /// The ticket of the turn that this guest is having.
    having: Cell<Option<u64>>,
    interrupted: Cell<bool>,
    ended: Cell<Option<Instant>>,
}

impl Turns {
    /// A new function, which gets turns by its weight.
    pub(crate) fn share(&self, weight: u32) -> Share {
        Share {
            turns: self.clone(),
            account: Account::new(weight),
        }
    }
}

impl Share {
    /// Gives the function this weight from now on. Its revisions share the weight of the one that
    /// was loaded last.
    pub(crate) fn weigh(&self, weight: u32) {
        self.account.weigh(weight);
    }

    /// A new guest of this function.
    pub(crate) fn contender(&self) -> Contender {
        Contender {
            share: self.clone(),
            having: Cell::new(None),
            interrupted: Cell::new(false),
            ended: Cell::new(None),
        }
    }

    fn queue(&self) -> RefMut<'_, Queue> {
        self.turns.0.borrow_mut()
    }
}

impl Contender {
    /// Waits until this guest may compute. It does so at once, in the poll in which this resolves,
    /// and then calls [`Contender::end_turn`].
    pub(crate) async fn turn(&self) {
        if !self.interrupted.get() && self.share.queue().begins_at_once(&self.share.account) {
            return;
        }
        let mut wait = Wait {
            contender: self,
            number: None,
        };
        loop {
            (&mut wait).await;
            if self.share.queue().sockets_are_due() {
                self.let_others_go_first().await;
            }
            if wait.begins() {
                return;
            }
        }
    }

    /// The guest stopped computing: it was interrupted, waits for something, or has ended.
    pub(crate) fn end_turn(&self, used: Duration, interrupted: bool) {
        self.interrupted.set(interrupted);
        self.share.queue().charge(&self.share.account, used);
        // Who was interrupted competes for the next turn too, and so keeps this one until it does.
        if !interrupted {
            self.give_up_turn();
        }
    }

    /// The guest will not compute any more. What is left, taking its instance down until this
    /// contender is dropped, its function pays too.
    pub(crate) fn pays_until_dropped(&self) {
        self.ended.set(Some(Instant::now()));
    }

    fn give_up_turn(&self) {
        if let Some(number) = self.having.take() {
            self.share.queue().forget(&self.share.account, number);
        }
    }

    async fn let_others_go_first(&self) {
        // Tokio's own yield goes behind the I/O driver. Without it the turns of busy guests would
        // follow each other and sockets wait for 61 of them.
        yield_now().await;
        self.share.queue().computed = Duration::ZERO;
        let mut quiet_rounds = 0;
        while quiet_rounds < QUIET_ROUNDS {
            let stints = self.share.queue().stints;
            behind_the_queue().await;
            let queue = self.share.queue();
            if queue.sockets_are_due() {
                break;
            }
            quiet_rounds = if queue.stints == stints {
                quiet_rounds + 1
            } else {
                0
            };
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.get() {
            let used = ended.elapsed();
            self.share.queue().charge(&self.share.account, used);
        }
        self.give_up_turn();
    }
}

/// Lets every task run that is ready, and no other.
async fn behind_the_queue() {
    let mut waited = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A wait for one's turn. Dropping it gives the turn up.
struct Wait<'a> {
    contender: &'a Contender,
    number: Option<u64>,
}

impl Wait<'_> {
    /// Makes the wait a turn, if it still is one.
    fn begins(&mut self) -> bool {
        let Contender {
            share, interrupted, ..
        } = self.contender;
        let Some(number) = self.number else {
            return false;
        };
        let begins = share
            .queue()
            .begin(&share.account, number, interrupted.get());
        if begins {
            self.contender.having.set(self.number.take());
        }
        begins
    }
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let contender = self.contender;
        let Share { account, .. } = &contender.share;
        let number = *self.number.get_or_insert_with(|| {
            let interrupted = contender.interrupted.get();
            contender.share.queue().push(account, interrupted)
        });
        contender.give_up_turn();
        if contender.share.queue().current == Some(number) {
            return Poll::Ready(());
        }
        account.renew(number, cx.waker());
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let Share { account, .. } = &self.contender.share;
            self.contender.share.queue().forget(account, number);
        }
    }
}

#[cfg(test)]
mod tests;
