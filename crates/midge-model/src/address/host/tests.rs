//! Hosts that are read, hosts that are refused, and those that nobody may misread.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn check(text: &str) -> String {
    match text.parse::<HostName>() {
        Ok(HostName::Ip(address)) => format!("ip: {address}"),
        Ok(HostName::Name(name)) => format!("name: {name}"),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_name_is_taken_in_lower_case_without_its_last_dot() {
    assert_snapshot!(check("api.example.com"), @"name: api.example.com");
    assert_snapshot!(check("API.Example.COM."), @"name: api.example.com");
    assert_snapshot!(check("localhost"), @"name: localhost");
    assert_snapshot!(check("_sip._tcp.example.com"), @"name: _sip._tcp.example.com");
    assert_snapshot!(check("xn--bcher-kva.example"), @"name: xn--bcher-kva.example");
    assert_snapshot!(check("1.2.3.4.example.com"), @"name: 1.2.3.4.example.com");
    assert_snapshot!(check("0xa9fea9fe.nip.io"), @"name: 0xa9fea9fe.nip.io");
    assert_snapshot!(check("a1"), @"name: a1");
    assert_snapshot!(check("0xg"), @"name: 0xg");
}

#[test]
fn an_address_is_taken_in_one_spelling() {
    assert_snapshot!(check("192.0.2.1"), @"ip: 192.0.2.1");
    assert_snapshot!(check("[2001:DB8::1]"), @"ip: 2001:db8::1");
    assert_snapshot!(check("2001:db8:0::1"), @"ip: 2001:db8::1");
    assert_snapshot!(check("[::ffff:10.0.0.1]"), @"ip: 10.0.0.1");
    assert_snapshot!("[::1]".parse::<HostName>().unwrap(), @"[::1]");
}

#[test]
fn a_number_is_no_host() {
    assert_snapshot!(check("2852039166"), @"error: host `2852039166` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
    assert_snapshot!(check("0xa9fea9fe"), @"error: host `0xa9fea9fe` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
    assert_snapshot!(check("0x"), @"error: host `0x` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
    assert_snapshot!(check("169.254.43518"), @"error: host `169.254.43518` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
    assert_snapshot!(check("0251.0376.0251.0376"), @"error: host `0251.0376.0251.0376` is not an address, write four numbers from 0 to 255 without leading zeros or a last dot");
    assert_snapshot!(check("256.1.1.1"), @"error: host `256.1.1.1` is not an address, write four numbers from 0 to 255 without leading zeros or a last dot");
    assert_snapshot!(check("1.2.3.4.5"), @"error: host `1.2.3.4.5` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
    assert_snapshot!(check("1.2.3.4."), @"error: host `1.2.3.4.` is not an address, write four numbers from 0 to 255 without leading zeros or a last dot");
    assert_snapshot!(check("example.0x1f"), @"error: host `example.0x1f` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`");
}

#[test]
fn what_others_would_decode_is_no_host() {
    assert_snapshot!(check("user@example.com"), @"error: host `user@example.com` has '@' at position 4, a host is letters, digits, `-`, `_` and `.`");
    assert_snapshot!(check("example%2ecom"), @"error: host `example%2ecom` has '%' at position 7, a host is letters, digits, `-`, `_` and `.`");
    assert_snapshot!(check("exam ple.com"), @"error: host `exam ple.com` has ' ' at position 4, a host is letters, digits, `-`, `_` and `.`");
    assert_snapshot!(check("bücher.example"), @"error: host `bücher.example` has 'ü' at position 1, write the name in punycode, as in `xn--bcher-kva.example`");
    assert_snapshot!(check("１.1.1.1"), @"error: host `１.1.1.1` has '１' at position 0, write the name in punycode, as in `xn--bcher-kva.example`");
    assert_snapshot!(check("[fe80::1%eth0]"), @"error: host `[fe80::1%eth0]` has a zone after `%`, leave it out: an address is the same on every interface here");
    assert_snapshot!(check("[::1"), @"error: host `[::1` is not an IPv6 address, write for example `[2001:db8::1]`");
    assert_snapshot!(check("[example.com]"), @"error: host `[example.com]` is not an IPv6 address, write for example `[2001:db8::1]`");
    assert_snapshot!(check("[1.2.3.4]"), @"error: host `[1.2.3.4]` is not an IPv6 address, write for example `[2001:db8::1]`");
    assert_snapshot!(check("http://example.com:80/y?z"), @"error: host `http://example.com:80/y?z` is a URL, write its host only: `example.com`");
    assert_snapshot!(check("https://a@[::1]/"), @"error: host `https://a@[::1]/` is a URL, write its host only: `[::1]`");
    assert_snapshot!(check("http:///"), @"error: host `http:///` is a URL, write its host only");
    assert_snapshot!(check("example.com:80"), @"error: host `example.com:80` has the port `:80`, leave it out");
    assert_snapshot!(check("a\nb"), @r"error: host `a\nb` has '\n' at position 1, a host is letters, digits, `-`, `_` and `.`");
}

#[test]
fn a_name_fits_into_dns() {
    assert_snapshot!(check(""), @"error: host `` is empty, write for example `api.example.com`");
    assert_snapshot!(check("."), @"error: host `.` has nothing between two dots, or at an end");
    assert_snapshot!(check("a..b"), @"error: host `a..b` has nothing between two dots, or at an end");
    assert_snapshot!(check(".a"), @"error: host `.a` has nothing between two dots, or at an end");
    assert_snapshot!(check(&format!("{}.com", "a".repeat(64))), @"error: host `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com` has a part of 64 bytes between two dots, the longest has 63");
    assert!("a.".repeat(127).parse::<HostName>().is_ok());
    assert_snapshot!(check(&"ab.".repeat(85)), @"error: host `ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab.ab` is 254 bytes long, the longest has 253");
}

#[test]
fn localhost_is_this_machine_at_any_depth() {
    let is_localhost = |text: &str| text.parse::<HostName>().unwrap().is_localhost();
    assert!(
        is_localhost("localhost") && is_localhost("LOCALHOST.") && is_localhost("a.b.localhost")
    );
    assert!(!is_localhost("notlocalhost") && !is_localhost("localhost.example.com"));
    assert!(!is_localhost("127.0.0.1"));
}

/// What `inet_aton` makes of a text, and with it `getaddrinfo`: one to four numbers, decimal,
/// octal or hexadecimal, of which the last fills all that is left.
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| match part.strip_prefix("0x").or(part.strip_prefix("0X")) {
        Some("") => Some(0),
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if part.starts_with('0') => u64::from_str_radix(part, 8).ok(),
        None => part.parse().ok(),
    };
    let parts: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, front) = parts.split_last()?;
    if front.len() > 3
        || front.iter().any(|part| *part > 255)
        || *last >= 1 << (8 * (4 - front.len()))
    {
        return None;
    }
    let front = front
        .iter()
        .zip(0..)
        .map(|(part, index)| part << (24 - 8 * index));
    u32::try_from(front.sum::<u64>() + last)
        .ok()
        .map(Ipv4Addr::from_bits)
}

proptest! {
    /// No name is an address to the C library, and no address is another one to it.
    #[test]
    fn nobody_reads_another_address(
        parts in prop::collection::vec("(0x|0X|0)?[0-9a-fA-F]{0,10}", 1..5),
        dot in any::<bool>(),
    ) {
        let text = parts.join(".") + if dot { "." } else { "" };
        let folded = inet_aton(text.trim_end_matches('.'));
        match text.parse::<HostName>() {
            Ok(HostName::Ip(address)) => prop_assert_eq!(folded.map(IpAddr::V4), Some(address)),
            Ok(HostName::Name(name)) => {
                prop_assert_eq!(folded, None, "{}", text);
                prop_assert_eq!(inet_aton(&name), None, "{}", name);
            }
            Err(_) => {}
        }
    }

    #[test]
    fn a_host_survives_its_own_text(name in "[a-zA-Z0-9_.-]{1,20}", v4 in any::<u32>(), v6 in any::<u128>()) {
        let v4 = HostName::from(IpAddr::V4(Ipv4Addr::from_bits(v4)));
        let v6 = HostName::from(IpAddr::V6(Ipv6Addr::from_bits(v6)));
        for host in [Some(v4), Some(v6), name.parse().ok()].into_iter().flatten() {
            prop_assert_eq!(host.to_string().parse(), Ok(host.clone()));
            let json = serde_json::to_string(&host).unwrap();
            prop_assert_eq!(serde_json::from_str::<HostName>(&json).unwrap(), host);
        }
    }

    #[test]
    fn a_name_is_made_of_what_dns_takes(text in any::<String>()) {
        if let Ok(HostName::Name(name)) = text.parse() {
            let allowed = |found: u8| found.is_ascii_lowercase() || found.is_ascii_digit() || b"-_.".contains(&found);
            prop_assert!(name.len() <= HOST_NAME_BYTES_MAX && name.bytes().all(allowed));
            prop_assert!(name.split('.').all(|label| (1..=63).contains(&label.len())));
        }
    }
}
