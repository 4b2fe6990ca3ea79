//! All entries of an archive at once, those of a large one found from two places.
//!
//! In a tar, only an entry says where the next one stands. So a second thread looks in the middle of
//! the file for what might be a header, and goes on from there, while the first one comes from the
//! start. If it meets that header as one, what was found behind it is right; if it passes by, that
//! was content which looked like a header, and counts for nothing.

use std::io::{Read, Seek, SeekFrom};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::scan::unreadable;
use super::{ENTRY_LIMIT, TarEntry, TarScan};
use crate::error::Error;

/// The size of an archive from which on a second thread is worth its cost, in bytes.
const LARGE: u64 = 8 << 20;

/// How many bytes are looked through for a header. Where there is none in so many, there are too few
/// in all to be worth it.
const SEARCHED: u64 = 16 << 20;

/// Goes through a whole archive, as [`TarScan`] does, and returns what `take` makes of its entries,
/// in their order. Each call of `open` returns a reader of the same bytes.
///
/// # Errors
///
/// What [`TarScan::next_entry`] refuses; the file cannot be opened or read.
pub fn tar_entries<R, T>(
    open: impl Fn() -> Result<R, Error>,
    take: impl Fn(TarEntry) -> Option<T> + Sync,
) -> Result<Vec<T>, Error>
where
    R: Read + Seek + Send,
    T: Send,
{
    let len = open()?.seek(SeekFrom::End(0)).map_err(unreadable)?;
    entries((len >= LARGE).then_some(len / 2), open, take)
}

/// As [`tar_entries`], with a second thread if there is a middle that it can start at.
fn entries<R, T>(
    middle: Option<u64>,
    open: impl Fn() -> Result<R, Error>,
    take: impl Fn(TarEntry) -> Option<T> + Sync,
) -> Result<Vec<T>, Error>
where
    R: Read + Seek + Send,
    T: Send,
{
    if let Some(middle) = middle
        && let Some(taken) = from_two_places(middle, &open, &take)?
    {
        return Ok(taken);
    }
    let mut scan = TarScan::new(open()?)?;
    let mut taken = Vec::new();
    while let Some(entry) = scan.next_entry()? {
        taken.extend(take(entry));
    }
    Ok(taken)
}

/// As [`tar_entries`]; `None` if the archive is better looked through by one thread: where something
/// is wrong with it, that one tells what comes first.
fn from_two_places<R, T>(
    middle: u64,
    open: impl Fn() -> Result<R, Error>,
    take: impl Fn(TarEntry) -> Option<T> + Sync,
) -> Result<Option<Vec<T>>, Error>
where
    R: Read + Seek + Send,
    T: Send,
{
    let mut scan = TarScan::new(open()?)?;
    let second = scan.ahead(open()?, middle)?;
    let ahead = Ahead::default();
    thread::scope(|scope| {
        let second = scope.spawn(|| ahead.go(second, &take));
        let mut taken = Vec::new();
        let has_met = ahead.meet(&mut scan, &take, &mut taken);
        if !matches!(has_met, Ok(true)) {
            ahead.abandon();
        }
        if !has_met? {
            return Ok(Some(taken));
        }
        let Ok(Some(second)) = second.join() else {
            return Ok(None);
        };
        let count = scan.seen().len() + second.scan.seen().len();
        if count > ENTRY_LIMIT || !scan.seen().goes_with(second.scan.seen()) {
            return Ok(None);
        }
        taken.extend(second.taken);
        Ok(Some(taken))
    })
}

/// What the thread that started at the beginning and the one that started in the middle tell each
/// other.
#[derive(Debug, Default)]
struct Ahead {
    /// The header that the second one has started at.
    start: OnceLock<u64>,
    is_abandoned: AtomicBool,
}

/// What the second thread has found, up to the end of the archive.
struct Found<R, T> {
    scan: TarScan<R>,
    taken: Vec<T>,
}

impl Ahead {
    /// Goes from the start to where the other one has started; returns false if that was no header,
    /// and all entries are taken.
    fn meet<R: Read, T>(
        &self,
        scan: &mut TarScan<R>,
        take: impl Fn(TarEntry) -> Option<T>,
        taken: &mut Vec<T>,
    ) -> Result<bool, Error> {
        loop {
            let at = scan.next_header();
            match self.start.get() {
                Some(&start) if start == at => return Ok(true),
                Some(&start) if start < at => self.abandon(),
                _ => {}
            }
            match scan.next_entry()? {
                Some(entry) => taken.extend(take(entry)),
                None => return Ok(false),
            }
        }
    }

    /// Goes from a place in the middle to the end; `None` if nothing came of it.
    fn go<R: Read + Seek, T>(
        &self,
        mut scan: TarScan<R>,
        take: impl Fn(TarEntry) -> Option<T>,
    ) -> Option<Found<R, T>> {
        let start = scan.find_header(SEARCHED, || self.is_abandoned())?;
        self.start.set(start).ok()?;
        let mut taken = Vec::new();
        while let Some(entry) = scan.next_entry().ok()? {
            if self.is_abandoned() {
                return None;
            }
            taken.extend(take(entry));
        }
        Some(Found { scan, taken })
    }

    fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::{Condvar, Mutex};

    use proptest::prelude::*;

    use super::*;
    use crate::tar::scan::tests::{archive, file, raw};

    /// Returns the paths of an archive as two threads find them, and whether the second one took an
    /// entry. The first one waits for that if it `may_wait`.
    fn paths(bytes: &[u8], middle: u64, may_wait: bool) -> (Result<Vec<String>, String>, bool) {
        let first = thread::current().id();
        let (is_taken, told) = (Mutex::new(false), Condvar::new());
        let take = |entry: TarEntry| {
            let mut is_taken = is_taken.lock().unwrap();
            if thread::current().id() != first {
                *is_taken = true;
                told.notify_all();
            } else if may_wait {
                drop(told.wait_while(is_taken, |it| !*it).unwrap());
            }
            Some(entry.path)
        };
        let paths = entries(Some(middle), || Ok(Cursor::new(bytes)), take);
        (
            paths.map_err(|error| error.to_string()),
            is_taken.into_inner().unwrap(),
        )
    }

    fn alone(bytes: &[u8]) -> Result<Vec<String>, String> {
        let paths = entries(None, || Ok(Cursor::new(bytes)), |entry| Some(entry.path));
        paths.map_err(|error| error.to_string())
    }

    /// Compares what two threads find with what one finds.
    #[track_caller]
    fn check(bytes: &[u8], middle: u64, may_wait: bool) -> Result<Vec<String>, String> {
        let (paths, is_taken) = paths(bytes, middle, may_wait);
        assert!(is_taken || !may_wait);
        assert_eq!(paths, alone(bytes));
        paths
    }

    fn many(count: usize, last: &str) -> Vec<u8> {
        let names: Vec<_> = (0..count).map(|at| format!("dir/{at}")).collect();
        let mut entries = vec![(raw("dir/", b'5', 0), b"".as_slice())];
        entries.extend(
            names
                .iter()
                .map(|name| (file(name, b"content"), b"content".as_slice())),
        );
        entries.push((file(last, b""), b""));
        archive(&entries)
    }

    #[test]
    fn two_threads_find_what_one_finds() {
        let bytes = many(20, "last");
        for middle in [1, 512, 1024, 5000, 5120, 10_000] {
            let paths = check(&bytes, middle, true).unwrap();
            assert_eq!((paths.len(), paths[21].as_str()), (22, "last"), "{middle}");
        }
        // Nothing follows.
        let end = bytes.len() as u64 - 1000;
        assert_eq!(check(&bytes, end, false).unwrap().len(), 22);
    }

    #[test]
    fn what_only_looks_like_a_header_counts_for_nothing() {
        let inner = many(5, "inner");
        let bytes = archive(&[
            (file("a", b""), b""),
            (file("b", &inner), &inner),
            (file("c", b""), b""),
        ]);
        assert_eq!(check(&bytes, 1500, true).unwrap(), ["a", "b", "c"]);
        // A long name stands in an entry of its own, before the header that it is for.
        let name = "x".repeat(300);
        let bytes = archive(&[
            (file("a", b""), b""),
            (raw("././@LongLink", b'L', 300), name.as_bytes()),
            (file("short", b"1"), b"1"),
            (file("c", b""), b""),
        ]);
        assert_eq!(check(&bytes, 1024, true).unwrap(), ["a", &name, "c"]);
    }

    #[test]
    fn a_path_that_both_threads_find_is_refused() {
        for (last, reason) in [("dir/0", "entry `dir/0` is there twice"), ("dir", "`dir`")] {
            let error = check(&many(20, last), 10_000, true).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn what_the_second_thread_cannot_read_is_told_by_the_first() {
        let bytes = many(20, "last");
        for len in [9 * 1024, 15_000, bytes.len() - 1024] {
            let error = check(&bytes[..len], 6000, true).unwrap_err();
            assert!(error.contains("cut off"), "{error}");
        }
    }

    #[test]
    fn a_large_archive_is_looked_through_by_two_threads() {
        let content = vec![7; 5 << 20];
        let bytes = archive(&[
            (file("a", &content), &content),
            (file("b", &content), &content),
        ]);
        let opened = Mutex::new(0);
        let open = || {
            *opened.lock().unwrap() += 1;
            Ok(Cursor::new(bytes.as_slice()))
        };
        let paths = tar_entries(open, |entry| Some(entry.path)).unwrap();
        assert_eq!(
            (paths, opened.into_inner().unwrap()),
            (vec!["a".to_owned(), "b".to_owned()], 3)
        );
    }

    proptest! {
        #[test]
        fn any_change_of_an_archive_is_found_or_refused_as_by_one(
            middle in 0..20_000_u64,
            changes in prop::collection::vec((0..20_000_usize, any::<u8>()), 0..3),
        ) {
            let mut bytes = many(15, "last");
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            let _ = check(&bytes, middle % bytes.len() as u64, false);
        }
    }
}
