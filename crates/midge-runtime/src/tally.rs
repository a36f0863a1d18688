//! What became of a function's invocations, in numbers.
//!
//! Decides what is counted of an invocation and when: how it ended, how long it took and what it
//! computed, once its guest is gone or it was turned away. Adding up the numbers of several
//! workers and showing them is the supervisor's.
//!
//! **Invariant:** every invocation that begins is counted exactly once, whatever ends it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use midge_model::{FunctionName, NamespaceName, Outcome};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Buckets of one doubling of time: a duration is known to a quarter of its power of two.
const PARTS: u32 = 4;

/// The bucket of the longest duration.
const BUCKET_MAX: u16 = 251;

/// Ways to end that are counted of a function: more than there are. A worker runs foreign code, so
/// who adds up its numbers must not let it make up codes without end.
const CODES_MAX: usize = 64;

/// What a worker counted of one function since it last told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionTally {
    /// Whose function.
    pub namespace: NamespaceName,
    /// Which.
    pub function: FunctionName,
    /// How many invocations ended how, by the outcome's code.
    pub outcomes: BTreeMap<String, u64>,
    /// How long those took of which a guest ran, from the arrival of the request to the guest's end.
    /// Refusals are quick, and would make a function that turns callers away look fast.
    pub latency: Histogram,
    /// What they computed, together.
    pub cpu: Duration,
}

/// Durations, counted in buckets that are a quarter of a doubling wide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<u16, u64>")]
pub struct Histogram(BTreeMap<u16, u64>);

/// Why numbers are not a histogram.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bucket {bucket} is none, the last is {BUCKET_MAX}")]
pub struct HistogramError {
    bucket: u16,
}

impl TryFrom<BTreeMap<u16, u64>> for Histogram {
    type Error = HistogramError;

    fn try_from(counts: BTreeMap<u16, u64>) -> Result<Self, HistogramError> {
        match counts.last_key_value() {
            Some((&bucket, _)) if bucket > BUCKET_MAX => Err(HistogramError { bucket }),
            _ => Ok(Self(counts)),
        }
    }
}

impl FunctionTally {
    /// Adds what another worker, or the same one later, counted of the function.
    pub fn add(&mut self, other: &Self) {
        for (code, count) in &other.outcomes {
            if self.outcomes.len() >= CODES_MAX && !self.outcomes.contains_key(code) {
                continue;
            }
            let sum = self.outcomes.entry(code.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.latency.add(&other.latency);
        self.cpu = self.cpu.saturating_add(other.cpu);
    }
}

impl Histogram {
    /// Counts one more duration.
    pub fn count(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let count = self.0.entry(bucket(micros)).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            let sum = self.0.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// How many durations were counted.
    pub fn total(&self) -> u64 {
        self.0
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The duration that so many hundredths of those counted do not exceed, rounded up to the end
    /// of its bucket: at most a quarter too long. `None` where nothing was counted.
    pub fn percentile(&self, percent: u32) -> Option<Duration> {
        let total = u128::from(self.total());
        let rank = (total * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut below = 0;
        let reached = self.0.iter().find(|(_, count)| {
            below += u128::from(**count);
            below >= rank
        });
        reached.map(|(bucket, _)| Duration::from_micros(end_micros(*bucket)))
    }
}

/// Small numbers have a bucket each; from then on the position of the highest bit and the two
/// below it tell.
fn bucket(micros: u64) -> u16 {
    let Some(doublings) = micros.checked_ilog2().filter(|log| *log >= 2) else {
        return u16::try_from(micros).expect("below 4");
    };
    let part = (micros >> (doublings - 2)) & u64::from(PARTS - 1);
    let part = u32::try_from(part).expect("below 4");
    u16::try_from((doublings - 1) * PARTS + part).expect("a u64 has 64 bits")
}

/// The largest number of a bucket.
fn end_micros(bucket: u16) -> u64 {
    let (doublings, part) = (
        u32::from(bucket) / PARTS,
        u64::from(bucket) % u64::from(PARTS),
    );
    if doublings == 0 {
        return part;
    }
    let end = (u128::from(PARTS) + u128::from(part) + 1) << (doublings - 1);
    u64::try_from(end - 1).unwrap_or(u64::MAX)
}

/// The tallies of a worker that have something to tell.
#[derive(Default)]
pub(crate) struct Tallies(RefCell<Vec<Rc<Tally>>>);

impl Tallies {
    /// What was counted since this was last asked, of the functions where anything was.
    pub(crate) fn take(&self) -> Vec<FunctionTally> {
        let changed = self.0.take();
        changed.iter().map(|tally| tally.take()).collect()
    }
}

/// The numbers of one function.
pub(crate) struct Tally {
    namespace: NamespaceName,
    function: FunctionName,
    counts: RefCell<Counts>,
    /// Whether it stands among those that have something to tell.
    listed: Cell<bool>,
}

#[derive(Default)]
struct Counts {
    outcomes: BTreeMap<&'static str, u64>,
    latency: Histogram,
    cpu: Duration,
}

impl Tally {
    pub(crate) fn new(namespace: &NamespaceName, function: &FunctionName) -> Rc<Self> {
        Rc::new(Self {
            namespace: namespace.clone(),
            function: function.clone(),
            counts: RefCell::default(),
            listed: Cell::new(false),
        })
    }

    fn take(&self) -> FunctionTally {
        self.listed.set(false);
        let Counts {
            outcomes,
            latency,
            cpu,
        } = self.counts.take();
        let outcomes = outcomes.into_iter();
        FunctionTally {
            namespace: self.namespace.clone(),
            function: self.function.clone(),
            outcomes: outcomes
                .map(|(code, count)| (code.to_owned(), count))
                .collect(),
            latency,
            cpu,
        }
    }
}

/// An invocation that is not over yet. It is counted when nobody holds it any more: neither who
/// waits for its answer nor its guest.
pub(crate) struct Counted {
    tally: Rc<Tally>,
    tallies: Rc<Tallies>,
    began: Instant,
    /// What the caller was told in place of an answer.
    told: OnceCell<&'static str>,
    /// How the guest ended, and what it computed.
    ended: OnceCell<(&'static str, Duration)>,
}

impl Counted {
    pub(crate) fn begin(tally: &Rc<Tally>, tallies: &Rc<Tallies>) -> Rc<Self> {
        Rc::new(Self {
            tally: Rc::clone(tally),
            tallies: Rc::clone(tallies),
            began: Instant::now(),
            told: OnceCell::new(),
            ended: OnceCell::new(),
        })
    }

    /// When the request arrived.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// There will be no answer, for this reason.
    pub(crate) fn told(&self, outcome: &Outcome) {
        self.told.get_or_init(|| outcome.code());
    }

    /// The guest is gone.
    pub(crate) fn ended(&self, outcome: &Outcome, cpu: Duration) {
        self.ended.get_or_init(|| (outcome.code(), cpu));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let ended = self.ended.get();
        let code = self.told.get().copied().or(ended.map(|(code, _)| *code));
        // Nobody was told anything and no guest ran: whoever asked has gone.
        let code = code.unwrap_or(Outcome::Cancelled.code());
        {
            let mut counts = self.tally.counts.borrow_mut();
            *counts.outcomes.entry(code).or_default() += 1;
            if let Some((_, cpu)) = ended {
                counts.latency.count(self.began.elapsed());
                counts.cpu = counts.cpu.saturating_add(*cpu);
            }
        }
        if !self.tally.listed.replace(true) {
            self.tallies.0.borrow_mut().push(Rc::clone(&self.tally));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally() -> Rc<Tally> {
        Tally::new(&NamespaceName::default(), &"f".parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_counts_once_when_all_have_let_go_of_it() {
        let (tally, tallies) = (tally(), Rc::default());
        let invocation = Counted::begin(&tally, &tallies);
        let guests = Rc::clone(&invocation);
        drop(invocation);
        assert_eq!(tallies.take(), []);
        tokio::time::advance(Duration::from_millis(3)).await;
        guests.ended(&Outcome::Responded, Duration::from_millis(2));
        drop(guests);
        let told = tallies.take();
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].outcomes,
            BTreeMap::from([("responded".to_owned(), 1)])
        );
        assert_eq!(told[0].cpu, Duration::from_millis(2));
        assert_eq!(
            told[0].latency.percentile(50),
            Some(Duration::from_micros(3_071))
        );
        assert_eq!(tallies.take(), [], "told once");
    }

    #[tokio::test]
    async fn what_the_caller_was_told_counts_before_how_the_guest_ended() {
        let (tally, tallies) = (tally(), Rc::default());
        let reason = String::new();
        let invocation = Counted::begin(&tally, &tallies);
        invocation.ended(&Outcome::Responded, Duration::ZERO);
        invocation.told(&Outcome::Failed { reason });
        drop(invocation);
        drop(Counted::begin(&tally, &tallies));
        let told = tallies.take();
        let counts = [("cancelled".to_owned(), 1), ("failed".to_owned(), 1)];
        assert_eq!(told[0].outcomes, BTreeMap::from(counts));
        assert_eq!(told[0].latency.total(), 1, "no guest ran for the other");
    }

    #[test]
    fn a_tally_survives_the_way_to_the_supervisor() {
        let tally = tally();
        tally
            .counts
            .borrow_mut()
            .latency
            .count(Duration::from_secs(1));
        let mut told = tally.take();
        let json = serde_json::to_string(&told).unwrap();
        let read: FunctionTally = serde_json::from_str(&json).unwrap();
        assert_eq!(read, told);
        told.add(&read);
        assert_eq!(told.latency.total(), 2);
    }

    #[test]
    fn what_no_histogram_could_be_is_refused() {
        assert_eq!(bucket(u64::MAX), BUCKET_MAX);
        assert!(serde_json::from_str::<Histogram>(r#"{"251":1}"#).is_ok());
        let error = serde_json::from_str::<Histogram>(r#"{"252":1}"#).unwrap_err();
        insta::assert_snapshot!(error, @"bucket 252 is none, the last is 251");
    }

    #[test]
    fn made_up_codes_do_not_pile_up() {
        let mut sum = tally().take();
        let mut other = sum.clone();
        other.outcomes = (0..1_000).map(|code| (code.to_string(), 1)).collect();
        sum.add(&other);
        assert_eq!(sum.outcomes.len(), CODES_MAX);
    }

    #[test]
    fn percentiles_of_nothing_are_nothing() {
        assert_eq!(Histogram::default().percentile(50), None);
    }

    proptest! {
        #[test]
        fn a_duration_falls_into_a_bucket_that_ends_at_most_a_quarter_later(micros: u64) {
            let end = end_micros(bucket(micros));
            prop_assert!(end >= micros);
            prop_assert!(u128::from(end) <= u128::from(micros) * 5 / 4, "{micros} until {end}");
            if let Some(before) = bucket(micros).checked_sub(1) {
                prop_assert!(end_micros(before) < micros);
            }
        }

        /// The fast percentile agrees with sorting them all, to the width of a bucket.
        #[test]
        fn percentiles_agree_with_sorting(
            mut micros in prop::collection::vec(0..1_000_000_u64, 1..200),
            percent in 1..=100_u32,
        ) {
            let mut histogram = Histogram::default();
            for micros in &micros {
                histogram.count(Duration::from_micros(*micros));
            }
            micros.sort_unstable();
            let rank = (micros.len() * usize::try_from(percent).unwrap()).div_ceil(100);
            let want = Duration::from_micros(end_micros(bucket(micros[rank - 1])));
            prop_assert_eq!(histogram.percentile(percent), Some(want));
        }
    }
}
