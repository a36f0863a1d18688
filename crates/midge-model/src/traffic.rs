//! Which revision answers a request of a function that has several.
//!
//! Decides how shares are read (`r7=90`), what a split of them is, and which revision a point
//! falls on. Where the point comes from, a sequence or the hash of a header or cookie, is the
//! runtime's business.
//!
//! **Invariant:** a split has a share, and no revision has two.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::{RevisionNumber, RevisionNumberError};

/// The most revisions that traffic is split over.
pub const SHARES_MAX: usize = 16;
/// The most that one share weighs: fine enough for a hundredth of a percent.
pub const SHARE_WEIGHT_MAX: u32 = 10_000;
/// The longest name of a cookie that traffic sticks to, in bytes.
pub const COOKIE_NAME_BYTES_MAX: usize = 128;

/// The revisions that answer for a function, and how often each does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Traffic {
    shares: Vec<Share>,
    sticky: Option<Sticky>,
    total: u64,
}

/// One revision's part of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Which revision.
    pub revision: RevisionNumber,
    /// Its part of the sum of all weights: 1 to [`SHARE_WEIGHT_MAX`].
    pub weight: u32,
}

/// What keeps a caller at one revision: requests with the same value get the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sticky {
    /// The value of a header field.
    Header(HeaderName),
    /// The value of a cookie (RFC 6265, section 4.2).
    Cookie(String),
}

/// Why shares are not a split, or a text not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrafficError {
    /// Nobody would answer.
    #[error("traffic has no share, write for example `r7=90 r8=10`")]
    Empty,
    /// More than anybody watches.
    #[error("traffic has {count} shares, the most is {SHARES_MAX}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Two shares of one revision.
    #[error("revision {revision} has two shares, write one with their sum")]
    Twice {
        /// Which revision.
        revision: RevisionNumber,
    },
    /// A weight that is none.
    #[error("weight of {revision} is {weight}, the least is 1 and the most {SHARE_WEIGHT_MAX}")]
    Weight {
        /// Whose weight.
        revision: RevisionNumber,
        /// What was written.
        weight: u64,
    },
    /// Not a revision and a weight.
    #[error("share `{}` is not a revision and a weight, write for example `r7=90`", .text.escape_debug())]
    Share {
        /// What was written.
        text: String,
    },
    /// Not the number of a revision.
    #[error(transparent)]
    Revision(#[from] RevisionNumberError),
    /// Neither a header nor a cookie.
    #[error(
        "`{}` is nothing that traffic sticks to, write for example `cookie:session` or `header:x-user`",
        .text.escape_debug()
    )]
    Sticky {
        /// What was written.
        text: String,
    },
}

impl Traffic {
    /// All of it to one revision.
    pub fn all_to(revision: RevisionNumber) -> Self {
        let whole = Share {
            revision,
            weight: 100,
        };
        Self::new(vec![whole], None).expect("one share is a split")
    }

    /// A split over these shares.
    ///
    /// # Errors
    ///
    /// No share, too many, two of one revision, or a weight out of bounds.
    pub fn new(shares: Vec<Share>, sticky: Option<Sticky>) -> Result<Self, TrafficError> {
        if shares.is_empty() {
            return Err(TrafficError::Empty);
        }
        if shares.len() > SHARES_MAX {
            let count = shares.len();
            return Err(TrafficError::TooMany { count });
        }
        for (nth, share) in shares.iter().enumerate() {
            let revision = share.revision;
            if shares[..nth].iter().any(|other| other.revision == revision) {
                return Err(TrafficError::Twice { revision });
            }
            if !(1..=SHARE_WEIGHT_MAX).contains(&share.weight) {
                let weight = share.weight.into();
                return Err(TrafficError::Weight { revision, weight });
            }
        }
        let total = shares.iter().map(|share| u64::from(share.weight)).sum();
        Ok(Self {
            shares,
            sticky,
            total,
        })
    }

    /// The shares, in the order they were written.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// What keeps a caller at one revision, if anything does.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref()
    }

    /// Whether this revision has a share.
    pub fn has(&self, revision: RevisionNumber) -> bool {
        self.shares.iter().any(|share| share.revision == revision)
    }

    /// The same split among those revisions that `keep` names; `None` if it names none of them.
    /// A route that only some revisions have is answered by those.
    pub fn among(&self, keep: impl Fn(RevisionNumber) -> bool) -> Option<Self> {
        let kept = self.shares.iter().filter(|share| keep(share.revision));
        Self::new(kept.copied().collect(), self.sticky.clone()).ok()
    }

    /// The revision that this point of the whole range of `u64` falls on: points that are spread
    /// evenly fall on the revisions by weight.
    pub fn pick(&self, point: u64) -> RevisionNumber {
        // The upper half of the product scales the range to 0..total without the bias of `%`.
        let place = (u128::from(point) * u128::from(self.total)) >> 64;
        let mut below = 0;
        for share in &self.shares {
            below += u128::from(share.weight);
            if place < below {
                return share.revision;
            }
        }
        unreachable!("the point is below the sum of all weights")
    }
}

impl FromStr for Share {
    type Err = TrafficError;

    fn from_str(text: &str) -> Result<Self, TrafficError> {
        let not_a_share = || TrafficError::Share {
            text: text.chars().take(40).collect(),
        };
        let (revision, weight) = text.split_once('=').ok_or_else(not_a_share)?;
        let revision = revision.parse()?;
        let weight: u64 = weight.parse().map_err(|_| not_a_share())?;
        match u32::try_from(weight) {
            Ok(small @ 1..=SHARE_WEIGHT_MAX) => Ok(Self {
                revision,
                weight: small,
            }),
            _ => Err(TrafficError::Weight { revision, weight }),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.revision, self.weight)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, share) in self.shares.iter().enumerate() {
            write!(f, "{}{share}", if nth == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl FromStr for Sticky {
    type Err = TrafficError;

    fn from_str(text: &str) -> Result<Self, TrafficError> {
        let not_sticky = || TrafficError::Sticky {
            text: text.chars().take(COOKIE_NAME_BYTES_MAX).collect(),
        };
        let (kind, name) = text.split_once(':').ok_or_else(not_sticky)?;
        // A cookie's name is a token, and so is a header's.
        let is_token = HeaderName::from_bytes(name.as_bytes());
        match (kind, is_token) {
            ("header", Ok(name)) => Ok(Self::Header(name)),
            ("cookie", Ok(_)) if name.len() <= COOKIE_NAME_BYTES_MAX => {
                Ok(Self::Cookie(name.to_owned()))
            }
            _ => Err(not_sticky()),
        }
    }
}

impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

impl TryFrom<String> for Sticky {
    type Error = TrafficError;

    fn try_from(text: String) -> Result<Self, TrafficError> {
        text.parse()
    }
}

impl From<Sticky> for String {
    fn from(sticky: Sticky) -> Self {
        sticky.to_string()
    }
}

/// A split as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    shares: Vec<Share>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sticky: Option<Sticky>,
}

impl TryFrom<Written> for Traffic {
    type Error = TrafficError;

    fn try_from(Written { shares, sticky }: Written) -> Result<Self, TrafficError> {
        Self::new(shares, sticky)
    }
}

impl From<Traffic> for Written {
    fn from(Traffic { shares, sticky, .. }: Traffic) -> Self {
        Self { shares, sticky }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn split(texts: &[&str]) -> Result<Traffic, TrafficError> {
        let shares = texts.iter().map(|text| text.parse());
        Traffic::new(shares.collect::<Result<_, _>>()?, None)
    }

    fn check(texts: &[&str]) -> String {
        match split(texts) {
            Ok(traffic) => format!("ok: {traffic}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn reads_shares_and_says_what_is_wrong_with_them() {
        assert_snapshot!(check(&["r7=90", "r8=10"]), @"ok: r7=90 r8=10");
        assert_snapshot!(check(&[]), @"error: traffic has no share, write for example `r7=90 r8=10`");
        assert_snapshot!(check(&["r7"]), @"error: share `r7` is not a revision and a weight, write for example `r7=90`");
        assert_snapshot!(check(&["7=90"]), @"error: revision `7` is not `r` and a number, write for example `r7`");
        assert_snapshot!(check(&["r7=0"]), @"error: weight of r7 is 0, the least is 1 and the most 10000");
        assert_snapshot!(check(&["r7=5000000000"]), @"error: weight of r7 is 5000000000, the least is 1 and the most 10000");
        assert_snapshot!(check(&["r7=1", "r7=2"]), @"error: revision r7 has two shares, write one with their sum");
        assert_snapshot!(check(&["r1=1"; 17]), @"error: traffic has 17 shares, the most is 16");
    }

    #[test]
    fn reads_what_traffic_sticks_to() {
        let check = |text: &str| match text.parse::<Sticky>() {
            Ok(sticky) => format!("ok: {sticky}"),
            Err(error) => format!("error: {error}"),
        };
        assert_snapshot!(check("header:X-User"), @"ok: header:x-user");
        assert_snapshot!(check("cookie:Session"), @"ok: cookie:Session");
        assert_snapshot!(check("cookie:a=b"), @"error: `cookie:a=b` is nothing that traffic sticks to, write for example `cookie:session` or `header:x-user`");
        assert_snapshot!(check("session"), @"error: `session` is nothing that traffic sticks to, write for example `cookie:session` or `header:x-user`");
    }

    #[test]
    fn json_is_read_back_and_checked() {
        let traffic = Traffic::new(
            vec!["r7=90".parse().unwrap(), "r8=10".parse().unwrap()],
            Some("cookie:session".parse().unwrap()),
        )
        .unwrap();
        let json = serde_json::to_string(&traffic).unwrap();
        assert_snapshot!(json, @r#"{"shares":[{"revision":"r7","weight":90},{"revision":"r8","weight":10}],"sticky":"cookie:session"}"#);
        assert_eq!(serde_json::from_str::<Traffic>(&json).unwrap(), traffic);
        assert!(serde_json::from_str::<Traffic>(r#"{"shares":[]}"#).is_err());
    }

    #[test]
    fn a_route_that_only_one_revision_has_goes_to_that_one() {
        let traffic = split(&["r7=90", "r8=10"]).unwrap();
        let r8 = RevisionNumber::new(8).unwrap();
        assert_snapshot!(traffic.among(|number| number == r8).unwrap(), @"r8=10");
        assert_eq!(traffic.among(|_| false), None);
    }

    proptest! {
        /// The fast pick agrees with the scan over a line of `total` places.
        #[test]
        fn a_point_falls_by_weight(weights in prop::collection::vec(1..=9_u32, 1..8), place in 0..72_u64) {
            let shares: Vec<_> = (1..).zip(&weights).map(|(number, weight)| Share {
                revision: RevisionNumber::new(number).unwrap(),
                weight: *weight,
            }).collect();
            let line: Vec<_> = shares.iter().flat_map(|share| {
                std::iter::repeat_n(share.revision, share.weight.try_into().unwrap())
            }).collect();
            let place = usize::try_from(place).unwrap() % line.len();
            // The middle of this place on the range of `u64`.
            let width = u64::MAX / u64::try_from(line.len()).unwrap();
            let point = width * u64::try_from(place).unwrap() + width / 2;
            let traffic = Traffic::new(shares, None).unwrap();
            prop_assert_eq!(traffic.pick(point), line[place]);
            prop_assert!(traffic.has(traffic.pick(0)) && traffic.has(traffic.pick(u64::MAX)));
        }
    }
}
