//! Computes for about 20 ms on a machine of these years, always the same: `/sha256`, `/matmul`,
//! `/sort`. Answers with a checksum, so that nothing is left out, and how long it took by the
//! guest's own clock.

use std::hint::black_box;

use bench_guests as _;
use sha2::{Digest, Sha256};
use wstd::http::{Body, Error, Request, Response, StatusCode};
use wstd::time::Instant;

/// Integers in registers: rotations and additions.
const HASHED_BYTES: usize = 4_000_000;
/// Floating point, and memory in order.
const MATRIX: usize = 352;
/// Comparisons that no predictor knows, and memory in no order.
const SORTED: usize = 500_000;

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let kernel = match request.uri().path().rsplit('/').next() {
        Some("sha256") => sha256,
        Some("matmul") => matmul,
        Some("sort") => sort,
        _ => {
            let unknown = Response::builder().status(StatusCode::NOT_FOUND);
            return Ok(unknown.body("ask for /sha256, /matmul or /sort\n".to_owned().into())?);
        }
    };
    let start = Instant::now();
    let checksum = kernel();
    let took = Instant::now().duration_since(start).as_micros();
    Ok(Response::new(format!("{checksum:016x} in {took} us\n").into()))
}

fn sha256() -> u64 {
    let bytes: Vec<u8> = Random::new().map(|number| number as u8).take(HASHED_BYTES).collect();
    let digest = Sha256::digest(black_box(&bytes));
    digest.iter().fold(0, |sum: u64, byte| sum.rotate_left(8) ^ u64::from(*byte))
}

fn matmul() -> u64 {
    let mut random = Random::new().map(|number| f64::from(number as u8));
    let mut matrix = || -> Vec<f64> { random.by_ref().take(MATRIX * MATRIX).collect() };
    let (a, b, mut product) = (matrix(), matrix(), vec![0.0; MATRIX * MATRIX]);
    for (row_a, row) in a.chunks_exact(MATRIX).zip(product.chunks_exact_mut(MATRIX)) {
        for (factor, row_b) in row_a.iter().zip(b.chunks_exact(MATRIX)) {
            for (cell, value) in row.iter_mut().zip(row_b) {
                *cell += factor * value;
            }
        }
    }
    black_box(product).iter().sum::<f64>().to_bits()
}

fn sort() -> u64 {
    let mut numbers: Vec<u64> = Random::new().take(SORTED).collect();
    numbers.sort_unstable();
    black_box(numbers).iter().fold(0, |sum: u64, number| sum.rotate_left(1) ^ number)
}

/// Numbers that look random and are the same every time (xorshift).
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Iterator for Random {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some(self.0)
    }
}
