//! A host is an address of a function or none, and what people type about revisions is a value or
//! an error; a value reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use midge_model::{FunctionAddress, Quota, QuotaPatch, RevisionNumber, Share, Sticky, Traffic};

/// The domain of the seeds.
const DOMAIN: &str = "midge.test";

fuzz_target!(|text: &str| {
    // With a domain of its own where there is a second word.
    let (host, domain) = text.split_once(' ').unwrap_or((text, DOMAIN));
    if let Some(address) = FunctionAddress::of(host, domain) {
        let written = address.host(domain);
        assert!(
            host.to_ascii_lowercase()
                .starts_with(&written.to_ascii_lowercase())
        );
        assert_eq!(FunctionAddress::of(&written, domain), Some(address));
    }
    if let Ok(number) = text.parse::<RevisionNumber>() {
        assert_eq!(number.to_string(), text);
    }
    if let Ok(sticky) = text.parse::<Sticky>() {
        assert_eq!(sticky.to_string().parse::<Sticky>(), Ok(sticky));
    }
    if let Ok(patch) = text.parse::<QuotaPatch>() {
        assert!(patch.apply(&Quota::DEFAULT).is_ok());
    }
    let shares: Result<Vec<Share>, _> = text.split(' ').map(str::parse).collect();
    if let Ok(traffic) = shares.and_then(|shares| Traffic::new(shares, None)) {
        assert_eq!(
            traffic.to_string().split(' ').count(),
            traffic.shares().len()
        );
        for point in [0, u64::MAX / 3, u64::MAX] {
            assert!(traffic.has(traffic.pick(point)));
        }
    }
});
