//! The contract over the embedded store.

use midge_store::Embedded;

use crate::contract::{Fresh, every_case};

async fn fresh() -> Fresh {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path()).unwrap();
    let _keep = Box::new(dir);
    Fresh { store, _keep }
}

every_case!(super::fresh);
