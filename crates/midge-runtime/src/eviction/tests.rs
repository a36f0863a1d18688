//! The order, against a list that is searched; and who goes.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// Something that is loaded, or not.
struct Thing {
    name: u32,
    seat: RefCell<Option<Seat<Self>>>,
    in_use: Cell<bool>,
}

impl Thing {
    fn load(loaded: &Rc<Loaded<Self>>, name: u32, bytes: u64) -> Rc<Self> {
        let thing = Rc::new(Self {
            name,
            seat: RefCell::new(Some(loaded.seat(bytes))),
            in_use: Cell::new(false),
        });
        thing.seat.borrow().as_ref().unwrap().belongs_to(&thing);
        thing
    }

    fn unload(self: &Rc<Self>) -> bool {
        !self.in_use.get() && self.seat.take().is_some()
    }

    fn ask(&self) {
        self.seat.borrow().as_ref().unwrap().ask();
    }

    fn is_loaded(&self) -> bool {
        self.seat.borrow().is_some()
    }
}

fn loaded(bytes_max: u64, revisions_max: u32) -> Rc<Loaded<Thing>> {
    Loaded::new(LoadedBounds {
        bytes_max,
        revisions_max,
    })
}

fn names(things: &[Rc<Thing>]) -> Vec<u32> {
    let loaded = things.iter().filter(|thing| thing.is_loaded());
    loaded.map(|thing| thing.name).collect()
}

#[test]
fn the_one_used_longest_ago_goes_first() {
    let loaded = loaded(30, 100);
    let things: Vec<_> = (0..4).map(|name| Thing::load(&loaded, name, 10)).collect();
    things[0].ask();
    loaded.make_room(Thing::unload);
    assert_eq!(names(&things), [0, 2, 3]);
    assert_eq!(
        loaded.counts(),
        LoadedCounts {
            revisions: 3,
            bytes: 30,
            evicted: 1
        }
    );
}

#[test]
fn what_is_in_use_stays_though_there_is_too_much() {
    let loaded = loaded(10, 100);
    let things: Vec<_> = (0..3).map(|name| Thing::load(&loaded, name, 10)).collect();
    things[0].in_use.set(true);
    things[1].in_use.set(true);
    loaded.make_room(Thing::unload);
    assert_eq!(names(&things), [0, 1]);
    assert!(loaded.is_over());
    things[0].in_use.set(false);
    loaded.make_room(Thing::unload);
    assert_eq!(names(&things), [1]);
}

#[test]
fn there_are_no_more_than_the_kernel_has_mappings_for() {
    let loaded = loaded(u64::MAX, 2);
    let things: Vec<_> = (0..5).map(|name| Thing::load(&loaded, name, 0)).collect();
    loaded.make_room(Thing::unload);
    assert_eq!(names(&things), [3, 4]);
}

#[test]
fn places_are_used_again() {
    let loaded = loaded(0, 0);
    for name in 0..100 {
        let thing = Thing::load(&loaded, name, 1);
        loaded.make_room(Thing::unload);
        assert!(!thing.is_loaded());
    }
    assert_eq!(loaded.order.borrow().entries.len(), 2);
    assert_eq!(loaded.counts().evicted, 100);
}

#[derive(Debug, Clone)]
enum Step {
    Load,
    Ask(usize),
    Use(usize, bool),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..8_usize;
    prop_oneof![
        Just(Step::Load),
        which.clone().prop_map(Step::Ask),
        (which.clone(), any::<bool>()).prop_map(|(which, busy)| Step::Use(which, busy)),
        which.prop_map(Step::Drop),
    ]
}

proptest! {
    /// What stays is what a plain list says, oldest first.
    #[test]
    fn agrees_with_a_list(steps in prop::collection::vec(step(), 0..80), most in 0..6_u32) {
        let loaded = loaded(u64::MAX, most);
        let mut list = VecDeque::<Rc<Thing>>::new();
        for (name, step) in (0..).zip(steps) {
            match step {
                Step::Load => list.push_back(Thing::load(&loaded, name, 1)),
                Step::Ask(which) => if which < list.len() {
                    let thing = list.remove(which).unwrap();
                    thing.ask();
                    list.push_back(thing);
                },
                Step::Use(which, busy) => if let Some(thing) = list.get(which) {
                    thing.in_use.set(busy);
                },
                Step::Drop(which) => drop(list.remove(which)),
            }
            for _ in 0..list.len() {
                if list.len() <= most as usize {
                    break;
                }
                let oldest = list.pop_front().unwrap();
                if oldest.in_use.get() {
                    list.push_back(oldest);
                }
            }
            loaded.make_room(Thing::unload);
            prop_assert_eq!(loaded.counts().revisions as usize, list.len());
            prop_assert!(list.iter().all(|thing| thing.is_loaded()));
        }
    }
}
