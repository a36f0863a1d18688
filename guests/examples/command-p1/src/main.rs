//! An ordinary program as a function: CGI gives it the request in environment variables and on
//! stdin, and takes the response from stdout.

use std::env;
use std::io::{self, Read};

fn main() -> io::Result<()> {
    let variable = |name| env::var(name).unwrap_or_default();
    let query = variable("QUERY_STRING");
    let Some(name) = query.split('&').find_map(|pair| pair.strip_prefix("name=")) else {
        print!("Content-Type: text/plain\n\nHello from a command! Try ?name=Midge\n");
        return Ok(());
    };
    if name.is_empty() {
        print!("Status: 400 Bad Request\nContent-Type: text/plain\n\n`name` is empty\n");
        return Ok(());
    }

    let mut sent = String::new();
    io::stdin().read_to_string(&mut sent)?;
    println!("Content-Type: text/plain\n");
    println!("Hello {name}, from a preview 1 command!");
    println!(
        "{} {} carried {} bytes",
        variable("REQUEST_METHOD"),
        variable("PATH_INFO"),
        sent.len()
    );
    // Goes to the log, not to the caller.
    eprintln!("greeted {name}");
    Ok(())
}
