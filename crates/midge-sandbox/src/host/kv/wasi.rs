//! `wasi:keyvalue` in both drafts that guests are built with.
//!
//! Decides how the drafts' words become calls. By hand and not by bindings: the drafts differ in a
//! number here and a text there, and what is bound twice would be written twice.
//!
//! Draft 2 was never released, and its `get-many` exists with two types. Components have one or the
//! other, so the linker for a component gets the one that it wants ([`link_paired`]).
//!
//! **Invariant:** a cursor is a place and no right: whoever makes one up sees what it may see anyway.

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::types::{ComponentInstance, ComponentItem, Type};
use wasmtime::component::{
    Component, ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};

use super::{
    Calls, Expected, Fault, KEYS_PAGE_MAX, OpenBucket, Swapped, calls, hold, let_go, on_bucket,
    open, take,
};
use crate::guest::Guest;
use crate::imports::{KEYVALUE_DRAFT, KEYVALUE_DRAFT2};

/// A bucket and a key.
type Keyed = (Resource<OpenBucket>, String);

/// A bucket, a key and its value.
type Valued = (Resource<OpenBucket>, String, Vec<u8>);

/// `store.error`.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum StoreError {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoSuchBucket => Self::NoSuchStore,
            Fault::Denied => Self::AccessDenied,
            fault @ (Fault::TooManyOpen | Fault::Other(_)) => Self::Other(fault.in_words()),
        }
    }
}

/// `store.key-response`, with the cursor of its draft.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct KeyResponse<C> {
    #[component(name = "keys")]
    keys: Vec<String>,
    #[component(name = "cursor")]
    cursor: Option<C>,
}

/// `atomics.cas`: which write of a key the guest has seen.
pub(super) struct Cas {
    calls: Calls,
    key: String,
    seen: Expected,
}

/// `atomics.cas-error`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    Store(StoreError),
    #[component(name = "cas-failed")]
    Failed(Resource<Cas>),
}

impl From<Fault> for CasError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

/// Links both drafts.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut store = linker.instance(&name("store", KEYVALUE_DRAFT))?;
    link_store(&mut store)?;
    link_numbered_list(&mut store)?;
    let mut atomics = linker.instance(&name("atomics", KEYVALUE_DRAFT))?;
    on_bucket::<_, _, StoreError, _>(&mut atomics, "increment", increment_unsigned)?;
    link_batch(&mut linker.instance(&name("batch", KEYVALUE_DRAFT))?)?;
    link_get_many(linker, KEYVALUE_DRAFT, paired)?;

    let mut store = linker.instance(&name("store", KEYVALUE_DRAFT2))?;
    link_store(&mut store)?;
    on_bucket::<_, _, StoreError, _>(&mut store, "[method]bucket.list-keys", list_named)?;
    link_atomics(&mut linker.instance(&name("atomics", KEYVALUE_DRAFT2))?)?;
    link_batch(&mut linker.instance(&name("batch", KEYVALUE_DRAFT2))?)?;
    link_get_many(linker, KEYVALUE_DRAFT2, each)
}

fn name(interface: &str, draft: &str) -> String {
    format!("wasi:keyvalue/{interface}@{draft}")
}

/// All of `store` but its lists, which differ.
fn link_store(store: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    store.resource(
        "bucket",
        ResourceType::host::<OpenBucket>(),
        let_go::<OpenBucket>,
    )?;
    store.func_wrap(
        "open",
        |mut store: StoreContextMut<'_, Guest>, (name,): (String,)| {
            let opened = open(store.data_mut(), &name);
            Ok((opened.map_err(StoreError::from),))
        },
    )?;
    link_values::<StoreError>(store, "bucket")
}

/// The methods of an open bucket that all interfaces have with the same types; the resource is
/// called `bucket` in one and `store` in the other.
pub(super) fn link_values<E>(
    interface: &mut LinkerInstance<'_, Guest>,
    resource: &str,
) -> wasmtime::Result<()>
where
    E: From<Fault> + ComponentType + Lower + Send + Sync + 'static,
{
    let method = |name: &str| format!("[method]{resource}.{name}");
    on_bucket::<Keyed, _, E, _>(interface, &method("get"), |calls, (_, key)| async move {
        Ok(calls.get(&key).await?.map(Vec::from))
    })?;
    on_bucket::<Keyed, _, E, _>(interface, &method("exists"), |calls, (_, key)| async move {
        calls.exists(&key).await
    })?;
    on_bucket::<Keyed, _, E, _>(interface, &method("delete"), |calls, (_, key)| async move {
        calls.delete(&key).await
    })?;
    on_bucket::<Valued, _, E, _>(
        interface,
        &method("set"),
        |calls, (_, key, value)| async move { calls.set(&key, value).await },
    )
}

/// `batch` but for `get-many`.
fn link_batch(batch: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Values = (Resource<OpenBucket>, Vec<(String, Vec<u8>)>);
    type Keys = (Resource<OpenBucket>, Vec<String>);
    on_bucket::<Values, _, StoreError, _>(batch, "set-many", |calls, (_, values)| async move {
        calls.set_many(values).await
    })?;
    on_bucket::<Keys, _, StoreError, _>(batch, "delete-many", |calls, (_, keys)| async move {
        calls.delete_many(keys).await
    })
}

/// `get-many`, which answers a value for each key, or a pair for each key that has one.
fn link_get_many<T>(
    linker: &mut Linker<Guest>,
    draft: &str,
    shape: fn(String, Option<Bytes>) -> T,
) -> wasmtime::Result<()>
where
    T: ComponentType + Lower + Send + Sync + 'static,
{
    type Keys = (Resource<OpenBucket>, Vec<String>);
    let mut batch = linker.instance(&name("batch", draft))?;
    on_bucket::<Keys, _, StoreError, _>(
        &mut batch,
        "get-many",
        move |calls, (_, keys)| async move {
            let found = calls.get_many(keys).await?.into_iter();
            let shaped = found.map(|(key, value)| shape(key, value));
            Ok(shaped.collect::<Vec<_>>())
        },
    )
}

fn each(key: String, value: Option<Bytes>) -> (String, Option<Vec<u8>>) {
    (key, value.map(Vec::from))
}

fn paired(key: String, value: Option<Bytes>) -> Option<(String, Vec<u8>)> {
    Some((key, value?.into()))
}

/// Replaces `get-many` of draft 2 by the one that draft 1 had, for a component that wants that.
/// `None` if it does not.
pub(crate) fn link_paired(
    linker: &Linker<Guest>,
    component: &Component,
) -> wasmtime::Result<Option<Linker<Guest>>> {
    let engine = component.engine();
    let batch = name("batch", KEYVALUE_DRAFT2);
    let types = component.component_type();
    let import = types.imports(engine).find(|(name, _)| *name == batch);
    let ComponentItem::ComponentInstance(batch) = (match import {
        Some((_, import)) => import.ty,
        None => return Ok(None),
    }) else {
        return Ok(None);
    };
    if !wants_pairs(&batch, engine).unwrap_or(false) {
        return Ok(None);
    }
    let mut linker = linker.clone();
    linker.allow_shadowing(true);
    link_get_many(&mut linker, KEYVALUE_DRAFT2, paired)?;
    Ok(Some(linker))
}

/// Whether `get-many` answers with `list<option<…>>`.
fn wants_pairs(batch: &ComponentInstance, engine: &wasmtime::Engine) -> Option<bool> {
    let ComponentItem::ComponentFunc(get_many) = batch.get_export(engine, "get-many")?.ty else {
        return None;
    };
    let Type::Result(result) = get_many.results().next()? else {
        return None;
    };
    let Type::List(list) = result.ok()? else {
        return None;
    };
    Some(matches!(list.ty(), Type::Option(_)))
}

/// `increment` of draft 1, which knows no negative numbers.
async fn increment_unsigned(
    calls: Calls,
    (_, key, by): (Resource<OpenBucket>, String, u64),
) -> Result<u64, Fault> {
    let too_large = |_| Fault::Other("the number would not fit into 63 bits".to_owned());
    let sum = calls.increment(&key, i64::try_from(by).map_err(too_large)?);
    u64::try_from(sum.await?)
        .map_err(|_| Fault::Other("the number is below zero, which draft 1 cannot say".to_owned()))
}

/// `list-keys` of draft 2: the cursor is the last key of the page before.
async fn list_named(
    calls: Calls,
    (_, cursor): (Resource<OpenBucket>, Option<String>),
) -> Result<KeyResponse<String>, Fault> {
    let keys = calls.list(cursor.as_deref()).await?;
    let cursor = keys.last().filter(|_| keys.len() == KEYS_PAGE_MAX).cloned();
    Ok(KeyResponse { keys, cursor })
}

/// `list-keys` of draft 1: the cursor is how many keys came before.
fn link_numbered_list(store: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Args = (Resource<OpenBucket>, Option<u64>);
    store.func_wrap_async(
        "[method]bucket.list-keys",
        |mut store: StoreContextMut<'_, Guest>, (bucket, cursor): Args| {
            Box::new(async move {
                let calls = calls(store.data(), &bucket)?;
                let known = store.data().table.get(&bucket)?.page.clone();
                let listed = list_numbered(&calls, cursor.unwrap_or(0), known).await;
                let response = listed.map(|(keys, next)| {
                    let cursor = next.as_ref().map(|(before, _)| *before);
                    (KeyResponse { keys, cursor }, next)
                });
                Ok((match response {
                    Ok((response, next)) => {
                        store.data_mut().table.get_mut(&bucket)?.page = next;
                        Ok(response)
                    }
                    Err(fault) => Err(StoreError::from(fault)),
                },))
            })
        },
    )
}

/// How many keys came before a page, and the last of them.
type Place = (u64, String);

/// The page after so many keys. The store finds a key and no number, so a cursor that is not the
/// one of the page before is looked for from the beginning.
async fn list_numbered(
    calls: &Calls,
    before: u64,
    known: Option<Place>,
) -> Result<(Vec<String>, Option<Place>), Fault> {
    let mut after = known.filter(|(at, _)| *at == before).map(|(_, last)| last);
    let mut left = if after.is_some() { 0 } else { before };
    while left > 0 {
        let limit = usize::try_from(left).unwrap_or(KEYS_PAGE_MAX);
        let limit = limit.min(KEYS_PAGE_MAX);
        let mut skipped = calls.list_at_most(after.as_deref(), limit).await?;
        if skipped.len() < limit {
            return Ok((Vec::new(), None));
        }
        left -= skipped.len() as u64;
        after = skipped.pop();
    }
    let keys = calls.list(after.as_deref()).await?;
    let next = keys.last().filter(|_| keys.len() == KEYS_PAGE_MAX);
    let next = next.map(|last| (before + KEYS_PAGE_MAX as u64, last.clone()));
    Ok((keys, next))
}

/// `atomics` of draft 2.
fn link_atomics(atomics: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Counted = (Resource<OpenBucket>, String, i64);
    on_bucket::<Counted, _, StoreError, _>(
        atomics,
        "increment",
        |calls, (_, key, by)| async move { calls.increment(&key, by).await },
    )?;
    atomics.resource("cas", ResourceType::host::<Cas>(), let_go::<Cas>)?;
    atomics.func_wrap_async(
        "[static]cas.new",
        |mut store: StoreContextMut<'_, Guest>, (bucket, key): Keyed| {
            Box::new(async move {
                let calls = calls(store.data(), &bucket)?;
                let made = match seen(&calls, &key).await {
                    Ok((seen, _)) => hold(store.data_mut(), Cas { calls, key, seen }),
                    Err(fault) => Err(fault),
                };
                Ok((made.map_err(StoreError::from),))
            })
        },
    )?;
    atomics.func_wrap_async(
        "[method]cas.current",
        |mut store: StoreContextMut<'_, Guest>, (cas,): (Resource<Cas>,)| {
            Box::new(async move {
                let held = store.data().table.get(&cas)?;
                let (calls, key) = (held.calls.clone(), held.key.clone());
                Ok((match seen(&calls, &key).await {
                    Ok((seen, value)) => {
                        // From here on what it compares with is what the guest has seen.
                        store.data_mut().table.get_mut(&cas)?.seen = seen;
                        Ok(value.map(Vec::from))
                    }
                    Err(fault) => Err(StoreError::from(fault)),
                },))
            })
        },
    )?;
    atomics.func_wrap_async(
        "swap",
        |mut store: StoreContextMut<'_, Guest>, (cas, value): (Resource<Cas>, Vec<u8>)| {
            Box::new(async move {
                let Cas { calls, key, seen } = take(store.data_mut(), cas)?;
                Ok((match calls.swap(&key, value, seen).await {
                    Ok(Swapped::Done) => Ok(()),
                    Ok(Swapped::Not(seen)) => {
                        let again = hold(store.data_mut(), Cas { calls, key, seen });
                        Err(again.map_or_else(CasError::from, CasError::Failed))
                    }
                    Err(fault) => Err(CasError::from(fault)),
                },))
            })
        },
    )
}

/// What there is of a key now.
async fn seen(calls: &Calls, key: &str) -> Result<(Expected, Option<Bytes>), Fault> {
    Ok(match calls.entry(key).await? {
        Some(found) => (Expected::Version(found.version), Some(found.bytes)),
        None => (Expected::Absent, None),
    })
}
