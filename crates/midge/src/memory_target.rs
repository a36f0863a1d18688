//! How much code of functions may be loaded at a time.
//!
//! Decides what each worker gets of the node's target, the target where nobody typed one, and how
//! many revisions the kernel lets a worker have. What goes when there is more is the runtime's.
//!
//! **Invariant:** what cannot be read never keeps a node from starting.

use std::fs;
use std::path::Path;

use midge_runtime::LoadedBounds;

use crate::machine;

/// Loaded code may hold this part of the memory there is, unless somebody says otherwise: the rest
/// is for what runs, for the page cache, and for whatever else the machine does.
const PART_OF_MEMORY: u64 = 4;

/// Mappings that a process may have where the kernel does not say.
const MAPPINGS_MAX: u32 = 65_530;

/// A loaded revision has three: read-only, executable, read-only.
const MAPPINGS_OF_REVISION: u32 = 4;

/// The part of a worker's mappings, and of its descriptors, that loaded revisions may take. The
/// pool's slots take mappings too, as many as run; connections and guests take descriptors.
const PART_OF_KERNELS: u32 = 4;

/// The target where nobody typed one, in bytes: a part of the machine's memory, or of what its
/// control group may have.
pub(crate) fn of_this_machine() -> u64 {
    let limit = control_group_limit(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
    machine::memory_bytes().min(limit.unwrap_or(u64::MAX)) / PART_OF_MEMORY
}

/// What one of so many workers may have loaded, on a node with this target.
pub(crate) fn of_worker(target_bytes: u64, workers: usize) -> LoadedBounds {
    let mappings = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let mappings = mappings.and_then(|text| text.trim().parse().ok());
    let by_mappings = mappings.unwrap_or(MAPPINGS_MAX) / PART_OF_KERNELS / MAPPINGS_OF_REVISION;
    // Its file stays open: memories are made from it.
    let by_descriptors = machine::descriptors_max() / PART_OF_KERNELS;
    LoadedBounds {
        bytes_max: target_bytes / u64::try_from(workers.max(1)).unwrap_or(1),
        revisions_max: by_mappings.min(by_descriptors).max(1),
    }
}

/// The least that the control groups of this process may have of memory, if any of them is bounded.
fn control_group_limit(groups: &Path, root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(groups).ok()?;
    let limits = groups.lines().flat_map(|line| {
        // `0::/a/b` is version 2, `5:memory:/a/b` version 1.
        let mut parts = line.splitn(3, ':').skip(1);
        let (kinds, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let (root, file) = match kinds.split(',').any(|kind| kind == "memory") {
            true => (root.join("memory"), "memory.limit_in_bytes"),
            false => (root.to_owned(), "memory.max"),
        };
        // Whatever is above bounds what is below, and in a container the path may be the host's.
        let path = Path::new(path.trim_start_matches('/')).to_owned();
        let above: Vec<_> = path
            .ancestors()
            .map(|path| root.join(path).join(file))
            .collect();
        above.into_iter().filter_map(|file| {
            let text = fs::read_to_string(file).ok()?;
            text.trim().parse::<u64>().ok()
        })
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit of a process in this group, where these files say so much.
    fn limit(group: &str, files: &[(&str, &str)]) -> Option<u64> {
        let dir = tempfile::tempdir().unwrap();
        let groups = dir.path().join("groups");
        fs::write(&groups, group).unwrap();
        for (path, text) in files {
            let path = dir.path().join("root").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        control_group_limit(&groups, &dir.path().join("root"))
    }

    #[test]
    fn the_smallest_limit_of_the_groups_above_counts() {
        let two = [
            ("a/memory.max", "1073741824\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/c/memory.max", "2147483648\n"),
        ];
        assert_eq!(limit("0::/a/b/c\n", &two), Some(1 << 30));
        assert_eq!(limit("0::/elsewhere\n", &two), None);
        let in_container = [("memory.max", "536870912\n")];
        assert_eq!(limit("0::/\n", &in_container), Some(512 << 20));
        assert_eq!(
            limit("0::/system.slice/x\n", &in_container),
            Some(512 << 20)
        );
    }

    #[test]
    fn groups_of_version_1_are_read_too() {
        let files = [("memory/a/memory.limit_in_bytes", "268435456\n")];
        let groups = "7:cpu,cpuacct:/a\n5:memory:/a\n0::/\n";
        assert_eq!(limit(groups, &files), Some(256 << 20));
    }

    #[test]
    fn nonsense_is_no_limit() {
        for group in ["", "::", "0", "0::/../..\n", "x:y:z:w"] {
            assert_eq!(limit(group, &[("memory.max", "-1")]), None, "{group:?}");
        }
        assert_eq!(
            control_group_limit(Path::new("/none"), Path::new("/none")),
            None
        );
    }

    #[test]
    fn workers_share_the_target() {
        assert_eq!(of_worker(1_000, 4).bytes_max, 250);
        assert!(of_worker(0, 4).revisions_max >= 1);
        assert!(of_this_machine() > 0);
    }
}
