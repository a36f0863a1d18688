//! Packages of Debian, unpacked into a folder instead of installed.
//!
//! apt keeps its lists and its cache in our folder, so that it needs no root, waits for no other
//! apt and leaves nothing behind.
//!
//! **Invariant:** nothing is installed: no script of a package is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{answer, run};

/// Debian's packages, as they are now.
pub(crate) struct Debian {
    folder: PathBuf,
}

impl Debian {
    /// Fetches the lists of packages.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        for needed in ["lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(folder.join(needed)).context("make the folders of apt")?;
        }
        let debian = Self { folder };
        run(debian.apt("apt-get").args(["update", "--quiet=2"])).context("fetch Debian's lists")?;
        Ok(debian)
    }

    /// The package with this prefix that `package` depends on.
    pub(crate) fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let said = answer(self.apt("apt-cache").args(["depends", package]))?;
        let mut names = said
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        let found = names.find(|name| name.starts_with(prefix));
        found
            .map(str::to_owned)
            .with_context(|| format!("Debian's {package} depends on no {prefix}.."))
    }

    /// The libraries that `package` needs at all, the C and C++ ones left out: every Debian has
    /// those.
    pub(crate) fn libraries_of(&self, package: &str) -> Result<Vec<String>> {
        const EVERYWHERE: [&str; 4] = ["libc6", "libgcc-s1", "libstdc++6", "libcrypt1"];
        let mut apt = self.apt("apt-cache");
        apt.args(["depends", "--recurse", "--important", package]);
        let said = answer(&mut apt)?;
        let names = said.lines().filter(|line| line.starts_with("lib"));
        Ok(names
            .filter(|name| !EVERYWHERE.contains(name))
            .map(str::to_owned)
            .collect())
    }

    /// Downloads packages and unpacks them; of their files, only those that match the pattern.
    pub(crate) fn unpack(&self, packages: &[&str], into: &Path, pattern: &str) -> Result<()> {
        let folder = self.folder.join("packages");
        let mut apt = self.apt("apt-get");
        apt.args(["download", "--quiet=2"]).args(packages);
        run(apt.current_dir(&folder)).context("download Debian's packages")?;
        fs::create_dir_all(into).context("make the folder to unpack into")?;
        for entry in fs::read_dir(&folder).context("list what was downloaded")? {
            let package = entry?.path();
            let script = r#"set -e
                dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards --no-anchored "$3""#;
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(&package).arg(into);
            run(shell.arg(pattern)).with_context(|| format!("unpack {}", package.display()))?;
            fs::remove_file(&package).context("remove what was unpacked")?;
        }
        Ok(())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let option = |name: &str, value: &str| ["-o".to_owned(), format!("{name}={value}")];
        let folder = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        command
            .args(option("Dir::State::Lists", &folder("lists")))
            .args(option("Dir::Cache", &folder("cache")))
            // As itself: its own user could not read a folder in somebody's home.
            .args(option("APT::Sandbox::User", "root"))
            .args(option("Acquire::Retries", "3"));
        command
    }
}
