//! Where attacks run: a manifest with all of them and a harmless neighbour, and folders to attack.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use midge_testkit::fixture;
use tempfile::TempDir;

use super::attacks::{Attack, Given};
use crate::kit::Site;

/// The function that must not notice anything.
pub(super) const NEIGHBOUR: &str = "hello";

/// And the one that looks for what others left.
pub(super) const CANARY: &str = "canary";

/// Small, so that attacks come to their limits soon.
const LIMITS: &str = r#"memory = "32MiB", concurrency = 4, response-body = "16MiB""#;

/// The time of those that use up any time they get, and of all others, which should come to their
/// end on a busy machine too.
const TIME_SHORT: &str = r#"time = "1s", cpu = "600ms""#;
const TIME_LONG: &str = r#"time = "20s", cpu = "10s""#;

/// Everything that can be written into these grants.
const WORLD: &str = r#"
allow.http = ["*://*:*"]
allow.tcp = ["*:*"]
allow.udp = ["*:*"]
allow.dns = ["*"]
"#;

/// What nobody may change.
const SECRET: &str = "the secret";

/// The manifest, and the folders it grants.
pub(super) struct Ground {
    /// `midge run` takes this.
    pub(super) site: Site,
    folders: TempDir,
}

impl Ground {
    /// For these attacks.
    pub(super) fn of(attacks: &[Attack]) -> Self {
        let folders = tempfile::tempdir().unwrap();
        let mut manifest =
            table(NEIGHBOUR, "http02-tiny.wasm") + &table(CANARY, "http02-canary.wasm");
        for attack in attacks {
            let name = attack.function();
            manifest += &table(&name, &format!("{}.wasm", attack.fixture));
            let time = if attack.ends.takes_all_time() {
                TIME_SHORT
            } else {
                TIME_LONG
            };
            manifest += &format!("limits = {{ {LIMITS}, {time} }}\n");
            manifest += &match attack.given {
                Given::Nothing => String::new(),
                Given::Folders => grant(&prepare(folders.path(), &name), ""),
                Given::SmallFolders => {
                    grant(&prepare(folders.path(), &name), r#", quota = "1MiB""#)
                }
                Given::World => WORLD.to_owned(),
            };
        }
        Self {
            site: Site::written(&manifest),
            folders,
        }
    }

    /// Fails if anything changed that no attack may change.
    pub(super) fn assert_untouched(&self) {
        for folder in fs::read_dir(self.folders.path()).unwrap() {
            let folder = folder.unwrap().path();
            for victim in ["victim", "outside/victim", "ro/victim"] {
                let victim = folder.join(victim);
                assert_eq!(
                    fs::read_to_string(&victim).unwrap(),
                    SECRET,
                    "{}",
                    victim.display()
                );
            }
            for kept in ["outside", "ro"] {
                let entries = fs::read_dir(folder.join(kept)).unwrap().count();
                assert_eq!(entries, 1, "new files in {}", folder.join(kept).display());
            }
        }
    }
}

fn table(name: &str, guest: &str) -> String {
    let path = fixture(guest);
    format!("\n[function.{name}]\ncomponent = \"{}\"\n", path.display())
}

/// A folder to write to with one to read from and one that is forbidden beside it.
fn prepare(folders: &Path, name: &str) -> PathBuf {
    let folder = folders.join(name);
    for below in ["data", "ro", "outside"] {
        fs::create_dir_all(folder.join(below)).unwrap();
        fs::write(folder.join(below).join("victim"), SECRET).unwrap();
    }
    fs::write(folder.join("victim"), SECRET).unwrap();
    symlink(folder.join("outside/victim"), folder.join("data/planted")).unwrap();
    symlink(folder.join("outside"), folder.join("data/planted-folder")).unwrap();
    folder
}

fn grant(folder: &Path, bound: &str) -> String {
    let folder = folder.display();
    format!(
        "allow.dirs = [{{ host = \"{folder}/data\", guest = \"/data\", mode = \"rw\"{bound} }}, \
         {{ host = \"{folder}/ro\", guest = \"/ro\" }}]\n"
    )
}
