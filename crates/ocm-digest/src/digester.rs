//! Digests of content that comes in chunks.

use std::fmt;

use aws_lc_rs::digest::Context;

#[cfg(target_arch = "x86_64")]
use crate::sha256::Sha256;
use crate::{Digest, HashAlgorithm};

/// Computes a digest from chunks.
#[derive(Clone)]
pub struct Digester {
    algorithm: HashAlgorithm,
    value: Value,
}

/// A hash value under way.
#[derive(Clone)]
enum Value {
    /// SHA-256, which can be computed two at a time.
    #[cfg(target_arch = "x86_64")]
    Paired(Sha256),
    Single(Context),
}

impl Digester {
    /// Starts a computation.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self {
            algorithm,
            value: Value::new(algorithm),
        }
    }

    /// Adds a chunk.
    pub fn update(&mut self, chunk: &[u8]) {
        match &mut self.value {
            #[cfg(target_arch = "x86_64")]
            Value::Paired(value) => value.update(chunk),
            Value::Single(value) => value.update(chunk),
        }
    }

    /// Adds a chunk to each of two computations. Where both [can be paired](Self::is_paired), that
    /// takes much less time than one after the other.
    pub fn update_both(&mut self, chunk: &[u8], other: &mut Self, other_chunk: &[u8]) {
        match (&mut self.value, &mut other.value) {
            #[cfg(target_arch = "x86_64")]
            (Value::Paired(value), Value::Paired(other)) => {
                value.update_both(chunk, other, other_chunk);
            }
            _ => {
                self.update(chunk);
                other.update(other_chunk);
            }
        }
    }

    /// Returns whether two chunks of different content are worth being hashed together: SHA-256 on
    /// a processor that has instructions for it.
    pub const fn is_paired(&self) -> bool {
        match self.value {
            #[cfg(target_arch = "x86_64")]
            Value::Paired(_) => true,
            Value::Single(_) => false,
        }
    }

    /// Returns the digest of all chunks.
    pub fn finish(self) -> Digest {
        match self.value {
            #[cfg(target_arch = "x86_64")]
            Value::Paired(value) => Digest::of_value(self.algorithm, &value.finish()),
            Value::Single(value) => Digest::of_value(self.algorithm, value.finish().as_ref()),
        }
    }

    /// Returns the algorithm in use.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }
}

impl Value {
    fn new(algorithm: HashAlgorithm) -> Self {
        #[cfg(target_arch = "x86_64")]
        if algorithm == HashAlgorithm::Sha256
            && let Some(value) = Sha256::new()
        {
            return Self::Paired(value);
        }
        Self::Single(Context::new(algorithm.implementation()))
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Default for Digester {
    fn default() -> Self {
        Self::new(HashAlgorithm::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHMS: [HashAlgorithm; 3] = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
    ];

    fn content(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(seed);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn chunks_of_any_length_add_up() {
        let content = content(1000, 1);
        for algorithm in ALGORITHMS {
            for first in 0..200 {
                let mut digester = Digester::new(algorithm);
                digester.update(&content[..first]);
                digester.update(&content[first..first * 2]);
                digester.update(&content[first * 2..]);
                assert_eq!(digester.finish(), algorithm.digest(&content), "{first}");
            }
        }
    }

    #[test]
    fn content_of_any_length_has_the_digest_that_the_provider_computes() {
        for algorithm in ALGORITHMS {
            for len in 0..300 {
                let content = content(len, len as u64);
                let mut digester = Digester::new(algorithm);
                digester.update(&content);
                assert_eq!(digester.finish(), algorithm.digest(&content), "{len}");
            }
        }
    }

    #[test]
    fn two_at_once_have_the_digests_that_each_has_alone() {
        for (algorithm, other) in [
            (HashAlgorithm::Sha256, HashAlgorithm::Sha256),
            (HashAlgorithm::Sha256, HashAlgorithm::Sha512),
        ] {
            for (len, begun, other_len, other_begun) in [
                (0, 0, 0, 0),
                (64, 0, 64, 0),
                (1000, 0, 300, 0),
                (300, 1, 1000, 63),
                (5000, 63, 5000, 65),
                (10, 3, 5000, 7),
            ] {
                let (one, two) = (content(len, 3), content(other_len, 4));
                let (mut first, mut second) = (Digester::new(algorithm), Digester::new(other));
                first.update(&one[..begun]);
                second.update(&two[..other_begun]);
                first.update_both(&one[begun..], &mut second, &two[other_begun..]);
                first.update(b"end");
                assert_eq!(
                    first.finish(),
                    algorithm.digest([&one[..], b"end"].concat())
                );
                assert_eq!(second.finish(), other.digest(&two));
            }
        }
    }
}
