//! What invocations of a function share with each other.
//!
//! Holds the three levels, their defaults and the bounds that no configuration passes. Keeping
//! instances, and throwing them away, is the runtime's and the sandbox's work.
//!
//! **Invariant:** an isolation that was read, from a manifest or from JSON, is within the bounds;
//! who says nothing gets an instance of its own for every invocation.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::{CountRange, LimitError, SizeRange, TimeRange};
use crate::quantity::{bytes_text_option, duration_text_option, format_bytes, format_duration};
use crate::{MEMORY_BYTES_MAX, MEMORY_BYTES_MIN};

/// The most invocations that one instance answers.
pub const REUSE_REQUESTS_MAX: u32 = 1_000_000;
/// The longest that an instance waits for its next request.
pub const REUSE_IDLE_MAX: Duration = Duration::from_secs(60 * 60);
/// The shortest: less would be over before the next request of the same client.
pub const REUSE_IDLE_MIN: Duration = Duration::from_millis(1);
/// The most invocations at a time in one shared instance.
pub const SHARED_CONCURRENCY_MAX: u32 = 256;

pub(crate) const REQUESTS: CountRange = CountRange {
    name: "isolation requests",
    min: 1,
    max: REUSE_REQUESTS_MAX,
};
pub(crate) const IDLE: TimeRange = TimeRange {
    name: "isolation idle",
    min: REUSE_IDLE_MIN,
    max: REUSE_IDLE_MAX,
};
pub(crate) const MEMORY: SizeRange = SizeRange {
    name: "isolation memory",
    min: MEMORY_BYTES_MIN,
    max: MEMORY_BYTES_MAX,
};
pub(crate) const CONCURRENCY: CountRange = CountRange {
    name: "isolation concurrency",
    min: 1,
    max: SHARED_CONCURRENCY_MAX,
};

/// What invocations of one revision share. Revisions, functions and namespaces share nothing on any
/// level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Nothing: every invocation has an instance of its own.
    #[default]
    Fresh,
    /// One after the other may have the same instance, and finds what the one before left in it.
    Serial(Reuse),
    /// Several at a time may have the same instance.
    Shared {
        /// How long an instance is used.
        reuse: Reuse,
        /// How many at a time.
        concurrency: u32,
    },
}

/// The name of a level, without its bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationLevel {
    /// See [`Isolation::Fresh`].
    #[default]
    Fresh,
    /// See [`Isolation::Serial`].
    Serial,
    /// See [`Isolation::Shared`].
    Shared,
}

/// How long an instance is used. It is thrown away before if anything goes wrong in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// How many invocations it answers.
    pub requests_max: u32,
    /// How long it waits for the next one.
    pub idle: Duration,
    /// With more memory than this after an invocation it is not used again; `None` leaves it to the
    /// function's limit of memory.
    pub memory_max_bytes: Option<u64>,
}

impl Reuse {
    /// What a function gets that says no more than the level: an instance answers enough to make
    /// its start not matter, and few enough that what it leaks does not either.
    pub const DEFAULT: Self = Self {
        requests_max: 1_000,
        idle: Duration::from_secs(30),
        memory_max_bytes: None,
    };

    /// Whether an instance that answered so many, and holds so much, may answer another.
    pub fn allows_another(&self, answered: u32, memory_bytes: u64) -> bool {
        answered < self.requests_max
            && self
                .memory_max_bytes
                .is_none_or(|max_bytes| memory_bytes <= max_bytes)
    }
}

impl Isolation {
    /// How many invocations a shared instance runs at a time where nobody says: enough to wait for
    /// others together, few enough that one that computes holds up a handful.
    pub const CONCURRENCY_DEFAULT: u32 = 8;

    /// This level with the default bounds.
    pub const fn of_level(level: IsolationLevel) -> Self {
        match level {
            IsolationLevel::Fresh => Self::Fresh,
            IsolationLevel::Serial => Self::Serial(Reuse::DEFAULT),
            IsolationLevel::Shared => Self::Shared {
                reuse: Reuse::DEFAULT,
                concurrency: Self::CONCURRENCY_DEFAULT,
            },
        }
    }

    /// The level without its bounds.
    pub const fn level(&self) -> IsolationLevel {
        match self {
            Self::Fresh => IsolationLevel::Fresh,
            Self::Serial(_) => IsolationLevel::Serial,
            Self::Shared { .. } => IsolationLevel::Shared,
        }
    }

    /// How long its instances are used; `None` where each has one invocation.
    pub const fn reuse(&self) -> Option<&Reuse> {
        match self {
            Self::Fresh => None,
            Self::Serial(reuse) | Self::Shared { reuse, .. } => Some(reuse),
        }
    }

    /// How many invocations an instance runs at a time.
    pub const fn concurrency(&self) -> u32 {
        match self {
            Self::Fresh | Self::Serial(_) => 1,
            Self::Shared { concurrency, .. } => *concurrency,
        }
    }

    /// Whether invocations share more than they would under `old`: another level, or an instance
    /// that lives longer or serves more.
    pub fn shares_more_than(&self, old: &Self) -> bool {
        let (Some(reuse), Some(before)) = (self.reuse(), old.reuse()) else {
            return self.level() > old.level();
        };
        let ceiling = |reuse: &Reuse| reuse.memory_max_bytes.unwrap_or(u64::MAX);
        self.level() > old.level()
            || self.concurrency() > old.concurrency()
            || reuse.requests_max > before.requests_max
            || reuse.idle > before.idle
            || ceiling(reuse) > ceiling(before)
    }

    /// The bounds by the key each has in a manifest, for people; none of a fresh one.
    fn bounds(&self) -> Vec<(&'static str, String)> {
        let Some(reuse) = self.reuse() else {
            return Vec::new();
        };
        let mut bounds = vec![
            ("requests", reuse.requests_max.to_string()),
            ("idle", format_duration(reuse.idle)),
        ];
        if let Some(bytes) = reuse.memory_max_bytes {
            bounds.push(("memory", format_bytes(bytes)));
        }
        if let Self::Shared { concurrency, .. } = self {
            bounds.push(("concurrency", concurrency.to_string()));
        }
        bounds
    }

    /// Whether it is the one that who says nothing gets.
    pub fn is_fresh(&self) -> bool {
        *self == Self::Fresh
    }
}

impl IsolationLevel {
    /// All of them, the strictest first.
    pub const ALL: [Self; 3] = [Self::Fresh, Self::Serial, Self::Shared];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Serial => "serial",
            Self::Shared => "shared",
        }
    }
}

/// Why something is no isolation.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IsolationError {
    /// Not one of the three levels.
    #[error("isolation `{}` is unknown, write `fresh`, `serial` or `shared`", .0.escape_debug())]
    Level(String),
    /// A bound that instances of this level do not have.
    #[error("`{key}` is not for isolation `{level}`")]
    NotOfLevel {
        /// The bound.
        key: &'static str,
        /// The level.
        level: IsolationLevel,
    },
    /// Outside its range.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl std::str::FromStr for IsolationLevel {
    type Err = IsolationError;

    fn from_str(text: &str) -> Result<Self, IsolationError> {
        let level = Self::ALL.into_iter().find(|level| level.as_str() == text);
        level.ok_or_else(|| IsolationError::Level(text.chars().take(LEVEL_CHARS_MAX).collect()))
    }
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Isolation {
    /// The level, and in brackets its bounds: `serial (requests 1000, idle 30s)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level())?;
        let bounds = self.bounds().into_iter();
        let bounds: Vec<_> = bounds
            .map(|(key, value)| format!("{key} {value}"))
            .collect();
        if bounds.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", bounds.join(", "))
    }
}

/// What is kept of a level that is none.
const LEVEL_CHARS_MAX: usize = 64;

/// An isolation before it was checked: the level, and what is different from its defaults.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    pub(crate) level: IsolationLevel,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requests: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(with = "duration_text_option")]
    pub(crate) idle: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(with = "bytes_text_option")]
    pub(crate) memory: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency: Option<u32>,
}

impl Wish {
    /// The keys that a level has no use for.
    pub(crate) fn not_of_its_level(&self) -> Option<&'static str> {
        let of_reuse = [
            ("requests", self.requests.is_some()),
            ("idle", self.idle.is_some()),
            ("memory", self.memory.is_some()),
        ];
        let of_sharing = [("concurrency", self.concurrency.is_some())];
        let unused: &[&[(&str, bool)]] = match self.level {
            IsolationLevel::Fresh => &[&of_reuse, &of_sharing],
            IsolationLevel::Serial => &[&of_sharing],
            IsolationLevel::Shared => &[],
        };
        let mut unused = unused.iter().copied().flatten();
        unused.find(|(_, is_there)| *is_there).map(|(key, _)| *key)
    }
}

impl TryFrom<Wish> for Isolation {
    type Error = IsolationError;

    fn try_from(wish: Wish) -> Result<Self, IsolationError> {
        let level = wish.level;
        if let Some(key) = wish.not_of_its_level() {
            return Err(IsolationError::NotOfLevel { key, level });
        }
        let default = Reuse::DEFAULT;
        let reuse = Reuse {
            requests_max: REQUESTS.check(wish.requests.unwrap_or(default.requests_max))?,
            idle: IDLE.check(wish.idle.unwrap_or(default.idle))?,
            memory_max_bytes: wish.memory.map(|bytes| MEMORY.check(bytes)).transpose()?,
        };
        let concurrency = wish.concurrency.unwrap_or(Self::CONCURRENCY_DEFAULT);
        Ok(match level {
            IsolationLevel::Fresh => Self::Fresh,
            IsolationLevel::Serial => Self::Serial(reuse),
            IsolationLevel::Shared => Self::Shared {
                reuse,
                concurrency: CONCURRENCY.check(concurrency)?,
            },
        })
    }
}

impl Serialize for Isolation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reuse = self.reuse();
        Wish {
            level: self.level(),
            requests: reuse.map(|reuse| reuse.requests_max),
            idle: reuse.map(|reuse| reuse.idle),
            memory: reuse.and_then(|reuse| reuse.memory_max_bytes),
            concurrency: match self {
                Self::Shared { concurrency, .. } => Some(*concurrency),
                Self::Fresh | Self::Serial(_) => None,
            },
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Isolation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wish = Wish::deserialize(deserializer)?;
        Self::try_from(wish).map_err(de::Error::custom)
    }
}
