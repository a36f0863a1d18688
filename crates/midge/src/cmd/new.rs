//! `midge new [TEMPLATE] NAME`: writes a project to begin with.
//!
//! Decides which template and name are meant, asking where somebody can be asked. The templates
//! are `midge-build`'s.
//!
//! **Invariant:** nothing that is there is written over.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use midge_build::{Template, TemplateError, quoted, templates, templates_in};
use midge_model::FunctionName;
use midge_model::suggest::nearest;

use super::Ending;
use super::fault::{Hint, hint_of, hinted, with_hint};
use crate::cli::NewArgs;
use crate::table::Table;
use crate::{prompt, say};

/// How often somebody at a terminal is asked the same.
const ANSWERS_MAX: u32 = 3;

/// What languages are called for short, and their templates.
const SHORT: [(&str, &str); 7] = [
    ("asc", "assemblyscript"),
    ("c++", "cpp"),
    ("golang", "go"),
    ("js", "javascript"),
    ("py", "python"),
    ("rs", "rust"),
    ("ts", "typescript"),
];

impl Hint for TemplateError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotEmpty { .. } => {
                Some("another name, or another folder with --out FOLDER".to_owned())
            }
            Self::InTheWay { file } => Some(format!(
                "move `{}` away, or write into another folder with --out FOLDER",
                file.display()
            )),
            Self::TooMuch { .. } | Self::Files { .. } => None,
        }
    }
}

/// Writes the project.
pub(super) fn run(args: &NewArgs) -> anyhow::Result<Ending> {
    let known = match &args.from {
        Some(folder) => templates_in(folder)?,
        None => templates(),
    };
    if args.list {
        return list(&known);
    }
    let (template, name) = match &*args.words {
        [template, name] => (Some(template.clone()), Some(name.clone())),
        // One word is a template if there is one of that name.
        [word] if named(&known, word).is_some() => (Some(word.clone()), None),
        [name, ..] => (None, Some(name.clone())),
        [] => (None, None),
    };
    let template = match template {
        Some(wanted) => find(&known, &wanted, name.as_deref())?,
        None => ask_template(&known)?,
    };
    let (name, place) = match name {
        Some(place) => (name_of(Path::new(&place))?, PathBuf::from(place)),
        None => ask_name(template)?,
    };
    let folder = args.out.clone().unwrap_or(place);
    let written = template.write(&name, &folder).map_err(hinted)?;
    for file in &written.files {
        // Whose template it is, named its files.
        let file = folder.join(file).display().to_string();
        say::data(&format!("{}\n", say::clean_line(&file)))?;
    }
    let (shown, typed) = (folder.display(), folder.to_string_lossy());
    let typed = quoted(&typed);
    say::line(&format!(
        "{name} is in {shown}: `midge build {typed}`, then `midge run {typed}`"
    ));
    Ok(Ending::Done)
}

fn list(known: &[Template]) -> anyhow::Result<Ending> {
    let mut table = Table::new(["TEMPLATE", "WHAT IT IS"]);
    for template in known {
        table.row([template.name.clone(), gist(&template.about)]);
    }
    super::print(&table, || "there are no templates".to_owned())
}

/// What a sentence of Markdown says before it goes into detail, as plain text.
fn gist(about: &str) -> String {
    let end = about.find(": ").unwrap_or(about.len());
    let mut rest = &about[..end];
    let mut plain = String::new();
    // Of a link its text is left.
    while let Some((before, link)) = rest.split_once('[') {
        let Some((text, (_, after))) = link
            .split_once("](")
            .and_then(|(text, target)| Some((text, target.split_once(')')?)))
        else {
            break;
        };
        plain.push_str(before);
        plain.push_str(text);
        rest = after;
    }
    plain.push_str(rest);
    plain.replace('`', "").trim_end_matches('.').to_owned()
}

/// The template of this name, or of what its language is called for short.
fn named<'a>(known: &'a [Template], name: &str) -> Option<&'a Template> {
    let of = |name: &str| known.iter().find(|template| template.name == name);
    let short = || SHORT.iter().find(|(short, _)| *short == name);
    of(name).or_else(|| of(short()?.1))
}

/// The template of this name, for a function of that one.
fn find<'a>(
    known: &'a [Template],
    name: &str,
    place: Option<&str>,
) -> anyhow::Result<&'a Template> {
    if let Some(found) = named(known, name) {
        return Ok(found);
    }
    let names: Vec<&str> = known.iter().map(|template| &*template.name).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("midge new {near} {}", quoted(place.unwrap_or("NAME"))),
        None => format!("one of {}", names.join(", ")),
    };
    Err(with_hint(
        anyhow::anyhow!("no template is called `{name}`"),
        hint,
    ))
}

/// The name of a function in the last part of a path; of a folder such as `.` the nearest to its
/// own, which nobody typed.
fn name_of(place: &Path) -> anyhow::Result<FunctionName> {
    if let Some(last) = place.file_name() {
        return Ok(last.to_string_lossy().parse()?);
    }
    let folder = place
        .canonicalize()
        .with_context(|| format!("find `{}`", place.display()))?;
    let last = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(FunctionName::from_file_stem(&last))
}

fn ask_template(known: &[Template]) -> anyhow::Result<&Template> {
    let names: Vec<&str> = known.iter().map(|template| &*template.name).collect();
    let names = names.join(", ");
    if !prompt::is_interactive() {
        return Err(with_hint(
            anyhow::anyhow!("no template was named"),
            format!("midge new TEMPLATE NAME, with one of {names}"),
        ));
    }
    again(|| {
        let answer = prompt::line(&format!("Template ({names}): "))?;
        find(known, &answer, None)
    })
}

fn ask_name(template: &Template) -> anyhow::Result<(FunctionName, PathBuf)> {
    let usual = format!("hello-{}", template.name);
    if !prompt::is_interactive() {
        return Err(with_hint(
            anyhow::anyhow!("the function has no name"),
            format!("midge new {} {usual}", template.name),
        ));
    }
    again(|| {
        let answer = prompt::line(&format!("Name [{usual}]: "))?;
        let place = PathBuf::from(if answer.is_empty() { &usual } else { &answer });
        Ok((name_of(&place)?, place))
    })
}

/// Asks until the answer is one, but not for ever: at the end of the input each answer is empty.
fn again<T>(ask: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..ANSWERS_MAX {
        match ask() {
            Err(error) if !prompt::is_interruption(&error) => {
                say::error(&format!("{error:#}"), hint_of(&error));
            }
            done => return done,
        }
    }
    ask()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_no_markup_and_no_details() {
        assert_eq!(
            gist("In [CGI](https://a.test/rfc) with [`wstd`](https://b.test)."),
            "In CGI with wstd"
        );
        assert_eq!(gist("In Python: `app.py` answers."), "In Python");
        assert_eq!(gist("A [list] of `things`"), "A [list] of things");
        for template in templates() {
            let row = gist(&template.about);
            let is_short = row.len() < 120 && !row.contains(['`', '[', ':']);
            assert!(is_short && row.len() > 20, "{row}");
        }
    }
}
