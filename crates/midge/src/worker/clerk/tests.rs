//! Orders carried out over a real dispatcher, with a loader that loads nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use midge_model::{Digest, Grants, Limits, NamespaceName, Revision, RevisionNumber, Traffic};
use midge_runtime::{Counters, DispatcherParts, LoadFailure, LoadedFunction, Loader, WorkerBounds};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::*;
use crate::protocol::{FOLDERS_MAX, PlannedRevision};

/// Loads nothing; no guest runs here.
struct NoLoader;

#[async_trait(?Send)]
impl Loader for NoLoader {
    async fn load(&self, _: &Arc<Deployment>) -> Result<Rc<LoadedFunction>, LoadFailure> {
        Err(LoadFailure {
            message: "no such folder".to_owned(),
        })
    }
}

struct Kit {
    clerk: Rc<Clerk>,
    events: mpsc::Receiver<Event>,
}

impl Kit {
    fn new() -> Self {
        let dispatcher = Dispatcher::new(DispatcherParts {
            bounds: WorkerBounds {
                instances_max: 1,
                descriptors_max: 1,
            },
            loaded: crate::memory_target::of_worker(0, 1),
            domain: String::new(),
            counters: Counters::private().unwrap(),
            worker: 0,
            loader: Rc::new(NoLoader),
        });
        let page = tempfile::tempfile().unwrap();
        page.set_len(UsagePage::size_bytes(1, FOLDERS_MAX)).unwrap();
        let usage = UsagePage::map(&page, 1, FOLDERS_MAX).unwrap();
        let (say, events) = mpsc::channel(64);
        let clerk = Clerk::new(Rc::new(dispatcher), usage, say);
        Self { clerk, events }
    }

    async fn apply(&self, name: &str, route: &str, seq: u64) {
        self.clerk
            .apply(planned(name, route, seq), false, false)
            .await;
    }

    async fn preload(&self, name: &str, route: &str, seq: u64) {
        self.clerk
            .apply(planned(name, route, seq), true, false)
            .await;
    }

    async fn said(&mut self) -> String {
        match self.events.recv().await.unwrap() {
            Event::Applied { key, seq, fault } => {
                let fault = fault.map(|fault| format!(": {fault}"));
                format!("{} {seq}{}", key.function, fault.unwrap_or_default())
            }
            other => format!("{other:?}"),
        }
    }
}

fn planned(name: &str, route: &str, seq: u64) -> Arc<PlannedFunction> {
    let number = RevisionNumber::FIRST;
    let revision = Revision {
        namespace: NamespaceName::default(),
        function: name.parse().unwrap(),
        number,
        digest: Digest::of(b""),
        grants: Grants::default(),
        limits: Limits::SAFE,
        isolation: midge_model::Isolation::Fresh,
        routes: vec![route.parse().unwrap()],
    };
    Arc::new(PlannedFunction {
        key: FunctionKey {
            namespace: revision.namespace.clone(),
            function: revision.function.clone(),
        },
        column: usize::try_from(seq).unwrap(),
        traffic: Traffic::all_to(number),
        revisions: vec![PlannedRevision {
            revision: Arc::new(revision),
            folders: Vec::new(),
        }],
        secrets: BTreeMap::new(),
        seq,
    })
}

#[tokio::test(start_paused = true)]
async fn a_route_may_be_taken_before_the_other_function_lets_go_of_it() {
    let work = async {
        let mut kit = Kit::new();
        kit.apply("a", "/x", 1).await;
        assert_eq!(kit.said().await, "a 1");
        kit.apply("b", "/x", 2).await;
        kit.apply("a", "/y", 3).await;
        assert_eq!(kit.said().await, "a 3");
        let before = Instant::now();
        assert_eq!(kit.said().await, "b 2");
        assert!(before.elapsed() < CONFLICT_PATIENCE);
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_stays_taken_is_told_and_served_once_it_is_free() {
    let work = async {
        let mut kit = Kit::new();
        kit.apply("a", "/x", 1).await;
        assert_eq!(kit.said().await, "a 1");
        kit.apply("b", "/x", 2).await;
        let told = kit.said().await;
        assert!(told.starts_with("b 2: "), "{told}");
        let a = planned("a", "/x", 1).key.clone();
        kit.clerk.remove(a, 3).await;
        assert_eq!(kit.said().await, "a 3");
        assert_eq!(kit.said().await, "b 2");
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_loaded_is_told_once_and_a_newer_order_takes_its_place() {
    let work = async {
        let mut kit = Kit::new();
        kit.apply("a", "/x", 1).await;
        assert_eq!(kit.said().await, "a 1");
        kit.preload("a", "/x", 2).await;
        assert_eq!(kit.said().await, "a 2: no such folder");
        // It is tried again and again, and says nothing new.
        sleep(RETRY_MAX * 3).await;
        assert!(kit.events.try_recv().is_err());
        kit.apply("a", "/x", 3).await;
        assert_eq!(kit.said().await, "a 3");
        sleep(RETRY_MAX * 3).await;
        assert!(kit.events.try_recv().is_err());
    };
    LocalSet::new().run_until(work).await;
}

#[tokio::test(start_paused = true)]
async fn where_that_is_fatal_what_cannot_be_loaded_is_not_tried_again() {
    let work = async {
        let kit = Kit::new();
        kit.clerk.apply(planned("a", "/x", 1), true, true).await;
        let error = kit.clerk.all_done().await.unwrap_err();
        assert_eq!(error.to_string(), "load function a: no such folder");
    };
    LocalSet::new().run_until(work).await;
}
