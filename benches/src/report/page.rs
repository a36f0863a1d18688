//! The page: puts the tables of a run between two markers of `docs/performance.md`.
//!
//! **Invariant:** nothing outside the markers is touched.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::table;
use crate::record::Run;
use crate::targets::judge;

const BEGIN: &str = "<!-- results: written by `cargo xtask bench --write-docs` -->";
const END: &str = "<!-- results end -->";

/// Writes the tables of this run, stored at `stored`, into the page.
///
/// # Errors
///
/// The page is missing or has lost its markers.
pub fn write(run: &Run, stored: &Path, page: &Path) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
    let text = replaced(&text, &tables(run, stored))
        .with_context(|| format!("{} has lost its markers `{BEGIN}`", page.display()))?;
    fs::write(page, text).with_context(|| format!("write {}", page.display()))
}

fn replaced(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{tables}\n{END}{after}"))
}

fn tables(run: &Run, stored: &Path) -> String {
    let name = stored.file_stem().unwrap_or_default().to_string_lossy();
    let machine = &run.machine;
    let versions: Vec<String> = run
        .versions
        .iter()
        .map(|(name, version)| format!("{name} `{version}`"))
        .collect();
    format!(
        "Run of {}, {}, {} s: {}, {} cores, {} MiB, Linux {}.\n\n{}.\n\n\
         Raw figures: [`{name}.json`](../benches/results/{name}.json), plot: \
         [`{name}.svg`](../benches/results/{name}.svg).\n\n\
         ### Targets\n\n{}\n{}",
        run.date,
        run.extent,
        run.seconds,
        machine.cpu,
        machine.cores,
        machine.memory_mib,
        machine.kernel,
        versions.join(", "),
        table::targets(&judge(run)),
        table::figures(run).trim_end(),
    )
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, replaced};

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\n\n## After\n");
        let new = replaced(&page, "new").unwrap();
        assert_eq!(
            new,
            format!("# Title\n\n{BEGIN}\n\nnew\n{END}\n\n## After\n")
        );
        assert_eq!(replaced("# Title", "new"), None);
    }
}
