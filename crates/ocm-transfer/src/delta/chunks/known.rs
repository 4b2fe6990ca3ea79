//! Which chunks a place has, and where.

use std::collections::BTreeMap;

use ocm_digest::Digest;

use super::{Chunk, ChunkList, ChunkName, MOST_CHUNKS};

/// Where a chunk stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) struct Place {
    /// The blob, by its number.
    pub(in super::super) source: u32,
    pub(in super::super) offset: u64,
}

/// Chunks by their names.
#[derive(Debug, Default)]
pub(in super::super) struct KnownChunks {
    sources: Vec<Digest>,
    sorted: Vec<(ChunkName, Place, u32)>,
}

impl KnownChunks {
    pub(in super::super) fn new(lists: &BTreeMap<Digest, ChunkList>) -> Self {
        let mut known = Self::default();
        let count: usize = lists.values().map(ChunkList::len).sum();
        known.sorted.reserve_exact(count.min(MOST_CHUNKS));
        for (digest, list) in lists {
            if known.sorted.len() + list.len() > MOST_CHUNKS {
                tracing::warn!("the base has more chunks than are looked at");
                break;
            }
            let source = u32::try_from(known.sources.len()).unwrap_or(u32::MAX);
            known.sources.push(*digest);
            let mut offset = 0;
            for Chunk { len, name } in list.chunks() {
                known.sorted.push((*name, Place { source, offset }, *len));
                offset += u64::from(*len);
            }
        }
        known.sorted.sort_unstable();
        known
    }

    /// Returns the blob of a number.
    pub(in super::super) fn source(&self, number: u32) -> Option<&Digest> {
        self.sources.get(number as usize)
    }

    /// Returns where a chunk stands: where something else ends, if it is there, too.
    pub(in super::super) fn find(&self, chunk: Chunk, behind: Option<Place>) -> Option<Place> {
        let all = || {
            let first = self
                .sorted
                .partition_point(|(name, _, _)| *name < chunk.name);
            let same = self.sorted[first..].iter();
            let same = same.take_while(|(name, _, _)| *name == chunk.name);
            same.filter(|(_, _, len)| *len == chunk.len)
        };
        let first = all().next()?.1;
        let is_there = |place: &Place| {
            let wanted = (chunk.name, *place, chunk.len);
            self.sorted.binary_search(&wanted).is_ok()
        };
        Some(behind.filter(is_there).unwrap_or(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(number: u8, len: u32) -> Chunk {
        let name = [number; 16];
        Chunk { len, name }
    }

    #[test]
    fn a_chunk_is_found_where_it_goes_on() {
        let first = ChunkList([chunk(1, 10), chunk(2, 20), chunk(1, 10)].into());
        let second = ChunkList([chunk(2, 20), chunk(3, 5)].into());
        let digests = [Digest::sha256("1"), Digest::sha256("2")];
        let mut digests = digests.to_vec();
        digests.sort();
        let lists = digests.iter().copied().zip([first, second]);
        let known = KnownChunks::new(&lists.collect());
        let at = |source, offset| Some(Place { source, offset });
        assert_eq!(known.find(chunk(1, 10), None), at(0, 0));
        assert_eq!(known.find(chunk(1, 10), at(0, 30)), at(0, 30));
        assert_eq!(known.find(chunk(2, 20), at(1, 0)), at(1, 0));
        assert_eq!(known.find(chunk(3, 5), at(0, 0)), at(1, 20));
        assert_eq!(known.find(chunk(3, 6), None), None);
        assert_eq!(known.find(chunk(4, 5), None), None);
        assert_eq!(known.source(1), Some(&digests[1]));
    }
}
