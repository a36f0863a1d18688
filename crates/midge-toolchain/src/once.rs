//! A tool is installed once, however many test processes want it at the same time.
//!
//! Each tool has a folder, a lock beside it and a note in it of what was installed. What must
//! outlive a tool (caches) lies elsewhere.
//!
//! **Invariant:** the note is written last: a folder with another note or none is removed before
//! anything is installed into it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Toolchains;

/// The note within a tool's folder.
const NOTE: &str = "installed";

impl Toolchains<'_> {
    /// The folder of the tool `name`, which `install` fills unless it did so for `what` before.
    pub(crate) fn once(
        &self,
        name: &str,
        what: &str,
        install: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        let note = folder.join(NOTE);
        let installed = || fs::read_to_string(&note).is_ok_and(|text| text == what);
        if installed() {
            return Ok(folder);
        }
        fs::create_dir_all(&self.folder).context("make the folder of the tools")?;
        // Released when it is closed, and so also when this process is killed.
        // Not `.lock`: scripts of packages lock the folder that they are installed into by that name.
        let lock = File::create(self.folder.join(format!("{name}.installing")))
            .and_then(|lock| lock.lock().map(|()| lock))
            .context("lock the folder of a tool")?;
        if !installed() {
            let name = what.lines().next().unwrap_or(name);
            (self.say)(&format!("installing {name}"));
            remove(&folder)?;
            fs::create_dir_all(&folder).context("make the folder of a tool")?;
            let done = install(&folder).with_context(|| format!("install {name}"));
            if let Err(err) = done {
                // Half of it would only take room; without its note nobody would use it.
                remove(&folder)?;
                return Err(err);
            }
            fs::write(&note, what).context("note what was installed")?;
        }
        drop(lock);
        Ok(folder)
    }
}

/// Removes a folder or file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let done = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    done.with_context(|| format!("remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use anyhow::bail;

    use crate::Toolchains;

    #[test]
    fn many_ask_and_one_installs() {
        let target = tempfile::tempdir().unwrap();
        let installs = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let tools = Toolchains::in_target(target.path(), &|_| {});
                    let folder = tools.once("a", "a 1", |folder| {
                        installs.fetch_add(1, Ordering::SeqCst);
                        Ok(fs::write(folder.join("program"), "1")?)
                    });
                    assert_eq!(fs::read(folder.unwrap().join("program")).unwrap(), b"1");
                });
            }
        });
        assert_eq!(installs.into_inner(), 1);
    }

    #[test]
    fn another_version_starts_from_nothing() {
        let target = tempfile::tempdir().unwrap();
        let tools = Toolchains::in_target(target.path(), &|_| {});
        let fill = |file: &'static str| {
            move |folder: &std::path::Path| Ok(fs::write(folder.join(file), "")?)
        };
        let folder = tools.once("a", "a 1", fill("old")).unwrap();
        tools.once("a", "a 2", fill("new")).unwrap();
        assert!(folder.join("new").exists() && !folder.join("old").exists());
    }

    #[test]
    fn what_fails_is_tried_again_and_leaves_nothing() {
        let target = tempfile::tempdir().unwrap();
        let tools = Toolchains::in_target(target.path(), &|_| {});
        let err = tools.once("a", "a 1", |folder| {
            fs::write(folder.join("half"), "")?;
            bail!("no such package")
        });
        assert_eq!(
            format!("{:#}", err.unwrap_err()),
            "install a 1: no such package"
        );
        let folder = tools.once("a", "a 1", |_| Ok(())).unwrap();
        assert!(!folder.join("half").exists());
    }
}
