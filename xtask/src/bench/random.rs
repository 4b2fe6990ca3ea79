//! Bytes that are the same on every machine and in every run.

use std::io::{self, Write};

/// What is written at a time, in bytes.
const BLOCK: usize = 64 * 1024;

/// One block in so many is text; the others cannot be compressed, as layers mostly are.
const TEXT_EVERY: u64 = 4;

const WORDS: [&str; 16] = [
    "component ",
    "version ",
    "resource ",
    "digest ",
    "access ",
    "layer ",
    "sign ",
    "verify\n",
    "transfer ",
    "archive ",
    "registry ",
    "label ",
    "source ",
    "identity ",
    "blob ",
    "media\n",
];

/// A generator of numbers (SplitMix64): quick, and good enough for bytes that nobody guesses.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence. Each seed has its own.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Writes `size` bytes: three quarters noise, one quarter words.
    pub(crate) fn write(&mut self, mut size: u64, target: &mut impl Write) -> io::Result<()> {
        let mut block = Vec::with_capacity(BLOCK + 16);
        let mut number = 0;
        while size > 0 {
            self.fill(&mut block, number % TEXT_EVERY == TEXT_EVERY - 1);
            let count = usize::try_from(size).map_or(BLOCK, |size| size.min(BLOCK));
            target.write_all(&block[..count])?;
            size -= count as u64;
            number += 1;
        }
        Ok(())
    }

    fn fill(&mut self, block: &mut Vec<u8>, is_text: bool) {
        block.clear();
        while block.len() < BLOCK {
            let number = self.next();
            if is_text {
                let bytes = number.to_le_bytes();
                for word in bytes.map(|byte| WORDS[usize::from(byte) % WORDS.len()]) {
                    block.extend_from_slice(word.as_bytes());
                }
            } else {
                block.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(seed: u64, size: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        Random::new(seed).write(size, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_seed_gives_the_same_bytes_each_time_and_another_seed_others() {
        assert_eq!(bytes(1, 300_001), bytes(1, 300_001));
        assert_ne!(bytes(1, 1000), bytes(2, 1000));
        assert_eq!(bytes(1, 300_001).len(), 300_001);
    }

    #[test]
    fn a_quarter_is_text() {
        let bytes = bytes(7, 4 * BLOCK as u64);
        let is_text = |block: &[u8]| block.iter().all(u8::is_ascii);
        let blocks: Vec<bool> = bytes.chunks(BLOCK).map(is_text).collect();
        assert_eq!(blocks, [false, false, false, true]);
    }
}
