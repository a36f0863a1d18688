//! Which route answers which request.
//!
//! Pure: the caller has the routes, this module only decides. Segments are compared
//! from the left; a literal beats a parameter and a parameter beats a wildcard. Paths
//! are matched as sent, percent-encoding kept.
//!
//! A tree of whole segments and not the `matchit` crate, which refuses `/x/{id}` next
//! to `/x/*` and needs a copy of every any-method route per method.
//!
//! **Invariant:** a table never changes, and `resolve` allocates only for a 405.

use std::cmp::Ordering;
use std::collections::HashMap;

use http::Method;

use crate::Route;
use crate::route::Segment;

/// All routes of a node and what each leads to.
#[derive(Debug)]
pub struct RouteTable<T> {
    entries: Vec<(Route, T)>,
    any_host: Node,
    /// Sorted by host, which is in lower case.
    hosts: Vec<(String, Node)>,
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
    /// Its place in the list that was given.
    pub first_index: usize,
    /// The later route.
    pub second: Box<Route>,
    /// Its place in the list that was given.
    pub second_index: usize,
}

/// One segment's place in the tree, reached by the segments before it.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    /// Routes that end here.
    here: Leaf,
    /// Routes with a wildcard from here on.
    rest: Leaf,
}

/// The routes of one path, one per method.
#[derive(Debug, Default)]
struct Leaf {
    by_method: Vec<(Method, usize)>,
    any_method: Option<usize>,
}

impl<T> RouteTable<T> {
    /// A table of these routes, whatever their order.
    ///
    /// # Errors
    ///
    /// Two routes match the same requests: same host, same method (or any) and paths
    /// that differ at most in the names of parameters. Remove one.
    pub fn new(entries: Vec<(Route, T)>) -> Result<Self, RouteConflict> {
        let mut any_host = Node::default();
        let mut hosts: Vec<(String, Node)> = Vec::new();
        for (index, (route, _)) in entries.iter().enumerate() {
            let root = match route.host() {
                None => &mut any_host,
                Some(host) => host_node(&mut hosts, host),
            };
            if let Err(first_index) = root.leaf(route).insert(route.method(), index) {
                return Err(RouteConflict {
                    first: Box::new(entries[first_index].0.clone()),
                    first_index,
                    second: Box::new(route.clone()),
                    second_index: index,
                });
            }
        }
        Ok(Self {
            entries,
            any_host,
            hosts,
        })
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
                let (route, target) = &self.entries[index];
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

    /// Every route with its target, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&Route, &T)> {
        self.entries.iter().map(|(route, target)| (route, target))
    }

    fn host(&self, host: &str) -> Option<&Node> {
        if self.hosts.is_empty() {
            return None;
        }
        let host = without_port(host);
        let found = self
            .hosts
            .binary_search_by(|(known, _)| compare_lower(known, host))
            .ok()?;
        Some(&self.hosts[found].1)
    }
}

impl Node {
    /// The leaf of this route, made on the way.
    fn leaf(&mut self, route: &Route) -> &mut Leaf {
        let mut node = self;
        for segment in route.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(Box::from(text)).or_default(),
                Segment::Parameter => node.parameter.get_or_insert_default(),
                Segment::Rest => return &mut node.rest,
            };
        }
        &mut node.here
    }

    /// The most specific route for the method. `None` means that the path ends here.
    ///
    /// Each node is visited at most once and the depth is that of the routes, so a
    /// hostile path costs no more than the table is large.
    fn find(&self, path: Option<&str>, method: &Method) -> Option<usize> {
        let Some(path) = path else {
            return self.here.find(method).or_else(|| self.rest.find(method));
        };
        let (segment, below) = first_segment(path);
        self.literals
            .get(segment)
            .and_then(|node| node.find(below, method))
            .or_else(|| self.parameter(segment)?.find(below, method))
            .or_else(|| self.rest.find(method))
    }

    /// Adds the methods of every route that matches the path.
    fn allowed(&self, path: Option<&str>, allow: &mut Vec<Method>) {
        allow.extend(self.rest.methods());
        let Some(path) = path else {
            allow.extend(self.here.methods());
            return;
        };
        let (segment, below) = first_segment(path);
        for node in self
            .literals
            .get(segment)
            .into_iter()
            .chain(self.parameter(segment))
        {
            node.allowed(below, allow);
        }
    }

    fn parameter(&self, segment: &str) -> Option<&Self> {
        self.parameter.as_deref().filter(|_| !segment.is_empty())
    }
}

impl Leaf {
    /// Takes the route in, or gives back the one that is there already.
    fn insert(&mut self, method: Option<&Method>, index: usize) -> Result<(), usize> {
        let Some(method) = method else {
            return match self.any_method.replace(index) {
                None => Ok(()),
                Some(first) => Err(first),
            };
        };
        if let Some(first) = self.of(method) {
            return Err(first);
        }
        self.by_method.push((method.clone(), index));
        Ok(())
    }

    fn find(&self, method: &Method) -> Option<usize> {
        let as_get = || {
            if *method == Method::HEAD {
                self.of(&Method::GET)
            } else {
                None
            }
        };
        self.of(method).or_else(as_get).or(self.any_method)
    }

    fn of(&self, method: &Method) -> Option<usize> {
        self.by_method
            .iter()
            .find(|(known, _)| known == method)
            .map(|(_, index)| *index)
    }

    fn methods(&self) -> impl Iterator<Item = Method> {
        self.by_method.iter().map(|(method, _)| method.clone())
    }
}

fn host_node<'a>(hosts: &'a mut Vec<(String, Node)>, host: &str) -> &'a mut Node {
    let place = match hosts.binary_search_by(|(known, _)| known.as_str().cmp(host)) {
        Ok(place) => place,
        Err(place) => {
            hosts.insert(place, (host.to_owned(), Node::default()));
            place
        }
    };
    &mut hosts[place].1
}

fn first_segment(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, below)) => (segment, Some(below)),
        None => (path, None),
    }
}

/// `shop.example.net:8080` and `shop.example.net.` are both `shop.example.net`.
fn without_port(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|found| found.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// Orders a host in lower case against one in any case, without making a copy.
fn compare_lower(known: &str, host: &str) -> Ordering {
    known
        .bytes()
        .cmp(host.bytes().map(|found| found.to_ascii_lowercase()))
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

#[cfg(test)]
mod tests;
