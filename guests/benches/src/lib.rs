//! The allocator of all that is measured.
//!
//! Rust's own `wasm32-wasip2` comes with wasi-libc, whose `malloc` is Doug Lea's. The toolchain that
//! these guests are built with takes another libc, whose `malloc` asks for a page of 64 KiB for each
//! size of block: six system calls for a greeting that nobody else's greeting makes.

use dlmalloc::GlobalDlmalloc;

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;
