//! From keys to shards: stated, stable, tested against fixed vectors.

use xxhash_rust::xxh3::xxh3_64;

/// Something that has a shard.
///
/// Numbers map by `u64 % shards`, signed ones by their two's complement of 64 bits: one that is not negative maps as
/// the unsigned one does, whatever its width. Bytes and text map by `xxh3_64(bytes) % shards` (seed 0).
pub trait ShardKey {
    /// The number that is taken modulo the shard count.
    fn shard_hash(&self) -> u64;
}

impl ShardKey for u64 {
    fn shard_hash(&self) -> u64 {
        *self
    }
}

impl ShardKey for u32 {
    fn shard_hash(&self) -> u64 {
        u64::from(*self)
    }
}

impl ShardKey for i64 {
    fn shard_hash(&self) -> u64 {
        self.cast_unsigned()
    }
}

impl ShardKey for i32 {
    fn shard_hash(&self) -> u64 {
        i64::from(*self).shard_hash()
    }
}

impl ShardKey for [u8] {
    fn shard_hash(&self) -> u64 {
        xxh3_64(self)
    }
}

impl ShardKey for str {
    fn shard_hash(&self) -> u64 {
        xxh3_64(self.as_bytes())
    }
}

impl ShardKey for String {
    fn shard_hash(&self) -> u64 {
        self.as_str().shard_hash()
    }
}

impl ShardKey for Vec<u8> {
    fn shard_hash(&self) -> u64 {
        self.as_slice().shard_hash()
    }
}

impl<T: ShardKey + ?Sized> ShardKey for &T {
    fn shard_hash(&self) -> u64 {
        (**self).shard_hash()
    }
}

/// The shard of `key` among `shards` (≥ 1; 0 is treated as 1).
#[must_use]
#[inline]
pub fn shard_of<K: ShardKey + ?Sized>(key: &K, shards: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a u32")]
    let shard = (key.shard_hash() % u64::from(shards.max(1))) as u32;
    shard
}

#[cfg(test)]
mod test {
    use super::*;

    /// The contract with every server that stores something per shard: these never change.
    #[test]
    fn fixed_vectors() {
        assert_eq!(shard_of(&0u64, 64), 0);
        assert_eq!(shard_of(&191_179u64, 64), 11);
        assert_eq!(shard_of(&u64::MAX, 1000), 615);
        assert_eq!((7u32.shard_hash(), u32::MAX.shard_hash()), (7, 4_294_967_295));
        assert_eq!((7i64.shard_hash(), 7i32.shard_hash()), (7, 7));
        assert_eq!((shard_of(&-1i64, 1000), shard_of(&-1i32, 1000)), (615, 615));
        assert_eq!(shard_of(&i64::MIN, 1000), 808);
        assert_eq!("".shard_hash(), 0x2d06_8005_38d3_94c2);
        assert_eq!(b"a"[..].shard_hash(), 0xe6c6_32b6_1e96_4e1f);
        assert_eq!("abc".shard_hash(), 0x78af_5f94_892f_3950);
        assert_eq!("example.org".shard_hash(), b"example.org"[..].shard_hash());
    }

    #[test]
    fn a_key_has_its_shard_whoever_owns_it() {
        let hash = "abc".shard_hash();
        assert_eq!(
            ("abc".to_owned().shard_hash(), b"abc".to_vec().shard_hash()),
            (hash, hash)
        );
        assert_eq!(
            (ShardKey::shard_hash(&"abc"), ShardKey::shard_hash(&&191_179u64)),
            (hash, 191_179)
        );
    }
}
