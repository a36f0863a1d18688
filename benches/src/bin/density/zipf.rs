//! Draws: which function is asked next.
//!
//! Few functions get most requests and most get few, as on the web: the one of rank k is asked in
//! proportion to 1 / k^s. Everything follows from one seed, which is printed.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that look random and follow from a seed (SplitMix64).
pub(crate) struct Random(u64);

/// A Zipf distribution over ranks from 0.
pub(crate) struct Zipf {
    /// The sum of all weights up to each rank.
    sums: Vec<f64>,
}

/// A seed that nobody chose.
#[expect(
    clippy::disallowed_methods,
    reason = "a program of the project's own, which has no Clock"
)]
pub(crate) fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.subsec_nanos().into())
}

impl Random {
    /// The numbers that follow from this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a f64 has")]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// So many different numbers below `below`, in no order.
    pub(crate) fn sample(&mut self, below: usize, count: usize) -> Vec<usize> {
        // The beginning of a shuffled list of which only what was moved is written down.
        let mut moved = HashMap::new();
        (0..count.min(below))
            .map(|at| {
                let left = u64::try_from(below - at).unwrap_or(u64::MAX);
                let other = at + usize::try_from(self.next() % left).unwrap_or(0);
                let drawn = moved.get(&other).copied().unwrap_or(other);
                let here = moved.get(&at).copied().unwrap_or(at);
                moved.insert(other, here);
                drawn
            })
            .collect()
    }
}

impl Zipf {
    /// So many ranks, with this exponent.
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are far fewer than 2^52 functions"
    )]
    pub(crate) fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self {
            sums: sums.collect(),
        }
    }

    /// A rank.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let all = self.sums.last().copied().unwrap_or(0.0);
        let drawn = random.share() * all;
        let rank = self.sums.partition_point(|sum| *sum <= drawn);
        rank.min(self.sums.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_first_rank_is_drawn_twice_as_often_as_the_second() {
        let (zipf, mut random) = (Zipf::new(100, 1.0), Random::new(7));
        let mut drawn = [0_u32; 100];
        for _ in 0..200_000 {
            drawn[zipf.draw(&mut random)] += 1;
        }
        let ratio = f64::from(drawn[0]) / f64::from(drawn[1]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        assert!(drawn[99] > 0);
    }

    #[test]
    fn a_sample_has_nothing_twice() {
        let mut random = Random::new(7);
        let sample = random.sample(1_000, 1_000);
        let different: BTreeSet<_> = sample.iter().copied().collect();
        assert_eq!(different, (0..1_000).collect());
        assert_ne!(sample, (0..1_000).collect::<Vec<_>>());
        assert_eq!(random.sample(3, 9).len(), 3);
        assert_eq!(Random::new(1).sample(50, 5), Random::new(1).sample(50, 5));
    }
}
