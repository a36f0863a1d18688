//! What the kernel tells about a process: its children, memory, descriptors, sockets.
//!
//! Read from `/proc`, because that is what an operator sees; a server's own numbers
//! could be wrong in the same way as the server.

use std::fs;
use std::process::Command;

/// Sends `signal` to one process, by name, for example `TERM`.
///
/// # Panics
///
/// There is no `kill`, or no such process.
pub fn signal(pid: u32, signal: &str) {
    assert!(try_signal(pid, signal), "kill -{signal} {pid} failed");
}

/// The same for a process that may have ended by itself.
pub(crate) fn try_signal(pid: u32, signal: &str) -> bool {
    Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The children of `pid` that still run.
pub fn children(pid: u32) -> Vec<u32> {
    let text = read(pid, &format!("task/{pid}/children"));
    text.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .filter(|&child| is_alive(child))
        .collect()
}

/// Whether `pid` runs; a process that ended and was not waited for does not.
pub fn is_alive(pid: u32) -> bool {
    // The state follows the name, which stands in parentheses and may contain any of them.
    let stat = read(pid, "stat");
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The memory that `pid` holds now, in bytes: its resident set.
///
/// # Panics
///
/// The process is gone.
pub fn memory_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// The most memory that `pid` ever held, in bytes.
///
/// # Panics
///
/// The process is gone.
pub fn memory_peak_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

/// How many descriptors `pid` has open.
///
/// # Panics
///
/// The process is gone.
pub fn descriptors(pid: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd"));
    open.expect("the process runs").count()
}

/// The TCP ports that `pid` listens on, over IPv4.
pub(crate) fn listening_ports(pid: u32) -> Vec<u16> {
    const LISTENING: &str = "0A";
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let sockets: Vec<String> = entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?;
            Some(name.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = read(pid, "net/tcp");
    let lines = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (*columns.get(1)?, *columns.get(3)?, *columns.get(9)?);
        let ours = state == LISTENING && sockets.iter().any(|socket| socket == inode);
        let (_, port) = local.split_once(':')?;
        ours.then(|| u16::from_str_radix(port, 16).ok())?
    });
    lines.collect()
}

fn status_bytes(pid: u32, field: &str) -> u64 {
    let status = read(pid, "status");
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.split_whitespace().next());
    let kib: u64 = kib
        .and_then(|kib| kib.parse().ok())
        .unwrap_or_else(|| panic!("process {pid} is gone or has no {field}"));
    kib * 1024
}

/// Empty for a process that is gone.
fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}
