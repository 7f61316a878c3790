//! Integer hashes: the same on every machine.

/// Spreads the bits of `x`: the finaliser of splitmix64, a bijection.
#[must_use]
#[inline]
pub const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A hash of `text` under `seed`: FNV-1a, then mixed.
#[must_use]
pub fn text(seed: u64, text: &str) -> u64 {
    let folded = text.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed, |h, byte| {
        (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(folded)
}

/// A hash of two numbers that have been [mixed](mix) before. Cheap: it is what rendezvous hashing spends its time on.
#[must_use]
#[inline]
pub const fn pair(a: u64, b: u64) -> u64 {
    let x = (a ^ b).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// A number below `len` (≥ 1) that follows from `hash`, evenly spread.
#[must_use]
#[inline]
pub const fn below(hash: u64, len: usize) -> usize {
    (((hash >> 32) * len as u64) >> 32) as usize
}
