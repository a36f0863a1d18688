//! A counter, as the Rust SDK of Spin has it in its examples.

use spin_sdk::http::{IntoResponse, Request, Response};
use spin_sdk::key_value::Store;
use spin_sdk::{http_component, variables};

#[http_component]
fn handle(request: Request) -> anyhow::Result<impl IntoResponse> {
    let store = Store::open_default()?;
    let key = request.path().trim_start_matches('/');
    let count = match store.get(key)? {
        Some(bytes) => String::from_utf8(bytes)?.parse::<u32>()? + 1,
        None => 1,
    };
    store.set(key, count.to_string().as_bytes())?;
    let greeting = variables::get("greeting")?;
    let keys = store.get_keys()?.join(",");
    Ok(Response::builder()
        .status(200)
        .header("content-type", "text/plain")
        .body(format!("{greeting}, {key} {count} of {keys}\n"))
        .build())
}
