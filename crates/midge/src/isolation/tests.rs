//! That the canaries find nothing where nothing is, and everything where something is.

use midge_sandbox::Engine;
use tokio::task::LocalSet;

use super::*;

fn pooled() -> SandboxConfig {
    SandboxConfig {
        allocation: Allocation::Pooling,
        instances_max: 16,
    }
}

fn cache(config: &SandboxConfig) -> ArtifactCache {
    let engine = Engine::new(config).unwrap();
    ArtifactCache::open(&midge_testkit::native_code_cache(), &engine).unwrap()
}

/// What a single canary with this text finds, by itself in a yard.
async fn found_by(text: String) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let config = pooled();
    let yard = Yard::open((config, 1), &cache(&config), folder.path(), &[text]).unwrap();
    let mut findings = Findings::default();
    yard.run(1, &mut findings).await.unwrap();
    findings.note_leftovers(folder.path()).await.unwrap();
    findings.stale.into_keys().collect()
}

#[tokio::test]
async fn nothing_is_found_of_other_instances() {
    let on_demand = SandboxConfig {
        allocation: Allocation::OnDemand,
        instances_max: 16,
    };
    for config in [pooled(), on_demand] {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&config);
        let proof = prove(100, (&cache, config), folder.path());
        let report = LocalSet::new().run_until(proof).await.unwrap();
        assert_eq!(report.stale, BTreeMap::new(), "{report:?}");
        assert_eq!(report.cycles, 100);
        assert_eq!(report.reused.is_some(), config == pooled());
        // Two pools with at most three components in eight places each.
        assert!(report.reused.is_none_or(|reused| reused > 50), "{report:?}");
        assert!(report.trapped > 20, "{report:?}");
    }
}

/// The pages between those of one canary hold what its file brings along, and nothing else, after
/// they were made to stay.
#[tokio::test]
async fn nothing_is_found_in_pages_that_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = pooled();
    let cache = cache(&config);
    let proof = prove(1000, (&cache, config), folder.path());
    let report = LocalSet::new().run_until(proof).await.unwrap();
    assert_eq!(report.stale, BTreeMap::new(), "{report:?}");
    if report.mechanism == ResetMechanism::WrittenPages {
        assert!(report.scans.merged > 0, "{report:?}");
    }
}

/// An instance that looks at what it has left itself stands for one that was never reset.
#[tokio::test]
async fn whatever_is_left_behind_is_found() {
    let text = canaries().remove(0);
    // Its own words must stay readable.
    let words = "(memory.fill (i32.const 0) (i32.const 0xa5) (i32.const 4096))";
    assert!(text.contains(words));
    let text = text.replace(words, "").replace(
        "(local $stale i32)\n    (if (call $memory",
        "(local $stale i32)\n    (call $leave_files) (call $leave_table) (call $leave_globals) \
         (call $leave_memory)\n    (if (call $memory",
    );
    let found = LocalSet::new().run_until(found_by(text)).await;
    let places = ["descriptors", "files", "globals", "memory", "table"];
    assert_eq!(found[..5], places, "{found:?}");
    // What the file brings along was dropped, and to use it again is a trap.
    assert!(found[5].contains("out of bounds"), "{found:?}");
}

#[tokio::test]
async fn data_that_is_not_as_the_file_brings_it_is_found() {
    let text = canaries().remove(0);
    let changed = text.replace("\"initial!\"", "\"Initial!\"");
    assert_ne!(text, changed);
    let found = LocalSet::new().run_until(found_by(changed)).await;
    assert_eq!(found, ["data"]);
    let changed = text.replace("\"once\"", "\"Once\"");
    assert_ne!(text, changed);
    let found = LocalSet::new().run_until(found_by(changed)).await;
    assert_eq!(found, ["segments"]);
}
