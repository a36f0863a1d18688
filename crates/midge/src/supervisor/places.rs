//! Places for compilers, shared by namespaces.
//!
//! Decides who compiles next: by turns over the namespaces that wait, and within one the first
//! that came. How many there are is the caller's; that a compiler ends is `compilers.rs`.
//!
//! **Invariant:** a namespace holds all places only where there is one, so what one tenant has
//! compiled keeps no other waiting for longer than one compiler takes.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::rc::Rc;

use midge_model::NamespaceName;
use tokio::sync::oneshot;

/// Places to compile in. Clones are the same places.
#[derive(Debug, Clone)]
pub(super) struct Places(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// What one namespace may hold.
    most_of_one: usize,
    held: BTreeMap<NamespaceName, usize>,
    waiting: BTreeMap<NamespaceName, VecDeque<oneshot::Sender<Place>>>,
    /// Who got the last place.
    last: Option<NamespaceName>,
}

/// A place that is held until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    namespace: NamespaceName,
}

impl Places {
    /// So many places, at least one. Half of them are the most for one namespace.
    pub(super) fn new(count: usize) -> Self {
        let count = count.max(1);
        let most_of_one = count.div_ceil(2).min(count.saturating_sub(1)).max(1);
        Self(Rc::new(RefCell::new(State {
            free: count,
            most_of_one,
            held: BTreeMap::new(),
            waiting: BTreeMap::new(),
            last: None,
        })))
    }

    /// Waits for a place. Whoever gives up waiting leaves the queue.
    pub(super) async fn place(&self, namespace: &NamespaceName) -> Place {
        let (sender, receiver) = oneshot::channel();
        self.0
            .borrow_mut()
            .waiting
            .entry(namespace.clone())
            .or_default()
            .push_back(sender);
        self.give();
        receiver
            .await
            .expect("who waits is answered before the queue ends: we hold it")
    }

    /// Gives free places to those who wait.
    fn give(&self) {
        loop {
            // Not within the match: a place that nobody takes any more comes back right here.
            let next = self.0.borrow_mut().next();
            let Some((namespace, sender)) = next else {
                return;
            };
            let places = self.clone();
            drop(sender.send(Place { places, namespace }));
        }
    }
}

impl State {
    /// Who gets a free place, which is no longer free then.
    fn next(&mut self) -> Option<(NamespaceName, oneshot::Sender<Place>)> {
        if self.free == 0 {
            return None;
        }
        self.waiting.retain(|_, queue| {
            queue.retain(|sender| !sender.is_closed());
            !queue.is_empty()
        });
        let may =
            |name: &&NamespaceName| self.held.get(*name).copied().unwrap_or(0) < self.most_of_one;
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let later = self
            .waiting
            .range::<NamespaceName, _>((after, Bound::Unbounded));
        let name = later.map(|(name, _)| name).find(may);
        let name = name.or_else(|| self.waiting.keys().find(may))?.clone();
        let sender = self.waiting.get_mut(&name)?.pop_front()?;
        self.free -= 1;
        *self.held.entry(name.clone()).or_default() += 1;
        self.last = Some(name.clone());
        Some((name, sender))
    }

    fn take_back(&mut self, namespace: &NamespaceName) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(namespace) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(namespace);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.borrow_mut().take_back(&self.namespace);
        self.places.give();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::LocalBoxFuture;

    use super::*;

    fn wait(places: &Places, namespace: &str) -> LocalBoxFuture<'static, Place> {
        let (places, namespace) = (places.clone(), namespace.parse().unwrap());
        async move { places.place(&namespace).await }.boxed_local()
    }

    fn now(places: &Places, namespace: &str) -> Option<Place> {
        wait(places, namespace).now_or_never()
    }

    #[test]
    fn a_namespace_never_holds_all_places() {
        for (count, most) in [(2, 1), (3, 2), (4, 2), (8, 4)] {
            let places = Places::new(count);
            let held: Vec<_> = (0..most).map(|_| now(&places, "evil").unwrap()).collect();
            assert!(now(&places, "evil").is_none(), "{count} places");
            assert!(now(&places, "shop").is_some(), "{count} places");
            drop(held);
            assert!(now(&places, "evil").is_some());
        }
    }

    #[test]
    fn the_only_place_goes_around_by_turns() {
        let places = Places::new(1);
        let first = now(&places, "evil").unwrap();
        let mut queue = ["evil", "evil", "evil", "shop"].map(|name| wait(&places, name));
        assert!(queue.iter_mut().all(|wait| wait.now_or_never().is_none()));
        drop(first);
        let [first, _, _, shops] = &mut queue;
        let place = shops.now_or_never().expect("it is the turn of the other");
        assert!(first.now_or_never().is_none());
        drop(place);
        assert!(first.now_or_never().is_some());
    }

    #[test]
    fn who_gives_up_waiting_takes_no_place() {
        let places = Places::new(1);
        let first = now(&places, "shop").unwrap();
        let mut gone = wait(&places, "evil");
        assert!((&mut gone).now_or_never().is_none());
        let mut late = wait(&places, "evil");
        assert!((&mut late).now_or_never().is_none());
        drop(gone);
        drop(first);
        // Given to it, and never looked at.
        drop(late);
        assert!(now(&places, "shop").is_some());
    }
}
