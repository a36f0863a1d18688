//! What this machine gives us, and what we ask of its kernel at start.
//!
//! Cores, and the resource limits that a process sets on itself. Which numbers
//! is decided by the callers.
//!
//! **Invariant:** a limit that cannot be raised is never a reason not to start.

use std::num::NonZeroU32;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many cores this process may use.
pub(crate) fn cores() -> NonZeroU32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|cores| u32::try_from(cores.get()).ok())
        .and_then(NonZeroU32::new)
        .unwrap_or(NonZeroU32::MIN)
}

/// How much memory this machine has.
pub(crate) fn memory_bytes() -> u64 {
    let machine = rustix::system::sysinfo();
    machine.totalram.saturating_mul(u64::from(machine.mem_unit))
}

/// How many descriptors this process may have open.
pub(crate) fn descriptors_max() -> u32 {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u32::try_from(allowed).unwrap_or(u32::MAX)
}

/// Allows as many open descriptors as the administrator does.
///
/// Children inherit it. The usual soft limit of 1024 is there for programs that use `select`,
/// and a node with a thousand idle connections would run into it.
pub(crate) fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    ) {
        tracing::debug!(%error, "descriptor limit not raised");
    }
}

/// Bounds this process for good: memory, processor time, no core file.
///
/// Memory is what is writable and private (`RLIMIT_DATA`) and not the whole address space: the
/// engine reserves terabytes that it never touches, which a bound on the latter would forbid.
///
/// # Errors
///
/// What the kernel said; the process must not go on unbounded.
pub(crate) fn confine(memory_bytes: u64, cpu_seconds: u64) -> std::io::Result<()> {
    let bound = |resource, value| lower(resource, value, value);
    bound(Resource::Core, 0)?;
    bound(Resource::Data, memory_bytes)?;
    // At the soft limit comes SIGXCPU, which names the reason; a second later SIGKILL.
    lower(Resource::Cpu, cpu_seconds, cpu_seconds.saturating_add(1))
}

/// Never asks for more than the administrator allows, because that would be refused.
fn lower(resource: Resource, current: u64, maximum: u64) -> std::io::Result<()> {
    let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(current.min(allowed)),
        maximum: Some(maximum.min(allowed)),
    };
    Ok(setrlimit(resource, limit)?)
}

/// Ends this process when its parent ends, however that ends.
///
/// A compiler does not listen to anybody while it works, so a closed pipe would tell it nothing.
/// Should the parent end before the kernel knows of this, the processor time still bounds us.
pub(crate) fn die_with_parent() {
    let kill = Some(rustix::process::Signal::KILL);
    if let Err(error) = rustix::process::set_parent_process_death_signal(kill) {
        tracing::debug!(%error, "not bound to the parent's life");
    }
}

/// Names this process in `ps` and `top`, where it would be `exe` after the link it was started by.
pub(crate) fn name_process(name: &str) {
    // The kernel cuts it to 15 bytes; without /proc there is nobody to read it either.
    if let Err(error) = std::fs::write("/proc/self/comm", name) {
        tracing::debug!(%error, "process not named");
    }
}

/// The memory that a process holds now; nothing for one that is gone.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|line| line.split_whitespace().next());
    let kib: u64 = kib.and_then(|kib| kib.parse().ok()).unwrap_or(0);
    kib.saturating_mul(1024)
}
