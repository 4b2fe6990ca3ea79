//! Where content is cut: by what stands there, not by how far it is from the start.
//!
//! A gear hash rolls over the last 64 bytes; a chunk ends where its upper bits are zero: more of
//! them before the chunk has its usual size, fewer behind it (normalised chunking).
//! These numbers, and the table, are part of the format of states with chunks: both sides have to
//! cut alike.

use std::sync::OnceLock;

use ocm_digest::HashAlgorithm;

/// The smallest chunk but for the last of some content, in bytes.
const LEAST: usize = 4 * 1024;

/// The usual size of a chunk, in bytes. Measured: with four times as much, three times as much of a
/// tree of files was new of which each twentieth had changed.
const USUAL: usize = 16 * 1024;

/// The largest chunk, in bytes.
pub(super) const MOST: usize = 64 * 1024;

/// How many bits are zero where a chunk ends that is smaller than usual, and where one does that is
/// larger.
const BITS: (u32, u32) = (16, 12);

/// How many bytes the hash covers.
const WINDOW: usize = 64;

/// Cuts content into chunks while it passes.
#[derive(Debug, Default)]
pub(super) struct Chunker {
    hash: u64,
    /// The size of the chunk that is not at its end.
    len: usize,
}

impl Chunker {
    /// Returns how much of the bytes belongs to the chunk that is going on, if it ends there;
    /// `None` if all of them do.
    pub(super) fn cut(&mut self, bytes: &[u8]) -> Option<usize> {
        let table = gear();
        // What stands before the window of the first possible end is not looked at.
        let skipped = (LEAST - WINDOW).saturating_sub(self.len).min(bytes.len());
        self.len += skipped;
        for (index, byte) in bytes.iter().enumerate().skip(skipped) {
            self.hash = (self.hash << 1).wrapping_add(table[usize::from(*byte)]);
            self.len += 1;
            if self.is_end() {
                *self = Self::default();
                return Some(index + 1);
            }
        }
        None
    }

    const fn is_end(&self) -> bool {
        let bits = if self.len < USUAL { BITS.0 } else { BITS.1 };
        (self.len >= LEAST && self.hash >> (u64::BITS - bits) == 0) || self.len >= MOST
    }
}

/// Returns a random number for each byte, the same everywhere: the start of its SHA-256.
fn gear() -> &'static [u64; 256] {
    static TABLE: OnceLock<[u64; 256]> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = [0; 256];
        for (byte, number) in (0..=u8::MAX).zip(&mut table) {
            let digest = HashAlgorithm::Sha256.digest([byte]);
            let mut start = [0; 8];
            start.copy_from_slice(&digest.as_bytes()[..8]);
            *number = u64::from_be_bytes(start);
        }
        table
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn noise(len: usize, mut state: u64) -> Vec<u8> {
        let step = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..len).map(step).collect()
    }

    /// Cuts content that comes in pieces of a size.
    fn chunks(content: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let mut chunker = Chunker::default();
        let (mut chunks, mut chunk) = (Vec::new(), Vec::new());
        for mut bytes in content.chunks(piece) {
            while let Some(end) = chunker.cut(bytes) {
                chunk.extend_from_slice(&bytes[..end]);
                chunks.push(std::mem::take(&mut chunk));
                bytes = &bytes[end..];
            }
            chunk.extend_from_slice(bytes);
        }
        chunks.push(chunk);
        chunks
    }

    #[test]
    fn where_content_is_cut_does_not_depend_on_how_it_comes() {
        let content = noise(2_000_000, 3);
        let whole = chunks(&content, usize::MAX);
        assert_eq!(whole.concat(), content);
        let (_, others) = whole.split_last().unwrap();
        assert!(
            others
                .iter()
                .all(|chunk| (LEAST..=MOST).contains(&chunk.len()))
        );
        let average = content.len() / whole.len();
        assert!((USUAL / 2..USUAL * 2).contains(&average), "{average}");
        for piece in [1, 1000, LEAST, 262_144] {
            assert_eq!(chunks(&content, piece), whole);
        }
    }

    #[test]
    fn what_is_inserted_changes_the_chunks_around_it_alone() {
        let before = noise(2_000_000, 5);
        let mut after = before.clone();
        after.splice(700_000..700_000, *b"inserted");
        after.drain(1_500_000..1_500_100);
        let known: BTreeSet<Vec<u8>> = chunks(&before, 4096).into_iter().collect();
        let cut = chunks(&after, 4096);
        let new = cut.iter().filter(|chunk| !known.contains(*chunk)).count();
        assert!(new <= 6, "{new} of {}", cut.len());
    }

    #[test]
    fn content_without_change_is_cut_at_the_largest_size() {
        let sizes: Vec<usize> = chunks(&vec![0; MOST * 3], 777)
            .iter()
            .map(Vec::len)
            .collect();
        assert!(sizes[..3].iter().all(|size| *size == sizes[0]), "{sizes:?}");
    }

    /// Other numbers would cut elsewhere than the other side has.
    #[test]
    fn the_cuts_are_part_of_the_format() {
        let cuts: Vec<usize> = chunks(&noise(200_000, 1), 1000)
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(cuts, EXPECTED);
    }

    const EXPECTED: &[usize] = &[
        19900, 20508, 17647, 20074, 18997, 14980, 18527, 30263, 16668, 17141, 5295,
    ];
}
