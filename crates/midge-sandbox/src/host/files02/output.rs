//! A stream into a file whose growth is counted.
//!
//! Decides when a guest may hand over more: when what it handed over before is written.
//! The write begins at once, whether or not the guest waits for it.
//!
//! **Invariant:** one write at a time, of at most [`WRITE_BYTES_MAX`].

use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi::filesystem::File;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::host::files::Place;
use crate::host::files::write::{At, write_all};
use crate::limits::HANDLE_BYTES_MAX;

/// What a stream takes at once.
const WRITE_BYTES_MAX: usize = HANDLE_BYTES_MAX;

/// A stream into a file.
pub(super) struct Output {
    place: Place,
    file: File,
    at: At,
    state: State,
}

enum State {
    Ready,
    /// So many bytes are on their way.
    Writing(AbortOnDropHandle<Result<(), ErrorCode>>, usize),
    Failed(ErrorCode),
    Closed,
}

impl Output {
    pub(super) fn new(place: Place, file: File, at: At) -> Self {
        Self {
            place,
            file,
            at,
            state: State::Ready,
        }
    }

    /// What is told of the state once; afterwards a stream that failed is closed.
    fn check(&mut self) -> StreamResult<usize> {
        match self.state {
            State::Ready => Ok(WRITE_BYTES_MAX),
            State::Writing(..) => Ok(0),
            State::Closed => Err(StreamError::Closed),
            State::Failed(code) => {
                self.state = State::Closed;
                Err(StreamError::LastOperationFailed(code.into()))
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let permitted = self.check()?;
        if permitted == 0 || bytes.len() > permitted {
            return Err(StreamError::trap("wrote more than was permitted"));
        }
        let (place, file, at) = (self.place.clone(), self.file.clone(), self.at);
        let count = bytes.len();
        let writing = tokio::spawn(async move { write_all(&place, file, at, bytes).await });
        self.state = State::Writing(AbortOnDropHandle::new(writing), count);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        // Nothing is held back.
        self.check().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()
    }

    async fn cancel(&mut self) {
        // A guest that drops a stream with a write on its way waits for it, so that it cannot have
        // more of them on their way than streams.
        self.ready().await;
        self.state = State::Closed;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        if let State::Writing(writing, count) = &mut self.state {
            let (count, written) = (*count, writing.await);
            self.state = match written.unwrap_or(Err(ErrorCode::Io)) {
                Ok(()) => {
                    self.at = self.at.behind(count);
                    State::Ready
                }
                Err(code) => State::Failed(code),
            };
        }
    }
}
