//! A stream of 0.3 into a file whose growth is counted.
//!
//! Decides when a guest may hand over more, as `files02/output.rs` does, in the words of
//! the newer interface: the guest is told how much of what it offered was taken.
//!
//! **Invariant:** what a guest is told was taken is written, and nothing else.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Source, StreamConsumer, StreamResult};
use wasmtime_wasi::filesystem::File;
use wasmtime_wasi::p2::bindings::filesystem::types as p2;
use wasmtime_wasi::p3::bindings::filesystem::types::ErrorCode;

use super::code_of;
use crate::host::files::Place;
use crate::host::files::write::{At, write};

/// What is taken of a guest's offer at once.
const WRITE_BYTES_MAX: usize = 64 << 10;

type Writing = Pin<Box<dyn Future<Output = Result<usize, p2::ErrorCode>> + Send>>;

/// A stream into a file.
pub(super) struct Output {
    place: Place,
    file: File,
    at: At,
    writing: Option<Writing>,
    tell: Option<oneshot::Sender<Result<(), ErrorCode>>>,
}

impl Output {
    pub(super) fn new(
        place: Place,
        file: File,
        at: At,
        tell: oneshot::Sender<Result<(), ErrorCode>>,
    ) -> Self {
        Self {
            place,
            file,
            at,
            writing: None,
            tell: Some(tell),
        }
    }

    fn begin(&self, offered: &[u8]) -> Writing {
        let taken = &offered[..offered.len().min(WRITE_BYTES_MAX)];
        let bytes = Bytes::copy_from_slice(taken);
        let (place, file, at) = (self.place.clone(), self.file.clone(), self.at);
        Box::pin(async move { write(&place, file, at, bytes).await })
    }

    fn end(&mut self, outcome: Result<(), ErrorCode>) {
        if let Some(tell) = self.tell.take() {
            // A guest may not want to know.
            drop(tell.send(outcome));
        }
    }
}

impl<D> StreamConsumer<D> for Output {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let mut source = source.as_direct(store);
        let mut writing = match self.writing.take() {
            Some(writing) => writing,
            None => self.begin(source.remaining()),
        };
        // Not even a guest that changed its mind gets away while bytes of its are being written:
        // it could not know whether they were.
        let Poll::Ready(written) = writing.as_mut().poll(cx) else {
            self.writing = Some(writing);
            return Poll::Pending;
        };
        Poll::Ready(Ok(match written {
            Ok(count) => {
                source.mark_read(count);
                self.at = self.at.behind(count);
                StreamResult::Completed
            }
            Err(code) => {
                self.end(Err(code_of(code)));
                StreamResult::Dropped
            }
        }))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.end(Ok(()));
    }
}
