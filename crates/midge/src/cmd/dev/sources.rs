//! What a project is made of, and when that changed.
//!
//! The system says that something happened in a folder; what counts is whether a file is another
//! than it was. So what editors write and take back starts nothing, and neither do the folders that
//! tools fill. What else a build writes is found out: a file that is another after build upon build is
//! made by them, unless somebody was seen to edit it. Files that editors keep beside a source, logs,
//! cases of `midge test` and what this command itself is written to are none.
//!
//! **Invariant:** a change that happens while a build runs is seen after it, and no build starts
//! itself for ever. What cannot be watched is left out: serving goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::say;

/// Folders that tools fill.
const LEFT_OUT: &[&str] = &[
    ".git",
    ".midge",
    ".venv",
    "__pycache__",
    "build",
    "node_modules",
    "target",
];
/// What ends the names of files that editors put beside a source, and of logs.
const LEFT_OUT_ENDINGS: &[&str] = &["~", "#", ".swp", ".swx", ".log"];
/// A name that Vim tries a folder with.
const PROBE: &str = "4913";
/// The folder of `midge test`, whose cases no build reads.
const CASES: &str = "tests";
/// Files whose changes are seen; a project with more is watched as far as that.
const FILES_MAX: usize = 20_000;
/// Builds in a row that have to change a file before it is taken for theirs.
const OWN_AFTER: u32 = 5;
/// The same for a file that somebody edits, and may well save again and again while builds run.
const OWN_THOUGH_EDITED_AFTER: u32 = 50;
/// An editor saves in several steps: how long it has to be quiet.
const QUIET: Duration = Duration::from_millis(20);
/// ... and how long that is waited for: what writes on and on is never quiet.
const QUIET_MAX: Duration = Duration::from_millis(500);

/// The files of some folders, and what tells each from what it was.
#[derive(Debug, Default, PartialEq, Eq)]
struct Snapshot {
    files: BTreeMap<PathBuf, (Option<SystemTime>, u64)>,
    folders: BTreeSet<PathBuf>,
}

/// Watches files and folders.
#[derive(Debug)]
pub(super) struct Sources {
    /// What is watched: folders with all in them, or single files.
    roots: Vec<PathBuf>,
    seen: Snapshot,
    /// What was another after the last build, and after how many in a row.
    rewritten: BTreeMap<PathBuf, u32>,
    /// What was another while no build ran: somebody's doing.
    edited: BTreeSet<PathBuf>,
    /// What changed under a build that ended, and not by it.
    behind: BTreeSet<PathBuf>,
    /// What this command writes to.
    own: Vec<FileId>,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    /// Whether somebody knows that not all is watched.
    is_told: bool,
    happened: mpsc::Receiver<()>,
}

impl Sources {
    /// Watches these from now on.
    ///
    /// # Errors
    ///
    /// The system does not tell of changes.
    pub(super) fn watch(roots: Vec<PathBuf>) -> notify::Result<Self> {
        let (tell, happened) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |_| {
            // One that is waiting already stands for all.
            tell.try_send(()).ok();
        })?;
        let own = own_files();
        let mut sources = Self {
            seen: Snapshot::of(&roots, &own),
            own,
            roots,
            rewritten: BTreeMap::new(),
            edited: BTreeSet::new(),
            behind: BTreeSet::new(),
            watcher,
            watched: BTreeSet::new(),
            is_told: false,
            happened,
        };
        sources.follow();
        Ok(sources)
    }

    /// The files that are others than they were when this resolved last, once there are any.
    ///
    /// # Errors
    ///
    /// The system does not tell of changes any more.
    pub(super) async fn changed(&mut self) -> notify::Result<BTreeSet<PathBuf>> {
        loop {
            let (mut changed, is_another) = self.look();
            self.edited.extend(changed.iter().cloned());
            self.edited
                .retain(|file| self.seen.files.contains_key(file));
            changed.append(&mut self.behind);
            if !changed.is_empty() {
                return Ok(changed);
            }
            if is_another {
                // New folders are watched from now on; what came into them before is seen now.
                continue;
            }
            if self.happened.recv().await.is_none() {
                return Err(notify::Error::generic("nobody tells of changes any more"));
            }
            let quiet = async {
                let happened = &mut self.happened;
                while let Ok(Some(())) = timeout(QUIET, happened.recv()).await {}
            };
            drop(timeout(QUIET_MAX, quiet).await);
        }
    }

    /// Takes note of what changed while a build ran that has just ended: what it wrote itself is to
    /// start no other.
    pub(super) fn built(&mut self) {
        let (mut changed, _) = self.look();
        self.leave_out_rewritten(&mut changed);
        self.behind.append(&mut changed);
    }

    /// The files that are others than they were at the last look, and whether anything is, or is
    /// watched that was not.
    fn look(&mut self) -> (BTreeSet<PathBuf>, bool) {
        let now = Snapshot::of(&self.roots, &self.own);
        let changed = now.files_changed_since(&self.seen);
        let is_another = now != self.seen;
        if is_another {
            self.seen = now;
        }
        let is_more_watched = self.follow();
        (changed, is_another || is_more_watched)
    }

    /// Takes what builds write out of what changed while one ran.
    fn leave_out_rewritten(&mut self, changed: &mut BTreeSet<PathBuf>) {
        self.rewritten.retain(|file, _| changed.contains(file));
        changed.retain(|file| {
            if !self.seen.files.contains_key(file) {
                return true;
            }
            let own_after = match self.edited.contains(file) {
                true => OWN_THOUGH_EDITED_AFTER,
                false => OWN_AFTER,
            };
            let builds = self.rewritten.entry(file.clone()).or_default();
            *builds += 1;
            if *builds == own_after {
                let file = file.display();
                say::line(&format!(
                    "{file} is written by every build; that starts no other"
                ));
            }
            *builds < own_after
        });
    }

    /// Has the system tell of all folders that there are now, as far as it does. Says whether there
    /// are more than before.
    fn follow(&mut self) -> bool {
        for folder in self.watched.difference(&self.seen.folders) {
            // One that is gone is watched no more by itself.
            drop(self.watcher.unwatch(folder));
        }
        self.watched
            .retain(|folder| self.seen.folders.contains(folder));
        let mut is_more = false;
        for folder in &self.seen.folders {
            if self.watched.contains(folder) {
                continue;
            }
            let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) else {
                self.watched.insert(folder.clone());
                is_more = true;
                continue;
            };
            // Gone since it was seen: whoever took it away did that in a folder that is watched.
            if is_gone(&error) {
                continue;
            }
            if !self.is_told {
                self.is_told = true;
                say::warning(&not_watched(folder, &error));
            }
            if is_full(&error) {
                break;
            }
        }
        is_more
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => true,
        ErrorKind::Io(error) => matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
        ErrorKind::Generic(_) | ErrorKind::InvalidConfig(_) | ErrorKind::MaxFilesWatch => false,
    }
}

/// Whether the system watches no more than it does, whatever else it is asked to.
fn is_full(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::StorageFull,
        _ => false,
    }
}

fn not_watched(folder: &Path, error: &notify::Error) -> String {
    let folder = folder.display();
    match is_full(error) {
        true => format!(
            "changes in {folder} and others are not seen, there are too many folders: raise \
             fs.inotify.max_user_watches (sysctl), or keep what is none of the sources elsewhere"
        ),
        false => format!("changes in {folder} are not seen: {error}"),
    }
}

impl Snapshot {
    fn of(roots: &[PathBuf], own: &[FileId]) -> Self {
        let mut snapshot = Self::default();
        for root in roots {
            if root.is_dir() {
                snapshot.add_folder(root, own);
            } else {
                snapshot.add_file(root, own);
                // A file that is written anew is another one: its folder tells.
                let folder = root.parent().filter(|folder| *folder != Path::new(""));
                let folder = folder.unwrap_or(Path::new(".")).to_owned();
                snapshot.folders.insert(folder);
            }
        }
        snapshot
    }

    /// Files that are new, gone, or others than they were.
    fn files_changed_since(&self, before: &Self) -> BTreeSet<PathBuf> {
        let is_same = |(file, what): &(&PathBuf, &_)| before.files.get(*file) == Some(*what);
        let others = self.files.iter().filter(|entry| !is_same(entry));
        let gone = before
            .files
            .keys()
            .filter(|file| !self.files.contains_key(*file));
        others.map(|(file, _)| file).chain(gone).cloned().collect()
    }

    fn add_folder(&mut self, folder: &Path, own: &[FileId]) {
        self.folders.insert(folder.to_owned());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() && !is_left_out(&path) {
                self.add_folder(&path, own);
            } else if kind.is_file() && !is_no_source(&path) {
                self.add_file(&path, own);
            }
        }
    }

    fn add_file(&mut self, file: &Path, own: &[FileId]) {
        if self.files.len() < FILES_MAX
            && let Ok(known) = fs::metadata(file)
            && !own.contains(&id_of(&known))
        {
            let what = (known.modified().ok(), known.len());
            self.files.insert(file.to_owned(), what);
        }
    }
}

fn is_left_out(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    let is_tools = LEFT_OUT.iter().any(|left_out| name == *left_out);
    // `midge build` fills it.
    is_tools || folder.ends_with("wit/deps")
}

/// Whether a file is none that a build reads.
fn is_no_source(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_case = || {
        let folder = file.parent().and_then(Path::file_name);
        folder.is_some_and(|folder| folder == CASES) && name.ends_with(".toml")
    };
    // `.#name` is a lock of Emacs'.
    name == PROBE
        || name.starts_with(".#")
        || LEFT_OUT_ENDINGS.iter().any(|end| name.ends_with(end))
        || is_case()
}

/// A file under whichever name: its device and its number there.
type FileId = (u64, u64);

fn id_of(file: &fs::Metadata) -> FileId {
    (file.dev(), file.ino())
}

/// The files that what this command says goes to: it would build for ever to say that it built.
fn own_files() -> Vec<FileId> {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let streams = [stdout.as_fd(), stderr.as_fd()];
    let files = streams.into_iter().filter_map(|stream| {
        let file = fs::File::from(stream.try_clone_to_owned().ok()?);
        let known = file.metadata().ok()?;
        known.is_file().then(|| id_of(&known))
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const NEVER: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn another_file_is_a_change_and_what_tools_write_is_none() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        fs::create_dir_all(root.join("src")).unwrap();
        fs::create_dir_all(root.join("target")).unwrap();
        fs::write(root.join("src/main.rs"), "1").unwrap();
        let mut sources = Sources::watch(vec![root.to_owned()]).unwrap();
        fs::write(root.join("target/out"), "1").unwrap();
        assert!(timeout(NEVER, sources.changed()).await.is_err());
        fs::write(root.join("src/main.rs"), "22").unwrap();
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
        // Folders that came later are watched, too.
        fs::create_dir(root.join("src/more")).unwrap();
        fs::write(root.join("src/more/a.rs"), "1").unwrap();
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
        fs::write(root.join("src/more/a.rs"), "333").unwrap();
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
        fs::remove_file(root.join("src/more/a.rs")).unwrap();
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_no_build_reads_is_no_change() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        fs::create_dir(root.join("tests")).unwrap();
        let mut sources = Sources::watch(vec![root.to_owned()]).unwrap();
        let said = fs::File::create(root.join("said.txt")).unwrap();
        sources.own.push(id_of(&said.metadata().unwrap()));
        for name in [
            "main.go~",
            ".main.go.swp",
            "#main.go#",
            ".#main.go",
            "4913",
            "a.log",
            "tests/http.toml",
            "said.txt",
        ] {
            fs::write(root.join(name), "1").unwrap();
        }
        assert!(timeout(NEVER, sources.changed()).await.is_err());
        let source = root.join("tests/a.rs");
        fs::write(&source, "1").unwrap();
        let changed = timeout(SOON, sources.changed()).await.unwrap();
        assert_eq!(changed.unwrap(), BTreeSet::from([source]));
    }

    #[tokio::test]
    async fn what_each_build_writes_starts_no_other_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let (source, made) = (home.path().join("a.js"), home.path().join("dist.wasm"));
        fs::write(&source, "").unwrap();
        let mut sources = Sources::watch(vec![home.path().to_owned()]).unwrap();
        let mut text = String::new();
        let mut write = |file: &Path| {
            text.push('.');
            fs::write(file, &text).unwrap();
        };
        for _ in 1..OWN_AFTER {
            write(&made);
            sources.built();
            timeout(SOON, sources.changed()).await.unwrap().unwrap();
        }
        write(&made);
        sources.built();
        assert!(timeout(NEVER, sources.changed()).await.is_err());
        // What somebody changes meanwhile, and what somebody changes later, is seen.
        write(&made);
        write(&source);
        sources.built();
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
        write(&made);
        sources.built();
        assert!(timeout(NEVER, sources.changed()).await.is_err());
        write(&made);
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
    }

    /// Who saves as soon as the new code answers, or while it is still being built.
    #[tokio::test]
    async fn somebody_who_saves_behind_each_build_is_seen_each_time() {
        let home = tempfile::tempdir().unwrap();
        let source = home.path().join("a.js");
        fs::write(&source, "").unwrap();
        let mut sources = Sources::watch(vec![home.path().to_owned()]).unwrap();
        let mut text = String::new();
        let mut save = || {
            text.push('.');
            fs::write(&source, &text).unwrap();
        };
        for _ in 0..2 * OWN_AFTER {
            sources.built();
            save();
            timeout(SOON, sources.changed()).await.unwrap().unwrap();
        }
        for _ in 1..OWN_THOUGH_EDITED_AFTER {
            save();
            sources.built();
            timeout(SOON, sources.changed()).await.unwrap().unwrap();
        }
        save();
        sources.built();
        assert!(timeout(NEVER, sources.changed()).await.is_err());
    }

    #[tokio::test]
    async fn what_cannot_be_watched_is_left_out() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        fs::create_dir(root.join("src")).unwrap();
        let mut sources = Sources::watch(vec![root.to_owned()]).unwrap();
        // As if it had gone between being seen and being watched.
        let gone = root.join("gone");
        sources.seen.folders.insert(gone.clone());
        assert!(!sources.follow());
        assert!(!sources.watched.contains(&gone) && !sources.is_told);
        // It is back, and nothing else is another: it is watched from now on.
        fs::create_dir(&gone).unwrap();
        assert!(timeout(NEVER, sources.changed()).await.is_err());
        assert!(sources.watched.contains(&gone));
        fs::write(gone.join("a.rs"), "1").unwrap();
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
        // Neither does a root that was never there end it.
        let nowhere = root.join("no/where.wasm");
        let mut sources = Sources::watch(vec![nowhere.clone(), root.join("src")]).unwrap();
        fs::write(root.join("src/a.rs"), "1").unwrap();
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
    }

    #[test]
    fn too_many_folders_are_told_with_what_helps() {
        let full = notify::Error::new(ErrorKind::MaxFilesWatch);
        assert!(is_full(&full) && !is_gone(&full));
        let told = not_watched(Path::new("a"), &full);
        assert!(told.contains("fs.inotify.max_user_watches"), "{told}");
        let denied = notify::Error::io(io::ErrorKind::PermissionDenied.into());
        assert!(!is_full(&denied) && !is_gone(&denied));
        assert!(not_watched(Path::new("a"), &denied).contains("a are not seen: "));
    }

    #[tokio::test]
    async fn a_file_that_is_never_quiet_holds_nobody_up() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("noise.txt");
        fs::write(&log, "").unwrap();
        let mut sources = Sources::watch(vec![home.path().to_owned()]).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let noise = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let mut text = String::new();
                while !is_over.load(Ordering::Relaxed) {
                    text.push('.');
                    fs::write(&log, &text).unwrap();
                    std::thread::yield_now();
                }
            }
        });
        let changed = timeout(SOON, sources.changed()).await;
        is_over.store(true, Ordering::Relaxed);
        noise.join().unwrap();
        changed.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_single_file_may_be_written_anew() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a.wasm");
        fs::write(&file, "1").unwrap();
        let mut sources = Sources::watch(vec![file.clone()]).unwrap();
        fs::write(home.path().join("other"), "1").unwrap();
        assert!(timeout(NEVER, sources.changed()).await.is_err());
        fs::write(home.path().join("new"), "22").unwrap();
        fs::rename(home.path().join("new"), &file).unwrap();
        timeout(SOON, sources.changed()).await.unwrap().unwrap();
    }
}
