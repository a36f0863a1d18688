//! What a worker does before anything of a guest's: whose request it is, among one, a thousand and
//! ten thousand functions. Both cases end there, with a refusal.

#![forbid(unsafe_code)]

mod kit;

use criterion::{Criterion, criterion_group, criterion_main};

use self::kit::{FUNCTIONS, Worker};

fn table(criterion: &mut Criterion) {
    for functions in FUNCTIONS {
        let worker = Worker::with(functions);
        // The function is found by its host, its revision is not.
        let missing = format!("r9.f{}.default.midge.test", functions / 2);
        for (case, host, path) in [
            ("no route", "example.com", "/nobody/orders/17"),
            ("no revision", &*missing, "/orders/17"),
        ] {
            assert_ne!(worker.send(host, path, 1).1, "responded");
            criterion.bench_function(&format!("table/{case}/{functions}"), |b| {
                b.iter_custom(|count| worker.send(host, path, count).0);
            });
        }
    }
}

criterion_group!(benches, table);
criterion_main!(benches);
