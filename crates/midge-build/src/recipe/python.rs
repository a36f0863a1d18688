//! Python: componentize-py, for WASI 0.2 and 0.3.

use super::{NEWEST, Plan, first_of, interfaces};
use crate::error::BuildError;
use crate::language::Language;
use crate::project::Project;
use crate::tools::COMPONENTIZE_PY;

pub(super) fn plan(project: &Project) -> Result<Plan, BuildError> {
    let source = first_of(project, &["app.py", "src/app.py"])?;
    let folder = source.parent().unwrap_or(project.folder());
    let interfaces = interfaces(project, NEWEST)?;
    let product = project.component().to_owned();
    let step = COMPONENTIZE_PY
        .step(Language::Python, project.folder())?
        .arg("--wit-path")
        .arg(&interfaces.folder)
        .args([
            "--world",
            &interfaces.world,
            "componentize",
            "--python-path",
        ])
        .arg(folder)
        .arg("--output")
        .arg(&product)
        .arg("app");
    Ok(Plan::component(Language::Python, vec![step], product))
}
