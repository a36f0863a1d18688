//! What a large routing table costs: the same path, alone and among 10,000 functions.

use std::fmt::Write as _;

use anyhow::Result;

use crate::contest::{Entrant, contest};
use crate::lab::{Lab, quoted};
use crate::record::Run;
use crate::work::Work;

const ROUTES: usize = 10_000;
/// The one that is asked.
const ASKED: usize = 5_000;

pub(super) fn run(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let component = quoted(&lab.guest("hello-rust")?);
    let function = |number: usize| format!("[function.f{number}]\ncomponent = {component}\n");
    let one = lab.manifest("routes-1", &function(ASKED))?;
    let mut text = String::new();
    for number in 0..ROUTES {
        write!(text, "{}", function(number))?;
    }
    let many = lab.manifest("routes-10000", &text)?;
    let work = || Work::get(format!("/f{ASKED}/"), "Hello");
    let entrants = vec![
        Entrant::new("1 route", lab.midge_run("1 route", &one, &[]), work()),
        Entrant::new(
            "10,000 routes",
            lab.midge_run("10,000 routes", &many, &[]),
            work(),
        ),
    ];
    contest(lab, run, scenario, entrants, &lab.load());
    Ok(())
}
