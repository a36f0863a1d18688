//! A whole dispatch through table, gate and guest: the smallest guest, among one, a thousand and ten
//! thousand functions. `invoke/tiny` of midge-sandbox is the guest's part of it.

#![forbid(unsafe_code)]

mod kit;

use criterion::{Criterion, criterion_group, criterion_main};

use self::kit::{FUNCTIONS, Worker};

fn admission(criterion: &mut Criterion) {
    for functions in FUNCTIONS {
        let worker = Worker::with(functions);
        let path = format!("/f{}/orders/17", functions / 2);
        assert_eq!(worker.send("example.com", &path, 1).1, "responded");
        criterion.bench_function(&format!("dispatch/{functions}"), |b| {
            b.iter_custom(|count| worker.send("example.com", &path, count).0);
        });
    }
}

criterion_group!(benches, admission);
criterion_main!(benches);
