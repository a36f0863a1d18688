//! What a server costs, read from `/proc`: processor time and memory of its whole process tree.
//!
//! A server is what was started and everything below it, so a supervisor, its workers and the
//! compilers that have ended all count. The kernel adds up the time of threads and of children that
//! were waited for; this file only reads and sums.
//!
//! **Invariant:** the processor time of a tree never falls while its root lives.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// A tree of more processes than this is not a server's.
const PROCESSES_MAX: usize = 4096;

/// The process and everything below it, root first.
pub fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() && found.len() < PROCESSES_MAX {
        found.extend(children(found[at]));
        at += 1;
    }
    found
}

/// Children hang on the thread that started them. What ended meanwhile has none.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        if let Ok(text) = fs::read_to_string(thread.path().join("children")) {
            found.extend(
                text.split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    found
}

/// User and system time of the tree, with that of the children that have ended.
///
/// # Errors
///
/// The root has ended, or `/proc` is not as Linux writes it.
pub fn cpu(root: u32) -> Result<Duration> {
    let mut ticks = 0;
    for pid in tree(root) {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(text) => {
                ticks += ticks_in(&text).with_context(|| format!("read /proc/{pid}/stat"))?;
            }
            // Its parent has its time now.
            Err(_) if pid != root => {}
            Err(err) => return Err(err).with_context(|| format!("process {pid} has ended")),
        }
    }
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs(ticks) / u32::try_from(per_second).context("ticks a second")?)
}

/// Time that this machine's cores had nothing to do, since it was started, over all cores.
///
/// # Errors
///
/// `/proc` is not as Linux writes it.
pub fn idle() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let ticks = idle_ticks(&text).context("read /proc/stat")?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs(ticks) / u32::try_from(per_second).context("ticks a second")?)
}

/// `idle` and `iowait` of the line of all cores.
fn idle_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut fields = line.split_whitespace().skip(3);
    let idle: u64 = fields.next()?.parse().ok()?;
    let waiting: u64 = fields.next()?.parse().ok()?;
    Some(idle + waiting)
}

/// `utime`, `stime`, `cutime` and `cstime` of a `stat` file: fields 14 to 17.
fn ticks_in(stat: &str) -> Option<u64> {
    // The second field is the program's name in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().skip(11).take(4).collect();
    if fields.len() < 4 {
        return None;
    }
    fields.iter().map(|field| field.parse::<u64>().ok()).sum()
}

/// Memory of a tree, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident, with pages that processes share counted in each.
    pub rss: u64,
    /// Resident, with shared pages divided among those who share them.
    pub pss: u64,
}

/// The memory that the tree holds now.
///
/// # Errors
///
/// The root has ended.
pub fn memory(root: u32) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in tree(root) {
        match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
            Ok(text) => {
                sum.rss += kib_of(&text, "Rss:").unwrap_or(0) * 1024;
                sum.pss += kib_of(&text, "Pss:").unwrap_or(0) * 1024;
            }
            Err(_) if pid != root => {}
            Err(err) => return Err(err).with_context(|| format!("process {pid} has ended")),
        }
    }
    Ok(sum)
}

fn kib_of(rollup: &str, name: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{cpu, idle, idle_ticks, kib_of, memory, ticks_in, tree};

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = "42 (a) R 1 (x)) S 1 42 42 0 -1 4194304 100 200 0 0 11 22 33 44 20 0 1 0 99";
        assert_eq!(ticks_in(stat), Some(11 + 22 + 33 + 44));
    }

    #[test]
    fn what_is_cut_short_has_no_ticks() {
        for stat in [
            "",
            "42",
            "42 (a) S 1",
            "42 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13",
            "(a) x x x x x x x x x x x a b c d",
        ] {
            assert_eq!(ticks_in(stat), None, "{stat}");
        }
    }

    #[test]
    fn idle_time_is_that_of_all_cores() {
        let stat = "cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n";
        assert_eq!(idle_ticks(stat), Some(450));
        assert_eq!(idle_ticks("cpu0 1 2 3 4 5"), None);
        assert!(idle().is_ok());
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        let rollup = "5581-7ffd ---p 00000000 00:00 0 [rollup]\nRss:    2104 kB\nPss:     700 kB\n";
        assert_eq!(kib_of(rollup, "Rss:"), Some(2104));
        assert_eq!(kib_of(rollup, "Pss:"), Some(700));
        assert_eq!(kib_of(rollup, "Swap:"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.rss >= memory.pss && memory.pss > 0, "{memory:?}");
    }

    #[test]
    fn children_belong_to_the_tree_and_their_time_stays_when_they_end() {
        let us = std::process::id();
        // It computes and then waits for its end, so that it can be seen while it lives.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; read x",
            ])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        assert!(tree(us).contains(&child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        let after = cpu(us).unwrap();
        assert!(!tree(us).contains(&child.id()));
        assert!(after.as_millis() > 0, "{after:?}");
    }

    #[test]
    fn a_process_that_has_ended_is_an_error() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(cpu(pid).is_err());
        assert!(memory(pid).is_err());
    }
}
