//! Blocks and ports as people write them.

use std::net::{Ipv4Addr, Ipv6Addr};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn block(text: &str) -> String {
    match text.parse::<Cidr>() {
        Ok(block) => format!("ok: {block}"),
        Err(error) => format!("error: {error}"),
    }
}

fn ports(text: &str) -> String {
    match text.parse::<PortRange>() {
        Ok(ports) => format!("ok: {ports}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_block_is_written_with_its_first_address() {
    assert_snapshot!(block("10.0.0.0/8"), @"ok: 10.0.0.0/8");
    assert_snapshot!(block("[fd00::/8]"), @"ok: [fd00::/8]");
    assert_snapshot!(block("fd00::/8"), @"ok: [fd00::/8]");
    assert_snapshot!(block("[::ffff:10.0.0.0/104]"), @"ok: 10.0.0.0/8");
    assert_snapshot!(block("0.0.0.0/0"), @"ok: 0.0.0.0/0");
    assert_snapshot!(block("10.1.2.3/8"), @"error: block `10.1.2.3/8` does not start at that address, write `10.0.0.0/8`");
    assert_snapshot!(block("[fd00::1/8]"), @"error: block `[fd00::1/8]` does not start at that address, write `[fd00::/8]`");
}

#[test]
fn what_is_no_block_is_shown_one() {
    assert_snapshot!(block("10.0.0.0"), @"error: `10.0.0.0` is not a block of addresses, write for example `10.0.0.0/8` or `[fd00::/8]`");
    assert_snapshot!(block("10.0.0.0/33"), @"error: `10.0.0.0/33` is not a block of addresses, write for example `10.0.0.0/8` or `[fd00::/8]`");
    assert_snapshot!(block("10/8"), @"error: `10/8` is not a block of addresses, write for example `10.0.0.0/8` or `[fd00::/8]`");
    assert_snapshot!(block("[10.0.0.0/8]"), @"error: `[10.0.0.0/8]` is not a block of addresses, write for example `10.0.0.0/8` or `[fd00::/8]`");
    assert_snapshot!(block("0251.0.0.0/8"), @"error: `0251.0.0.0/8` is not a block of addresses, write for example `10.0.0.0/8` or `[fd00::/8]`");
    assert_snapshot!(block("example.com/8"), @"error: `example.com/8` is not a block of addresses, write for example `10.0.0.0/8` or `[fd00::/8]`");
}

#[test]
fn ports_are_one_or_several_or_all() {
    assert_snapshot!(ports("5432"), @"ok: 5432");
    assert_snapshot!(ports("8000-8100"), @"ok: 8000-8100");
    assert_snapshot!(ports("443-443"), @"ok: 443");
    assert_snapshot!(ports("*"), @"ok: *");
    assert_snapshot!(ports("0-65535"), @"ok: *");
}

#[test]
fn what_is_no_port_is_shown_one() {
    assert_snapshot!(ports(""), @"error: `` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(ports("http"), @"error: `http` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(ports("65536"), @"error: `65536` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(ports("+80"), @"error: `+80` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(ports("80-"), @"error: `80-` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(ports("1-2-3"), @"error: `1-2-3` is not a port, write for example `5432`, `8000-8100` or `*`");
    assert_snapshot!(ports("8100-8000"), @"error: ports `8100-8000` are the wrong way round, write `8000-8100`");
}

proptest! {
    #[test]
    fn both_survive_their_own_text(bits in any::<u128>(), length in 0..=128_u8, first in any::<u16>(), more in any::<u16>()) {
        let address: IpAddr = if length <= 32 {
            Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap()).into()
        } else {
            Ipv6Addr::from_bits(bits).into()
        };
        let block = Cidr(canonical(IpNet::new(address, length).unwrap().trunc()));
        prop_assert_eq!(block.to_string().parse(), Ok(block));
        prop_assert!(block.covers(&block) && block.contains(address));
        let ports = PortRange { first, last: first.saturating_add(more) };
        prop_assert_eq!(ports.to_string().parse(), Ok(ports));
    }

    /// Covering agrees with looking at every address.
    #[test]
    fn a_block_covers_what_it_contains(low in any::<u8>(), lengths in (24..=32_u8, 24..=32_u8), other in any::<u8>()) {
        let block = |low: u8, length: u8| {
            let net = Ipv4Net::new([10, 0, 0, low].into(), length).unwrap();
            Cidr(IpNet::V4(net.trunc()))
        };
        let (one, other) = (block(low, lengths.0), block(other, lengths.1));
        let all = (0..=255_u8).map(|low| IpAddr::from([10, 0, 0, low]));
        let covers = all.into_iter().all(|address| !other.contains(address) || one.contains(address));
        prop_assert_eq!(one.covers(&other), covers);
    }

    #[test]
    fn never_panics(text in any::<String>(), near in "\\[?[0-9a-f.:]{0,12}/?[0-9*-]{0,6}\\]?") {
        for text in [text, near] {
            let _block = text.parse::<Cidr>();
            let _ports = text.parse::<PortRange>();
        }
    }
}
