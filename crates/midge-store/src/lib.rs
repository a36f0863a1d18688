//! What is kept: records, artifacts, queues and keys.
//!
//! Decides how things are kept so that nothing acknowledged is lost, behind four small traits that
//! a back end implements. What is in the records is here too, because two who do not know each
//! other share them: midge-control writes what the node's feed watches. Who may write what, and in
//! which order, is midge-control's business.
//!
//! **Invariant:** whoever uses a trait cannot tell which back end is under it: the contract suite
//! in `tests/it/contract` is run against each.
#![forbid(unsafe_code)]

mod artifacts;
mod backup;
mod check;
mod clock;
mod embedded;
mod error;
mod files;
mod hex;
mod key;
mod key_value;
mod memory;
mod queue;
pub mod records;
mod registry;
mod vault;

use std::sync::Arc;

pub use artifacts::{
    ARTIFACTS_LIST_MAX, ArtifactInfo, ArtifactWriter, Artifacts, FinishError, Room,
};
pub use backup::{BackupError, BackupSummary, RestoreError, backup, restore};
pub use check::{Report, check};
pub use clock::now;
pub use embedded::{Embedded, OpenError};
pub use error::StoreError;
pub use key::{KEY_BYTES_MAX, Key, KeyError, Prefix};
pub use key_value::{
    BUCKET_BYTES_MAX, BUCKET_ENTRIES_MAX, Bucket, BucketUse, ENTRIES_LIST_MAX, Entry, Keys,
    SetError,
};
pub use memory::MemoryKeys;
pub use queue::{
    ATTEMPTS_MAX, DEAD_MAX, DEDUP_BYTES_MAX, DEDUP_WINDOW, DELAY_MAX, DeadLetter, Depth,
    LEASE_MESSAGES_MAX, Lease, LeaseError, Leased, MESSAGE_BYTES_MAX, Message, MessageId, Nacked,
    PushError, Pushed, QUEUE_MESSAGES_MAX, Queue,
};
pub use registry::{
    Change, Expect, LIST_MAX, PutError, RECORD_BYTES_MAX, Record, Registry, Version, Watch,
    WatchSource,
};
pub use vault::{Sealed, VAULT_KEYS_MAX, Vault, VaultError};

/// The four of one back end. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Store {
    /// Records with compare-and-swap and a watch.
    pub registry: Arc<dyn Registry>,
    /// Bytes by digest.
    pub artifacts: Arc<dyn Artifacts>,
    /// Durable, leased messages.
    pub queue: Arc<dyn Queue>,
    /// What functions keep.
    pub keys: Arc<dyn Keys>,
}
