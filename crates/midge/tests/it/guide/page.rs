//! A page of the guide as somebody follows it: what is typed, what is printed, which files are written.
//!
//! - A `console` block has commands behind `$ ` and below each what it prints. One without a command
//!   is what the server that runs says meanwhile.
//! - A block below a paragraph that begins with a file's name, as in "`midge.toml`:", is that file.
//!   Below one that begins "Add to `midge.toml`" it goes to the end of it.
//! - A paragraph that begins with `Ctrl-C` ends the server.
//!
//! All else is for reading. What it takes to follow these steps is `terminal.rs`.

use std::path::Path;

/// One thing that a reader does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Types a command.
    Type(Line),
    /// Sees what the server says.
    See(String),
    /// Writes a file.
    Write { file: String, text: String },
    /// Writes more of it.
    Append { file: String, text: String },
    /// Ends the server.
    Interrupt,
}

/// A command line, and what it prints as far as the guide shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) command: String,
    pub(super) printed: String,
}

/// A page, a heading at a time.
#[derive(Debug)]
pub(super) struct Page {
    sections: Vec<(String, Vec<Step>)>,
}

impl Page {
    /// Reads the page of this path below the repository.
    pub(super) fn read(path: &str) -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(repository.join(path)).expect(path);
        Self::of(&text)
    }

    fn of(text: &str) -> Self {
        let mut sections = vec![(String::new(), Vec::new())];
        let mut paragraph = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let steps = &mut sections.last_mut().unwrap().1;
            if let Some(heading) = line.strip_prefix("## ") {
                sections.push((heading.to_owned(), Vec::new()));
            } else if let Some(language) = line.strip_prefix("```") {
                let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
                steps.extend(block_steps(language, &block, &paragraph));
                paragraph.clear();
            } else if line.is_empty() {
                paragraph.clear();
            } else {
                if paragraph.is_empty() && line.starts_with("Ctrl-C") {
                    steps.push(Step::Interrupt);
                }
                paragraph.push_str(line);
                paragraph.push(' ');
                // An empty line between it and the block takes nothing from it.
                lines = skip_empty(lines);
            }
        }
        Self { sections }
    }

    /// The headings, in order.
    pub(super) fn headings(&self) -> impl Iterator<Item = &str> {
        let headings = self.sections.iter().map(|(heading, _)| heading.as_str());
        headings.filter(|heading| !heading.is_empty())
    }

    /// What is done in one section.
    pub(super) fn section(&self, heading: &str) -> &[Step] {
        let found = self.sections.iter().find(|(name, _)| name == heading);
        let (_, steps) = found.unwrap_or_else(|| panic!("no section `{heading}`"));
        steps
    }

    /// What is done on the whole page.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.sections.iter().flat_map(|(_, steps)| steps)
    }
}

/// Empty lines before a block belong to the paragraph above it.
fn skip_empty<'a>(lines: std::str::Lines<'a>) -> std::str::Lines<'a> {
    let mut ahead = lines.clone();
    let mut skipped = lines.clone();
    while let Some(line) = ahead.next() {
        match line {
            "" => skipped = ahead.clone(),
            block if block.starts_with("```") => return skipped,
            _ => return lines,
        }
    }
    lines
}

fn block_steps(language: &str, block: &[&str], paragraph: &str) -> Vec<Step> {
    if language == "console" {
        return console(block);
    }
    let text: String = block.iter().flat_map(|line| [line, "\n"]).collect();
    let named = |begin: &str| {
        let rest = paragraph.strip_prefix(begin)?;
        let (file, _) = rest.split_once('`')?;
        Some(file.to_owned())
    };
    if !paragraph.trim_end().ends_with(':') {
        return Vec::new();
    }
    if let Some(file) = named("Add to `") {
        return vec![Step::Append { file, text }];
    }
    let write = named("`").map(|file| Step::Write { file, text });
    write.into_iter().collect()
}

fn console(block: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            let (command, printed) = (command.to_owned(), String::new());
            steps.push(Step::Type(Line { command, printed }));
            continue;
        }
        if steps.is_empty() {
            steps.push(Step::See(String::new()));
        }
        if let Some(Step::Type(Line { printed, .. }) | Step::See(printed)) = steps.last_mut() {
            printed.push_str(line);
            printed.push('\n');
        }
    }
    steps
}

#[test]
fn what_is_typed_printed_and_written_is_told_apart() {
    let page = "# Title\n\nSome text.\n\n```toml\nan = \"example\"\n```\n\n## One\n\n`a.toml`:\n\n\
                ```toml\na = 1\n```\n\n```console\n$ one\nprinted\n$ two # more\n```\n\n\
                Add to `a.toml`, for example:\n\n```toml\nb = 2\n```\n\n`a.toml` is a file.\n\n\
                ```toml\nc = 3\n```\n\nIt says:\n\n```console\nsaid\n```\n\nCtrl-C, and\nit ends:\n\n\
                ```text\nover\n```\n\n## Two\n";
    let page = Page::of(page);
    assert_eq!(page.headings().collect::<Vec<_>>(), ["One", "Two"]);
    let line = |command: &str, printed: &str| {
        let (command, printed) = (command.to_owned(), printed.to_owned());
        Step::Type(Line { command, printed })
    };
    let (file, written, added) = ("a.toml", "a = 1\n", "b = 2\n");
    let expected = [
        Step::Write {
            file: file.to_owned(),
            text: written.to_owned(),
        },
        line("one", "printed\n"),
        line("two # more", ""),
        Step::Append {
            file: file.to_owned(),
            text: added.to_owned(),
        },
        Step::See("said\n".to_owned()),
        Step::Interrupt,
    ];
    assert_eq!(page.section("One"), expected);
    assert_eq!(page.steps().count(), expected.len());
}
