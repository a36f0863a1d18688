//! Which gaps between written pages are worth being reset along with them.
//!
//! Pure: spans are addresses, in order, and do not touch.
//!
//! **Invariant:** what is answered covers every span up to where it says that it tells of all, and
//! nothing outside of the first and the last; where that does not fit, nothing is answered.

use std::ops::Range;

/// How many bytes of gaps may be reset for one that is not given back. A page that was reset once
/// is copied at every reset from then on (about 0.1 µs); one that is given back costs a fault with
/// a copy and a flush of the processor's tables (2 to 4 µs).
const FILLED_PER_SAVED: u64 = 16;

type Span = Range<u64>;

/// Spans with some gaps between them filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merged {
    pub(super) spans: Vec<Span>,
    /// Whether they cover everything they were made of, or the first of it.
    pub(super) is_all: bool,
}

/// Fills the smallest gaps, so many that no more than `room` spans are left, of at most `bytes_max`
/// together. If all spans cannot be kept, the first are. `None` if it would not pay.
pub(super) fn merge(spans: &[Span], room: usize, bytes_max: u64) -> Option<Merged> {
    let fits = |kept: usize| {
        let merged = fill_smallest(&spans[..kept], room);
        (bytes_of(&merged) <= bytes_max).then_some(merged)
    };
    let (kept, merged) = match fits(spans.len()) {
        Some(merged) => (spans.len(), merged),
        None => {
            // The more of them, the more bytes it takes.
            let more: Vec<usize> = (room..spans.len()).collect();
            let kept = room + more.partition_point(|&kept| fits(kept).is_some());
            let kept = kept.checked_sub(1).filter(|&kept| kept > room)?;
            (kept, fits(kept)?)
        }
    };
    let saved = bytes_of(spans.get(room..kept)?);
    let filled = bytes_of(&merged) - bytes_of(&spans[..kept]);
    (filled <= saved.saturating_mul(FILLED_PER_SAVED)).then_some(Merged {
        spans: merged,
        is_all: kept == spans.len(),
    })
}

fn fill_smallest(spans: &[Span], room: usize) -> Vec<Span> {
    let gap_behind = |nth: usize| spans[nth + 1].start - spans[nth].end;
    let mut gaps: Vec<usize> = (0..spans.len().saturating_sub(1)).collect();
    gaps.sort_by_key(|&nth| gap_behind(nth));
    let mut is_filled = vec![false; gaps.len()];
    for &nth in gaps.iter().take(spans.len().saturating_sub(room)) {
        is_filled[nth] = true;
    }
    let mut merged: Vec<Span> = Vec::with_capacity(room);
    for (nth, span) in spans.iter().enumerate() {
        match merged.last_mut() {
            Some(last) if is_filled[nth - 1] => last.end = span.end,
            _ => merged.push(span.clone()),
        }
    }
    merged
}

fn bytes_of(spans: &[Span]) -> u64 {
    spans.iter().map(|span| span.end - span.start).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLENTY: u64 = 1 << 20;

    fn single(starts: impl IntoIterator<Item = u64>) -> Vec<Span> {
        starts.into_iter().map(|at| at..at + 1).collect()
    }

    #[test]
    fn the_smallest_gaps_are_filled_and_the_large_one_stays() {
        let spans = single((0..60).map(|n| if n < 30 { n * 2 } else { 500 + n * 2 }));
        let merged = merge(&spans, 2, PLENTY).unwrap();
        assert_eq!(merged.spans, [0..59, 560..619]);
        assert!(merged.is_all);
    }

    #[test]
    fn what_costs_more_than_it_saves_is_left() {
        assert_eq!(merge(&single((0..40).map(|n| n * 100)), 32, PLENTY), None);
        assert!(merge(&single((0..40).map(|n| n * 10)), 32, PLENTY).is_some());
    }

    #[test]
    fn where_not_all_can_be_kept_the_first_are() {
        let spans = single((0..60).map(|n| n * 2));
        // Each beyond the tenth takes a gap of one along.
        let merged = merge(&spans, 10, 30).unwrap();
        assert!(!merged.is_all);
        assert_eq!(merged.spans.len(), 10);
        assert_eq!(merged.spans.last().unwrap().end, 2 * 19 + 1);
        assert_eq!(merge(&spans, 10, 10), None);
        assert_eq!(merge(&spans, 10, 0), None);
    }

    prop_compose! {
        fn spans()(steps in prop::collection::vec((1_u64..40, 1_u64..5), 33..200)) -> Vec<Span> {
            let mut at = 0;
            let lay = |(gap, length)| {
                let start = at + gap;
                at = start + length;
                start..at
            };
            steps.into_iter().map(lay).collect()
        }
    }

    proptest! {
        #[test]
        fn no_span_is_lost_and_every_bound_holds(
            spans in spans(),
            room in 1_usize..33,
            bytes_max in 0_u64..2000,
        ) {
            let Some(merged) = merge(&spans, room, bytes_max) else {
                return Ok(());
            };
            prop_assert!(merged.spans.len() <= room);
            prop_assert!(bytes_of(&merged.spans) <= bytes_max);
            let end = merged.spans.last().unwrap().end;
            prop_assert_eq!(merged.is_all, end == spans.last().unwrap().end);
            for span in &spans {
                let covers = |one: &Span| one.start <= span.start && span.end <= one.end;
                let is_covered = merged.spans.iter().any(covers);
                prop_assert_eq!(is_covered, span.end <= end);
            }
            prop_assert!(merged.spans.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
