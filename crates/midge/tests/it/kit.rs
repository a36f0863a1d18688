//! Short words for what most tests begin with: a server for one fixture, a server for
//! a manifest, a run from start to end.

use std::fs;
use std::path::Path;

use midge_testkit::{Midge, MidgeBuilder, Run, fixture, native_code_cache};
use tempfile::TempDir;

/// The binary that all of this is about.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_midge");

/// `midge run FIXTURE`, to add flags to.
pub(crate) fn server(name: &str) -> MidgeBuilder {
    MidgeBuilder::run(BINARY, &fixture(name))
}

/// A running `midge run FIXTURE`.
pub(crate) fn serve(name: &str) -> Midge {
    server(name).start()
}

/// A folder with a manifest.
pub(crate) struct Site(TempDir);

impl Site {
    /// With functions of this name, this fixture, and these more lines of manifest.
    pub(crate) fn of(functions: &[(&str, &str, &str)]) -> Self {
        let tables = functions.iter().map(|(name, guest, lines)| {
            let path = fixture(guest);
            let path = path.display();
            format!("[function.{name}]\ncomponent = \"{path}\"\n{lines}\n\n")
        });
        Self::written(&tables.collect::<String>())
    }

    /// With this manifest.
    pub(crate) fn written(manifest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("midge.toml"), manifest).unwrap();
        Self(folder)
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// `midge run FOLDER`, to add flags to.
    pub(crate) fn server(&self) -> MidgeBuilder {
        MidgeBuilder::run(BINARY, self.path())
    }
}

/// A run of midge from start to end in the folder of the prebuilt fixtures, so that names in
/// snapshots are short.
pub(crate) fn midge(args: &[&str]) -> String {
    let fixtures = fixture("not-wasm.txt");
    midge_in(fixtures.parent().unwrap(), args)
}

/// The same in another folder, whose name the text does not show.
pub(crate) fn midge_in(folder: &Path, args: &[&str]) -> String {
    let text = Run::of(BINARY, args.iter().copied())
        .folder(folder)
        // Where a cache may be opened that nothing is ever written to.
        .env("XDG_CACHE_HOME", native_code_cache().join("xdg"))
        .to_end();
    text.replace(&*folder.to_string_lossy(), "FOLDER")
}

/// A small generator with a seed, for bytes that no compression or repetition can fake.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}
