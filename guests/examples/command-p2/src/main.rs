//! A filter as a function: numbers the lines it reads, each as it comes. Nothing in it is about
//! HTTP, so it works the same in a shell: `wasmtime run command-p2.wasm < some.txt`.
//!
//! Without a header block of its own, what it prints is sent as `text/plain`.

use std::io::{self, BufRead, Write};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "your lines, numbered")?;
    for (number, line) in io::stdin().lock().lines().enumerate() {
        writeln!(out, "{:>6}  {}", number + 1, line?)?;
    }
    Ok(())
}
