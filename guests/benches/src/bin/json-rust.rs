//! Reads a list of orders, adds up each and all of them, and writes the list with the sums.

use bench_guests as _;
use serde::{Deserialize, Serialize};
use wstd::http::{Body, Error, Request, Response};

#[derive(Serialize, Deserialize)]
struct Orders {
    orders: Vec<Order>,
    #[serde(default)]
    total_cents: u64,
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    lines: Vec<Line>,
    #[serde(default)]
    total_cents: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: u64,
    cents: u64,
}

#[wstd::http_server]
async fn main(mut request: Request<Body>) -> Result<Response<Body>, Error> {
    let mut orders: Orders = serde_json::from_slice(request.body_mut().contents().await?)?;
    for order in &mut orders.orders {
        order.total_cents = order.lines.iter().map(Line::cents).sum();
    }
    orders.total_cents = orders.orders.iter().map(|order| order.total_cents).sum();
    let text = serde_json::to_string(&orders)?;
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(text.into())?)
}

impl Line {
    fn cents(&self) -> u64 {
        self.quantity * self.cents
    }
}
