//! Which gaps between written pages are worth filling.
//!
//! Pure: pages come as numbers from the beginning of a slot.
//!
//! **Invariant:** with the gaps filled, what was filled lies in regions that the engine takes, and
//! in pages that it keeps; where that cannot be reached nothing is filled.

/// Regions of written pages that the engine resets in place (its `MAX_REGIONS`, hard-coded), less
/// some for what the next request writes elsewhere.
const REGIONS_MAX: usize = 30;

/// How many regions are left. Requests differ: there is room for some new ones.
const REGIONS_LEFT: usize = 24;

/// How many pages may be filled for one that is no longer given back. Each filled page is copied
/// at every reset from now on (about 0.1 µs); each that is given back costs a fault with a copy and
/// a flush of the processor's tables (2 to 4 µs).
const FILLED_PER_SAVED: u64 = 16;

/// Pages next to each other: the first, and the one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Run {
    fn pages(self) -> u64 {
        self.end - self.start
    }
}

/// Runs from single pages, which come in order.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) runs: Vec<Run>,
    pub(super) pages: u64,
}

impl Runs {
    /// Adds a page behind all others.
    pub(super) fn push(&mut self, page: u64) {
        self.pages += 1;
        match self.runs.last_mut() {
            Some(run) if run.end == page => run.end += 1,
            _ => self.runs.push(Run {
                start: page,
                end: page + 1,
            }),
        }
    }
}

/// What a filled slot is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gaps {
    /// Pages that the engine resets in place.
    pub(super) pages_max: u64,
}

impl Gaps {
    /// The smallest gaps, as many as must be filled; none if it would not help.
    ///
    /// If all regions cannot be kept, the first are: the engine takes them in order.
    pub(super) fn worth_filling(self, written: &Runs) -> Vec<Run> {
        let runs = &written.runs;
        if runs.len() <= REGIONS_MAX {
            return Vec::new();
        }
        let fits = |runs: &[Run], left| {
            let gaps = smallest_gaps(runs, left);
            (pages_of(runs) + pages_of(&gaps) <= self.pages_max).then_some(gaps)
        };
        let all = fits(runs, REGIONS_LEFT).or_else(|| fits(runs, REGIONS_MAX));
        let (kept, gaps) = match all {
            Some(gaps) => (runs.len(), gaps),
            None => {
                // The more of them, the more pages it takes.
                let more: Vec<usize> = (REGIONS_MAX + 1..runs.len()).collect();
                let fit = more.partition_point(|&kept| fits(&runs[..kept], REGIONS_MAX).is_some());
                let kept = REGIONS_MAX + fit;
                (kept, smallest_gaps(&runs[..kept], REGIONS_MAX))
            }
        };
        let saved = pages_of(&runs[REGIONS_MAX..kept]);
        if pages_of(&gaps) <= saved * FILLED_PER_SAVED {
            gaps
        } else {
            Vec::new()
        }
    }
}

/// The gaps to fill so that no more than `left` regions are left of these.
fn smallest_gaps(runs: &[Run], left: usize) -> Vec<Run> {
    let between = |pair: &[Run]| Run {
        start: pair[0].end,
        end: pair[1].start,
    };
    let mut gaps: Vec<Run> = runs.windows(2).map(between).collect();
    gaps.sort_unstable_by_key(|gap| gap.pages());
    gaps.truncate(runs.len().saturating_sub(left));
    gaps
}

fn pages_of(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.pages()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn runs(pages: impl IntoIterator<Item = u64>) -> Runs {
        let mut runs = Runs::default();
        for page in pages {
            runs.push(page);
        }
        runs
    }

    const LARGE: Gaps = Gaps { pages_max: 1024 };

    #[test]
    fn pages_next_to_each_other_are_one_run() {
        let runs = runs([1, 2, 3, 7, 9, 10]);
        let ends: Vec<_> = runs.runs.iter().map(|run| (run.start, run.end)).collect();
        assert_eq!(ends, [(1, 4), (7, 8), (9, 11)]);
        assert_eq!(runs.pages, 6);
    }

    #[test]
    fn what_the_engine_keeps_anyway_is_left_alone() {
        assert_eq!(LARGE.worth_filling(&runs([])), []);
        let few = runs((0..REGIONS_MAX as u64).map(|n| n * 2));
        assert_eq!(LARGE.worth_filling(&few), []);
    }

    #[test]
    fn the_smallest_gaps_are_filled_and_the_large_one_stays() {
        let many = runs((0..60).map(|n| if n < 30 { n * 2 } else { 500 + n * 2 }));
        let gaps = LARGE.worth_filling(&many);
        assert_eq!(gaps.len(), 60 - REGIONS_LEFT);
        assert!(gaps.iter().all(|gap| gap.pages() == 1));
    }

    #[test]
    fn what_costs_more_than_it_saves_is_left() {
        let wide = runs((0..40).map(|n| n * 25));
        assert_eq!(LARGE.worth_filling(&wide), []);
    }

    #[test]
    fn where_not_all_can_be_kept_the_first_are() {
        let many = || runs((0..60).map(|n| n * 2));
        let room = |pages_max| Gaps { pages_max }.worth_filling(&many()).len();
        // Fewer than wanted, but all; then the first 55, and so on.
        assert_eq!(room(60 + 36), 36);
        assert_eq!(room(60 + 35), 30);
        assert_eq!(room(55 + 25), 25);
        assert_eq!(room(31), 0);
        let gaps = Gaps { pages_max: 80 }.worth_filling(&many());
        assert!(gaps.iter().all(|gap| gap.end <= 110), "{gaps:?}");
    }

    proptest! {
        #[test]
        fn filled_slots_have_few_regions_and_few_enough_pages(
            pages in prop::collection::btree_set(0_u64..4000, 0..600),
        ) {
            let before = runs(pages.iter().copied());
            let gaps = LARGE.worth_filling(&before);
            let mut after = pages.clone();
            for gap in &gaps {
                for page in gap.start..gap.end {
                    prop_assert!(after.insert(page), "{page} was written already");
                }
            }
            let after = runs(after);
            prop_assert_eq!(gaps.is_empty(), after.runs.len() == before.runs.len());
            if let Some(last) = gaps.iter().map(|gap| gap.end).max() {
                // What was filled is in the regions that the engine takes.
                let taken: Vec<_> = after.runs.iter().take(REGIONS_MAX).collect();
                prop_assert!(taken.last().unwrap().end > last);
                prop_assert!(taken.iter().map(|run| run.pages()).sum::<u64>() <= LARGE.pages_max);
                prop_assert!(LARGE.worth_filling(&after).is_empty());
            }
        }
    }
}
