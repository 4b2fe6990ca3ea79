//! Archives in parts: written in one pass, read as one, continued where a writer was killed.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use ocm_blob::CHUNK;
use ocm_ctf::{Access, CtfArchive, CtfArchiveWriter, Obstacle, PartList, Scratch, open};
use ocm_oci::{Delete as _, Error, Fetch as _, List as _, Push as _};

use super::killed::{BREAKS, contents, copy_files, finish, in_bytes, push_all};
use super::{NAME, push_small};
use crate::support::{Stream, by_tag, chain, noise, read_all, repository};

/// The size of parts: the large content goes over seven of them.
const SIZE: u64 = 5 << 20;

struct Place {
    directory: tempfile::TempDir,
    path: PathBuf,
    size: u64,
}

impl Place {
    fn new() -> Self {
        Self::with_size(SIZE)
    }

    fn with_size(size: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shop.tar");
        Self {
            directory,
            path,
            size,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn open(&self) -> Result<CtfArchiveWriter, Error> {
        let size = NonZeroU64::new(self.size).unwrap();
        CtfArchiveWriter::open_in_parts(&self.path, size, &Scratch::default()).await
    }

    async fn writer(&self) -> CtfArchiveWriter {
        self.open().await.unwrap()
    }

    fn list(&self) -> PartList {
        PartList::load(&self.at("shop.tar.parts")).unwrap()
    }

    /// Returns all files, by their names.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for name in self.names() {
            let bytes = fs::read(self.at(&name)).unwrap();
            files.push((name, bytes));
        }
        files
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().to_str().unwrap().to_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }
}

/// Returns the files of an archive that was written without being disturbed.
async fn undisturbed() -> Vec<(String, Vec<u8>)> {
    let place = Place::new();
    let store = place.writer().await;
    push_all(&store, &[]).await;
    finish(&store).await;
    drop(store);
    place.files()
}

async fn holds_all(path: &Path) {
    let store = CtfArchive::open(path, &Scratch::default()).await.unwrap();
    let found = read_all(&store).await.unwrap();
    assert_eq!(found, (1, contents().len() + 1), "{}", path.display());
}

#[tokio::test]
async fn parts_are_one_archive_whichever_is_named_and_when_they_are_joined() {
    for size in [SIZE, 1_000_000, 1 << 40] {
        let place = Place::with_size(size);
        let store = place.writer().await;
        let read = push_all(&store, &[]).await;
        let sizes: Vec<u64> = contents().iter().map(|it| it.len() as u64).collect();
        assert_eq!(read, sizes, "everything is read once");
        finish(&store).await;
        // What has been written can be read through the writer, too.
        assert_eq!(read_all(&store).await.unwrap(), (1, 6));
        drop(store);

        let list = place.list();
        let (last, others) = list.parts.split_last().unwrap();
        assert!(others.iter().all(|part| part.size == size) && last.size <= size);
        assert_eq!(place.names().len(), list.parts.len() + 1);
        let mut joined = Vec::new();
        for part in &list.parts {
            part.check(&place.at("shop.tar.parts")).unwrap();
            joined.extend(fs::read(place.at(&part.name)).unwrap());
        }
        assert_eq!(joined.len() as u64, list.size);
        let plain = place.at("joined");
        fs::write(&plain, joined).unwrap();
        holds_all(&plain).await;
        for name in ["shop.tar.parts", &list.parts[0].name, &last.name] {
            holds_all(&place.at(name)).await;
        }
    }
}

#[tokio::test]
async fn the_next_writer_goes_on_to_the_same_parts_and_leaves_finished_ones_alone() {
    let whole = undisturbed().await;
    for breaks in BREAKS {
        let (killed, next) = (Place::new(), Place::new());
        let store = killed.writer().await;
        let before = push_all(&store, &in_bytes(breaks)).await;
        copy_files(killed.directory.path(), next.directory.path());
        let finished: Vec<String> = next.names();
        let finished: Vec<&String> = finished
            .iter()
            .filter(|it| it.starts_with("shop"))
            .collect();
        let modified = |name: &str| fs::metadata(next.at(name)).unwrap().modified().unwrap();
        let times: Vec<_> = finished.iter().map(|name| modified(name)).collect();

        let store = next.writer().await;
        let after = push_all(&store, &[]).await;
        finish(&store).await;
        drop(store);
        assert!(next.files() == whole, "{breaks:?}: {:?}", next.names());
        let contents = contents();
        for (number, read) in before.into_iter().enumerate() {
            let expected = contents[number].len() as u64 - read;
            assert_eq!(after[number], expected, "{breaks:?} {number}");
        }
        for (name, time) in finished.iter().zip(times) {
            assert_eq!(modified(name), time, "{breaks:?}: {name}");
        }
    }
}

#[tokio::test]
async fn a_part_is_finished_as_soon_as_what_begins_in_it_is_whole() {
    let place = Place::new();
    let store = place.writer().await;
    push_all(&store, &in_bytes([9, 9, 100, 9, 9])).await;
    // The large content begins in the first part, and is not whole.
    assert!(!place.names().contains(&"shop.tar.001".to_owned()));
    push_all(&store, &in_bytes([9, 9, 999, 2, 9])).await;
    let names = place.names();
    for number in 1..=7 {
        assert!(names.contains(&format!("shop.tar.00{number}")), "{names:?}");
    }
    // It can be carried away, but is needed where something that is in it is read.
    fs::rename(place.at("shop.tar.002"), place.at("carried")).unwrap();
    push_all(&store, &[]).await;
    finish(&store).await;
    drop(store);
    let opened = CtfArchive::open(place.at("shop.tar.parts"), &Scratch::default()).await;
    let error = chain(&opened.unwrap_err());
    assert!(error.contains("shop.tar.002"), "{error}");
    fs::rename(place.at("carried"), place.at("shop.tar.002")).unwrap();
    holds_all(&place.at("shop.tar.parts")).await;
}

#[tokio::test]
async fn nothing_that_is_in_an_unfinished_part_is_believed() {
    let whole = undisturbed().await;
    let killed = Place::new();
    let store = killed.writer().await;
    push_all(&store, &in_bytes([9, 9, 60, 9, 9])).await;
    for lost in 0..6 {
        let next = Place::new();
        copy_files(killed.directory.path(), next.directory.path());
        let names = next.names();
        let hidden: Vec<&String> = names
            .iter()
            .filter(|it| it.starts_with(".shop.tar.0"))
            .collect();
        assert!(hidden.len() > 2, "{names:?}");
        let path = next.at(hidden[lost % hidden.len()]);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() * lost / 6;
        let end = bytes.len().min(at + 5000);
        match lost % 3 {
            0 => bytes[at..end].fill(0),
            1 => bytes[at..end].fill(0xa5),
            _ => bytes.truncate(at),
        }
        fs::write(&path, bytes).unwrap();
        let store = next.writer().await;
        push_all(&store, &[]).await;
        finish(&store).await;
        drop(store);
        assert!(next.files() == whole, "{lost}");
    }
}

#[tokio::test]
async fn a_journal_that_is_cut_off_or_lost_costs_work_and_nothing_else() {
    let whole = undisturbed().await;
    let killed = Place::new();
    let store = killed.writer().await;
    push_all(&store, &in_bytes([9, 9, 999, 3, 9])).await;
    let journal = fs::read(killed.at(".shop.tar.partial")).unwrap();
    assert!(journal.len() > 500);
    for keep in [journal.len() - 1, journal.len() / 2, 20, 3] {
        let next = Place::new();
        copy_files(killed.directory.path(), next.directory.path());
        fs::write(next.at(".shop.tar.partial"), &journal[..keep]).unwrap();
        // Parts that the journal does not have are not named yet then.
        let count = journal[..keep].split(|byte| *byte == b'\n').count() - 1;
        for index in count.saturating_sub(1)..8 {
            let name = format!("shop.tar.{:03}", index + 1);
            if next.at(&name).exists() {
                fs::rename(next.at(&name), next.at(&format!(".{name}"))).unwrap();
            }
        }
        let store = next.writer().await;
        push_all(&store, &[]).await;
        finish(&store).await;
        drop(store);
        assert!(next.files() == whole, "{keep}");
    }
}

#[tokio::test]
async fn other_content_than_a_killed_writer_had_takes_its_place() {
    let killed = Place::new();
    let store = killed.writer().await;
    push_all(&store, &in_bytes([9, 9, 999, 9, 1])).await;
    assert!(killed.at("shop.tar.003").exists());
    for size in [SIZE, SIZE / 2] {
        let next = Place::with_size(size);
        copy_files(killed.directory.path(), next.directory.path());
        let store = next.writer().await;
        let other = Stream::known(noise(12 << 20, 7)).shared();
        super::push(&store, "2.0", other).await;
        store.commit().await.unwrap();
        drop(store);
        let mut sizes: Vec<u64> = next.list().parts.iter().map(|part| part.size).collect();
        sizes.pop();
        assert!(
            !sizes.is_empty() && sizes.iter().all(|it| *it == size),
            "{sizes:?}"
        );
        assert_eq!(next.names().len(), sizes.len() + 2, "{:?}", next.names());
        let store = CtfArchive::open(next.at("shop.tar.001"), &Scratch::default()).await;
        assert_eq!(read_all(&store.unwrap()).await.unwrap(), (1, 2));
    }
}

#[tokio::test]
async fn a_whole_archive_in_parts_is_only_read() {
    let place = Place::new();
    let store = place.writer().await;
    push_all(&store, &[]).await;
    finish(&store).await;
    drop(store);
    let before = place.files();

    let store = place.writer().await;
    assert_eq!(push_all(&store, &[]).await.iter().sum::<u64>(), 0);
    finish(&store).await;
    let layer = Stream::known(noise(CHUNK * 3, 9)).shared();
    let name = repository(NAME);
    for _ in 0..2 {
        let refused = store.push_blob(&name, &layer).await.unwrap_err();
        assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
    }
    let refused = store.delete_manifest(&name, &by_tag("1.0")).await;
    assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    assert!(store.resolve(&name, &by_tag("1.0")).await.is_ok());
    drop(store);
    let store = open(
        place.at("shop.tar.002"),
        Access::ReadWrite,
        &Scratch::default(),
    )
    .await;
    let refused = store.unwrap().push_blob(&name, &layer).await.unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
    assert!(place.files() == before);
}

#[tokio::test]
async fn a_writer_that_was_killed_while_it_named_the_parts_is_followed_up() {
    let whole = undisturbed().await;
    let place = Place::new();
    let store = place.writer().await;
    push_all(&store, &[]).await;
    // A file in the way ends the commit when everything is written.
    fs::write(place.at("shop.tar.008"), "of somebody else").unwrap();
    let failed = tokio::spawn(async move { finish(&store).await }).await;
    assert!(failed.is_err());
    assert_eq!(
        fs::read(place.at("shop.tar.008")).unwrap(),
        b"of somebody else"
    );
    assert!(!place.at("shop.tar.parts").exists());
    fs::remove_file(place.at("shop.tar.008")).unwrap();

    let store = place.writer().await;
    assert_eq!(store.repositories().await.unwrap().len(), 1);
    drop(store);
    assert!(place.files() == whole, "{:?}", place.names());
}

#[tokio::test]
async fn a_suspended_archive_in_parts_is_continued() {
    let whole = undisturbed().await;
    let place = Place::new();
    let store = place.writer().await;
    push_all(&store, &in_bytes([9, 9, 70, 9, 9])).await;
    store.suspend().await.unwrap();
    drop(store);
    let store = place.writer().await;
    let after = push_all(&store, &[]).await;
    assert_eq!(after[2], (34 << 20) - 70 * CHUNK as u64);
    finish(&store).await;
    drop(store);
    assert!(place.files() == whole, "{:?}", place.names());
}

#[tokio::test]
async fn a_blob_that_is_not_what_it_promised_is_not_in_the_archive() {
    let place = Place::with_size(100_000);
    let store = place.writer().await;
    let name = repository(NAME);
    let mut wrong = Stream::known(noise(CHUNK * 4, 1));
    wrong.content = noise(CHUNK * 4, 2);
    assert!(store.push_blob(&name, &wrong.shared()).await.is_err());
    let short = Stream::known(noise(CHUNK * 4, 3)).breaking(CHUNK);
    assert!(store.push_blob(&name, &short.shared()).await.is_err());
    super::push(&store, "1.0", Stream::known(noise(CHUNK * 4, 4)).shared()).await;
    super::push(&store, "1.1", Stream::sized(noise(CHUNK * 4, 5)).shared()).await;
    super::push(&store, "1.2", Stream::unknown(noise(CHUNK * 4, 6)).shared()).await;
    push_small(&store, "2.0").await;
    store.commit().await.unwrap();
    drop(store);
    assert!(place.list().size < 14 * CHUNK as u64);
    let store = CtfArchive::open(place.at("shop.tar.parts"), &Scratch::default()).await;
    assert_eq!(read_all(&store.unwrap()).await.unwrap(), (4, 8));
}

#[tokio::test]
async fn there_are_no_more_parts_than_can_be_named_in_order() {
    let place = Place::with_size(1000);
    let store = place.writer().await;
    let layer = Stream::known(noise(1_100_000, 1)).shared();
    let error = store
        .push_blob(&repository(NAME), &layer)
        .await
        .unwrap_err();
    assert!(
        chain(&error).contains("more than 999 parts"),
        "{}",
        chain(&error)
    );
}

#[tokio::test]
async fn what_is_in_the_way_of_parts_is_found_before_anything_is_written() {
    let find = |place: &Place, size: u64| {
        Obstacle::find(&place.path, NonZeroU64::new(size).unwrap()).unwrap()
    };
    let foreign = |place: &Place, name: &str| Some(Obstacle::Foreign(place.at(name)));
    let place = Place::new();
    assert_eq!(find(&place, SIZE), None);
    for other in [
        "shop.tar.01",
        "shop.tar.0001",
        "shop.tar.x01",
        "shop.001",
        "shop.tar.000",
    ] {
        fs::write(place.at(other), "").unwrap();
    }
    assert_eq!(find(&place, SIZE), None);
    fs::write(place.at("shop.tar.017"), "").unwrap();
    assert_eq!(find(&place, SIZE), foreign(&place, "shop.tar.017"));
    fs::write(place.at(".shop.tar.partial"), noise(5000, 1)).unwrap();
    assert_eq!(find(&place, SIZE), foreign(&place, "shop.tar.017"));

    // What a killed writer has left is in nobody's way, as long as it is there.
    let killed = Place::new();
    let store = killed.writer().await;
    push_all(&store, &in_bytes([9, 9, 999, 2, 9])).await;
    let place = Place::new();
    copy_files(killed.directory.path(), place.directory.path());
    assert!(place.at("shop.tar.007").exists());
    assert_eq!(find(&place, SIZE), None);
    fs::write(place.at("shop.tar.009"), "").unwrap();
    assert_eq!(find(&place, SIZE), foreign(&place, "shop.tar.009"));
    fs::remove_file(place.at("shop.tar.009")).unwrap();
    fs::rename(place.at("shop.tar.002"), place.at("carried")).unwrap();
    fs::write(place.at("shop.tar.005"), "cut short").unwrap();
    let away = ["shop.tar.002", "shop.tar.005"].map(|name| place.at(name));
    assert_eq!(find(&place, SIZE), Some(Obstacle::Away(away.to_vec())));
    // Parts of another size are begun anew.
    assert_eq!(find(&place, SIZE + 1), None);
}

#[tokio::test]
async fn what_a_writer_has_left_that_was_given_up_is_not_in_the_archive() {
    let whole = undisturbed().await;
    let place = Place::new();
    // The last part, and one behind it, longer than what comes.
    let last = PartList::read(&whole.last().unwrap().1)
        .unwrap()
        .parts
        .len();
    for number in [last, last + 1] {
        let hidden = place.at(&format!(".shop.tar.{number:03}"));
        fs::write(hidden, noise(usize::try_from(SIZE).unwrap(), 3)).unwrap();
    }
    let store = place.writer().await;
    push_all(&store, &[]).await;
    finish(&store).await;
    drop(store);
    let list = place.list();
    for part in &list.parts {
        part.check(&place.at("shop.tar.parts")).unwrap();
    }
    let left = format!(".shop.tar.{:03}", last + 1);
    let files = place.files();
    let files: Vec<_> = files
        .into_iter()
        .filter(|(name, _)| *name != left)
        .collect();
    assert!(files == whole, "{:?}", place.names());
}
