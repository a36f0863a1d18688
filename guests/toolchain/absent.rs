//! The functions that std for WASI names and the C library it is linked with lacks.
//!
//! That library (Debian's, of 2022) is preview 1's, which has neither sockets nor threads nor modes
//! of files. These answer that there is no such thing, so that what names them links, and a guest
//! that calls them gets an error. Guests reach the network by `wasi:http`, which is not here.
//!
//! Linked into the objects a program starts with; the linker leaves out what is not named.
#![no_std]
#![feature(thread_local)]
#![allow(non_upper_case_globals)]

use core::ffi::{c_char, c_int, c_void};

/// No such function here; WASI's number.
const ENOSYS: c_int = 52;
/// No more threads; WASI's number.
const EAGAIN: c_int = 6;
/// The name has no address, and asking again will not help.
const EAI_FAIL: c_int = -4;

unsafe extern "C" {
    #[thread_local]
    static mut errno: c_int;
}

fn refuse() -> c_int {
    // SAFETY: the C library's own variable; there is one thread.
    unsafe { errno = ENOSYS };
    -1
}

macro_rules! absent {
    ($($name:ident($($argument:ty),*);)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) -> c_int {
                refuse()
            }
        )*
    };
}

type Address = *const c_void;
type Length = u32;
type Text = *const c_char;

absent! {
    socket(c_int, c_int, c_int);
    connect(c_int, Address, Length);
    bind(c_int, Address, Length);
    listen(c_int, c_int);
    getsockname(c_int, *mut c_void, *mut Length);
    getpeername(c_int, *mut c_void, *mut Length);
    setsockopt(c_int, c_int, c_int, *const c_void, Length);
    sendto(c_int, *const c_void, usize, c_int, Address, Length);
    recvfrom(c_int, *mut c_void, usize, c_int, *mut c_void, *mut Length);
    chmod(Text, c_int);
    fchmod(c_int, c_int);
}

#[unsafe(no_mangle)]
extern "C" fn realpath(_: Text, _: *mut c_char) -> *mut c_char {
    refuse();
    core::ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn getaddrinfo(_: Address, _: Address, _: Address, _: *mut c_void) -> c_int {
    EAI_FAIL
}

#[unsafe(no_mangle)]
extern "C" fn freeaddrinfo(_: *mut c_void) {}

#[unsafe(no_mangle)]
extern "C" fn gai_strerror(_: c_int) -> *const c_char {
    c"names are not looked up here".as_ptr()
}

macro_rules! no_threads {
    ($($name:ident($($argument:ty),*) -> $answer:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) -> c_int {
                $answer
            }
        )*
    };
}

no_threads! {
    pthread_attr_init(*mut c_void) -> 0;
    pthread_attr_setstacksize(*mut c_void, usize) -> 0;
    pthread_attr_destroy(*mut c_void) -> 0;
    pthread_create(*mut c_void, *const c_void, Address, *mut c_void) -> EAGAIN;
    pthread_join(*mut c_void, *mut c_void) -> ENOSYS;
    pthread_detach(*mut c_void) -> ENOSYS;
}
