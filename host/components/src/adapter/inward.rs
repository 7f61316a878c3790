//! Addresses that a granted *name* has no business to lead to: whoever answers for the name would choose them, not the
//! operator. An address that is granted as such is another matter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const MACHINE: &str = "an address of this machine, or of nobody in particular";
/// Most metadata services are there: 169.254.169.254 and its neighbours.
const LINK: &str = "an address of this link, where clouds tell credentials to whoever asks";
const METADATA: &str = "a cloud's metadata service, which tells credentials to whoever asks";

/// Metadata services elsewhere: Alibaba, Azure, Oracle (Classic).
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
/// Those by IPv6: Google, Oracle, Scaleway, Akamai, Alibaba.
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200),
];

/// What `ip` is, if a name must not lead there.
pub(super) fn inward(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => inward_v4(ip),
        IpAddr::V6(ip) => inward_v6(ip).or_else(|| embedded(ip).into_iter().flatten().find_map(inward_v4)),
    }
}

fn inward_v4(ip: Ipv4Addr) -> Option<&'static str> {
    if METADATA_V4.contains(&ip) {
        Some(METADATA)
    } else if ip.is_link_local() {
        Some(LINK)
    } else if ip.is_loopback() || ip.is_broadcast() || ip.is_multicast() || ip.octets()[0] == 0 {
        Some(MACHINE)
    } else {
        None
    }
}

fn inward_v6(ip: Ipv6Addr) -> Option<&'static str> {
    // All of fd00:ec2::/32 are Amazon's local services.
    if METADATA_V6.contains(&ip) || matches!(ip.segments(), [0xfd00, 0xec2, ..]) {
        Some(METADATA)
    } else if ip.is_unicast_link_local() {
        Some(LINK)
    } else if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        Some(MACHINE)
    } else {
        None
    }
}

/// The IPv4 addresses that `ip` stands for, or may stand for, where there is a translator or a tunnel.
fn embedded(ip: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let at = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        // Mapped, compatible and translated addresses.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => [at(high, low), None],
        // NAT64 under the prefix that everybody has.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [at(high, low), None],
        // NAT64 under local prefixes, of 96 bits or of 48, where one byte is skipped: whichever is meant, the other may
        // read as 0.x.y.z, which is nobody.
        [0x64, 0xff9b, 1, high, middle, low, seventh, eighth] => {
            let ([_, c], [d, _]) = (middle.to_be_bytes(), low.to_be_bytes());
            let readings = [at(seventh, eighth), at(high, u16::from_be_bytes([c, d]))];
            readings.map(|reading| reading.filter(|ip| ip.octets()[0] != 0))
        }
        // 6to4.
        [0x2002, high, low, ..] => [at(high, low), None],
        // Teredo, where the client's address is inverted.
        [0x2001, 0, .., high, low] => [at(!high, !low), None],
        // ISATAP.
        [.., 0 | 0x200, 0x5efe, high, low] => [at(high, low), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn of(text: &str) -> Option<&'static str> {
        inward(text.parse().expect(text))
    }

    #[test]
    fn names_do_not_lead_into_this_machine() {
        for text in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "2002:7f00:1::",
        ] {
            assert_eq!(of(text), Some(MACHINE), "{text}");
        }
    }

    #[test]
    fn nor_to_the_metadata_of_a_cloud_in_any_spelling() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "fe80::a9fe:a9fe",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "fd00:a9fe:a9fe::1",
            "fd00:100::100:200",
            "::ffff:169.254.169.254",
            "::ffff:100.100.100.200",
            "::169.254.169.254",
            "::ffff:0:168.63.129.16",
            "64:ff9b::169.254.169.254",
            "64:ff9b::192.0.0.192",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:6464:64:c800::",
            "2002:a9fe:a9fe::1",
            "2001:0:4136:e378:8000:63bf:5601:5601",
            "2001:db8::5efe:a9fe:a9fe",
        ] {
            assert!(
                [Some(LINK), Some(METADATA)].contains(&of(text)),
                "{text}: {:?}",
                of(text)
            );
        }
    }

    #[test]
    fn other_addresses_are_no_concern() {
        for text in [
            "10.0.0.5",
            "192.168.1.1",
            "8.8.8.8",
            "100.100.100.201",
            "168.63.129.17",
            "192.0.0.193",
            "fd00::1",
            "fd00:42::43",
            "fd00:ec3::254",
            "2001:db8::1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::10.0.0.5",
            "2002:808:808::1",
            "::ffff:10.0.0.5",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
