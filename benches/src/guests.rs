//! The functions that are measured: where each is, or how it is made.
//!
//! Rust ones are committed built. Those in Go, JavaScript and Python are built when they are first
//! asked for, into `target/bench/guests`, with tools of pinned versions (`midge-toolchain`).
//!
//! **Invariant:** a file that was built is used only while its source and the versions of its tools
//! are those it was built from.

mod recipe;
mod wit;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::recipe::RECIPES;

/// Folders of guests that are committed built, in the repository.
const COMMITTED: [&str; 2] = ["guests/benches/prebuilt", "guests/examples/prebuilt"];

/// Where guests are, where they are made, and who is told what takes time.
pub struct Guests<'a> {
    /// The repository.
    pub root: &'a Path,
    /// What the bench keeps between runs: `target/bench`.
    pub folder: &'a Path,
    /// Told what takes time.
    pub say: &'a dyn Fn(&str),
}

impl Guests<'_> {
    /// The component of this name, made first if need be.
    ///
    /// # Errors
    ///
    /// No guest has this name, its tools cannot be installed, or they fail.
    pub fn get(&self, name: &str) -> Result<PathBuf> {
        if let Some(recipe) = RECIPES.iter().find(|recipe| recipe.name == name) {
            return self
                .made(recipe)
                .with_context(|| format!("make the guest {name}"));
        }
        let file = format!("{name}.wasm");
        let mut committed = COMMITTED
            .iter()
            .map(|folder| self.root.join(folder).join(&file));
        match committed.find(|path| path.exists()) {
            Some(path) => Ok(path),
            None => bail!("no guest is called {name}"),
        }
    }

    fn made(&self, recipe: &recipe::Recipe) -> Result<PathBuf> {
        let folder = self.folder.join("guests");
        fs::create_dir_all(&folder).context("make the folder of the guests")?;
        let file = folder.join(format!("{}.wasm", recipe.name));
        let stamp = folder.join(format!("{}.made-from", recipe.name));
        let made_from = self.made_from(recipe)?;
        if file.exists() && fs::read_to_string(&stamp).is_ok_and(|text| text == made_from) {
            return Ok(file);
        }
        let unfinished = folder.join(format!("{}.unfinished", recipe.name));
        recipe.build(self, &unfinished)?;
        fs::rename(&unfinished, &file).context("put the guest in its place")?;
        fs::write(&stamp, made_from).context("note what the guest was made from")?;
        Ok(file)
    }

    /// All that a guest depends on: its sources are short, so it is their text.
    fn made_from(&self, recipe: &recipe::Recipe) -> Result<String> {
        let mut text = recipe.tool.versions().join("\n");
        for source in recipe.sources() {
            let path = self.sources().join(&source);
            let content =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            text.push_str(&format!("\n--- {source}\n{content}"));
        }
        Ok(text)
    }

    fn sources(&self) -> PathBuf {
        self.root.join("benches/guests")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Guests;
    use super::recipe::RECIPES;

    fn repository() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn committed_guests_are_found_and_unknown_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        let guests = Guests {
            root: repository(),
            folder: folder.path(),
            say: &|_| {},
        };
        for name in [
            "hello-rust",
            "echo-rust",
            "json-rust",
            "compute-rust",
            "outbound-rust",
        ] {
            assert!(guests.get(name).unwrap().exists(), "{name}");
        }
        let err = guests.get("hello-cobol").unwrap_err();
        assert_eq!(err.to_string(), "no guest is called hello-cobol");
    }

    #[test]
    fn a_guest_is_not_made_again_until_its_source_changes() {
        let (root, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let recipe = &RECIPES[0];
        let sources = root.path().join("benches/guests");
        for source in recipe.sources() {
            let path = sources.join(source);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "first").unwrap();
        }
        let guests = Guests {
            root: root.path(),
            folder: folder.path(),
            say: &|_| {},
        };
        let kept = folder.path().join("guests");
        fs::create_dir_all(&kept).unwrap();
        let file = kept.join(format!("{}.wasm", recipe.name));
        fs::write(&file, "built").unwrap();
        let made_from = guests.made_from(recipe).unwrap();
        fs::write(kept.join(format!("{}.made-from", recipe.name)), &made_from).unwrap();
        assert_eq!(guests.get(recipe.name).unwrap(), file);

        fs::write(sources.join(&recipe.sources()[0]), "second").unwrap();
        assert_ne!(guests.made_from(recipe).unwrap(), made_from);
    }
}
