//! Who used how much, and so who goes next.
//!
//! Decides by start-time fair queueing: an account grows by the time used, divided by
//! the weight; the lowest goes next; who was idle starts from where the others are.
//! Pure: nobody waits here, and the clock is the caller's.
//!
//! **Invariant:** while anybody waits it is somebody's turn, and no account that waits
//! is behind the clock.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::ticker::TICK;

/// The weight at which an account counts in real time.
const WEIGHT_UNIT: u64 = 100;

/// How far a function may get ahead of the one whose turn it is and still begin at once. A quick
/// request beside a busy guest then waits for nothing, and the shares come out the same.
pub(super) const AHEAD_MAX: Duration = TICK;

/// What one function has used, and who of it waits.
pub(super) struct Account {
    weight: Cell<u64>,
    standing: RefCell<Standing>,
}

impl Account {
    pub(super) fn new(weight: u32) -> Rc<Self> {
        Rc::new(Self {
            weight: Cell::new(u64::from(weight.max(1))),
            standing: RefCell::default(),
        })
    }

    /// What is used from now on counts for this weight.
    pub(super) fn weigh(&self, weight: u32) {
        self.weight.set(u64::from(weight.max(1)));
    }

    /// Says whom to wake when it is the turn of this ticket.
    pub(super) fn renew(&self, number: u64, waker: &Waker) {
        let mut standing = self.standing.borrow_mut();
        let Standing {
            fresh, interrupted, ..
        } = &mut *standing;
        let mut tickets = fresh.iter_mut().chain(interrupted);
        if let Some(ticket) = tickets.find(|ticket| ticket.number == number) {
            ticket.waker.clone_from(waker);
        }
    }

    #[cfg(test)]
    pub(super) fn virtual_nanos(&self) -> u64 {
        self.standing.borrow().virtual_nanos
    }
}

#[derive(Default)]
struct Standing {
    /// Time used, at [`WEIGHT_UNIT`]. Who was idle starts from where the others are.
    virtual_nanos: u64,
    /// Where the account stands in [`Queue::order`], if guests of it wait.
    place: Option<Place>,
    /// Guests that begin, or go on after they had waited for something.
    fresh: VecDeque<Ticket>,
    /// Guests that had a whole tick before.
    interrupted: VecDeque<Ticket>,
    fresh_had_last: bool,
}

/// Virtual time, then who came first.
type Place = (u64, u64);

/// One wait of one guest.
struct Ticket {
    number: u64,
    waker: Waker,
}

impl Ticket {
    /// One whose owner is being polled and will say whom to wake.
    fn asleep(number: u64) -> Self {
        let waker = Waker::noop().clone();
        Self { number, waker }
    }
}

/// The functions with waiting guests, and whose turn it is.
#[derive(Default)]
pub(super) struct Queue {
    /// Functions with waiting guests, the one that has used least first.
    order: BTreeMap<Place, Rc<Account>>,
    /// Whose turn it is.
    pub(super) current: Option<u64>,
    /// The virtual time at which the last turn began. Who was idle begins there.
    clock_nanos: u64,
    /// Tickets and places, all with numbers of their own.
    numbers: u64,
    /// For how long guests have computed since the sockets were looked at.
    pub(super) computed: Duration,
    /// How often guests have computed.
    pub(super) stints: u64,
}

impl Queue {
    /// Whether a guest of `account` that was not interrupted may compute without a turn.
    pub(super) fn begins_at_once(&mut self, account: &Account) -> bool {
        let mut standing = account.standing.borrow_mut();
        self.catch_up(&mut standing);
        if self.sockets_are_due() || !standing.fresh.is_empty() {
            return false;
        }
        if self.is_idle() {
            self.clock_nanos = standing.virtual_nanos;
            return true;
        }
        standing.virtual_nanos <= self.clock_nanos.saturating_add(nanos(AHEAD_MAX))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.order.is_empty()
    }

    /// An idle function must not save up for a burst.
    fn catch_up(&self, standing: &mut Standing) {
        if standing.place.is_none() {
            standing.virtual_nanos = standing.virtual_nanos.max(self.clock_nanos);
        }
    }

    pub(super) fn sockets_are_due(&self) -> bool {
        self.computed >= TICK / 2
    }

    /// Queues a guest. Who may have the turn at once is not woken for it: it is being polled, and
    /// to be polled again would end its wait for the sockets early.
    pub(super) fn push(&mut self, account: &Rc<Account>, interrupted: bool) -> u64 {
        let number = self.number();
        {
            let mut standing = account.standing.borrow_mut();
            self.catch_up(&mut standing);
            let line = standing.line(interrupted);
            line.push_back(Ticket::asleep(number));
        }
        self.place(account);
        if self.current.is_none() {
            self.advance();
        }
        number
    }

    /// Begins the turn with this number, unless somebody who used less has come since it was
    /// given; then it goes back to the head of its line.
    pub(super) fn begin(&mut self, account: &Rc<Account>, number: u64, interrupted: bool) -> bool {
        let virtual_nanos = account.standing.borrow().virtual_nanos;
        let first = self.order.first_key_value();
        if first.is_none_or(|(&(first_nanos, _), _)| first_nanos >= virtual_nanos) {
            self.clock_nanos = self.clock_nanos.max(virtual_nanos);
            return true;
        }
        {
            let mut standing = account.standing.borrow_mut();
            let line = standing.line(interrupted);
            line.push_front(Ticket::asleep(number));
        }
        self.place(account);
        self.advance();
        false
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Puts an account where it belongs by what it has used and whether guests of it wait.
    fn place(&mut self, account: &Rc<Account>) {
        let number = self.number();
        let mut standing = account.standing.borrow_mut();
        let keeps = standing
            .place
            .is_some_and(|(virtual_nanos, _)| virtual_nanos == standing.virtual_nanos);
        let waits = !(standing.fresh.is_empty() && standing.interrupted.is_empty());
        if keeps && waits {
            return;
        }
        if let Some(place) = standing.place.take() {
            self.order.remove(&place);
        }
        if waits {
            let place = (standing.virtual_nanos, number);
            self.order.insert(place, Rc::clone(account));
            standing.place = Some(place);
        }
    }

    /// Gives the turn to the next guest of the function that has used least.
    fn advance(&mut self) {
        self.current = None;
        let Some(account) = self.order.values().next().cloned() else {
            return;
        };
        let ticket = account.standing.borrow_mut().next();
        self.place(&account);
        let ticket = ticket.expect("an account has a place only while guests of it wait");
        self.current = Some(ticket.number);
        ticket.waker.wake();
    }

    pub(super) fn charge(&mut self, account: &Rc<Account>, used: Duration) {
        self.computed = self.computed.saturating_add(used);
        self.stints += 1;
        {
            let mut standing = account.standing.borrow_mut();
            let virtual_used = nanos(used).saturating_mul(WEIGHT_UNIT) / account.weight.get();
            standing.virtual_nanos = standing.virtual_nanos.saturating_add(virtual_used);
        }
        self.place(account);
    }

    /// Ends the turn, or the wait, with this number.
    pub(super) fn forget(&mut self, account: &Rc<Account>, number: u64) {
        if self.current == Some(number) {
            self.advance();
            return;
        }
        {
            let mut standing = account.standing.borrow_mut();
            standing.fresh.retain(|ticket| ticket.number != number);
            standing
                .interrupted
                .retain(|ticket| ticket.number != number);
        }
        self.place(account);
    }
}

impl Standing {
    /// The guest that goes next. They alternate, so that a quick request does not wait for all long
    /// ones of its own function, and no flood of quick ones stops the long ones.
    fn next(&mut self) -> Option<Ticket> {
        let fresh_first = self.interrupted.is_empty() || !self.fresh_had_last;
        self.fresh_had_last = fresh_first && !self.fresh.is_empty();
        let ticket = if self.fresh_had_last {
            &mut self.fresh
        } else {
            &mut self.interrupted
        };
        ticket.pop_front()
    }

    fn line(&mut self, interrupted: bool) -> &mut VecDeque<Ticket> {
        if interrupted {
            &mut self.interrupted
        } else {
            &mut self.fresh
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
