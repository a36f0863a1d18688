//! How often which value was seen, in buckets that grow with the value.
//!
//! Values are numbers without a unit: nanoseconds, bytes. What they mean, and how they are shown, is
//! the caller's to say.
//!
//! **Invariant:** a quantile is never below the value of that rank, and above it by less than a
//! part in [`PER_DOUBLING`].

/// Buckets in each doubling of the value: a quantile is exact to 1.6 %.
const PER_DOUBLING: u64 = 1 << PRECISION_BITS;

/// The same as a power of two: 64 buckets.
const PRECISION_BITS: u32 = 6;

/// Enough for every value of 64 bits.
const BUCKETS: usize = ((u64::BITS - PRECISION_BITS + 1) as usize) << PRECISION_BITS;

/// How often which value was seen.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            count: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// A value was seen.
    pub(super) fn add(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// All that another has seen was seen here too.
    pub(super) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many values were seen.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The largest value.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// The value that `per_mille` of a thousand values are not above; nothing was seen, then 0.
    pub(super) fn quantile(&self, per_mille: u64) -> u64 {
        let product = u128::from(self.count) * u128::from(per_mille.min(1000));
        let rank = u64::try_from(product.div_ceil(1000)).unwrap_or(u64::MAX);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank.max(1) {
                return highest_of(bucket).min(self.max);
            }
        }
        0
    }

    /// The buckets that saw something: the lowest value of each, and how often.
    pub(super) fn seen(&self) -> impl Iterator<Item = (u64, u64)> {
        let buckets = self.counts.iter().enumerate();
        let seen = buckets.filter(|(_, count)| **count > 0);
        seen.map(|(bucket, count)| (lowest_of(bucket), *count))
    }
}

/// How far the values in a bucket are shifted, and the one it begins with after that.
fn scale_of(bucket: usize) -> (u32, u64) {
    let bucket = bucket as u64;
    if bucket < PER_DOUBLING {
        return (0, bucket);
    }
    let shift = bucket / PER_DOUBLING - 1;
    let begin = PER_DOUBLING + bucket % PER_DOUBLING;
    (u32::try_from(shift).unwrap_or(u32::MAX), begin)
}

fn bucket_of(value: u64) -> usize {
    let doublings = value.max(1).ilog2();
    let shift = doublings.saturating_sub(PRECISION_BITS);
    let bucket = u64::from(shift) * PER_DOUBLING + (value >> shift);
    usize::try_from(bucket).unwrap_or(BUCKETS - 1)
}

fn lowest_of(bucket: usize) -> u64 {
    let (shift, begin) = scale_of(bucket);
    begin << shift
}

fn highest_of(bucket: usize) -> u64 {
    let (shift, begin) = scale_of(bucket);
    (begin << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.add(*value);
        }
        histogram
    }

    /// Small ones and large ones alike.
    fn value() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift)
    }

    #[test]
    fn nothing_seen_is_zero() {
        assert_eq!(Histogram::default().quantile(500), 0);
        assert_eq!(of(&[0]).quantile(999), 0);
        assert_eq!(of(&[u64::MAX]).quantile(1000), u64::MAX);
    }

    proptest! {
        /// A quantile agrees with a sorted list of all values, but for the width of a bucket.
        #[test]
        fn quantiles_agree_with_sorting(mut values in vec(value(), 1..200), per_mille in 0_u64..=1000) {
            let histogram = of(&values);
            values.sort_unstable();
            let rank = (values.len() as u64 * per_mille).div_ceil(1000).max(1);
            let exact = values[usize::try_from(rank).unwrap() - 1];
            let found = histogram.quantile(per_mille);
            prop_assert!(found >= exact, "{found} is below {exact}");
            prop_assert!(found - exact <= exact / PER_DOUBLING, "{found} is far above {exact}");
        }

        /// Every value is in the bucket that says so, and buckets follow each other.
        #[test]
        fn buckets_hold_their_values(value in value()) {
            let bucket = bucket_of(value);
            prop_assert!(bucket < BUCKETS);
            prop_assert!((lowest_of(bucket)..=highest_of(bucket)).contains(&value));
            if bucket > 0 {
                prop_assert_eq!(highest_of(bucket - 1) + 1, lowest_of(bucket));
            }
        }

        /// Two histograms become the one that had seen everything.
        #[test]
        fn merging_is_seeing_both(first in vec(value(), 0..50), second in vec(value(), 0..50)) {
            let mut merged = of(&first);
            merged.merge(&of(&second));
            let all = of(&[first, second].concat());
            prop_assert_eq!(merged.count(), all.count());
            prop_assert_eq!(merged.max(), all.max());
            prop_assert!(merged.seen().eq(all.seen()));
        }
    }
}
