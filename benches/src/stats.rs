//! Medians, spreads and ratios: how rounds become one figure.
//!
//! Machines that others use are noisy, and the noise comes in stretches. So what is compared is
//! measured in turns, a ratio is taken within each round, and the median of the ratios is quoted
//! with the lowest and the highest. Means are not used: one bad round would move them.
//!
//! **Invariant:** pure arithmetic, and no figure comes out of no rounds.

use serde::{Deserialize, Serialize};

/// The middle of several rounds, and how far they lay apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of the rounds lie below it.
    pub median: f64,
    /// The lowest round.
    pub low: f64,
    /// The highest round.
    pub high: f64,
}

impl Spread {
    /// The spread of these rounds; none if there are none, or one is not a finite number.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        if rounds.is_empty() || rounds.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self {
            median,
            low: sorted[0],
            high: sorted[sorted.len() - 1],
        })
    }
}

/// Round by round, the one over the other; rounds that only one of them has are left out.
pub fn ratios(of: &[f64], over: &[f64]) -> Vec<f64> {
    of.iter().zip(over).map(|(of, over)| of / over).collect()
}

/// The value below which this share of them lies, of a sorted list; none if it is empty.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a list is far shorter than 2^52, and the share lies between 0 and 1"
)]
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    let at = (sorted.len() as f64 * share) as usize;
    Some(sorted[at.min(last)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Spread, quantile, ratios};

    #[test]
    fn the_median_stands_in_the_middle() {
        let spread = Spread::of(&[9.0, 1.0, 5.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (1.0, 5.0, 9.0));
        assert_eq!(Spread::of(&[1.0, 2.0, 4.0, 100.0]).unwrap().median, 3.0);
    }

    #[test]
    fn no_rounds_have_no_spread() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
        assert_eq!(Spread::of(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn one_bad_stretch_does_not_move_the_median_of_the_ratios() {
        // Everything took three times as long in the second round.
        let (midge, floor) = ([30.0, 90.0, 30.0], [10.0, 30.0, 10.0]);
        assert_eq!(ratios(&midge, &floor), [3.0, 3.0, 3.0]);
    }

    #[test]
    fn rounds_without_a_partner_are_left_out() {
        assert_eq!(ratios(&[1.0, 2.0], &[1.0]), [1.0]);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u32> = (0..100).collect();
        assert_eq!(quantile(&values, 0.5), Some(50));
        assert_eq!(quantile(&values, 0.99), Some(99));
        assert_eq!(quantile(&values, 1.0), Some(99));
        assert_eq!(quantile::<u32>(&[], 0.5), None);
    }

    proptest! {
        /// The middle lies between the ends, whatever the rounds and their order.
        #[test]
        fn the_middle_lies_between_the_ends(rounds in prop::collection::vec(-1e9..1e9_f64, 1..20)) {
            let spread = Spread::of(&rounds).unwrap();
            prop_assert!(spread.low <= spread.median && spread.median <= spread.high);
            let mut turned = rounds;
            turned.reverse();
            prop_assert_eq!(Spread::of(&turned), Some(spread));
        }
    }
}
