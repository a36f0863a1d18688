//! The world as it is bent for functions that are tried out, and not served.
//!
//! Holds what `midge test` and `midge dev` change about it: what answers in place of other servers,
//! the time, what random numbers come from, and which calls are slow or fail. How each is written is
//! the model's; each capability asks here where it is used.
//!
//! **Invariant:** nothing here is asked before the grants were, and none of it makes more of them.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use midge_model::cases::StandInRequest;
use midge_model::rehearsal::{Fail, Faulty, Now, Slow};
use midge_model::{HostName, Outbound};
use rand_core::TryRng;
use serde::{Deserialize, Serialize};

/// What is bent; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rehearsal {
    /// Whether what functions use is noted. Unlike learning it lets them do nothing more.
    pub watch: bool,
    /// What answers requests in place of other servers, the first that fits and has an answer left;
    /// all others are refused. `None` sends requests as usual.
    pub stand_ins: Option<Vec<StandIn>>,
    /// What the wall clock shows; time goes by as usual for all that waits or measures.
    pub now: Option<Now>,
    /// What random numbers come from.
    pub seed: Option<u64>,
    /// Which calls are held up.
    pub slow: Vec<Slow>,
    /// Which part of calls fails.
    pub fail: Vec<Fail>,
    /// Which hosts no request gets to, whatever the grants say.
    pub deny: Vec<HostName>,
}

/// What stands in for servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// Which requests it answers.
    pub request: StandInRequest,
    /// With what.
    pub answers: StandInAnswers,
}

/// What a stand-in answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandInAnswers {
    /// The same each time.
    Always(StandInAnswer),
    /// One after the other, each once.
    InTurn(Vec<StandInAnswer>),
}

/// An answer in place of a server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandInAnswer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A rehearsal that is going on in this process.
pub(crate) struct Rehearsed {
    rehearsal: Rehearsal,
    /// Decides which calls fail.
    dice: Mutex<Numbers>,
    /// How many instances have had numbers.
    instances: AtomicU64,
    /// How many requests each stand-in was asked, in the order of the stand-ins.
    asked: Vec<AtomicUsize>,
}

/// What becomes of a request where stand-ins answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answered<'a> {
    /// This.
    With(&'a StandInAnswer),
    /// One would answer, and has given all of its answers.
    NoMore {
        /// How many it had.
        given: usize,
    },
    /// None fits.
    ByNone,
}

/// A call that was made to fail; it says so, so that nobody looks for another reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("made to fail, as a part of all calls is: {0}")]
pub(crate) struct Faulted(Fail);

impl Rehearsed {
    /// `None` where nothing is bent: then nothing is asked either.
    pub(crate) fn of(rehearsal: &Rehearsal) -> Option<Self> {
        (*rehearsal != Rehearsal::default()).then(|| Self {
            dice: Mutex::new(Numbers::new(rehearsal.seed.unwrap_or_default())),
            instances: AtomicU64::new(0),
            asked: rehearsal
                .stand_ins
                .iter()
                .flatten()
                .map(|_| AtomicUsize::new(0))
                .collect(),
            rehearsal: rehearsal.clone(),
        })
    }

    /// What the wall clock shows, if something else than the time.
    pub(crate) fn now(&self) -> Option<Now> {
        self.rehearsal.now
    }

    /// The numbers of one more instance: each has its own, and the first of a seed always the same.
    pub(crate) fn numbers(&self) -> Option<Numbers> {
        let seed = self.rehearsal.seed?;
        let before = self.instances.fetch_add(1, Ordering::Relaxed);
        Some(Numbers::new(seed.wrapping_add(before)))
    }

    /// Holds a call up for as long as it is to be slow.
    ///
    /// # Errors
    ///
    /// It is one of those that fail.
    pub(crate) async fn meet(&self, what: Faulty) -> Result<(), Faulted> {
        for slow in self.rehearsal.slow.iter().filter(|slow| slow.what == what) {
            tokio::time::sleep(slow.by).await;
        }
        let fails = self.rehearsal.fail.iter().filter(|fail| fail.what == what);
        for fail in fails {
            let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
            if dice.next() % 1_000_000 < u64::from(fail.of_million) {
                return Err(Faulted(*fail));
            }
        }
        Ok(())
    }

    /// Whether requests to this host are refused.
    pub(crate) fn denies(&self, host: &HostName) -> bool {
        self.rehearsal.deny.contains(host)
    }

    /// What answers a request; `None` where servers do.
    pub(crate) fn stand_in(
        &self,
        request: &Outbound<'_>,
        query: Option<&str>,
    ) -> Option<Answered<'_>> {
        let stand_ins = self.rehearsal.stand_ins.as_ref()?;
        let mut otherwise = Answered::ByNone;
        for (stand_in, asked) in stand_ins.iter().zip(&self.asked) {
            if !stand_in.request.matches(request, query) {
                continue;
            }
            let answers = match &stand_in.answers {
                StandInAnswers::Always(answer) => return Some(Answered::With(answer)),
                StandInAnswers::InTurn(answers) => answers,
            };
            match answers.get(asked.fetch_add(1, Ordering::Relaxed)) {
                Some(answer) => return Some(Answered::With(answer)),
                // Another one may go on where this one ends.
                None => {
                    let given = answers.len();
                    otherwise = Answered::NoMore { given };
                }
            }
        }
        Some(otherwise)
    }
}

/// Numbers that only look random: the same for the same seed, on every machine and in every version
/// of what we depend on (`SplitMix64`). For tests; nobody's key comes from here.
#[derive(Debug, Clone)]
pub(crate) struct Numbers(u64);

impl Numbers {
    fn new(seed: u64) -> Self {
        // Seeds that are near each other begin far apart.
        let mut first = Self(seed);
        Self(first.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl TryRng for Numbers {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = self.next().to_le_bytes();
        Ok(u32::from_le_bytes([a, b, c, d]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for piece in bytes.chunks_mut(size_of::<u64>()) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failing(part: &str, seed: u64) -> Rehearsed {
        let rehearsal = Rehearsal {
            fail: vec![part.parse().unwrap()],
            seed: Some(seed),
            ..Rehearsal::default()
        };
        Rehearsed::of(&rehearsal).unwrap()
    }

    async fn failed(rehearsed: &Rehearsed, what: Faulty) -> Vec<usize> {
        let mut failed = Vec::new();
        for call in 0..1_000 {
            if rehearsed.meet(what).await.is_err() {
                failed.push(call);
            }
        }
        failed
    }

    #[tokio::test]
    async fn the_same_part_of_calls_fails_for_the_same_seed() {
        let first = failed(&failing("kv:5%", 7), Faulty::Kv).await;
        assert!((25..=85).contains(&first.len()), "{}", first.len());
        assert_eq!(first, failed(&failing("kv:5%", 7), Faulty::Kv).await);
        assert_ne!(first, failed(&failing("kv:5%", 8), Faulty::Kv).await);
        assert_eq!(
            failed(&failing("kv:100%", 7), Faulty::Kv).await.len(),
            1_000
        );
        assert!(
            failed(&failing("kv:100%", 7), Faulty::Http)
                .await
                .is_empty()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_named_is_slow() {
        let rehearsal = Rehearsal {
            slow: vec!["http:200ms".parse().unwrap()],
            ..Rehearsal::default()
        };
        let rehearsed = Rehearsed::of(&rehearsal).unwrap();
        let begun = tokio::time::Instant::now();
        rehearsed.meet(Faulty::Kv).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        rehearsed.meet(Faulty::Http).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }

    #[test]
    fn nothing_is_bent_by_default() {
        assert!(Rehearsed::of(&Rehearsal::default()).is_none());
        let read: Rehearsal = serde_json::from_str("{}").unwrap();
        assert_eq!(read, Rehearsal::default());
    }

    /// Whoever wrote down what a seed brings finds it again in every later version.
    #[test]
    fn a_seed_brings_the_same_numbers_for_ever() {
        let mut numbers = Numbers::new(7);
        let mut bytes = [0; 5];
        numbers.try_fill_bytes(&mut bytes).unwrap();
        assert_eq!(
            (numbers.next(), bytes),
            (11_984_929_618_412_882_174, [69, 206, 171, 126, 151])
        );
    }
}
