//! `fermyon:spin/key-value`: of version 2.0.0, and of the first one, which had none.
//!
//! Decides how their words become calls. In the first, handles are numbers that the guest closes by
//! itself, so that a number may be anything.
//!
//! **Invariant:** a number leads to a bucket that this instance opened and has not closed, or nowhere.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, ResourceType};

use super::wasi::link_values;
use super::{BUCKETS_OPEN_MAX, Calls, Fault, OpenBucket, granted, let_go, on_bucket, open};
use crate::guest::Guest;
use crate::imports::SPIN_VERSION;

/// `key-value.error` of 2.0.0.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "store-table-full")]
    StoreTableFull,
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoSuchBucket => Self::NoSuchStore,
            Fault::Denied => Self::AccessDenied,
            Fault::TooManyOpen => Self::StoreTableFull,
            Fault::Other(words) => Self::Other(words),
        }
    }
}

/// `key-value.error` of the first version.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum FirstError {
    #[component(name = "store-table-full")]
    StoreTableFull,
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "invalid-store")]
    InvalidStore,
    #[component(name = "no-such-key")]
    NoSuchKey,
    #[component(name = "io")]
    Io(String),
}

impl From<Fault> for FirstError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoSuchBucket => Self::NoSuchStore,
            Fault::Denied => Self::AccessDenied,
            Fault::TooManyOpen => Self::StoreTableFull,
            Fault::Other(words) => Self::Io(words),
        }
    }
}

/// Links both.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let name = format!("fermyon:spin/key-value@{SPIN_VERSION}");
    link_second(&mut linker.instance(&name)?)?;
    link_first(&mut linker.instance("fermyon:spin/key-value")?)
}

fn link_second(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    interface.resource(
        "store",
        ResourceType::host::<OpenBucket>(),
        let_go::<OpenBucket>,
    )?;
    interface.func_wrap(
        "[static]store.open",
        |mut store: StoreContextMut<'_, Guest>, (label,): (String,)| {
            let opened = open(store.data_mut(), &label);
            Ok((opened.map_err(Error::from),))
        },
    )?;
    link_values::<Error>(interface, "store")?;
    type Alone = (wasmtime::component::Resource<OpenBucket>,);
    on_bucket::<Alone, _, Error, _>(interface, "[method]store.get-keys", |calls, _| async move {
        calls.list_all().await
    })
}

/// The same, with numbers in the place of handles.
fn link_first(interface: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    interface.func_wrap(
        "open",
        |mut store: StoreContextMut<'_, Guest>, (name,): (String,)| {
            Ok((open_numbered(store.data_mut(), &name).map_err(FirstError::from),))
        },
    )?;
    interface.func_wrap(
        "close",
        |mut store: StoreContextMut<'_, Guest>, (number,): (u32,)| {
            close_numbered(store.data_mut(), number);
            Ok(())
        },
    )?;
    on_number(
        interface,
        "get",
        |calls, (_, key): (u32, String)| async move {
            let found = calls.get(&key).await?.ok_or(FirstError::NoSuchKey)?;
            Ok(Vec::from(found))
        },
    )?;
    on_number(
        interface,
        "set",
        |calls, (_, key, value): (u32, String, Vec<u8>)| async move {
            Ok(calls.set(&key, value).await?)
        },
    )?;
    on_number(
        interface,
        "delete",
        |calls, (_, key): (u32, String)| async move { Ok(calls.delete(&key).await?) },
    )?;
    on_number(
        interface,
        "exists",
        |calls, (_, key): (u32, String)| async move { Ok(calls.exists(&key).await?) },
    )?;
    on_number(interface, "get-keys", |calls, (_,): (u32,)| async move {
        Ok(calls.list_all().await?)
    })
}

fn open_numbered(guest: &mut Guest, name: &str) -> Result<u32, Fault> {
    let name = granted(&guest.lent, name)?;
    let buckets = &mut guest.buckets;
    if buckets.count >= BUCKETS_OPEN_MAX {
        return Err(Fault::TooManyOpen);
    }
    buckets.count += 1;
    let free = buckets.numbered.iter().position(Option::is_none);
    let place = free.unwrap_or_else(|| {
        buckets.numbered.push(None);
        buckets.numbered.len() - 1
    });
    buckets.numbered[place] = Some(name);
    Ok(u32::try_from(place).expect("as many as may be open are few"))
}

fn close_numbered(guest: &mut Guest, number: u32) {
    let place = usize::try_from(number).ok();
    let place = place.and_then(|place| guest.buckets.numbered.get_mut(place));
    if place.and_then(Option::take).is_some() {
        guest.buckets.count = guest.buckets.count.saturating_sub(1);
    }
}

/// The arguments of a function that is about the bucket with a number.
trait OnNumber {
    fn number(&self) -> u32;
}

impl OnNumber for (u32,) {
    fn number(&self) -> u32 {
        self.0
    }
}

impl<A> OnNumber for (u32, A) {
    fn number(&self) -> u32 {
        self.0
    }
}

impl<A, B> OnNumber for (u32, A, B) {
    fn number(&self) -> u32 {
        self.0
    }
}

/// Links a function that makes calls to the bucket with a number.
fn on_number<A, T, F>(
    interface: &mut LinkerInstance<'_, Guest>,
    name: &str,
    call: impl Fn(Calls, A) -> F + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    A: OnNumber + wasmtime::component::ComponentNamedList + Lift + Send + 'static,
    T: ComponentType + Lower + Send + Sync + 'static,
    F: Future<Output = Result<T, FirstError>> + Send + 'static,
{
    interface.func_wrap_async(name, move |store: StoreContextMut<'_, Guest>, args: A| {
        let guest = store.data();
        let place = usize::try_from(args.number()).ok();
        let name = place.and_then(|place| guest.buckets.numbered.get(place));
        let name = name.cloned().flatten();
        let calls = name.map(|name| Calls::to(&guest.lent, name));
        Box::new(async move {
            Ok((match calls {
                Some(calls) => call(calls, args).await,
                None => Err(FirstError::InvalidStore),
            },))
        })
    })
}
