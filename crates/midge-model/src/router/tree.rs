//! The routes of one host as a tree of whole segments.
//!
//! Segments are compared from the left; a literal beats a parameter and a parameter beats a
//! wildcard. Paths are matched as sent, percent-encoding kept. What the places lead to is the
//! table's.
//!
//! Not the `matchit` crate, which refuses `/x/{id}` next to `/x/*` and needs a copy of every
//! any-method route per method.
//!
//! **Invariant:** every node but the root leads to a route.

use std::collections::HashMap;

use http::Method;

use crate::Route;
use crate::route::Segment;

/// One segment's place in the tree, reached by the segments before it.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) literals: HashMap<Box<str>, Node>,
    pub(super) parameter: Option<Box<Node>>,
    /// Routes that end here.
    here: Leaf,
    /// Routes with a wildcard from here on.
    rest: Leaf,
}

/// The routes of one path, one per method.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    by_method: Vec<(Method, usize)>,
    any_method: Option<usize>,
}

impl Node {
    /// The leaf of this route, made on the way.
    pub(super) fn leaf(&mut self, route: &Route) -> &mut Leaf {
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

    /// The leaf of this route, if there is one.
    pub(super) fn existing_leaf(&self, route: &Route) -> Option<&Leaf> {
        let mut node = self;
        for segment in route.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.get(text)?,
                Segment::Parameter => node.parameter.as_deref()?,
                Segment::Rest => return Some(&node.rest),
            };
        }
        Some(&node.here)
    }

    /// Takes out what is at the end of these segments, and every node that nothing is left of.
    pub(super) fn remove<'a>(
        &mut self,
        segments: &mut impl Iterator<Item = Segment<'a>>,
        method: Option<&Method>,
    ) {
        match segments.next() {
            None => self.here.remove(method),
            Some(Segment::Rest) => self.rest.remove(method),
            Some(Segment::Parameter) => {
                if let Some(node) = &mut self.parameter {
                    node.remove(segments, method);
                }
                self.parameter.take_if(|node| node.is_empty());
            }
            Some(Segment::Literal(text)) => {
                let Some(node) = self.literals.get_mut(text) else {
                    return;
                };
                node.remove(segments, method);
                if node.is_empty() {
                    self.literals.remove(text);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.literals.is_empty()
            && self.parameter.is_none()
            && self.here.is_empty()
            && self.rest.is_empty()
    }

    /// The most specific route for the method. `None` means that the path ends here.
    ///
    /// Each node is visited at most once and the depth is that of the routes, so a
    /// hostile path costs no more than the table is large.
    pub(super) fn find(&self, path: Option<&str>, method: &Method) -> Option<usize> {
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
    pub(super) fn allowed(&self, path: Option<&str>, allow: &mut Vec<Method>) {
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
    pub(super) fn insert(&mut self, method: Option<&Method>, index: usize) -> Result<(), usize> {
        if let Some(first) = self.at(method) {
            return Err(first);
        }
        match method {
            None => self.any_method = Some(index),
            Some(method) => self.by_method.push((method.clone(), index)),
        }
        Ok(())
    }

    fn remove(&mut self, method: Option<&Method>) {
        match method {
            None => self.any_method = None,
            Some(method) => self.by_method.retain(|(known, _)| known != method),
        }
    }

    fn is_empty(&self) -> bool {
        self.by_method.is_empty() && self.any_method.is_none()
    }

    /// The route that is written for exactly this method, or for any.
    pub(super) fn at(&self, method: Option<&Method>) -> Option<usize> {
        match method {
            None => self.any_method,
            Some(method) => self.of(method),
        }
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

fn first_segment(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, below)) => (segment, Some(below)),
        None => (path, None),
    }
}
