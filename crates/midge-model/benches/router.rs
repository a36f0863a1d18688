//! Which route answers: among one, a thousand and ten thousand of them.

#![forbid(unsafe_code)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use midge_model::{Resolved, Route, RouteTable};

const ROUTES: [u32; 3] = [1, 1_000, 10_000];

fn router(criterion: &mut Criterion) {
    for routes in ROUTES {
        let table = table(routes);
        let asked = format!("/f{}/orders/17", routes / 2);
        let found = table.resolve(Some("example.com"), &Method::GET, &asked);
        assert!(
            matches!(found, Resolved::Found { .. }),
            "{asked} leads nowhere"
        );
        for (case, path) in [("found", &*asked), ("no route", "/nobody/orders/17")] {
            criterion.bench_function(&format!("router/{case}/{routes}"), |b| {
                b.iter(|| {
                    let host = black_box(Some("example.com"));
                    black_box(table.resolve(host, &Method::GET, black_box(path)));
                });
            });
        }
    }
}

fn table(routes: u32) -> RouteTable<u32> {
    let route = |number| {
        let text = format!("/f{number}/*");
        (
            text.parse::<Route>().expect("a route of ours is valid"),
            number,
        )
    };
    let routes = (0..routes).map(route).collect();
    RouteTable::new(routes).expect("no two routes are the same")
}

criterion_group!(benches, router);
criterion_main!(benches);
