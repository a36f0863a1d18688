//! The pool hands out as it should, and as a slow and obvious one does.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use proptest::prelude::*;

use super::*;

fn pool(instances_max: u32) -> Rc<Instances> {
    Instances::new(WorkerBounds {
        instances_max,
        descriptors_max: 1_000,
    })
}

fn function(instances: &Instances, namespace: &str, weight: u32, slots: u32) -> Rc<Claim> {
    instances.claim(&namespace.parse().unwrap(), &Rc::default(), weight, slots)
}

type Waiting = LocalBoxFuture<'static, Slots>;

/// A request that asked and may have to wait.
fn asks(instances: &Rc<Instances>, claim: &Rc<Claim>) -> Result<Slots, Waiting> {
    let (instances, claim) = (Rc::clone(instances), Rc::clone(claim));
    let mut waiting = async move { instances.take(&claim).await }.boxed_local();
    waiting.as_mut().now_or_never().ok_or(waiting)
}

fn takes_all(instances: &Rc<Instances>, claim: &Rc<Claim>) -> Vec<Slots> {
    std::iter::from_fn(|| asks(instances, claim).ok()).collect()
}

#[test]
fn at_the_end_of_the_pool_who_holds_least_goes_next() {
    let instances = pool(10);
    let greedy = function(&instances, "default", 100, 1);
    let other = function(&instances, "default", 100, 1);
    let mut held = takes_all(&instances, &greedy);
    let mut more_of_greedy: Vec<_> = (0..5)
        .map(|_| asks(&instances, &greedy).err().unwrap())
        .collect();
    let mut one_of_other = asks(&instances, &other).err().unwrap();
    held.pop();
    assert!(more_of_greedy[0].as_mut().now_or_never().is_none());
    let got = one_of_other.as_mut().now_or_never();
    assert!(got.is_some(), "it came last and had nothing");
    held.pop();
    assert!(more_of_greedy[0].as_mut().now_or_never().is_some());
}

#[test]
fn the_pool_is_shared_by_weight() {
    let instances = pool(40);
    let heavy = function(&instances, "default", 300, 1);
    let light = function(&instances, "default", 100, 1);
    let filler = function(&instances, "default", 100, 1);
    let mut filled = takes_all(&instances, &filler);
    let waiting: Vec<_> = (0..100)
        .flat_map(|_| [&light, &heavy])
        .map(|claim| asks(&instances, claim).err().unwrap())
        .collect();
    filled.clear();
    assert_eq!((heavy.held.slots.get(), light.held.slots.get()), (30, 10));
    drop(waiting);
    assert_eq!(instances.free.get(), 40, "what was not picked up came back");
}

#[test]
fn a_namespace_leaves_a_quarter_to_the_others() {
    let instances = pool(100);
    let one = function(&instances, "one", 100, 1);
    let held = takes_all(&instances, &one);
    assert_eq!(held.len(), 100, "alone it may have all");
    drop(held);
    let two = function(&instances, "two", 100, 1);
    let held = takes_all(&instances, &one);
    assert_eq!(held.len(), 75);
    assert!(asks(&instances, &two).is_ok());
    drop((held, two));
    assert_eq!(takes_all(&instances, &one).len(), 100, "alone again");
}

#[test]
fn who_waits_for_its_namespace_holds_nobody_up() {
    let instances = pool(8);
    let one = function(&instances, "one", 100, 1);
    let two = function(&instances, "two", 100, 1);
    let _held = takes_all(&instances, &one);
    let _waiting = asks(&instances, &one).err().unwrap();
    assert!(asks(&instances, &two).is_ok());
}

#[test]
fn an_instance_larger_than_its_namespaces_part_runs_alone() {
    let instances = pool(8);
    let large = function(&instances, "one", 100, 8);
    let small = function(&instances, "two", 100, 1);
    let held = asks(&instances, &large).ok().unwrap();
    let mut waiting = asks(&instances, &small).err().unwrap();
    drop(held);
    assert!(waiting.as_mut().now_or_never().is_some());
}

#[test]
fn small_instances_do_not_go_past_a_large_one_for_ever() {
    let instances = pool(4);
    let small = function(&instances, "default", 100, 1);
    let large = function(&instances, "default", 100, 4);
    let mut held = takes_all(&instances, &small);
    let mut waits = asks(&instances, &large).err().unwrap();
    let mut behind = asks(&instances, &small).err().unwrap();
    while held.pop().is_some() {
        assert!(behind.as_mut().now_or_never().is_none());
    }
    assert!(waits.as_mut().now_or_never().is_some());
}

#[test]
fn who_gives_up_makes_room_and_leaves_no_trace() {
    let instances = pool(4);
    let small = function(&instances, "default", 100, 1);
    let large = function(&instances, "default", 100, 4);
    let held = asks(&instances, &small).ok().unwrap();
    let first = asks(&instances, &large).err().unwrap();
    let second = asks(&instances, &small).err().unwrap();
    drop(first);
    assert_eq!(small.held.slots.get(), 2, "the small one went on at once");
    drop((second, held));
    assert_eq!(instances.free.get(), 4);
    assert!(instances.order.borrow().is_empty());
}

#[test]
fn all_is_free_when_the_last_slot_came_back() {
    let instances = pool(10);
    let claim = function(&instances, "default", 100, 1);
    let permit = asks(&instances, &claim).ok();
    assert!(instances.all_free().now_or_never().is_none());
    drop(permit);
    assert!(instances.all_free().now_or_never().is_some());
}

/// What can happen to a pool.
#[derive(Debug, Clone)]
enum Event {
    Asks { function: usize },
    Ends { nth: usize },
    GivesUp { nth: usize },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..4_usize).prop_map(|function| Event::Asks { function }),
        3 => (0..64_usize).prop_map(|nth| Event::Ends { nth }),
        1 => (0..64_usize).prop_map(|nth| Event::GivesUp { nth }),
    ]
}

/// The same rules, looked up anew each time. Requests are known by number.
struct Slow {
    instances_max: u32,
    /// Namespace, weight and slots of each function.
    functions: Vec<(usize, u32, u32)>,
    holding: Vec<(usize, usize)>,
    waiting: Vec<(usize, usize)>,
}

impl Slow {
    fn held(&self, of: impl Fn(usize) -> bool) -> u32 {
        let held = self.holding.iter().filter(|(_, function)| of(*function));
        held.map(|(_, function)| self.functions[*function].2).sum()
    }

    fn settle(&mut self) {
        while let Some(next) = self.next() {
            let granted = self.waiting.remove(next);
            self.holding.push(granted);
        }
    }

    fn next(&self) -> Option<usize> {
        let part = self.instances_max / 4 * 3;
        let may = |&(_, function): &(usize, usize)| {
            let (namespace, _, slots) = self.functions[function];
            let held = self.held(|other| self.functions[other].0 == namespace);
            held == 0 || held + slots <= part
        };
        let load = |function| {
            let (_, weight, _) = self.functions[function];
            let held = self.held(|other| other == function);
            u64::from(held) * LOAD_FINENESS / u64::from(weight)
        };
        let least = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, waits)| may(waits));
        let (position, &(_, function)) =
            least.min_by_key(|(_, (number, function))| (load(*function), *number))?;
        let free = self.instances_max - self.held(|_| true);
        (self.functions[function].2 <= free).then_some(position)
    }
}

proptest! {
    #[test]
    fn hands_out_like_a_slow_and_obvious_pool(
        instances_max in 4..20_u32,
        functions in prop::collection::vec((0..2_usize, 1..400_u32, 1..4_u32), 4),
        events in prop::collection::vec(event(), 0..120),
    ) {
        let instances = pool(instances_max);
        // Both namespaces have functions, whatever was drawn.
        let _both = ["n0", "n1"].map(|name| function(&instances, name, 1, 1));
        let claims: Vec<_> = functions
            .iter()
            .map(|(namespace, weight, slots)| {
                function(&instances, &format!("n{namespace}"), *weight, *slots)
            })
            .collect();
        let (holding, waiting) = (Vec::new(), Vec::new());
        let mut slow = Slow { instances_max, functions, holding, waiting };
        let mut requests: BTreeMap<usize, Result<Slots, Waiting>> = BTreeMap::new();
        for (number, event) in events.into_iter().enumerate() {
            match event {
                Event::Asks { function } => {
                    slow.waiting.push((number, function));
                    requests.insert(number, asks(&instances, &claims[function]));
                }
                Event::Ends { nth } if !slow.holding.is_empty() => {
                    let (gone, _) = slow.holding.remove(nth % slow.holding.len());
                    requests.remove(&gone);
                }
                Event::GivesUp { nth } if !slow.waiting.is_empty() => {
                    let (gone, _) = slow.waiting.remove(nth % slow.waiting.len());
                    requests.remove(&gone);
                }
                Event::Ends { .. } | Event::GivesUp { .. } => {}
            }
            slow.settle();
            let mut holding: Vec<_> = slow.holding.iter().map(|(number, _)| *number).collect();
            holding.sort_unstable();
            let mut really = Vec::new();
            for (number, request) in &mut requests {
                if let Err(waiting) = request && let Some(permit) = waiting.as_mut().now_or_never() {
                    *request = Ok(permit);
                }
                if request.is_ok() {
                    really.push(*number);
                }
            }
            prop_assert_eq!(really, holding);
        }
        drop(requests);
        prop_assert_eq!(instances.free.get(), instances_max);
        prop_assert!(instances.order.borrow().is_empty());
    }
}
