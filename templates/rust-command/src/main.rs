//! A program that speaks CGI: it runs once for each request. The request is in variables and on
//! stdin; what it prints up to the empty line is the response's header, what follows its body.

use std::env;
use std::io;

use form_urlencoded::parse;

fn main() -> io::Result<()> {
    let variable = |name| env::var(name).unwrap_or_default();
    let (method, path) = (variable("REQUEST_METHOD"), variable("PATH_INFO"));
    let path: Vec<&str> = path.split('/').skip(1).collect();

    match (&*method, &*path) {
        ("GET", [""]) => print!("Content-Type: text/plain\n\nHello from Rust!\n"),
        // The path comes decoded, the query as it was sent.
        ("GET", ["hello", name]) if !name.is_empty() => {
            let greeting = parameter(&variable("QUERY_STRING"), "greeting");
            let greeting = greeting.unwrap_or("Hello".into());
            print!("Content-Type: text/plain\nX-Language: Rust\n\n{greeting}, {name}!\n");
        }
        ("POST", ["echo"]) => {
            match env::var("CONTENT_TYPE") {
                Ok(kind) => print!("Content-Type: {kind}\n\n"),
                // A header block needs one of `Status`, `Content-Type` and `Location`.
                Err(_) => print!("Status: 200\n\n"),
            }
            io::copy(&mut io::stdin().lock(), &mut io::stdout().lock())?;
        }
        _ => print!("Status: 404\nContent-Type: text/plain\n\nno such path\n"),
    }
    Ok(())
}

/// The first value of this name in a query.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}
