//! The contract of keys over the memory.

use std::sync::Arc;

use midge_store::{Embedded, MemoryKeys, Store};

use crate::contract::{Fresh, every_case_of_keys};

async fn fresh() -> Fresh {
    // The other three of a store have no back end in memory.
    let dir = tempfile::tempdir().unwrap();
    let store = Store {
        keys: Arc::new(MemoryKeys::default()),
        ..Embedded::open(dir.path()).unwrap()
    };
    let _keep = Box::new(dir);
    Fresh { store, _keep }
}

every_case_of_keys!(super::fresh);
