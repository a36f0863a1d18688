//! A node under deploys while requests flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::kit::Store;

/// As a promise it is 500 deploys under 50 requests a second; here enough to see a lost one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_functions_are_deployed() {
    const DEPLOYS: u32 = 40;
    let store = Store::new();
    let node = store.node();
    node.deploy("shop", "http02-env.wasm", 1).await;
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU32::new(1));
    let addr = node.midge.addr();
    let asking = {
        let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            let mut asked = 0;
            while !stop.load(Ordering::SeqCst) {
                let least = acknowledged.load(Ordering::SeqCst);
                let answer = midge_testkit::http::get(addr, "/shop/").await.unwrap();
                let text = answer.text();
                assert_eq!(answer.status, 200, "{text}");
                let version = text.lines().find_map(|line| line.strip_prefix("VERSION=v"));
                let version: u32 = version.unwrap().parse().unwrap();
                assert!(version >= least, "{version} after {least} was acknowledged");
                asked += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            asked
        })
    };
    for version in 2..=DEPLOYS {
        node.deploy("shop", "http02-env.wasm", version).await;
        acknowledged.store(version, Ordering::SeqCst);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(asking.await.unwrap() > 10);
}
