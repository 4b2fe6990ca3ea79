//! The memory of chunks, used again and again.
//!
//! A chunk is filled by one thread and dropped by another, thousands of times a second. Allocators
//! keep what a thread has freed or allocated for that thread, and with a dozen threads of which
//! most sleep, many times of what is in use stays with the process. A list that all share keeps
//! that bounded, and no page is given back only to be asked for again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::stream::CHUNK;

/// Buffers that are kept while nobody needs them: 8 MiB.
const KEPT: usize = 32;

static FREE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// Space for a chunk, or for small or large content as a whole.
#[derive(Debug)]
pub(crate) struct Buffer {
    space: Box<[u8]>,
    len: usize,
}

impl Buffer {
    /// Returns space for so many bytes. What stands in it may be left from other content.
    pub(crate) fn new(len: usize) -> Self {
        let new = |len: usize| vec![0; len].into_boxed_slice();
        // Small content is not worth the space of a chunk.
        let space = if (CHUNK / 2..=CHUNK).contains(&len) {
            let free = free().pop();
            free.unwrap_or_else(|| new(CHUNK))
        } else {
            new(len)
        };
        Self { space, len }
    }

    /// Returns the space.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.space[..self.len]
    }

    /// Makes the first bytes a chunk, which takes the space with it.
    pub(crate) fn freeze(mut self, filled: usize) -> Bytes {
        self.len = self.len.min(filled);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.space[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.space.len() == CHUNK {
            let mut free = free();
            if free.len() < KEPT {
                free.push(std::mem::take(&mut self.space));
            }
        }
    }
}

fn free() -> MutexGuard<'static, Vec<Box<[u8]>>> {
    // A list of buffers is whole even where a holder panicked.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_what_was_filled_and_nothing_of_what_was_there_before() {
        for round in [1, 2] {
            let mut buffer = Buffer::new(CHUNK);
            buffer.space()[..5].fill(round);
            let chunk = buffer.freeze(5);
            assert_eq!(chunk, [round; 5].as_slice());
        }
        assert_eq!(Buffer::new(CHUNK + 1).space().len(), CHUNK + 1);
        assert_eq!(Buffer::new(3).freeze(10).len(), 3);
    }

    #[test]
    fn buffers_are_kept_up_to_a_number() {
        let many: Vec<Bytes> = (0..KEPT * 2)
            .map(|_| Buffer::new(CHUNK).freeze(CHUNK))
            .collect();
        drop(many);
        assert!(free().len() <= KEPT);
    }
}
