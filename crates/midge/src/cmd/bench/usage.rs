//! What processes use, as the kernel tells it: time on a core, and memory.
//!
//! Read from `/proc`, which is what an operator sees. A node's own numbers could be wrong in the
//! same way as the node.
//!
//! **Invariant:** what is gone counts as nothing, and is no error.

use std::fs;
use std::time::Duration;

use crate::machine;

/// Ticks of a processor's clock in `/proc`, per second. Part of Linux's promise to programs on all
/// machines that we run on, whatever the kernel's own clock does.
const TICKS_PER_SECOND: u64 = 100;

/// More processes than a node has.
const PROCESSES_MAX: usize = 4_096;

/// Of the fields behind a process's name: time in itself.
const USER_TICKS: usize = 11;

/// Of the fields behind a process's name: time in the kernel on its behalf.
const SYSTEM_TICKS: usize = 12;

/// What processes use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Time on cores since they were started.
    pub(super) cpu: Duration,
    /// Memory that they hold now. What several share counts once for each.
    pub(super) memory_bytes: u64,
}

impl Usage {
    /// Of a process and all that it started.
    pub(super) fn of_tree(root: u32) -> Self {
        let mut waiting = vec![root];
        let mut usage = Self::default();
        for _ in 0..PROCESSES_MAX {
            let Some(pid) = waiting.pop() else {
                break;
            };
            usage.cpu += cpu(pid);
            usage.memory_bytes += machine::resident_bytes(pid);
            waiting.extend(children(pid));
        }
        usage
    }

    /// Of this process alone.
    pub(super) fn own_cpu() -> Duration {
        cpu(std::process::id())
    }
}

fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    Duration::from_millis(ticks(&stat).saturating_mul(1000) / TICKS_PER_SECOND)
}

/// Both kinds of time in `/proc/PID/stat`. A process's name may hold any letter, the last
/// parenthesis ends it.
fn ticks(stat: &str) -> u64 {
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |index: usize| {
        let text = fields.get(index).copied().unwrap_or_default();
        text.parse::<u64>().unwrap_or(0)
    };
    field(USER_TICKS).saturating_add(field(SYSTEM_TICKS))
}

/// The processes that a process started, whichever of its threads did it.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children = lists.flat_map(|list| {
        let pids = list.split_whitespace().map(str::parse::<u32>);
        pids.collect::<Result<Vec<_>, _>>().unwrap_or_default()
    });
    children.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_behind_any_name() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), 300);
        assert_eq!(ticks(""), 0);
        assert_eq!(ticks("7 (a) S"), 0);
    }

    #[test]
    fn a_child_counts_and_a_process_that_is_gone_does_not() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = child.id();
        assert!(children(std::process::id()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Usage::of_tree(pid), Usage::default());
    }

    #[test]
    fn this_process_has_memory() {
        assert!(Usage::of_tree(std::process::id()).memory_bytes > 0);
    }
}
