//! SHA-256 (FIPS 180-4) over chunks of any length, where the compression function is ours.

use crate::sha_ni::ShaNi;

/// The words of a hash value under way.
pub(crate) type State = [u32; 8];

/// What the compression function takes at a time.
pub(crate) type Block = [u8; BLOCK];

/// The size of a block, in bytes.
const BLOCK: usize = 64;

/// The hash value of nothing (section 5.3.3).
const START: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A hash value under way.
#[derive(Clone)]
pub(crate) struct Sha256 {
    processor: ShaNi,
    state: State,
    /// The bytes since the last whole block, and what is left of older ones.
    open: Block,
    /// All bytes so far.
    len: u64,
}

impl Sha256 {
    /// Starts with nothing. `None` where the processor has no instructions for it.
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            processor: ShaNi::detect()?,
            state: START,
            open: [0; BLOCK],
            len: 0,
        })
    }

    /// Adds a chunk.
    pub(crate) fn update(&mut self, chunk: &[u8]) {
        let blocks = self.take(chunk);
        self.processor.compress([&mut self.state], [blocks]);
    }

    /// Adds a chunk to each of two values.
    pub(crate) fn update_both(&mut self, chunk: &[u8], other: &mut Self, other_chunk: &[u8]) {
        let blocks = self.take(chunk);
        let others = other.take(other_chunk);
        let both = blocks.len().min(others.len());
        let (blocks, rest) = blocks.split_at(both);
        let (others, other_rest) = others.split_at(both);
        let states = [&mut self.state, &mut other.state];
        self.processor.compress(states, [blocks, others]);
        self.processor.compress([&mut self.state], [rest]);
        other.processor.compress([&mut other.state], [other_rest]);
    }

    /// Returns the value of all chunks.
    pub(crate) fn finish(mut self) -> [u8; 32] {
        let bits = self.len.wrapping_mul(8);
        self.update(&[0x80]);
        let open = self.open_len();
        // The length needs eight bytes behind that.
        if open > BLOCK - 8 {
            self.update(&[0; BLOCK][open..]);
        }
        let open = self.open_len();
        self.update(&[0; BLOCK][open..BLOCK - 8]);
        self.update(&bits.to_be_bytes());
        let mut value = [0; 32];
        for (bytes, word) in value.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        value
    }

    /// Takes from a chunk what completes the open block, and what opens the next one. Returns the
    /// blocks between, which are still to be compressed.
    fn take<'a>(&mut self, chunk: &'a [u8]) -> &'a [Block] {
        let open = self.open_len();
        self.len += chunk.len() as u64;
        let mut left = chunk;
        if open > 0 {
            let (first, rest) = chunk.split_at(chunk.len().min(BLOCK - open));
            self.open[open..open + first.len()].copy_from_slice(first);
            if open + first.len() < BLOCK {
                return &[];
            }
            self.processor.compress([&mut self.state], [&[self.open]]);
            left = rest;
        }
        let (blocks, rest) = left.as_chunks();
        self.open[..rest.len()].copy_from_slice(rest);
        blocks
    }

    /// Returns how many bytes of the open block are there.
    fn open_len(&self) -> usize {
        usize::try_from(self.len % BLOCK as u64).unwrap_or_default()
    }
}
