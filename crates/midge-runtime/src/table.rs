//! Which function answers which request.
//!
//! Decides the order in which a host is read: routes that name it; then the address of a
//! namespace, function or revision below the node's domain; then the routes of the namespace
//! `default` that name no host. What a route is, and which of several routes answers, is the
//! model's; which revision of the function, `pick.rs`.
//!
//! **Invariant:** a namespace's routes without a host answer at its own address and, but for those
//! of `default`, nowhere else. So namespaces never see each other's.

use std::collections::HashMap;
use std::rc::Rc;

use http::{HeaderMap, HeaderName, Request, Uri, header};
use midge_model::{
    FunctionAddress, FunctionName, NamespaceName, Refusal, Resolved, RevisionNumber, Route,
    RouteConflict, RouteTable, Traffic,
};

use crate::function::{Function, Kept};
use crate::pick;

/// Asks for one revision of whatever function the request is for.
const REVISION: HeaderName = HeaderName::from_static("x-midge-revision");

/// Everything that answers in a worker.
pub(crate) struct Table {
    /// The node's; empty where no host is an address.
    domain: String,
    /// Routes that name a host, whosever they are.
    hosts: RouteTable<Target>,
    default: Namespace,
    others: HashMap<NamespaceName, Namespace>,
}

/// The functions of a namespace, and its routes that name no host.
struct Namespace {
    functions: HashMap<FunctionName, Rc<Function>>,
    routes: RouteTable<Target>,
}

/// Where a request goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) function: Rc<Function>,
    split: Split,
    /// The literal front of the route; `None` where all of a host is the function's.
    mount: Option<Rc<str>>,
}

/// Which revisions answer.
#[derive(Clone)]
enum Split {
    /// Those with the route, by their part of the traffic.
    Traffic(Rc<Traffic>),
    /// This one.
    Exactly(RevisionNumber),
}

impl Table {
    /// A table without functions, on a node of this domain.
    pub(crate) fn new(domain: String) -> Self {
        Self {
            domain,
            hosts: no_routes(),
            default: Namespace::new(),
            others: HashMap::new(),
        }
    }

    /// Where this request goes.
    ///
    /// # Errors
    ///
    /// Why it goes nowhere.
    pub(crate) fn resolve<B>(&self, request: &Request<B>) -> Result<Target, Refusal> {
        let (host, method, path) = (host(request), request.method(), request.uri().path());
        match self.hosts.resolve(host, method, path) {
            Resolved::NoRoute => {}
            resolved => return found(resolved),
        }
        let routes = match host.and_then(|host| self.address(host)) {
            Some(FunctionAddress::Revision {
                number,
                function,
                namespace,
            }) => return self.addressed(&namespace, &function, Some(number)),
            Some(FunctionAddress::Function {
                function,
                namespace,
            }) => return self.addressed(&namespace, &function, None),
            Some(FunctionAddress::Namespace(namespace)) => {
                let other = self.others.get(&namespace);
                other.map_or(&self.default.routes, |other| &other.routes)
            }
            None => &self.default.routes,
        };
        found(routes.resolve(None, method, path))
    }

    /// The published state of this function.
    pub(crate) fn function(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
    ) -> Option<&Rc<Function>> {
        let namespace = match is_default(namespace) {
            true => &self.default,
            false => self.others.get(namespace)?,
        };
        namespace.functions.get(function)
    }

    /// Every function, in no order.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &Rc<Function>> {
        let namespaces = self.others.values().chain([&self.default]);
        namespaces.flat_map(|namespace| namespace.functions.values())
    }

    /// Puts a function in place of its older state, all of it or nothing.
    ///
    /// # Errors
    ///
    /// A route of it matches the same requests as one of another function.
    pub(crate) fn put(&mut self, function: Rc<Function>) -> Result<(), RouteConflict> {
        let routes = function.routes();
        for (route, _) in &routes {
            self.check(&function, route)?;
        }
        self.remove(&function.namespace, &function.name);
        for (route, traffic) in routes {
            let target = Target {
                function: Rc::clone(&function),
                split: Split::Traffic(traffic),
                mount: Some(route.mount().into()),
            };
            let table = self.routes(&function.namespace, &route);
            let inserted = table.insert(route, target);
            inserted.expect("its own routes differ in shape, and no other has the same");
        }
        let namespace = self.namespace(&function.namespace);
        let name = function.name.clone();
        namespace.functions.insert(name, function);
        Ok(())
    }

    /// Takes a function out, with all its routes.
    pub(crate) fn remove(&mut self, namespace: &NamespaceName, function: &FunctionName) {
        let Some(old) = self.function(namespace, function).map(Rc::clone) else {
            return;
        };
        for (route, _) in old.routes() {
            self.routes(namespace, &route).remove(&route);
        }
        let left = self.namespace(namespace);
        left.functions.remove(function);
        if left.functions.is_empty() {
            self.others.remove(namespace);
        }
    }

    fn check(&self, function: &Function, route: &Route) -> Result<(), RouteConflict> {
        let table = match (route.host(), is_default(&function.namespace)) {
            (Some(_), _) => Some(&self.hosts),
            (None, true) => Some(&self.default.routes),
            (None, false) => {
                let other = self.others.get(&function.namespace);
                other.map(|other| &other.routes)
            }
        };
        match table.and_then(|table| table.conflicts(route)) {
            Some((first, target)) if !target.function.is(function) => Err(RouteConflict {
                first: Box::new(first.clone()),
                first_index: 0,
                second: Box::new(route.clone()),
                second_index: 0,
            }),
            _ => Ok(()),
        }
    }

    /// The table that a route of this namespace belongs to.
    fn routes(&mut self, namespace: &NamespaceName, route: &Route) -> &mut RouteTable<Target> {
        match route.host() {
            Some(_) => &mut self.hosts,
            None => &mut self.namespace(namespace).routes,
        }
    }

    fn namespace(&mut self, name: &NamespaceName) -> &mut Namespace {
        match is_default(name) {
            true => &mut self.default,
            false => {
                let other = self.others.entry(name.clone());
                other.or_insert_with(Namespace::new)
            }
        }
    }

    fn address(&self, host: &str) -> Option<FunctionAddress> {
        if self.domain.is_empty() {
            return None;
        }
        FunctionAddress::of(host, &self.domain)
    }

    /// The function whose address this is, or one revision of it.
    fn addressed(
        &self,
        namespace: &NamespaceName,
        function: &FunctionName,
        number: Option<RevisionNumber>,
    ) -> Result<Target, Refusal> {
        let function = self.function(namespace, function);
        let function = function.ok_or(Refusal::NoRoute)?;
        let split = match (number, &function.traffic) {
            (Some(number), _) => Split::Exactly(number),
            (None, Some(traffic)) => Split::Traffic(Rc::clone(traffic)),
            (None, None) => return Err(Refusal::NoRevision),
        };
        Ok(Target {
            function: Rc::clone(function),
            split,
            mount: None,
        })
    }
}

impl Namespace {
    fn new() -> Self {
        Self {
            functions: HashMap::new(),
            routes: no_routes(),
        }
    }
}

impl Target {
    /// The revision that answers a request with these fields.
    ///
    /// # Errors
    ///
    /// The request asks for one that is not kept.
    pub(crate) fn revision(&self, headers: &HeaderMap) -> Result<&Rc<Kept>, Refusal> {
        let number = match (&self.split, headers.get(REVISION)) {
            (Split::Exactly(number), _) => Some(*number),
            (Split::Traffic(_), Some(asked)) => {
                let asked = asked.to_str().ok();
                asked.and_then(|asked| asked.parse().ok())
            }
            (Split::Traffic(traffic), None) => {
                let sequence = &self.function.lasting.sequence;
                Some(traffic.pick(pick::point(traffic, headers, sequence)))
            }
        };
        number
            .and_then(|number| self.function.revision(number))
            .ok_or(Refusal::NoRevision)
    }

    /// The front of the path that is the route's and not the function's.
    pub(crate) fn mount(&self) -> &str {
        self.mount.as_deref().unwrap_or_default()
    }
}

fn found(resolved: Resolved<'_, Target>) -> Result<Target, Refusal> {
    match resolved {
        Resolved::Found { target, .. } => Ok(target.clone()),
        Resolved::MethodNotAllowed { allow } => Err(Refusal::MethodNotAllowed { allow }),
        Resolved::NoRoute => Err(Refusal::NoRoute),
    }
}

fn no_routes() -> RouteTable<Target> {
    RouteTable::new(Vec::new()).expect("no routes cannot collide")
}

fn is_default(namespace: &NamespaceName) -> bool {
    namespace.as_str() == "default"
}

/// Over HTTP/2 the host is part of the URI, over HTTP/1.1 it is a header.
fn host<B>(request: &Request<B>) -> Option<&str> {
    Uri::host(request.uri()).or_else(|| {
        request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
    })
}

#[cfg(test)]
mod tests;
