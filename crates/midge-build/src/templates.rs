//! Projects to begin with, one folder per template; those of `templates/` are in the binary.
//!
//! In texts and file names `{{name}}` becomes the function's name and `{{name_snake}}` the same as
//! an identifier. A file `gitignore` is written as `.gitignore`.
//!
//! **Invariant:** nothing that is there is written over: a folder with something in it is refused.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use midge_model::FunctionName;

/// The templates that the binary brings along.
static OWN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../templates");

/// The longest file of a template of one's own in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The most files of a template of one's own.
const FILES_MAX: usize = 1_000;
/// Folders that belong to whoever tried a template out.
const LEFT_OUT: &[&str] = &[".git", "node_modules", "target", "build", ".venv"];

/// A project to begin with.
#[derive(Debug, Clone)]
pub struct Template {
    /// What it is called: its folder.
    pub name: String,
    /// The first sentence of its README.
    pub about: String,
    files: Vec<(PathBuf, Vec<u8>)>,
}

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
    /// A template of one's own that is too much.
    #[error("template `{}` has more than {FILES_MAX} files or one of more than {FILE_BYTES_MAX} bytes", .folder.display())]
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
    /// There is something in the folder, or a file could not be written.
    pub fn write(&self, name: &FunctionName, folder: &Path) -> Result<Written, TemplateError> {
        let is_empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty {
            let folder = folder.to_owned();
            return Err(TemplateError::NotEmpty { folder });
        }
        let mut files = Vec::with_capacity(self.files.len());
        for (path, bytes) in &self.files {
            let path = PathBuf::from(filled(&path.display().to_string(), name));
            let path = match path.file_name() {
                Some(file) if file == "gitignore" => path.with_file_name(".gitignore"),
                _ => path,
            };
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
}

/// The templates that the binary brings along, in order of their names.
pub fn templates() -> Vec<Template> {
    let mut found: Vec<_> = OWN
        .dirs()
        .map(|folder| {
            let mut files = Vec::new();
            gather(folder, folder.path(), &mut files);
            template(&folder.path().display().to_string(), files)
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn gather(from: &Dir<'_>, root: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
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
/// It could not be read, or a template is too much.
pub fn templates_in(folder: &Path) -> Result<Vec<Template>, TemplateError> {
    let read = |folder: &Path| -> Result<Template, TemplateError> {
        let mut files = Vec::new();
        gather_own(folder, folder, &mut files)?;
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        Ok(template(&name.to_string_lossy(), files))
    };
    if folder.join("midge.toml").is_file() {
        let folder = folder.canonicalize().map_err(failed("find", folder))?;
        return Ok(vec![read(&folder)?]);
    }
    let mut folders: Vec<_> = fs::read_dir(folder)
        .map_err(failed("read", folder))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && !is_left_out(path))
        .collect();
    folders.sort();
    folders.iter().map(|folder| read(folder)).collect()
}

fn gather_own(
    from: &Path,
    root: &Path,
    files: &mut Vec<(PathBuf, Vec<u8>)>,
) -> Result<(), TemplateError> {
    let too_much = || TemplateError::TooMuch {
        folder: root.to_owned(),
    };
    for entry in fs::read_dir(from).map_err(failed("read", from))?.flatten() {
        let path = entry.path();
        // A link could lead anywhere.
        let kind = entry.file_type().map_err(failed("read", &path))?;
        if kind.is_dir() && !is_left_out(&path) {
            gather_own(&path, root, files)?;
        } else if kind.is_file() {
            let length = path.metadata().map_err(failed("read", &path))?.len();
            if length > FILE_BYTES_MAX || files.len() == FILES_MAX {
                return Err(too_much());
            }
            let bytes = fs::read(&path).map_err(failed("read", &path))?;
            let below = path.strip_prefix(root).unwrap_or(&path).to_owned();
            files.push((below, bytes));
        }
    }
    Ok(())
}

fn is_left_out(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    LEFT_OUT.iter().any(|left_out| name == *left_out)
}

fn template(name: &str, files: Vec<(PathBuf, Vec<u8>)>) -> Template {
    let readme = files
        .iter()
        .find(|(path, _)| path == Path::new("README.md"));
    let about = readme.map(|(_, bytes)| first_sentence(&String::from_utf8_lossy(bytes)));
    Template {
        name: name.to_owned(),
        about: about.unwrap_or_default(),
        files,
    }
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
}
