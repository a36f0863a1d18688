//! Which point of a split a request falls on.
//!
//! Decides what keeps a caller at one revision, and how the others are spread. Which revision
//! has which part of the split is the model's [`Traffic`].
//!
//! **Invariant:** the same value of the header or cookie that traffic sticks to is always the same
//! point, in every worker, on every node and after every deploy.

use std::cell::Cell;

use http::{HeaderMap, header};
use midge_model::{Sticky, Traffic};
use sha2::{Digest as _, Sha256};

/// 2⁶⁴ divided by the golden ratio. Multiples of it are spread over the range of `u64` as evenly
/// as can be (Weyl), so shares hold over thousands of requests and not only on average.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The points of a function's requests, one after the other.
#[derive(Default)]
pub(crate) struct Sequence(Cell<u64>);

impl Sequence {
    fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(STEP));
        self.0.get()
    }
}

/// The point of this request: that of what its traffic sticks to, if the request has it, else the
/// next of the sequence.
pub(crate) fn point(traffic: &Traffic, headers: &HeaderMap, sequence: &Sequence) -> u64 {
    if traffic.shares().len() == 1 {
        // One revision has every point.
        return 0;
    }
    let value = traffic.sticky().and_then(|sticky| match sticky {
        Sticky::Header(name) => headers.get(name).map(|value| value.as_bytes()),
        Sticky::Cookie(name) => cookie(headers, name.as_bytes()),
    });
    value.map_or_else(|| sequence.next(), hash)
}

/// The first eight bytes of the SHA-256 of the value, the highest first. Documented: whoever
/// wants to know where a caller goes can work it out.
fn hash(value: &[u8]) -> u64 {
    let digest = Sha256::digest(value);
    let first = digest.first_chunk().expect("a digest has 32 bytes");
    u64::from_be_bytes(*first)
}

/// The value of the first cookie of this name (RFC 6265, section 4.2).
fn cookie<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<&'a [u8]> {
    let fields = headers.get_all(header::COOKIE).into_iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b';'));
    pairs
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
        .next()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use midge_model::{RevisionNumber, Share};
    use proptest::prelude::*;

    use super::*;

    fn traffic(shares: &[&str], sticky: Option<&str>) -> Traffic {
        let shares = shares.iter().map(|share| share.parse().unwrap());
        let sticky = sticky.map(|sticky| sticky.parse().unwrap());
        Traffic::new(shares.collect(), sticky).unwrap()
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn picked(traffic: &Traffic, headers: &HeaderMap, sequence: &Sequence) -> RevisionNumber {
        traffic.pick(point(traffic, headers, sequence))
    }

    #[test]
    fn any_20_000_requests_are_split_within_1_percent() {
        let traffic = traffic(&["r7=90", "r8=10"], None);
        let sequence = Sequence::default();
        // A window anywhere in the sequence, not only its beginning.
        for _ in 0..10 {
            let r8 = "r8".parse().unwrap();
            let of_r8 =
                (0..20_000).filter(|_| picked(&traffic, &HeaderMap::new(), &sequence) == r8);
            let of_r8 = of_r8.count();
            assert!((1_800..=2_200).contains(&of_r8), "{of_r8} of 20,000");
            for _ in 0..777 {
                sequence.next();
            }
        }
    }

    #[test]
    fn a_caller_stays_where_its_cookie_or_header_put_it() {
        let shares = ["r1=50", "r2=50"];
        let by_cookie = traffic(&shares, Some("cookie:session"));
        let by_header = traffic(&shares, Some("header:x-user"));
        let sequence = Sequence::default();
        let mut seen = BTreeMap::<_, u32>::new();
        for caller in 0..1_000 {
            let value = format!("caller-{caller}");
            let cookie = format!("a=1; session={value}; session=other");
            let with_cookie = headers(&[("cookie", "b=2"), ("cookie", &cookie)]);
            let with_header = headers(&[("x-user", &value)]);
            let first = picked(&by_cookie, &with_cookie, &sequence);
            for _ in 0..3 {
                assert_eq!(picked(&by_cookie, &with_cookie, &sequence), first);
                assert_eq!(
                    picked(&by_header, &with_header, &sequence),
                    first,
                    "the value decides, not where it stands"
                );
            }
            *seen.entry(first).or_default() += 1;
        }
        assert!(
            seen.values().all(|count| (450..=550).contains(count)),
            "{seen:?}"
        );
        assert_eq!(sequence.0.get(), 0, "those take no part in the sequence");
    }

    #[test]
    fn who_has_no_such_cookie_is_spread() {
        let traffic = traffic(&["r1=50", "r2=50"], Some("cookie:session"));
        let sequence = Sequence::default();
        let without = headers(&[("cookie", "sessions=1; xsession=2; session")]);
        let picks: Vec<_> = (0..100)
            .map(|_| picked(&traffic, &without, &sequence))
            .collect();
        let of_r1 = picks.iter().filter(|pick| pick.get() == 1).count();
        assert!((48..=52).contains(&of_r1), "{of_r1} of 100");
    }

    /// What is promised to those who work it out themselves.
    #[test]
    fn the_hash_is_the_documented_one() {
        assert_eq!(hash(b"alice"), 0x2bd8_06c9_7f0e_00af);
    }

    proptest! {
        /// What is found is what a slow and obvious reader of pairs finds, and nothing panics.
        #[test]
        fn cookies_are_read_like_by_a_slow_reader(text in "[ab=; \"\t]{0,30}") {
            let headers = headers(&[("cookie", &text)]);
            let slow = text.split(';').find_map(|pair| match pair.trim().split_once('=') {
                Some(("a", value)) => Some(value),
                _ => None,
            });
            prop_assert_eq!(cookie(&headers, b"a"), slow.map(str::as_bytes));
        }

        /// Every split holds, not only that of the promise.
        #[test]
        fn shares_hold_over_20_000_requests(weights in prop::collection::vec(1..=100_u32, 1..6)) {
            let shares: Vec<_> = (1..).zip(&weights).map(|(number, weight)| Share {
                revision: RevisionNumber::new(number).unwrap(),
                weight: *weight,
            }).collect();
            let total: u32 = weights.iter().sum();
            let traffic = Traffic::new(shares.clone(), None).unwrap();
            let sequence = Sequence::default();
            let mut seen = BTreeMap::<_, u32>::new();
            for _ in 0..20_000 {
                *seen.entry(picked(&traffic, &HeaderMap::new(), &sequence)).or_default() += 1;
            }
            for share in shares {
                let want = f64::from(share.weight) / f64::from(total);
                let got = f64::from(seen.get(&share.revision).copied().unwrap_or(0)) / 20_000.0;
                prop_assert!((want - got).abs() < 0.01, "{share}: {got}");
            }
        }
    }
}
