//! pip of this machine's Python.
//!
//! **Invariant:** whatever manages the machine's versions of Python does not notice: those that
//! wrap `python3` write their folder of programs anew after each `pip install`, and fail where two
//! do so at once.

use std::process::Command;

use anyhow::Result;

use crate::run::answer;

/// Prints the interpreter itself, where `python3` is a script that looks for one.
const INTERPRETER: &str = "import sys; print(sys.executable)";

/// pip, which asks nothing, warns of nothing and is quiet unless it fails; for [`run`](crate::run).
///
/// # Errors
///
/// There is no Python on `PATH`.
pub fn pip() -> Result<Command> {
    let said = answer(Command::new("python3").args(["-c", INTERPRETER]))?;
    let mut pip = Command::new(said.trim_end());
    pip.args(["-m", "pip", "--disable-pip-version-check", "--quiet"]);
    // Its warning to root is about the system's folders, which stay as they are.
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    Ok(pip)
}

#[cfg(test)]
mod tests {
    use super::pip;
    use crate::or_skip;
    use crate::run::answer;

    #[test]
    fn it_is_the_interpreter_and_no_script_around_it() {
        let Some(mut pip) = or_skip(pip()) else {
            return;
        };
        let program = std::fs::read(pip.get_program()).unwrap();
        assert!(program.starts_with(b"\x7fELF"), "{pip:?}");
        assert!(answer(pip.arg("--version")).unwrap().starts_with("pip "));
    }
}
