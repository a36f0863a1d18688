//! Addresses of every kind, and the metadata service in all its spellings.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::HostName;

/// Ways to write 169.254.169.254, or an address that a gateway or a resolver turns into it.
const SPELLINGS: [&str; 30] = [
    "169.254.169.254",
    "169.254.169.254.",
    "2852039166",
    "0xa9fea9fe",
    "0XA9FEA9FE",
    "0xA9.0xFE.0xA9.0xFE",
    "025177524776",
    "0251.0376.0251.0376",
    "0251.254.169.254",
    "00000251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "169.254.169.0xfe",
    "425.510.425.510",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::FFFF:A9FE:A9FE]",
    "[0:0:0:0:0:ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[::a9fe:a9fe]",
    "[fe80::a9fe:a9fe%25eth0]",
    "[fd00:ec2::254]",
    "user@169.254.169.254",
    "169.254.169.254%2e",
    "%31%36%39.254.169.254",
    "169.254.169.254\\@example.com",
    "１６９.２５４.１６９.２５４",
    "169。254。169。254",
];

/// How far each of these reaches.
fn check(addresses: &[&str]) -> String {
    let line = |text: &&str| {
        let address: IpAddr = text.parse().unwrap();
        format!("{text}: {}\n", Reach::of(address))
    };
    addresses.iter().map(line).collect()
}

/// What becomes of a host as somebody spelt it.
fn host(text: &str) -> String {
    match text.parse::<HostName>() {
        Ok(HostName::Ip(address)) => format!("{text}: {}\n", Reach::of(address)),
        Ok(HostName::Name(name)) => format!("{text}: the name {name}\n"),
        Err(error) => format!("{text}: {error}\n"),
    }
}

#[test]
fn the_open_internet_is_public() {
    assert_snapshot!(check(&[
        "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.32.0.0", "192.0.1.1",
        "2606:4700::1111", "2001:4860:4860::8888", "2002:808:808::1", "64:ff9b::808:808",
    ]), @r"
    1.1.1.1: public
    8.8.8.8: public
    100.63.255.255: public
    100.128.0.0: public
    172.32.0.0: public
    192.0.1.1: public
    2606:4700::1111: public
    2001:4860:4860::8888: public
    2002:808:808::1: public
    64:ff9b::808:808: public
    ");
}

#[test]
fn networks_of_somebodys_own_are_private() {
    assert_snapshot!(check(&[
        "10.0.0.1", "127.0.0.1", "127.255.255.255", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "100.64.0.1", "198.18.0.1", "198.19.255.255",
        "::1", "fc00::1", "fdff::1", "64:ff9b:1::808:808", "2001:2::1",
    ]), @r"
    10.0.0.1: private
    127.0.0.1: private
    127.255.255.255: private
    172.16.0.1: private
    172.31.255.255: private
    192.168.1.1: private
    100.64.0.1: private
    198.18.0.1: private
    198.19.255.255: private
    ::1: private
    fc00::1: private
    fdff::1: private
    64:ff9b:1::808:808: private
    2001:2::1: private
    ");
}

#[test]
fn where_credentials_are_is_link_local() {
    assert_snapshot!(check(&[
        "169.254.169.254", "169.254.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16",
        "fe80::1", "febf::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
        "fd00:c1::a9fe:a9fe", "fd00:42::42",
    ]), @r"
    169.254.169.254: link-local or metadata
    169.254.0.1: link-local or metadata
    100.100.100.200: link-local or metadata
    192.0.0.192: link-local or metadata
    168.63.129.16: link-local or metadata
    fe80::1: link-local or metadata
    febf::1: link-local or metadata
    fd00:ec2::254: link-local or metadata
    fd00:ec2::23: link-local or metadata
    fd20:ce::254: link-local or metadata
    fd00:c1::a9fe:a9fe: link-local or metadata
    fd00:42::42: link-local or metadata
    ");
}

#[test]
fn what_is_no_address_to_talk_to_is_never_reached() {
    assert_snapshot!(check(&[
        "0.0.0.0", "0.1.2.3", "192.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1",
        "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "ff02::1", "fec0::1", "100::1", "2001:db8::1", "3fff::1", "2001::1", "2001:20::1",
        "5f00::1", "4000::1",
    ]), @r"
    0.0.0.0: not an address to connect to
    0.1.2.3: not an address to connect to
    192.0.0.1: not an address to connect to
    192.0.2.1: not an address to connect to
    198.51.100.1: not an address to connect to
    203.0.113.1: not an address to connect to
    192.88.99.1: not an address to connect to
    224.0.0.1: not an address to connect to
    239.255.255.255: not an address to connect to
    240.0.0.1: not an address to connect to
    255.255.255.255: not an address to connect to
    ::: not an address to connect to
    ff02::1: not an address to connect to
    fec0::1: not an address to connect to
    100::1: not an address to connect to
    2001:db8::1: not an address to connect to
    3fff::1: not an address to connect to
    2001::1: not an address to connect to
    2001:20::1: not an address to connect to
    5f00::1: not an address to connect to
    4000::1: not an address to connect to
    ");
}

#[test]
fn an_address_that_carries_another_reaches_as_far_as_that_one() {
    assert_snapshot!(check(&[
        "::ffff:10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1",
        "2002:a00:1::1", "::ffff:127.0.0.1", "64:ff9b::0.0.0.0", "::ffff:1.1.1.1",
        "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0",
    ]), @r"
    ::ffff:10.0.0.1: private
    ::10.0.0.1: private
    ::ffff:0:10.0.0.1: private
    64:ff9b::10.0.0.1: private
    2002:a00:1::1: private
    ::ffff:127.0.0.1: private
    64:ff9b::0.0.0.0: not an address to connect to
    ::ffff:1.1.1.1: public
    64:ff9b:1:a9fe:a9:fe00::: link-local or metadata
    64:ff9b:1:a9:fe:a9fe::: link-local or metadata
    64:ff9b:1:0:a9:fea9:fe00:0: link-local or metadata
    ");
}

#[test]
fn the_metadata_service_is_never_public_however_it_is_spelt() {
    let shown: String = SPELLINGS.iter().map(|text| host(text)).collect();
    assert_snapshot!(shown, @r"
    169.254.169.254: link-local or metadata
    169.254.169.254.: host `169.254.169.254.` is not an address, write four numbers from 0 to 255 without leading zeros or a last dot
    2852039166: host `2852039166` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`
    0xa9fea9fe: host `0xa9fea9fe` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`
    0XA9FEA9FE: host `0XA9FEA9FE` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`
    0xA9.0xFE.0xA9.0xFE: host `0xA9.0xFE.0xA9.0xFE` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`
    025177524776: host `025177524776` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`
    0251.0376.0251.0376: host `0251.0376.0251.0376` is not an address, write four numbers from 0 to 255 without leading zeros or a last dot
    0251.254.169.254: host `0251.254.169.254` is not an address, write four numbers from 0 to 255 without leading zeros or a last dot
    00000251.0376.0251.0376: host `00000251.0376.0251.0376` is not an address, write four numbers from 0 to 255 without leading zeros or a last dot
    169.254.43518: host `169.254.43518` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`
    169.16689662: host `169.16689662` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`
    169.254.169.0xfe: host `169.254.169.0xfe` ends in a number, which some read as an address; write the address that is meant, such as `192.0.2.1`
    425.510.425.510: host `425.510.425.510` is not an address, write four numbers from 0 to 255 without leading zeros or a last dot
    [::ffff:169.254.169.254]: link-local or metadata
    [::ffff:a9fe:a9fe]: link-local or metadata
    [::FFFF:A9FE:A9FE]: link-local or metadata
    [0:0:0:0:0:ffff:169.254.169.254]: link-local or metadata
    [64:ff9b::a9fe:a9fe]: link-local or metadata
    [64:ff9b:1::a9fe:a9fe]: link-local or metadata
    [2002:a9fe:a9fe::]: link-local or metadata
    [::a9fe:a9fe]: link-local or metadata
    [fe80::a9fe:a9fe%25eth0]: host `[fe80::a9fe:a9fe%25eth0]` has a zone after `%`, leave it out: an address is the same on every interface here
    [fd00:ec2::254]: link-local or metadata
    user@169.254.169.254: host `user@169.254.169.254` has '@' at position 4, a host is letters, digits, `-`, `_` and `.`
    169.254.169.254%2e: host `169.254.169.254%2e` has '%' at position 15, a host is letters, digits, `-`, `_` and `.`
    %31%36%39.254.169.254: host `%31%36%39.254.169.254` has '%' at position 0, a host is letters, digits, `-`, `_` and `.`
    169.254.169.254\@example.com: host `169.254.169.254\\@example.com` has '\\' at position 15, a host is letters, digits, `-`, `_` and `.`
    １６９.２５４.１６９.２５４: host `１６９.２５４.１６９.２５４` has '１' at position 0, write the name in punycode, as in `xn--bcher-kva.example`
    169。254。169。254: host `169。254。169。254` has '。' at position 3, write the name in punycode, as in `xn--bcher-kva.example`
    ");
    for spelling in SPELLINGS {
        match spelling.parse::<HostName>() {
            Ok(HostName::Ip(address)) => assert!(Reach::of(address) >= Reach::LinkLocal),
            Ok(HostName::Name(name)) => panic!("`{spelling}` became the name `{name}`"),
            Err(_) => {}
        }
    }
}

#[test]
fn a_special_block_is_as_wide_as_what_it_names() {
    let block = |text: &str| {
        let block = block_of(text.parse().unwrap());
        block.map_or("none".to_owned(), |block| block.to_string())
    };
    assert_snapshot!(block("10.1.2.3"), @"10.0.0.0/8");
    assert_snapshot!(block("100.100.100.200"), @"100.100.100.200/32");
    assert_snapshot!(block("fd12::1"), @"fc00::/7");
    assert_snapshot!(block("64:ff9b::a9fe:a9fe"), @"64:ff9b::a9fe:a9fe/128");
    assert_snapshot!(block("1.1.1.1"), @"none");
}

proptest! {
    /// However an IPv4 address is dressed, it reaches no further than undressed.
    #[test]
    fn no_clothes_make_an_address_more_public(bits in any::<u32>(), low in any::<u64>()) {
        let address = Ipv4Addr::from_bits(bits);
        let bare = Reach::of(IpAddr::V4(address));
        let bits = u128::from(bits);
        let carriers: [u128; 5] = [
            (0xffff << 32) | bits,
            (0xffff << 48) | bits,
            (0x0064_ff9b << 96) | bits,
            (0x0064_ff9b_0001 << 80) | bits,
            (0x2002 << 112) | (bits << 80) | u128::from(low),
        ];
        for carrier in carriers {
            let dressed = Reach::of(IpAddr::V6(Ipv6Addr::from_bits(carrier)));
            prop_assert!(dressed != Reach::Public || bare == Reach::Public, "{carrier:x}");
            prop_assert!(dressed >= Reach::LinkLocal || bare != Reach::LinkLocal, "{carrier:x}");
        }
    }

    /// What the standard library knows to be special is not public here.
    #[test]
    fn what_is_special_to_the_standard_library_is_not_public(v4 in any::<u32>(), v6 in any::<u128>(), front in any::<u8>()) {
        let v4 = Ipv4Addr::from_bits(v4);
        let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
            || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
        prop_assert!(!special || Reach::of(IpAddr::V4(v4)) != Reach::Public, "{v4}");
        // Random bits are hardly ever special, so the front byte is put there by hand.
        for v6 in [v6, (v6 >> 8) | (u128::from(front) << 120)].map(Ipv6Addr::from_bits) {
            let special = v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast();
            prop_assert!(!special || Reach::of(IpAddr::V6(v6)) != Reach::Public, "{v6}");
        }
    }
}
