//! A stream of the names in a folder.
//!
//! Decides nothing but the order: a batch is read when the guest has taken the one
//! before it.
//!
//! **Invariant:** no thread waits for the guest.

use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::FileType;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};
use wasmtime_wasi::filesystem::Dir;
use wasmtime_wasi::p2::bindings::filesystem::types as p2;
use wasmtime_wasi::p3::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

use super::code_of;
use crate::host::files::Place;
use crate::host::files::listing::{Batch, Entry, Listing};

type Reading = Pin<Box<dyn Future<Output = Result<(Listing, Batch), p2::ErrorCode>> + Send>>;

/// The names in a folder.
pub(super) struct Input {
    reading: Option<Reading>,
    tell: Option<oneshot::Sender<Result<(), ErrorCode>>>,
}

impl Input {
    pub(super) fn new(
        place: Place,
        dir: Dir,
        tell: oneshot::Sender<Result<(), ErrorCode>>,
    ) -> Self {
        let reading = async move { Ok(Listing::begin(&place, dir).await?.batch().await) };
        Self {
            reading: Some(Box::pin(reading)),
            tell: Some(tell),
        }
    }

    fn end(&mut self, outcome: Result<(), ErrorCode>) -> StreamResult {
        if let Some(tell) = self.tell.take() {
            // A guest may not want to know.
            drop(tell.send(outcome));
        }
        StreamResult::Dropped
    }
}

impl<D> StreamProducer<D> for Input {
    type Item = DirectoryEntry;
    type Buffer = VecBuffer<DirectoryEntry>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(Ok(StreamResult::Dropped));
        };
        let read = match reading.as_mut().poll(cx) {
            Poll::Ready(read) => read,
            // Read on when the guest asks again.
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        };
        self.reading = None;
        Poll::Ready(Ok(match read {
            Err(code) => self.end(Err(code_of(code))),
            Ok((_, batch)) if batch.is_empty() => self.end(Ok(())),
            Ok((listing, batch)) => {
                let mut names = Vec::with_capacity(batch.len());
                let mut failed = None;
                for entry in batch {
                    match entry {
                        Ok(entry) => names.push(named(entry)),
                        Err(code) => {
                            failed = Some(code);
                            break;
                        }
                    }
                }
                destination.set_buffer(names.into());
                match failed {
                    Some(code) => self.end(Err(code_of(code))),
                    None => {
                        self.reading = Some(Box::pin(async move { Ok(listing.batch().await) }));
                        StreamResult::Completed
                    }
                }
            }
        }))
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}

fn named(entry: Entry) -> DirectoryEntry {
    DirectoryEntry {
        type_: match entry.kind {
            FileType::RegularFile => DescriptorType::RegularFile,
            FileType::Directory => DescriptorType::Directory,
            FileType::Symlink => DescriptorType::SymbolicLink,
            FileType::BlockDevice => DescriptorType::BlockDevice,
            FileType::CharacterDevice => DescriptorType::CharacterDevice,
            FileType::Fifo => DescriptorType::Fifo,
            FileType::Socket => DescriptorType::Socket,
            FileType::Unknown => DescriptorType::Other(None),
        },
        name: entry.name,
    }
}
