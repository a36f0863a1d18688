//! Components that were more than a compiler may take, remembered for a while.
//!
//! Decides for how long, and how many. What a component may take is `compilers.rs`.
//!
//! **Invariant:** a component that went over its budget costs a second compiler only after
//! [`REMEMBERED_FOR`], unless [`REMEMBERED_MAX`] others did meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use midge_model::Digest;
use tokio::time::Instant;

/// How long a component is refused at once. The node may have been busy, so not for ever.
const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);

/// Components that are remembered at a time; the oldest is forgotten for another.
const REMEMBERED_MAX: usize = 1_024;

/// What went over its budget lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Digest, (Instant, String)>);

impl Refusals {
    /// The limit that the component went over, if that is not long ago.
    pub(super) fn limit_of(&self, digest: &Digest) -> Option<String> {
        let (at, limit) = self.0.get(digest)?;
        (at.elapsed() < REMEMBERED_FOR).then(|| limit.clone())
    }

    /// Remembers which limit a component went over.
    pub(super) fn remember(&mut self, digest: Digest, limit: String) {
        self.0.retain(|_, (at, _)| at.elapsed() < REMEMBERED_FOR);
        if self.0.len() >= REMEMBERED_MAX {
            let oldest = self.0.iter().min_by_key(|(_, (at, _))| *at);
            let oldest = oldest.map(|(digest, _)| *digest);
            oldest.map(|digest| self.0.remove(&digest));
        }
        self.0.insert(digest, (Instant::now(), limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_went_over_its_budget_is_remembered_for_a_while() {
        let mut refusals = Refusals::default();
        let digest = Digest::of(b"bomb");
        refusals.remember(digest, "2m".to_owned());
        tokio::time::advance(REMEMBERED_FOR / 2).await;
        assert_eq!(refusals.limit_of(&digest).as_deref(), Some("2m"));
        tokio::time::advance(REMEMBERED_FOR).await;
        assert_eq!(refusals.limit_of(&digest), None);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_remembered_and_the_oldest_forgotten() {
        let mut refusals = Refusals::default();
        let digests: Vec<_> = (0..=REMEMBERED_MAX)
            .map(|nth| Digest::of(nth.to_string().as_bytes()))
            .collect();
        for digest in &digests {
            refusals.remember(*digest, "2m".to_owned());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(refusals.limit_of(&digests[0]), None);
        let later = digests.iter().skip(1);
        assert_eq!(
            later.filter(|at| refusals.limit_of(at).is_some()).count(),
            REMEMBERED_MAX
        );
    }
}
