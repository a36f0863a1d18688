//! Key-value: buckets that a guest opens by name and keeps values in.
//!
//! Decides who may open which bucket, how many at a time, and what is too much for one call. The
//! interfaces are `kv/wasi.rs` (`wasi:keyvalue`) and `kv/spin.rs` (`fermyon:spin/key-value`); both
//! call what is here. Where values are kept is behind [`KeyValues`], and the binary knows.
//!
//! **Invariant:** a handle to a bucket exists only where the function's grants name it, and whatever
//! goes wrong behind it is an answer to the guest in a plain sentence.

pub(crate) mod spin;
mod values;
pub(crate) mod wasi;

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use midge_model::rehearsal::Faulty;
use midge_model::{BucketName, ENTRY_BYTES_MAX, ENTRY_KEY_BYTES_MAX, Use};
use tokio::sync::Semaphore;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    ComponentNamedList, ComponentType, Lift, LinkerInstance, Lower, Resource,
};

pub use self::values::{Bucket, Expected, KeyValues, KvFault, Swapped, Value};
use crate::guest::Guest;
use crate::host::denied::{Denial, Remedy};
use crate::powers::Lent;

/// Buckets and comparisons that one instance may have open. Honest guests have one or two.
pub(crate) const BUCKETS_OPEN_MAX: u32 = 32;

/// Calls of one function that are under way in one worker; the next one waits. More would only make
/// its other requests wait behind them, and those of others in the store.
const CALLS_AT_ONCE_MAX: usize = 32;

/// Calls of one batch that are under way: enough for the store to write several in one go.
const BATCH_AT_ONCE_MAX: usize = 8;

/// Keys in one batch.
const BATCH_KEYS_MAX: usize = 1_000;

/// Bytes of all values that one batch answers with, which the host holds until the guest has them.
/// As much as a guest may send in one call.
const BATCH_BYTES_MAX: usize = crate::limits::HOST_CALL_BYTES_MAX;

/// Keys in one page of a list.
pub(crate) const KEYS_PAGE_MAX: usize = 1_000;

/// Keys of a bucket where the interface wants all of them in one answer.
const KEYS_ALL_MAX: usize = 10_000;

/// What all revisions of a function have together of it.
pub(crate) type Turns = Arc<Semaphore>;

/// Turns to call, for a function of which nothing is loaded yet.
pub(crate) fn turns() -> Turns {
    Arc::new(Semaphore::new(CALLS_AT_ONCE_MAX))
}

/// Why a guest does not get what it wants, whichever interface it asks through.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// No bucket can have that name.
    NoSuchBucket,
    /// No grant names it.
    Denied,
    /// It has as many open as it may.
    TooManyOpen,
    /// In words.
    Other(String),
}

impl Fault {
    /// What an interface says that has no case for it.
    fn in_words(self) -> String {
        match self {
            Self::NoSuchBucket => "there is no such bucket".to_owned(),
            Self::Denied => "no grant names the bucket".to_owned(),
            Self::TooManyOpen => {
                format!("{BUCKETS_OPEN_MAX} buckets are open, close one of them first")
            }
            Self::Other(words) => words,
        }
    }
}

impl From<KvFault> for Fault {
    fn from(fault: KvFault) -> Self {
        Self::Other(fault.0)
    }
}

/// What an instance has open.
#[derive(Default)]
pub(crate) struct OpenBuckets {
    /// Handles to buckets and comparisons.
    count: u32,
    /// Of the interface that has numbers for handles; `None` where one was closed.
    numbered: Vec<Option<BucketName>>,
}

/// An open bucket, as the guest's handle leads to it.
#[derive(Clone)]
pub(crate) struct OpenBucket {
    name: BucketName,
    /// Where the page ended that was listed last, for cursors that are numbers.
    page: Option<(u64, String)>,
}

/// The bucket's name, if the guest may open it.
fn granted(lent: &Lent, name: &str) -> Result<BucketName, Fault> {
    // Hosts with one bucket only let guests open it without a name.
    let name = if name.is_empty() {
        BucketName::DEFAULT
    } else {
        name
    };
    let name: BucketName = name.parse().map_err(|_| Fault::NoSuchBucket)?;
    let powers = &lent.powers;
    // A watched function gets what the policy allows, and there is no grant that says all buckets.
    let is_learnt = || powers.is_learning && powers.policy.allows_bucket(&powers.namespace, &name);
    if !powers.grants.kv.contains(&name) && !is_learnt() {
        lent.denials.tell(&Denial {
            what: format!("open bucket {name}"),
            why: "no kv grant names it".to_owned(),
            remedy: Remedy::Grant(format!("kv = [\"{name}\"]")),
        });
        return Err(Fault::Denied);
    }
    powers.saw(|| Use::Bucket(name.clone()));
    Ok(name)
}

/// Opens a bucket for a guest.
fn open(guest: &mut Guest, name: &str) -> Result<Resource<OpenBucket>, Fault> {
    let name = granted(&guest.lent, name)?;
    hold(guest, OpenBucket { name, page: None })
}

/// Gives the guest a handle, if it has not too many.
fn hold<T: Send + 'static>(guest: &mut Guest, what: T) -> Result<Resource<T>, Fault> {
    if guest.buckets.count >= BUCKETS_OPEN_MAX {
        return Err(Fault::TooManyOpen);
    }
    let held = guest.table.push(what);
    let held = held.map_err(|_| Fault::Other("the instance has too many handles".to_owned()))?;
    guest.buckets.count += 1;
    Ok(held)
}

/// Takes a handle back, with what it leads to.
fn take<T: Send + 'static>(guest: &mut Guest, handle: Resource<T>) -> wasmtime::Result<T> {
    let taken = guest.table.delete(handle)?;
    guest.buckets.count = guest.buckets.count.saturating_sub(1);
    Ok(taken)
}

/// Lets go of what a handle led to, when the guest drops it.
fn let_go<T: Send + 'static>(
    mut store: StoreContextMut<'_, Guest>,
    rep: u32,
) -> wasmtime::Result<()> {
    take::<T>(store.data_mut(), Resource::new_own(rep)).map(drop)
}

/// The arguments of a function that is about an open bucket.
trait OnBucket {
    fn bucket(&self) -> &Resource<OpenBucket>;
}

impl OnBucket for (Resource<OpenBucket>,) {
    fn bucket(&self) -> &Resource<OpenBucket> {
        &self.0
    }
}

impl<A> OnBucket for (Resource<OpenBucket>, A) {
    fn bucket(&self) -> &Resource<OpenBucket> {
        &self.0
    }
}

impl<A, B> OnBucket for (Resource<OpenBucket>, A, B) {
    fn bucket(&self) -> &Resource<OpenBucket> {
        &self.0
    }
}

/// Links a function that makes calls to an open bucket, with the errors of its interface.
fn on_bucket<A, T, E, F>(
    interface: &mut LinkerInstance<'_, Guest>,
    name: &str,
    call: impl Fn(Calls, A) -> F + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    A: OnBucket + ComponentNamedList + Lift + Send + 'static,
    T: ComponentType + Lower + Send + Sync + 'static,
    E: From<Fault> + ComponentType + Lower + Send + Sync + 'static,
    F: Future<Output = Result<T, Fault>> + Send + 'static,
{
    interface.func_wrap_async(name, move |store: StoreContextMut<'_, Guest>, args: A| {
        let calls = calls(store.data(), args.bucket());
        Box::new(async move { Ok((call(calls?, args).await.map_err(E::from),)) })
    })
}

/// The calls that can be made through this handle.
fn calls(guest: &Guest, handle: &Resource<OpenBucket>) -> wasmtime::Result<Calls> {
    let bucket = guest.table.get(handle)?;
    Ok(Calls::to(&guest.lent, bucket.name.clone()))
}

/// Calls to one bucket, for one guest.
#[derive(Clone)]
struct Calls {
    lent: Arc<Lent>,
    bucket: Bucket,
}

impl Calls {
    fn to(lent: &Arc<Lent>, name: BucketName) -> Self {
        let namespace = lent.powers.namespace.clone();
        Self {
            lent: Arc::clone(lent),
            bucket: Bucket { namespace, name },
        }
    }

    /// Makes a call when it is the function's turn. Time that passes is the invocation's own, and
    /// a guest that is ended waits no more.
    async fn call<'a, T, F>(&'a self, call: impl FnOnce(&'a dyn KeyValues) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, KvFault>>,
    {
        let powers = &self.lent.powers;
        let Some(values) = &powers.kv else {
            return Err(Fault::Other("this process keeps no values".to_owned()));
        };
        if let Some(rehearsed) = &powers.rehearsed {
            let met = rehearsed.meet(Faulty::Kv).await;
            met.map_err(|faulted| Fault::Other(faulted.to_string()))?;
        }
        let turn = powers.kv_turns.acquire().await;
        let _turn = turn.map_err(|_| Fault::Other("this process is ending".to_owned()))?;
        Ok(call(&**values).await?)
    }

    async fn entry(&self, key: &str) -> Result<Option<Value>, Fault> {
        check_key(key)?;
        self.call(|values| values.get(&self.bucket, key)).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Fault> {
        Ok(self.entry(key).await?.map(|found| found.bytes))
    }

    async fn exists(&self, key: &str) -> Result<bool, Fault> {
        check_key(key)?;
        self.call(|values| values.exists(&self.bucket, key)).await
    }

    async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Fault> {
        check_key(key)?;
        let value = checked_value(value)?;
        self.call(|values| values.set(&self.bucket, key, value))
            .await
    }

    async fn swap(&self, key: &str, value: Vec<u8>, expected: Expected) -> Result<Swapped, Fault> {
        let value = checked_value(value)?;
        self.call(|values| values.swap(&self.bucket, key, value, expected))
            .await
    }

    async fn delete(&self, key: &str) -> Result<(), Fault> {
        check_key(key)?;
        self.call(|values| values.delete(&self.bucket, key)).await
    }

    async fn increment(&self, key: &str, by: i64) -> Result<i64, Fault> {
        check_key(key)?;
        self.call(|values| values.increment(&self.bucket, key, by))
            .await
    }

    /// A page of keys, from the one after `after` on; it is the last one if it is not full.
    async fn list(&self, after: Option<&str>) -> Result<Vec<String>, Fault> {
        self.list_at_most(after, KEYS_PAGE_MAX).await
    }

    async fn list_at_most(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, Fault> {
        if let Some(after) = after {
            check_key(after)?;
        }
        self.call(|values| values.list(&self.bucket, after, limit))
            .await
    }

    /// All keys, as long as there are not too many for one answer.
    async fn list_all(&self) -> Result<Vec<String>, Fault> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let page = self.list(keys.last().map(String::as_str)).await?;
            let is_last = page.len() < KEYS_PAGE_MAX;
            keys.extend(page);
            if keys.len() > KEYS_ALL_MAX {
                return Err(Fault::Other(format!(
                    "the bucket has more than {KEYS_ALL_MAX} keys, list them in pages with \
                     `wasi:keyvalue`"
                )));
            }
            if is_last {
                return Ok(keys);
            }
        }
    }

    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<(String, Option<Bytes>)>, Fault> {
        check_batch(keys.len())?;
        let mut left_bytes = BATCH_BYTES_MAX;
        let mut found = Vec::with_capacity(keys.len());
        let mut values = stream::iter(keys)
            .map(|key| async move {
                let value = self.get(&key).await?;
                Ok::<_, Fault>((key, value))
            })
            .buffered(BATCH_AT_ONCE_MAX);
        while let Some((key, value)) = values.try_next().await? {
            let bytes = value.as_ref().map_or(0, Bytes::len);
            left_bytes = left_bytes.checked_sub(bytes).ok_or_else(|| {
                Fault::Other(format!(
                    "the values have more than {BATCH_BYTES_MAX} bytes together, ask for fewer"
                ))
            })?;
            found.push((key, value));
        }
        Ok(found)
    }

    async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Fault> {
        check_batch(entries.len())?;
        stream::iter(entries)
            .map(|(key, value)| async move { self.set(&key, value).await })
            .buffer_unordered(BATCH_AT_ONCE_MAX)
            .try_collect()
            .await
    }

    async fn delete_many(&self, keys: Vec<String>) -> Result<(), Fault> {
        check_batch(keys.len())?;
        stream::iter(keys)
            .map(|key| async move { self.delete(&key).await })
            .buffer_unordered(BATCH_AT_ONCE_MAX)
            .try_collect()
            .await
    }
}

fn check_key(key: &str) -> Result<(), Fault> {
    if (1..=ENTRY_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(Fault::Other(format!(
        "the key has {} bytes, write 1 to {ENTRY_KEY_BYTES_MAX}",
        key.len()
    )))
}

fn checked_value(value: Vec<u8>) -> Result<Bytes, Fault> {
    if value.len() <= ENTRY_BYTES_MAX {
        return Ok(value.into());
    }
    Err(Fault::Other(format!(
        "the value has {} bytes, the longest has {ENTRY_BYTES_MAX}",
        value.len()
    )))
}

fn check_batch(keys: usize) -> Result<(), Fault> {
    if keys <= BATCH_KEYS_MAX {
        return Ok(());
    }
    Err(Fault::Other(format!(
        "the batch has {keys} keys, the most are {BATCH_KEYS_MAX}"
    )))
}
