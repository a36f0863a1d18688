//! Projects to begin with, one folder per template; those of `templates/` are in the binary.
//!
//! In texts and file names `{{name}}` becomes the function's name and `{{name_snake}}` the same as
//! an identifier. A file `gitignore` is written as `.gitignore`.
//!
//! **Invariant:** nothing that is there is written over: a folder with something in it is refused,
//! unless it is what a new repository has and no file of the project is among it. Of templates of
//! one's own no link is followed, and none is read but the one that is written.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use midge_model::FunctionName;

/// The templates that the binary brings along.
static OWN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../templates");

/// The longest file of a template of one's own in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The most files of a template of one's own.
const FILES_MAX: usize = 1_000;
/// What they have together in bytes: they are in memory before the first is written.
const FILES_BYTES_MAX: u64 = 64 << 20;
/// How much of a README is looked at for its first sentence.
const README_BYTES_MAX: u64 = 16 << 10;
/// Folders that belong to whoever tried a template out.
const LEFT_OUT: &[&str] = &[".git", "node_modules", "target", "build", ".venv"];

/// A project to begin with.
#[derive(Debug, Clone)]
pub struct Template {
    /// What it is called: its folder.
    pub name: String,
    /// The first sentence of its README.
    pub about: String,
    place: Place,
}

/// Where a template's files are.
#[derive(Debug, Clone)]
enum Place {
    Binary(Dir<'static>),
    Folder(PathBuf),
}

/// Files below a template's folder, with their bytes.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The files, below the project's folder, in order.
    pub files: Vec<PathBuf>,
}

/// Why there is no new project.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Something is in the way.
    #[error("`{}` is there and not empty", .folder.display())]
    NotEmpty {
        /// The folder of the new project.
        folder: PathBuf,
    },
    /// A file of the project is there.
    #[error("`{}` is there already", .file.display())]
    InTheWay {
        /// Which one.
        file: PathBuf,
    },
    /// A template of one's own that is too much.
    #[error("template `{}` has more than {FILES_MAX} files, one of more than {FILE_BYTES_MAX} bytes, or {FILES_BYTES_MAX} bytes together", .folder.display())]
    TooMuch {
        /// Its folder.
        folder: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{what} `{}`", .file.display())]
    Files {
        /// What was tried.
        what: &'static str,
        /// With which file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Template {
    /// Writes it as the project of the function `name` into `folder`, which need not be there.
    ///
    /// # Errors
    ///
    /// There is something in the folder, the template is too much, or a file could not be read or
    /// written.
    pub fn write(&self, name: &FunctionName, folder: &Path) -> Result<Written, TemplateError> {
        let from = self.files()?;
        let named = from.iter().map(|(path, bytes)| {
            let path = PathBuf::from(filled(&path.display().to_string(), name));
            let path = match path.file_name() {
                Some(file) if file == "gitignore" => path.with_file_name(".gitignore"),
                _ => path,
            };
            (path, bytes)
        });
        let named: Vec<_> = named.collect();
        check_room(folder, named.iter().map(|(path, _)| path))?;
        let mut files = Vec::with_capacity(named.len());
        for (path, bytes) in named {
            let file = folder.join(&path);
            let parent = file.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(failed("make", parent))?;
            let text = str::from_utf8(bytes).map(|text| filled(text, name).into_bytes());
            let bytes = text.unwrap_or_else(|_| bytes.clone());
            fs::write(&file, bytes).map_err(failed("write", &file))?;
            files.push(path);
        }
        files.sort();
        Ok(Written { files })
    }

    fn files(&self) -> Result<Files, TemplateError> {
        match &self.place {
            Place::Binary(folder) => {
                let mut files = Vec::new();
                gather(folder, folder.path(), &mut files);
                Ok(files)
            }
            Place::Folder(folder) => {
                let mut gathering = Gathering {
                    root: folder,
                    files: Vec::new(),
                    bytes_left: FILES_BYTES_MAX,
                };
                gathering.add(folder)?;
                Ok(gathering.files)
            }
        }
    }
}

/// Refuses a folder with more in it than a new repository has, and one with a file of the project.
fn check_room<'a>(
    folder: &Path,
    mut files: impl Iterator<Item = &'a PathBuf>,
) -> Result<(), TemplateError> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_usual = [".git", ".gitignore"].contains(&&*name)
            || ["README", "LICENSE"]
                .iter()
                .any(|usual| name.starts_with(usual));
        if !is_usual {
            let folder = folder.to_owned();
            return Err(TemplateError::NotEmpty { folder });
        }
    }
    // A link that leads nowhere is there, too: writing would follow it.
    match files.find(|file| folder.join(file).symlink_metadata().is_ok()) {
        Some(file) => Err(TemplateError::InTheWay {
            file: folder.join(file),
        }),
        None => Ok(()),
    }
}

/// The templates that the binary brings along, in order of their names.
pub fn templates() -> Vec<Template> {
    let mut found: Vec<_> = OWN
        .dirs()
        .map(|folder| {
            let readme = folder.get_file(folder.path().join("README.md"));
            let readme = readme.and_then(|file| file.contents_utf8());
            Template {
                name: folder.path().display().to_string(),
                about: first_sentence(readme.unwrap_or_default()),
                place: Place::Binary(folder.clone()),
            }
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn gather(from: &Dir<'_>, root: &Path, files: &mut Files) {
    for file in from.files() {
        let path = file.path().strip_prefix(root).unwrap_or(file.path());
        files.push((path.to_owned(), file.contents().to_owned()));
    }
    for folder in from.dirs() {
        if !is_left_out(folder.path()) {
            gather(folder, root, files);
        }
    }
}

/// The templates of a folder of one's own: one for each folder in it, or the folder itself, where
/// it has a `midge.toml`.
///
/// # Errors
///
/// It could not be read.
pub fn templates_in(folder: &Path) -> Result<Vec<Template>, TemplateError> {
    let template = |folder: PathBuf| {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Template {
            name: name.to_string_lossy().into_owned(),
            about: about(&folder.join("README.md")),
            place: Place::Folder(folder),
        }
    };
    if folder.join("midge.toml").is_file() {
        let folder = folder.canonicalize().map_err(failed("find", folder))?;
        return Ok(vec![template(folder)]);
    }
    let mut folders: Vec<_> = fs::read_dir(folder)
        .map_err(failed("read", folder))?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| !is_left_out(path))
        .collect();
    folders.sort();
    Ok(folders.into_iter().map(template).collect())
}

/// The files of a template of one's own, as far as they were read.
struct Gathering<'a> {
    root: &'a Path,
    files: Files,
    bytes_left: u64,
}

impl Gathering<'_> {
    fn add(&mut self, from: &Path) -> Result<(), TemplateError> {
        for entry in fs::read_dir(from).map_err(failed("read", from))?.flatten() {
            let path = entry.path();
            // A link could lead anywhere.
            let kind = entry.file_type().map_err(failed("read", &path))?;
            if kind.is_dir() && !is_left_out(&path) {
                self.add(&path)?;
            } else if kind.is_file() {
                let bytes_max = self.bytes_left.min(FILE_BYTES_MAX);
                let bytes = first_bytes(&path, bytes_max + 1).map_err(failed("read", &path))?;
                let length = bytes.len() as u64;
                if length > bytes_max || self.files.len() == FILES_MAX {
                    let folder = self.root.to_owned();
                    return Err(TemplateError::TooMuch { folder });
                }
                self.bytes_left -= length;
                let below = path.strip_prefix(self.root).unwrap_or(&path).to_owned();
                self.files.push((below, bytes));
            }
        }
        Ok(())
    }
}

fn first_bytes(file: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a README says first; nothing where there is none.
fn about(readme: &Path) -> String {
    let is_file = readme.symlink_metadata().is_ok_and(|it| it.is_file());
    let bytes = is_file.then(|| first_bytes(readme, README_BYTES_MAX));
    let bytes = bytes.and_then(Result::ok).unwrap_or_default();
    first_sentence(&String::from_utf8_lossy(&bytes))
}

fn is_left_out(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    LEFT_OUT.iter().any(|left_out| name == *left_out)
}

/// The first sentence below the heading.
fn first_sentence(readme: &str) -> String {
    let mut lines = readme.lines().map(str::trim);
    let text: Vec<&str> = lines
        .by_ref()
        .skip_while(|line| line.is_empty() || line.starts_with('#'))
        .take_while(|line| !line.is_empty())
        .collect();
    let text = text.join(" ");
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}

fn filled(text: &str, name: &FunctionName) -> String {
    let name = name.as_str();
    text.replace("{{name_snake}}", &name.replace('-', "_"))
        .replace("{{name}}", name)
}

fn failed(what: &'static str, file: &Path) -> impl Fn(io::Error) -> TemplateError {
    let file = file.to_owned();
    move |source| TemplateError::Files {
        what,
        file: file.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn name(text: &str) -> FunctionName {
        text.parse().unwrap()
    }

    #[test]
    fn every_template_is_a_project_with_a_readme_a_manifest_and_a_test() {
        let found = templates();
        assert!(found.len() >= 9, "{found:?}");
        for template in found {
            let home = tempfile::tempdir().unwrap();
            let folder = home.path().join("shop-api");
            let written = template.write(&name("shop-api"), &folder).unwrap();
            let has = |file: &str| written.files.iter().any(|path| path == Path::new(file));
            assert!(
                has("README.md") && has("midge.toml") && has(".gitignore"),
                "{written:?}"
            );
            assert!(
                written.files.iter().any(|path| path.starts_with("tests")),
                "{}: {written:?}",
                template.name
            );
            assert!(!template.about.is_empty(), "{}", template.name);
            for path in &written.files {
                let text = String::from_utf8(fs::read(folder.join(path)).unwrap()).unwrap();
                assert!(!text.contains("{{name"), "{}", path.display());
            }
            let manifest = fs::read_to_string(folder.join("midge.toml")).unwrap();
            let manifest = midge_model::Manifest::parse(&manifest).unwrap();
            assert!(manifest.functions.contains_key("shop-api"), "{manifest:?}");
        }
    }

    #[test]
    fn nothing_is_written_over() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("mine.txt"), "mine").unwrap();
        let error = templates()[0].write(&name("a"), home.path()).unwrap_err();
        assert!(matches!(error, TemplateError::NotEmpty { .. }), "{error}");
    }

    #[test]
    fn a_new_repository_has_room_where_no_file_is_in_the_way() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".git")).unwrap();
        fs::write(home.path().join("LICENSE-MIT"), "mine").unwrap();
        fs::write(home.path().join("README.md"), "mine").unwrap();
        let template = &templates()[0];
        let error = template.write(&name("a"), home.path()).unwrap_err();
        let TemplateError::InTheWay { file } = error else {
            panic!("{error}")
        };
        assert_eq!(file, home.path().join("README.md"));
        assert_eq!(
            fs::read_dir(home.path()).unwrap().count(),
            3,
            "none was written"
        );
        fs::remove_file(&file).unwrap();
        symlink("nowhere", &file).unwrap();
        assert!(template.write(&name("a"), home.path()).is_err(), "a link");
        fs::remove_file(file).unwrap();
        template.write(&name("a"), home.path()).unwrap();
    }

    #[test]
    fn a_folder_of_ones_own_has_templates_too() {
        let home = tempfile::tempdir().unwrap();
        let one = home.path().join("one");
        fs::create_dir_all(one.join("node_modules")).unwrap();
        fs::write(one.join("node_modules/left.js"), "").unwrap();
        fs::write(one.join("midge.toml"), "[function.{{name}}]\n").unwrap();
        fs::write(one.join("README.md"), "# One\n\nThe first. And more.\n").unwrap();
        let found = templates_in(home.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].name, &*found[0].about), ("one", "The first."));
        let itself = templates_in(&one).unwrap();
        assert_eq!(itself[0].name, "one");
        let out = home.path().join("out");
        let written = itself[0].write(&name("x"), &out).unwrap();
        let files: Vec<_> = written
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        assert_eq!(files, ["README.md", "midge.toml"]);
    }

    /// A folder of one template with this much in it.
    fn one(files: usize, bytes: u64) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        let one = home.path().join("one");
        fs::create_dir(&one).unwrap();
        for number in 0..files {
            // Of nothing but a length: it takes no room on a disk.
            let file = File::create(one.join(number.to_string())).unwrap();
            file.set_len(bytes).unwrap();
        }
        home
    }

    #[test]
    fn a_template_that_is_too_much_is_listed_and_not_read() {
        let sum = usize::try_from(FILES_BYTES_MAX / FILE_BYTES_MAX).unwrap();
        let too_much = [
            one(FILES_MAX + 1, 0),
            one(1, FILE_BYTES_MAX + 1),
            one(sum + 1, FILE_BYTES_MAX),
        ];
        for home in too_much {
            let found = templates_in(home.path()).unwrap();
            let out = home.path().join("out");
            let error = found[0].write(&name("a"), &out).unwrap_err();
            assert!(matches!(error, TemplateError::TooMuch { .. }), "{error}");
            assert!(!out.exists());
        }
        let home = one(FILES_MAX, 1);
        let found = templates_in(home.path()).unwrap();
        let written = found[0].write(&name("a"), &home.path().join("out"));
        assert_eq!(written.unwrap().files.len(), FILES_MAX);
    }

    #[test]
    fn no_link_in_a_folder_of_templates_is_followed() {
        let home = one(1, 0);
        let mine = tempfile::tempdir().unwrap();
        fs::write(mine.path().join("README.md"), "# Mine\n\nNobody's.\n").unwrap();
        let link = |to: &Path, from: &str| symlink(to, home.path().join(from)).unwrap();
        link(mine.path(), "linked");
        link(mine.path(), "one/linked");
        link(&mine.path().join("README.md"), "one/README.md");
        link(Path::new("/dev/zero"), "one/zero");
        let found = templates_in(home.path()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&*found[0].name, &*found[0].about), ("one", ""));
        let written = found[0].write(&name("a"), &home.path().join("out"));
        assert_eq!(written.unwrap().files, [Path::new("0")]);
    }
}
