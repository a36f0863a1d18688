//! The heart: from a request to an invocation.
//!
//! Decides the order - resolve, admit, invoke - and nothing else; each step is
//! somebody else's. Cancel-safe: whoever drops the future ends the invocation.
//!
//! **Invariant:** one request reads one [`RouteTable`] snapshot; a new table never
//! changes an answer that is under way.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response, Uri, header};
use midge_model::{FunctionName, Outcome, Refusal, Resolved, Route, RouteConflict, RouteTable};
use midge_sandbox::{Caller, Invocation, LoadedFunction, RequestBody, ResponseBody};
use tokio::time::Instant;

use crate::admission::{Gate, Needs, Place};
use crate::counters::Counters;
use crate::instances::{Instances, WorkerBounds};

/// Routes requests to the functions of one worker.
pub struct Dispatcher {
    table: RefCell<Rc<RouteTable<Rc<Deployed>>>>,
    instances: Rc<Instances>,
}

/// A loaded function behind its gate.
pub struct Deployed {
    function: Rc<LoadedFunction>,
    gate: Rc<Gate>,
}

/// What became of a request.
pub struct Dispatched {
    /// Who answered; `None` when no route matched.
    pub function: Option<FunctionName>,
    /// The answer, or how the invocation ended without one.
    pub result: Result<(Response<ResponseBody>, Receipt), Outcome>,
}

/// What an answer cost up to its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Waiting for a slot.
    pub queue: Duration,
    /// Making the instance.
    pub instantiate: Duration,
    /// Running the guest until the head of its response was there.
    pub run: Duration,
    /// The processor time it had used by then.
    pub cpu: Duration,
    /// The most memory the instance held so far.
    pub memory_peak_bytes: u64,
}

impl Dispatcher {
    /// A dispatcher that has no routes yet, for a worker that has so much for its guests.
    pub fn new(bounds: WorkerBounds) -> Self {
        let nothing = RouteTable::new(Vec::new()).expect("no routes cannot collide");
        Self {
            table: RefCell::new(Rc::new(nothing)),
            instances: Instances::new(bounds),
        }
    }

    /// Puts a gate before `function`, which counts in its column of the node's table.
    pub fn deploy(
        &self,
        function: Rc<LoadedFunction>,
        counters: &Counters,
        worker: usize,
        column: usize,
    ) -> Rc<Deployed> {
        let place = Place {
            counters: counters.clone(),
            worker,
            function: column,
        };
        let revision = function.revision();
        let needs = Needs {
            namespace: &revision.namespace,
            slots: function.pool_slots(),
            descriptors: function.descriptors_max(),
        };
        let gate = Gate::new(place, &revision.limits, needs, &self.instances);
        Rc::new(Deployed { function, gate })
    }

    /// Resolves when no guest runs any more, those included that work on after their response.
    pub async fn settled(&self) {
        self.instances.all_free().await;
    }

    /// Swaps in a new table; requests under way keep the one they started with.
    ///
    /// # Errors
    ///
    /// Two routes match the same requests; the old table stays.
    pub fn publish(&self, routes: Vec<(Route, Rc<Deployed>)>) -> Result<(), RouteConflict> {
        let table = RouteTable::new(routes)?;
        *self.table.borrow_mut() = Rc::new(table);
        Ok(())
    }

    /// Runs the function that this request is for.
    pub async fn dispatch(&self, request: Request<RequestBody>, caller: &Caller) -> Dispatched {
        let table = Rc::clone(&self.table.borrow());
        let resolved = table.resolve(host(&request), request.method(), request.uri().path());
        let (route, target) = match resolved {
            Resolved::Found { route, target } => (route, target),
            Resolved::MethodNotAllowed { allow } => {
                return Dispatched::refused(Refusal::MethodNotAllowed { allow });
            }
            Resolved::NoRoute => return Dispatched::refused(Refusal::NoRoute),
        };
        Dispatched {
            function: Some(target.function.revision().function.clone()),
            result: self.invoke(target, route, request, caller).await,
        }
    }

    async fn invoke(
        &self,
        target: &Deployed,
        route: &Route,
        request: Request<RequestBody>,
        caller: &Caller,
    ) -> Result<(Response<ResponseBody>, Receipt), Outcome> {
        let arrived = Instant::now();
        let slot = target.gate.enter().await?;
        let started = Instant::now();
        let invocation = Invocation {
            request,
            caller,
            mount: route.mount(),
            // The clock starts with the guest: waiting has its own bound at the gate.
            deadline: started + target.function.revision().limits.time,
            permit: Box::new(slot),
        };
        let answer = target.function.invoke(invocation).await?;
        let receipt = Receipt {
            queue: started.duration_since(arrived),
            instantiate: answer.instantiate,
            run: answer.run,
            cpu: answer.cpu,
            memory_peak_bytes: answer.memory_peak_bytes,
        };
        Ok((answer.response, receipt))
    }
}

impl Dispatched {
    fn refused(refusal: Refusal) -> Self {
        Self {
            function: None,
            result: Err(Outcome::Refused(refusal)),
        }
    }
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
