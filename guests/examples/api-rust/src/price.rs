//! What a parcel costs. Pure: no request, no response.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wstd::http::HeaderMap;

use crate::error::ApiError;

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }

    pub fn describe(self) -> Value {
        let (base_cents, weight_g_max) = self.terms();
        json!({ "name": self, "base_cents": base_cents, "weight_g_max": weight_g_max })
    }

    /// The base price and a cent for every ten grams begun.
    pub fn cents(self, weight_g: u32) -> Result<u64, ApiError> {
        let (base_cents, weight_g_max) = self.terms();
        if weight_g > weight_g_max {
            let reason = format!("{weight_g} g is more than the {weight_g_max} g of this size");
            return Err(ApiError::invalid("weight_g", reason));
        }
        Ok(base_cents + u64::from(weight_g.div_ceil(10)))
    }

    fn terms(self) -> (u64, u32) {
        match self {
            Self::Small => (350, 1_000),
            Self::Medium => (590, 5_000),
            Self::Large => (990, 20_000),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    parcels: Vec<Parcel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parcel {
    size: Size,
    weight_g: u32,
}

const PARCELS_MAX: usize = 100;

impl Quote {
    pub fn cents(&self) -> Result<u64, ApiError> {
        if self.parcels.is_empty() || self.parcels.len() > PARCELS_MAX {
            let reason = format!(
                "a quote takes 1 to {PARCELS_MAX}, not {}",
                self.parcels.len()
            );
            return Err(ApiError::invalid("parcels", reason));
        }
        self.parcels
            .iter()
            .map(|parcel| parcel.size.cents(parcel.weight_g))
            .sum()
    }
}

/// Who asks, from the header `x-customer`.
pub enum Customer {
    Regular,
    Gold,
}

impl Customer {
    pub fn from_headers(headers: &HeaderMap) -> Self {
        match headers.get("x-customer") {
            Some(value) if value == "gold" => Self::Gold,
            _ => Self::Regular,
        }
    }

    pub fn pays(&self, cents: u64) -> u64 {
        match self {
            Self::Regular => cents,
            Self::Gold => cents * 9 / 10,
        }
    }
}
