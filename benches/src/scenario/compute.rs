//! Guests that compute: midge beside a plain embedding of the same engine with default settings.
//!
//! One connection, so that nothing waits for a core. What is compared is the processor time of a
//! run: it is the run time on a machine that does nothing else, and stays so on one that does.

use anyhow::Result;

use crate::contest::{Entrant, contest};
use crate::lab::Lab;
use crate::record::Run;
use crate::work::Work;

/// Paths of the guest: each takes about 20 ms.
const KERNELS: [&str; 3] = ["sha256", "matmul", "sort"];

pub(super) fn run(lab: &Lab, run: &mut Run, scenario: &'static str) -> Result<()> {
    let component = lab.guest("compute-rust")?;
    for kernel in KERNELS {
        let work = || Work::get(format!("/{kernel}"), " us");
        let (midge, plain) = (format!("midge {kernel}"), format!("plain {kernel}"));
        let entrants = vec![
            Entrant::new(&midge, lab.midge_run(&midge, &component, &[]), work()),
            Entrant::new(&plain, lab.plain(&plain, &component), work()),
        ];
        contest(lab, run, scenario, entrants, &lab.load().over(1));
    }
    Ok(())
}
