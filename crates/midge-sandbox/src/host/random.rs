//! Random numbers of guests.
//!
//! All instances of a worker draw from the generator of its thread, which the system seeds and
//! seeds again: one for each instance would be seeded from the same, and three hundred bytes that
//! each waiting instance keeps. None of them can tell from what it draws what another drew.
//!
//! **Invariant:** nothing that a guest draws can be computed by another guest.

use std::convert::Infallible;

use rand::rngs::ThreadRng;
use rand_core::{Rng as _, TryRng};
use wasmtime_wasi::WasiCtxBuilder;

/// Lets a guest draw numbers, both those that are good for keys and those that need not be.
pub(crate) fn grant(wasi: &mut WasiCtxBuilder) {
    // A box of nothing takes no memory.
    wasi.secure_random(OfThread).insecure_random(OfThread);
}

/// The generator of whichever thread draws.
struct OfThread;

impl OfThread {
    fn drawn<T>(draw: impl FnOnce(&mut ThreadRng) -> T) -> Result<T, Infallible> {
        Ok(draw(&mut rand::rng()))
    }
}

impl TryRng for OfThread {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Self::drawn(|thread| thread.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Self::drawn(|thread| thread.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        Self::drawn(|thread| thread.fill_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_draw_the_same() {
        let draw = || {
            let mut bytes = [0; 32];
            OfThread.fill_bytes(&mut bytes);
            bytes
        };
        let first = draw();
        let elsewhere = std::thread::spawn(draw).join().unwrap();
        assert_ne!(first, draw());
        assert_ne!(first, elsewhere);
        assert_ne!(OfThread.next_u64(), OfThread.next_u64());
    }
}
