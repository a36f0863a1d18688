//! Which route answers which request.
//!
//! Pure: the caller has the routes, this module only decides, and keeps which hosts have
//! routes of their own. The paths of one host are `tree.rs`.
//!
//! **Invariant:** a table that was changed by `insert` and `remove` resolves as one that was made
//! of the same routes, and `resolve` allocates only for a 405 and for a host in capitals.

#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;
use std::collections::HashMap;

use http::Method;

use self::tree::Node;
use crate::Route;
use crate::address::without_port;

/// All routes of a node and what each leads to.
#[derive(Debug)]
pub struct RouteTable<T> {
    /// `None` is a place that a removed route left.
    entries: Vec<Option<(Route, T)>>,
    free: Vec<usize>,
    any_host: Node,
    /// By host, which is in lower case.
    hosts: HashMap<Box<str>, Node>,
}

/// What became of a request's host, method and path.
#[derive(Debug, PartialEq, Eq)]
pub enum Resolved<'a, T> {
    /// This route answers.
    Found {
        /// The route, for its mount.
        route: &'a Route,
        /// What it leads to.
        target: &'a T,
    },
    /// The path has routes, but none for this method.
    MethodNotAllowed {
        /// The methods that are answered, sorted, for `Allow`.
        allow: Vec<Method>,
    },
    /// Nothing answers here.
    NoRoute,
}

/// Two routes that match the same requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("routes `{first}` and `{second}` match the same requests, change or remove one of them")]
pub struct RouteConflict {
    /// The earlier route.
    pub first: Box<Route>,
    /// Its place in the list that was given to [`RouteTable::new`]; of no use after `insert`.
    pub first_index: usize,
    /// The later route.
    pub second: Box<Route>,
    /// Its place in the same list.
    pub second_index: usize,
}

impl<T> Default for RouteTable<T> {
    /// A table without routes, which nothing is found in.
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            any_host: Node::default(),
            hosts: HashMap::new(),
        }
    }
}

impl<T> RouteTable<T> {
    /// A table of these routes, whatever their order.
    ///
    /// # Errors
    ///
    /// Two routes match the same requests: same host, same method (or any) and paths
    /// that differ at most in the names of parameters. Remove one.
    pub fn new(entries: Vec<(Route, T)>) -> Result<Self, RouteConflict> {
        let mut table = Self::default();
        for (route, target) in entries {
            table.insert(route, target)?;
        }
        Ok(table)
    }

    /// Takes one more route in.
    ///
    /// # Errors
    ///
    /// A route of the table matches the same requests, and the table is as it was. Remove the
    /// other one first.
    pub fn insert(&mut self, route: Route, target: T) -> Result<(), RouteConflict> {
        let index = self.free.last().copied().unwrap_or(self.entries.len());
        let root = match route.host() {
            None => &mut self.any_host,
            Some(host) => self.hosts.entry(Box::from(host)).or_default(),
        };
        if let Err(first_index) = root.leaf(&route).insert(route.method(), index) {
            let (first, _) = self.entry(first_index);
            return Err(RouteConflict {
                first: Box::new(first.clone()),
                first_index,
                second: Box::new(route),
                second_index: index,
            });
        }
        match self.free.pop() {
            Some(index) => self.entries[index] = Some((route, target)),
            None => self.entries.push(Some((route, target))),
        }
        Ok(())
    }

    /// Takes out the route that is written like this one, and gives back what it led to; `None`
    /// if there is none, even where another spelling matches the same requests.
    pub fn remove(&mut self, route: &Route) -> Option<T> {
        let index = self.index(route)?;
        if self.entry(index).0 != route {
            return None;
        }
        match route.host() {
            None => self.any_host.remove(&mut route.segments(), route.method()),
            Some(host) => {
                let root = self.hosts.get_mut(host)?;
                root.remove(&mut route.segments(), route.method());
                if root.is_empty() {
                    self.hosts.remove(host);
                }
            }
        }
        self.free.push(index);
        self.entries[index].take().map(|(_, target)| target)
    }

    /// The route of the table that matches the same requests as this one, with what it leads to.
    pub fn conflicts(&self, route: &Route) -> Option<(&Route, &T)> {
        self.index(route).map(|index| self.entry(index))
    }

    /// The most specific route for this request.
    ///
    /// The routes of the request's host come first. Only where none of them matches the
    /// path do those without a host count: a host that has the path owns it, and answers
    /// a wrong method with 405. On one path a route for the method beats one for any, and
    /// HEAD is answered by GET's route. `host` may carry a port and any case.
    pub fn resolve(&self, host: Option<&str>, method: &Method, path: &str) -> Resolved<'_, T> {
        // `*` (of OPTIONS) and the empty path are nobody's.
        let Some(below_root) = path.strip_prefix('/') else {
            return Resolved::NoRoute;
        };
        let of_host = host.and_then(|host| self.host(host));
        for root in of_host.into_iter().chain([&self.any_host]) {
            if let Some(index) = root.find(Some(below_root), method) {
                let (route, target) = self.entry(index);
                return Resolved::Found { route, target };
            }
            let mut allow = Vec::new();
            root.allowed(Some(below_root), &mut allow);
            if !allow.is_empty() {
                return Resolved::MethodNotAllowed {
                    allow: tidied(allow),
                };
            }
        }
        Resolved::NoRoute
    }

    /// Whether there is no route.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == self.free.len()
    }

    /// Every route with its target: in the order given, until routes are removed and others take
    /// their places.
    pub fn iter(&self) -> impl Iterator<Item = (&Route, &T)> {
        let entries = self.entries.iter().flatten();
        entries.map(|(route, target)| (route, target))
    }

    fn entry(&self, index: usize) -> (&Route, &T) {
        let entry = self.entries[index].as_ref();
        let (route, target) = entry.expect("the tree has only places that are taken");
        (route, target)
    }

    /// The place of the route that matches the same requests.
    fn index(&self, route: &Route) -> Option<usize> {
        let root = match route.host() {
            None => &self.any_host,
            Some(host) => self.hosts.get(host)?,
        };
        root.existing_leaf(route)?.at(route.method())
    }

    fn host(&self, host: &str) -> Option<&Node> {
        if self.hosts.is_empty() {
            return None;
        }
        let host = without_port(host);
        let lower = match host.bytes().any(|found| found.is_ascii_uppercase()) {
            true => Cow::Owned(host.to_ascii_lowercase()),
            false => Cow::Borrowed(host),
        };
        self.hosts.get(&*lower)
    }
}

/// Sorted and each once; who takes GET takes HEAD.
fn tidied(mut allow: Vec<Method>) -> Vec<Method> {
    if allow.contains(&Method::GET) {
        allow.push(Method::HEAD);
    }
    allow.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    allow.dedup();
    allow
}
