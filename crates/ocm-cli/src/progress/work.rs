//! How much there is to do, and how much of it is done.

use ocm::oci::{Moved, Outcome};

/// Counts objects and bytes. What has been counted is never taken back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Work {
    objects: u64,
    done: u64,
    skipped: u64,
    /// The bytes of all objects whose size is known.
    size: u64,
    /// How many objects there are whose size is not known.
    unsized_objects: u64,
    /// The bytes that have been read.
    read: u64,
    /// The bytes of finished objects that did not have to be read.
    spared: u64,
}

impl Work {
    /// Adds objects that have no content worth counting.
    pub(crate) const fn plan_objects(&mut self, count: u64) {
        self.objects += count;
    }

    /// Adds objects with content, of the sizes given as far as they are known.
    pub(crate) fn plan(&mut self, sizes: impl IntoIterator<Item = Option<u64>>) {
        for size in sizes {
            self.objects += 1;
            match size {
                Some(size) => self.size = self.size.saturating_add(size),
                None => self.unsized_objects += 1,
            }
        }
    }

    /// Says how many bytes have been read so far, for all objects together.
    pub(crate) fn read(&mut self, bytes: u64) {
        self.read = self.read.max(bytes);
    }

    /// Finishes an object without content worth counting.
    pub(crate) fn finish_object(&mut self, skipped: bool) {
        self.done += 1;
        self.objects = self.objects.max(self.done);
        self.skipped += u64::from(skipped);
    }

    /// Finishes an object with content.
    pub(crate) fn finish(&mut self, moved: &Moved) {
        self.finish_object(moved.outcome != Outcome::Copied);
        if let Some(planned) = moved.planned {
            self.spared = self
                .spared
                .saturating_add(planned.saturating_sub(moved.read));
            self.size = self.size.saturating_add(moved.read.saturating_sub(planned));
        } else {
            self.unsized_objects = self.unsized_objects.saturating_sub(1);
            self.size = self.size.saturating_add(moved.read);
        }
    }

    /// How many objects are done with, and how many there are.
    pub(crate) const fn objects(&self) -> (u64, u64) {
        (self.done, self.objects)
    }

    /// How many objects were there or not wanted.
    pub(crate) const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many bytes are done with, and how many there are, as far as that is known.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let position = self.read.saturating_add(self.spared);
        (position, self.size.max(position))
    }

    /// Whether the sizes of all objects are known.
    pub(crate) const fn is_sized(&self) -> bool {
        self.unsized_objects == 0
    }

    /// The bytes that have been read.
    pub(crate) const fn bytes_read(&self) -> u64 {
        self.read
    }

    /// How far it is, in percent. Only what is done altogether has a hundred.
    pub(crate) fn percent(&self) -> u64 {
        let (done, objects) = self.objects();
        if done == objects {
            return if objects == 0 { 0 } else { 100 };
        }
        let (position, size) = self.bytes();
        let (part, whole) = if self.is_sized() && size > 0 {
            (position, size)
        } else {
            (done, objects)
        };
        let percent = u128::from(part) * 100 / u128::from(whole.max(1));
        u64::try_from(percent.min(99)).unwrap_or(99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(planned: Option<u64>, read: u64, outcome: Outcome) -> Moved {
        Moved {
            planned,
            read,
            outcome,
        }
    }

    #[test]
    fn what_was_there_counts_as_done_and_as_skipped() {
        let mut work = Work::default();
        work.plan([Some(100), Some(300)]);
        work.finish(&moved(Some(300), 0, Outcome::Existed));
        assert_eq!((work.objects(), work.skipped()), ((1, 2), 1));
        assert_eq!((work.bytes(), work.percent()), ((300, 400), 75));
        work.read(60);
        assert_eq!(work.bytes(), (360, 400));
        // Of an artifact, a part was there.
        work.finish(&moved(Some(100), 60, Outcome::Copied));
        assert_eq!((work.bytes(), work.percent()), ((400, 400), 100));
        assert_eq!(work.skipped(), 1);
    }

    #[test]
    fn without_sizes_objects_are_what_counts() {
        let mut work = Work::default();
        work.plan([Some(10), None]);
        work.read(7);
        assert!(!work.is_sized());
        assert_eq!(work.percent(), 0);
        work.finish(&moved(None, 7, Outcome::Copied));
        assert_eq!((work.bytes(), work.percent()), ((7, 17), 41));
        assert!(work.is_sized());
    }

    #[test]
    fn a_hundred_percent_is_when_everything_is_done() {
        let mut work = Work::default();
        work.plan([Some(10)]);
        work.plan_objects(1);
        work.read(10);
        work.finish(&moved(Some(10), 10, Outcome::Copied));
        assert_eq!(work.percent(), 99);
        work.finish_object(false);
        assert_eq!(work.percent(), 100);
    }

    #[test]
    fn nothing_runs_over_or_back() {
        let mut work = Work::default();
        assert_eq!((work.bytes(), work.percent()), ((0, 0), 0));
        work.plan([Some(10)]);
        let mut last = 0;
        for read in [3, 2, 15, 20] {
            work.read(read);
            let (position, size) = work.bytes();
            assert!(position >= last && position <= size);
            last = position;
        }
        work.finish(&moved(Some(10), 20, Outcome::Copied));
        work.finish_object(false);
        assert_eq!((work.bytes(), work.objects()), ((20, 20), (2, 2)));
    }
}
