//! Loading, without a sandbox: what is loaded is a number.

use std::rc::Rc;

use futures::future::join_all;
use midge_model::{Digest, Grants, Limits, NamespaceName, RevisionNumber};

use super::*;

fn revision() -> Revision {
    Revision {
        namespace: NamespaceName::default(),
        function: "f".parse().unwrap(),
        number: RevisionNumber::FIRST,
        digest: Digest::of(b""),
        grants: Grants::default(),
        limits: Limits::SAFE,
        isolation: midge_model::Isolation::Fresh,
        routes: Vec::new(),
    }
}

/// What is loaded, and how often somebody tried.
#[derive(Default)]
struct Source {
    tried: Cell<u32>,
}

impl Source {
    /// Loads after a while.
    async fn load(&self) -> Result<u32, LoadFailure> {
        self.tried.set(self.tried.get() + 1);
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(self.tried.get())
    }

    async fn fail(&self) -> Result<u32, LoadFailure> {
        self.load().await?;
        let message = "no such file".to_owned();
        Err(LoadFailure { message })
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_loads_once() {
    let (loading, source, revision) = (Loading::new(None), Source::default(), revision());
    let crowd = (0..100).map(|_| loading.get(&revision, async || source.load().await));
    assert_eq!(join_all(crowd).await, vec![Ok(1); 100]);
    assert_eq!(loading.ready(), Some(1));
    assert_eq!(
        loading.get(&revision, async || source.load().await).await,
        Ok(1)
    );
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_the_loading_to_the_next() {
    let (loading, source, revision) = (Loading::new(None), Source::default(), revision());
    let mut first = Box::pin(loading.get(&revision, async || source.load().await));
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = Box::pin(loading.get(&revision, async || source.load().await));
    assert!(futures::poll!(&mut second).is_pending());
    assert_eq!(source.tried.get(), 1, "the second waits for the first");
    drop(first);
    assert_eq!(second.await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_everybodys_and_is_tried_again_later() {
    let (loading, source, revision) = (Loading::new(None), Source::default(), revision());
    let crowd = (0..100).map(|_| loading.get(&revision, async || source.fail().await));
    assert_eq!(join_all(crowd).await, vec![Err(Refusal::NotLoaded); 100]);
    assert_eq!(source.tried.get(), 1);
    let at_once = loading.get(&revision, async || source.load().await).await;
    assert_eq!(at_once, Err(Refusal::NotLoaded));
    tokio::time::advance(TRIED_AGAIN_AFTER).await;
    assert_eq!(
        loading.get(&revision, async || source.load().await).await,
        Ok(2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline() {
    let (loading, revision) = (Loading::<u32>::new(None), revision());
    let before = Instant::now();
    let waited = loading.get(&revision, async || std::future::pending().await);
    assert_eq!(waited.await, Err(Refusal::NotLoaded));
    assert_eq!(before.elapsed(), LOAD_WAIT_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_once_until_it_works_again() {
    let (loading, source, revision) = (Loading::new(None), Source::default(), revision());
    for _ in 0..3 {
        let failed = loading.get(&revision, async || source.fail().await).await;
        assert_eq!(failed, Err(Refusal::NotLoaded));
        assert!(loading.told.get());
        tokio::time::advance(TRIED_AGAIN_AFTER).await;
    }
    assert!(
        loading
            .get(&revision, async || source.load().await)
            .await
            .is_ok()
    );
    assert!(!loading.told.get());
}

#[tokio::test(start_paused = true)]
async fn what_was_unloaded_is_loaded_anew_and_kept_by_who_has_it() {
    let (loading, revision) = (Loading::new(Some(Rc::new(1))), revision());
    let kept = loading.ready().unwrap();
    loading.unload();
    assert_eq!(Rc::strong_count(&kept), 1, "nobody else holds it");
    assert_eq!(loading.ready(), None);
    let anew = loading.get(&revision, async || Ok(Rc::new(2))).await;
    assert_eq!(anew, Ok(Rc::new(2)));
}

#[test]
fn visitors_push_out_who_came_first() {
    let visited = Few::default();
    let all: Vec<_> = (0..FEW + 2).map(Rc::new).collect();
    let pushed_out: Vec<_> = all.iter().filter_map(|one| visited.note(one)).collect();
    assert_eq!(pushed_out, [Rc::new(0), Rc::new(1)]);
    drop((all, pushed_out));
    assert_eq!(
        visited.note(&Rc::new(9)),
        None,
        "those that are gone take no place"
    );
}
