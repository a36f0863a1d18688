//! `midge new [TEMPLATE] NAME`: writes a project to begin with.
//!
//! Decides which template and name are meant, asking where somebody can be asked. The templates
//! are `midge-build`'s.
//!
//! **Invariant:** nothing that is there is written over.

use std::path::{Path, PathBuf};

use midge_build::{Template, templates, templates_in};
use midge_model::FunctionName;
use midge_model::suggest::nearest;

use super::Ending;
use super::fault::with_hint;
use crate::cli::NewArgs;
use crate::table::Table;
use crate::{prompt, say};

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
        [word] if known.iter().any(|template| template.name == *word) => (Some(word.clone()), None),
        [name, ..] => (None, Some(name.clone())),
        [] => (None, None),
    };
    let template = match template {
        Some(name) => find(&known, &name)?,
        None => ask_template(&known)?,
    };
    let place = match name {
        Some(name) => PathBuf::from(name),
        None => PathBuf::from(ask_name(template)?),
    };
    let name = name_of(&place)?;
    let folder = args.out.clone().unwrap_or(place);
    let written = template.write(&name, &folder)?;
    for file in &written.files {
        // Whose template it is, named its files.
        let file = folder.join(file).display().to_string();
        say::data(&format!("{}\n", say::clean_line(&file)))?;
    }
    let typed = folder.display();
    say::line(&format!(
        "{name} is in {typed}: `midge build {typed}`, then `midge run {typed}`"
    ));
    Ok(Ending::Done)
}

fn list(known: &[Template]) -> anyhow::Result<Ending> {
    let mut table = Table::new(["TEMPLATE", "WHAT IT IS"]);
    for template in known {
        table.row([template.name.clone(), template.about.clone()]);
    }
    super::print(&table, || "there are no templates".to_owned())
}

/// The template of this name.
fn find<'a>(known: &'a [Template], name: &str) -> anyhow::Result<&'a Template> {
    if let Some(found) = known.iter().find(|template| template.name == name) {
        return Ok(found);
    }
    let names: Vec<&str> = known.iter().map(|template| &*template.name).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("midge new {near} NAME"),
        None => format!("one of {}", names.join(", ")),
    };
    Err(with_hint(
        anyhow::anyhow!("no template is called `{name}`"),
        hint,
    ))
}

/// The name of a function in the last part of a path.
fn name_of(place: &Path) -> anyhow::Result<FunctionName> {
    let last = place.file_name().unwrap_or_default().to_string_lossy();
    Ok(last.parse()?)
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
    let answer = prompt::line(&format!("Template ({names}): "))?;
    find(known, &answer)
}

fn ask_name(template: &Template) -> anyhow::Result<String> {
    let usual = format!("hello-{}", template.name);
    if !prompt::is_interactive() {
        return Err(with_hint(
            anyhow::anyhow!("the function has no name"),
            format!("midge new {} {usual}", template.name),
        ));
    }
    let answer = prompt::line(&format!("Name [{usual}]: "))?;
    Ok(if answer.is_empty() { usual } else { answer })
}
