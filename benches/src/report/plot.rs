//! The plot: processor time of each request, a bar for each contestant of each scenario.
//!
//! On a logarithmic scale, because a bare server and a Python interpreter differ by a factor of a
//! thousand, and what is promised are factors.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::record::{Measure, Run};
use crate::stats::Spread;

const WIDTH: u32 = 900;
const ROW: u32 = 18;
const HEAD: u32 = 60;
const FOOT: u32 = 30;
/// Where bars begin: names stand before it.
const LEFT: i32 = 260;
/// Room for the figure behind the longest bar.
const RIGHT: i32 = 90;

struct Row {
    scenario: String,
    subject: String,
    spread: Spread,
}

/// Draws the run.
///
/// # Errors
///
/// Nothing was measured, or the file cannot be written.
pub fn draw(run: &Run, file: &Path) -> Result<()> {
    let rows = rows(run);
    if rows.is_empty() {
        // Figures of another kind only, such as memory: there is nothing to compare in bars.
        return Ok(());
    }
    let count = u32::try_from(rows.len()).map_err(|_| anyhow!("too many bars"))?;
    let height = HEAD + count * ROW + FOOT;
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    let failed = |err: &dyn std::fmt::Display| anyhow!("draw {}: {err}", file.display());
    area.fill(&WHITE).map_err(|err| failed(&err))?;
    let most = rows.iter().map(|row| row.spread.high).fold(0.0, f64::max);
    ensure!(most > 0.0, "no bar has a length");

    let title = format!(
        "CPU per request in µs, logarithmic; {}, {}",
        run.date, run.machine.cpu
    );
    let heading = ("sans-serif", 16).into_font().color(&BLACK);
    area.draw_text(&title, &heading, (12, 16))
        .map_err(|err| failed(&err))?;
    let mut y = i32::try_from(HEAD)?;
    let mut last = "";
    for row in &rows {
        let name = if row.scenario == last {
            ""
        } else {
            &row.scenario
        };
        last = &row.scenario;
        draw_row(&area, row, name, y, most).map_err(|err| failed(&err))?;
        y += i32::try_from(ROW)?;
    }
    area.present().map_err(|err| failed(&err))?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_row(area: &Area<'_>, row: &Row, name: &str, y: i32, most: f64) -> Result<()> {
    let text = ("sans-serif", 12).into_font().color(&BLACK);
    let to_left = text.pos(Pos::new(HPos::Right, VPos::Center));
    let to_right = ("sans-serif", 12).into_font().color(&BLACK);
    let to_right = to_right.pos(Pos::new(HPos::Left, VPos::Center));
    let middle = y + i32::try_from(ROW / 2)?;
    let colour = if row.subject.starts_with("midge") {
        RGBColor(0, 110, 90)
    } else {
        RGBColor(150, 150, 150)
    };
    let end = length(row.spread.median, most);
    let bar = [(LEFT, y + 3), (LEFT + end, y + i32::try_from(ROW)? - 3)];
    let drawn = |err: &dyn std::fmt::Display| anyhow!("{err}");
    area.draw(&Rectangle::new(bar, colour.filled()))
        .map_err(|err| drawn(&err))?;
    let (low, high) = (length(row.spread.low, most), length(row.spread.high, most));
    let whisker = vec![(LEFT + low, middle), (LEFT + high, middle)];
    area.draw(&PathElement::new(whisker, BLACK))
        .map_err(|err| drawn(&err))?;
    area.draw_text(name, &to_right, (12, middle))
        .map_err(|err| drawn(&err))?;
    area.draw_text(&row.subject, &to_left, (LEFT - 8, middle))
        .map_err(|err| drawn(&err))?;
    let figure = format!("{:.1}", row.spread.median);
    area.draw_text(&figure, &to_right, (LEFT + end.max(high) + 6, middle))
        .map_err(|err| drawn(&err))?;
    Ok(())
}

/// From 1 µs at the left to the longest at the right.
#[expect(clippy::cast_possible_truncation, reason = "pixels of a page")]
fn length(micros: f64, most: f64) -> i32 {
    let room = f64::from(i32::try_from(WIDTH).unwrap_or(0) - LEFT - RIGHT);
    let share = micros.max(1.0).ln() / most.max(2.0).ln();
    (share * room) as i32
}

fn rows(run: &Run) -> Vec<Row> {
    let mut rows = Vec::new();
    for scenario in &run.scenarios {
        let of_it = run
            .series
            .iter()
            .filter(|series| &series.scenario == scenario && series.measure == Measure::CpuMicros);
        rows.extend(of_it.filter_map(|series| {
            Some(Row {
                scenario: scenario.clone(),
                subject: series.subject.clone(),
                spread: Spread::of(&series.rounds)?,
            })
        }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::record::{Measure, Run};

    #[test]
    fn a_run_has_a_picture_with_all_its_names() {
        let mut run = Run {
            scenarios: vec!["hello-rust".to_owned()],
            ..Run::default()
        };
        for (subject, micros) in [("hyper", 8.0), ("midge", 20.0), ("wasmtime serve", 200.0)] {
            run.add("hello-rust", subject, Measure::CpuMicros, micros);
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.svg");
        draw(&run, &file).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        for name in ["hello-rust", "hyper", "midge", "wasmtime serve", "200.0"] {
            assert!(text.contains(name), "{name} is not in the picture");
        }
    }

    #[test]
    fn a_run_without_bars_has_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.svg");
        draw(&Run::default(), &file).unwrap();
        assert!(!file.exists());
    }
}
