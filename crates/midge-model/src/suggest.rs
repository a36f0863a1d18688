//! The nearest known word for a misspelt one.
//!
//! Decides what is near enough to be suggested. A far-fetched suggestion is worse
//! than none, so the distance allowed grows with the word.

/// Longer words are not compared: the cost grows with the square of the length.
const WORD_BYTES_MAX: usize = 64;
/// Shorter words begin too many others to mean one of them.
const ABBREVIATION_BYTES_MIN: usize = 3;

/// The candidate that was most likely meant, if any is near enough.
///
/// Case does not count; of equally near ones the first wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    // One slip per three letters: `memmory` finds `memory`, `xyz` finds nothing.
    let distance_max = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                distance(&word, &candidate.to_lowercase(), distance_max),
                candidate,
            )
        })
        .filter(|(distance, candidate)| {
            *distance <= distance_max && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The slips between two words; a word cut short counts as just near enough.
fn distance(word: &str, candidate: &str, distance_max: usize) -> usize {
    let is_short_for = word.len() >= ABBREVIATION_BYTES_MIN && candidate.starts_with(word);
    match strsim::osa_distance(word, candidate) {
        far if far > distance_max && is_short_for => distance_max,
        distance => distance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str) -> Option<&'static str> {
        nearest(
            word,
            ["memory", "time", "concurrency", "request-body", "kv"],
        )
    }

    #[test]
    fn finds_the_word_behind_a_slip() {
        assert_eq!(check("memmory"), Some("memory"));
        assert_eq!(check("Memory"), Some("memory"));
        assert_eq!(check("tiem"), Some("time"));
        assert_eq!(check("request_body"), Some("request-body"));
    }

    #[test]
    fn finds_the_word_that_was_cut_short() {
        assert_eq!(check("mem"), Some("memory"));
        assert_eq!(check("me"), None);
    }

    #[test]
    fn suggests_nothing_far_fetched() {
        assert_eq!(check("banana"), None);
        assert_eq!(check("xy"), None);
        assert_eq!(check(""), None);
        assert_eq!(check(&"m".repeat(10_000)), None);
    }
}
