//! Turns as guests see them: who begins at once, who waits, and for how long.

use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use proptest::prelude::*;

use super::queue::{AHEAD_MAX, nanos};
use super::*;
use crate::ticker::TICK;

/// A guest that has something to compute.
struct Guest {
    contender: Rc<Contender>,
    turn: LocalBoxFuture<'static, ()>,
    has_turn: bool,
}

impl Guest {
    /// One that begins.
    fn of(share: &Share) -> Self {
        Self::wanting_a_turn(Rc::new(share.contender()))
    }

    /// One that had a tick already.
    fn interrupted(share: &Share) -> Self {
        let contender = Rc::new(share.contender());
        contender.interrupted.set(true);
        Self::wanting_a_turn(contender)
    }

    fn wanting_a_turn(contender: Rc<Contender>) -> Self {
        let waits = Rc::clone(&contender);
        let mut turn = async move { waits.turn().await }.boxed_local();
        let has_turn = turn.as_mut().now_or_never().is_some();
        Self {
            contender,
            turn,
            has_turn,
        }
    }

    /// Whether it is its turn, after everybody who is let go first.
    fn has_turn(&mut self) -> bool {
        let mut polls = 0;
        while !self.has_turn && polls < 8 {
            self.has_turn = self.turn.as_mut().now_or_never().is_some();
            polls += 1;
        }
        self.has_turn
    }

    /// Computes for so long and wants more.
    fn goes_on(&mut self, used: Duration) {
        self.stops(used, true);
    }

    /// Computes for so long, waits for something and begins again.
    fn begins_again(&mut self, used: Duration) {
        self.stops(used, false);
    }

    fn stops(&mut self, used: Duration, interrupted: bool) {
        assert!(self.has_turn());
        self.contender.end_turn(used, interrupted);
        *self = Self::wanting_a_turn(Rc::clone(&self.contender));
    }

    /// Computes for so long and ends.
    fn ends(mut self, used: Duration) {
        assert!(self.has_turn());
        self.contender.end_turn(used, false);
    }
}

/// Hands out so many turns, each of a tick; tells how many each guest got.
fn turns_had(guests: &mut [Guest], turns: usize) -> Vec<usize> {
    let mut had = vec![0; guests.len()];
    for _ in 0..turns {
        let next = guests.iter_mut().position(Guest::has_turn).unwrap();
        guests[next].goes_on(TICK);
        had[next] += 1;
    }
    had
}

#[test]
fn turns_go_round_over_functions_and_not_over_guests() {
    let turns = Turns::default();
    let (many, single) = (turns.share(100), turns.share(100));
    let mut guests: Vec<_> = (0..200).map(|_| Guest::interrupted(&many)).collect();
    guests.push(Guest::interrupted(&single));
    let had = turns_had(&mut guests, 400);
    assert_eq!(had[200], 200);
    assert!(
        had[..200].iter().all(|turns| *turns == 1),
        "first come, first served"
    );
}

#[test]
fn turns_are_handed_out_by_weight() {
    let turns = Turns::default();
    let (heavy, light) = (turns.share(300), turns.share(100));
    let mut guests = [Guest::interrupted(&heavy), Guest::interrupted(&light)];
    assert_eq!(turns_had(&mut guests, 400), [300, 100]);
}

#[test]
fn a_turn_lasts_until_it_is_ended() {
    let turns = Turns::default();
    let (one, two) = (turns.share(100), turns.share(100));
    let mut first = Guest::interrupted(&one);
    let mut second = Guest::interrupted(&two);
    assert!(first.has_turn());
    assert!(!second.has_turn());
    drop(first.turn);
    assert!(!second.has_turn(), "the wait is over, the turn is not");
    drop(first.contender);
    assert!(second.has_turn());
}

#[test]
fn who_leaves_does_not_hold_up_the_others() {
    let turns = Turns::default();
    let share = turns.share(100);
    let first = Guest::interrupted(&share);
    let second = Guest::interrupted(&share);
    let mut third = Guest::interrupted(&share);
    drop(second);
    assert!(!third.has_turn());
    drop(first);
    assert!(third.has_turn());
    third.ends(TICK);
    let queue = turns.0.borrow();
    assert!(queue.is_idle());
}

#[test]
fn a_quick_guest_begins_at_once_beside_two_hundred_busy_ones() {
    let turns = Turns::default();
    let (busy, quick) = (turns.share(100), turns.share(100));
    let mut guests: Vec<_> = (0..200).map(|_| Guest::interrupted(&busy)).collect();
    for _ in 0..50 {
        turns_had(&mut guests, 10);
        // Whose turn it is has let the sockets go first; this came from there.
        turns.0.borrow_mut().computed = Duration::ZERO;
        let quick = Guest::of(&quick);
        assert!(quick.has_turn);
        quick.ends(TICK / 25);
    }
}

#[test]
fn who_comes_quickly_and_often_has_no_more_than_its_share() {
    let turns = Turns::default();
    let (busy, quick) = (turns.share(100), turns.share(100));
    let mut busy = Guest::interrupted(&busy);
    let mut quick = Guest::of(&quick);
    let (mut busy_used, mut quick_used) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..10_000 {
        if quick.has_turn() {
            quick.begins_again(TICK / 25);
            quick_used += TICK / 25;
        } else if busy.has_turn() {
            busy.goes_on(TICK);
            busy_used += TICK;
        }
    }
    let apart = busy_used.abs_diff(quick_used);
    assert!(
        apart <= 2 * TICK + AHEAD_MAX,
        "{busy_used:?} {quick_used:?}"
    );
}

#[test]
fn a_flood_of_beginners_lets_the_sockets_and_other_functions_go_between() {
    let turns = Turns::default();
    let (flood, other) = (turns.share(100), turns.share(100));
    let mut began = 0;
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let guest = Guest::of(&flood);
        if guest.has_turn {
            // Too short for an interruption, and too many.
            guest.ends(TICK * 2 / 5);
            began += 1;
        } else {
            waiting.push(guest);
        }
    }
    assert_eq!(began, 2, "then it is time to look at the sockets");
    assert!(waiting[0].has_turn() && !waiting[1].has_turn());
    assert!(Guest::of(&other).has_turn);
}

#[test]
fn an_idle_function_saves_nothing_up() {
    let turns = Turns::default();
    let (busy, idle) = (turns.share(100), turns.share(100));
    let mut guests = vec![Guest::interrupted(&busy)];
    turns_had(&mut guests, 1_000);
    guests.push(Guest::interrupted(&idle));
    let had = turns_had(&mut guests, 100);
    assert!(had[0] >= 49, "{had:?}");
}

#[test]
fn beginners_and_interrupted_guests_of_one_function_alternate() {
    let turns = Turns::default();
    let share = turns.share(100);
    let mut old: Vec<_> = (0..10).map(|_| Guest::interrupted(&share)).collect();
    turns.0.borrow_mut().computed = TICK;
    let mut new: Vec<_> = (0..3).map(|_| Guest::of(&share)).collect();
    assert!(new.iter().all(|guest| !guest.has_turn));
    let mut order = String::new();
    for _ in 0..6 {
        if let Some(next) = old.iter_mut().position(Guest::has_turn) {
            old[next].goes_on(TICK);
            order.push('o');
        } else {
            let next = new.iter_mut().position(Guest::has_turn).unwrap();
            new.remove(next).ends(TICK);
            order.push('n');
        }
    }
    assert_eq!(order, "ononon");
}

#[test]
fn taking_an_instance_down_is_paid_by_its_function() {
    let turns = Turns::default();
    let share = turns.share(100);
    let contender = share.contender();
    contender.pays_until_dropped();
    let ended = Instant::now();
    while ended.elapsed() < TICK {}
    drop(contender);
    assert!(share.account.virtual_nanos() >= nanos(TICK));
}

proptest! {
    /// Whatever the weights, and however long each keeps its turn: functions that always want
    /// more are never further apart than one turn of each.
    #[test]
    fn shares_are_as_the_weights(
        functions in prop::collection::vec((1..=10_000_u32, 1..=8_usize), 2..6),
        stints_micros in prop::collection::vec(1..=1_500_u64, 300),
    ) {
        const STINT_MAX: Duration = Duration::from_micros(1_500);
        let turns = Turns::default();
        let shares: Vec<_> = functions.iter().map(|(weight, _)| turns.share(*weight)).collect();
        let mut guests = Vec::new();
        for (function, (_, number)) in functions.iter().enumerate() {
            guests.extend((0..*number).map(|_| (function, Guest::interrupted(&shares[function]))));
        }
        let mut virtual_nanos = vec![0; functions.len()];
        for micros in stints_micros {
            let next = guests.iter_mut().position(|(_, guest)| guest.has_turn()).unwrap();
            let (function, guest) = &mut guests[next];
            let used = Duration::from_micros(micros);
            guest.goes_on(used);
            virtual_nanos[*function] += nanos(used) * 100 / u64::from(functions[*function].0);
        }
        let least = virtual_nanos.iter().min().unwrap();
        for (function, (weight, _)) in functions.iter().enumerate() {
            let one_turn = nanos(STINT_MAX) * 100 / u64::from(*weight);
            prop_assert!(virtual_nanos[function] - least <= one_turn);
        }
    }
}
