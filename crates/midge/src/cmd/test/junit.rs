//! A test run as JUnit XML, for the programs that show it.
//!
//! **Invariant:** what guests wrote cannot end an element early, nor be a character that XML lacks.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use midge_model::{FunctionName, Use};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::Verdict;
use super::files::Planned;

type Xml = Writer<Vec<u8>>;

/// The report of all cases, one suite for each file.
pub(super) fn report(
    planned: &[Planned<'_>],
    verdicts: &[Verdict],
    new: &[(FunctionName, Use)],
    took: Duration,
) -> anyhow::Result<Vec<u8>> {
    let cases: Vec<_> = planned.iter().zip(verdicts).collect();
    let failed = verdicts.iter().filter(|it| !it.is_good()).count() + new.len();
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written = xml
        .write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))
        .and_then(|()| {
            let all = xml
                .create_element("testsuites")
                .with_attribute(("name", "midge test"))
                .with_attribute(("tests", &*(cases.len() + new.len()).to_string()))
                .with_attribute(("failures", &*failed.to_string()))
                .with_attribute(("time", &*seconds(took)));
            all.write_inner_content(|xml| {
                for suite in cases.chunk_by(|(a, _), (b, _)| std::ptr::eq(a.file, b.file)) {
                    write_suite(xml, suite)?;
                }
                write_new(xml, new)
            })
        });
    written.context("write the report")?;
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn write_suite(xml: &mut Xml, cases: &[(&Planned<'_>, &Verdict)]) -> io::Result<()> {
    let failed = cases.iter().filter(|(_, verdict)| !verdict.is_good());
    let took = cases.iter().map(|(_, verdict)| verdict.act.took).sum();
    let file = cases[0].0.file.path.display().to_string();
    xml.create_element("testsuite")
        .with_attribute(("name", &*shown(&file)))
        .with_attribute(("tests", &*cases.len().to_string()))
        .with_attribute(("failures", &*failed.count().to_string()))
        .with_attribute(("time", &*seconds(took)))
        .write_inner_content(|xml| {
            for (planned, verdict) in cases {
                write_case(xml, planned, verdict)?;
            }
            Ok(())
        })?;
    Ok(())
}

fn write_case(xml: &mut Xml, planned: &Planned<'_>, verdict: &Verdict) -> io::Result<()> {
    let function = verdict.act.function.as_ref();
    let element = xml
        .create_element("testcase")
        .with_attribute(("name", &*shown(&planned.case.name)))
        .with_attribute((
            "classname",
            function.map_or("no function", FunctionName::as_str),
        ))
        .with_attribute(("file", &*shown(&planned.file.path.display().to_string())))
        .with_attribute(("line", &*planned.case.line.to_string()))
        .with_attribute(("time", &*seconds(verdict.act.took)));
    if verdict.is_good() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|xml| {
        let lines = verdict.lines().join("\n");
        let first = lines.lines().next().unwrap_or_default();
        write_text(xml, "failure", Some(first), &lines)?;
        if !verdict.act.log.is_empty() {
            write_text(xml, "system-out", None, &verdict.act.log.join("\n"))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Powers that are new, each as a case that failed.
fn write_new(xml: &mut Xml, new: &[(FunctionName, Use)]) -> io::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let count = new.len().to_string();
    xml.create_element("testsuite")
        .with_attribute(("name", "touched powers"))
        .with_attribute(("tests", &*count))
        .with_attribute(("failures", &*count))
        .write_inner_content(|xml| {
            for (function, used) in new {
                let line = shown(&format!("{used}, which is new"));
                xml.create_element("testcase")
                    .with_attribute(("name", &*line))
                    .with_attribute(("classname", function.as_str()))
                    .write_inner_content(|xml| write_text(xml, "failure", Some(&line), &line))?;
            }
            Ok(())
        })?;
    Ok(())
}

fn write_text(xml: &mut Xml, name: &str, message: Option<&str>, text: &str) -> io::Result<()> {
    let mut element = xml.create_element(name);
    let message = message.map(shown);
    if let Some(message) = &message {
        element = element.with_attribute(("message", &**message));
    }
    element.write_text_content(BytesText::new(&shown(text)))?;
    Ok(())
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f32())
}

/// Without the characters that no XML document may have, escaped or not.
fn shown(text: &str) -> String {
    let is_allowed = |found: char| {
        matches!(found, '\t' | '\n')
            || !(found.is_control() || matches!(found, '\u{fffe}' | '\u{ffff}'))
    };
    let allowed = text.chars();
    allowed
        .map(|found| if is_allowed(found) { found } else { '\u{fffd}' })
        .collect()
}
