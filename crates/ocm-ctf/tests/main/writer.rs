//! Archives in one file, written.

mod arranged;
mod broken;
mod continued;
mod killed;
mod parted;
mod removed;
mod written;

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ocm_blob::BlobRef;
use ocm_ctf::{CtfArchive, CtfArchiveWriter, CtfFormat, Scratch};
use ocm_oci::{Error, RawManifest, Store};

use crate::support::{memory, push_image, read_all, repository};

/// The repository that most tests write to.
const NAME: &str = "a";

/// An archive in one of the formats, that nobody has written yet, in a directory of its own.
#[derive(Debug)]
struct Place {
    directory: tempfile::TempDir,
    format: CtfFormat,
    path: PathBuf,
}

/// Returns a place for each format in which an archive is one file.
fn places() -> [Place; 2] {
    [Place::new("shop.tar"), Place::new("shop.tgz")]
}

impl Place {
    fn new(file: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        let format = CtfFormat::of_name(&path);
        Self {
            directory,
            format,
            path,
        }
    }

    fn is_compressed(&self) -> bool {
        self.format == CtfFormat::TarGzip
    }

    /// Opens the archive, and does not wait for others.
    async fn open(&self) -> Result<CtfArchiveWriter, Error> {
        CtfArchiveWriter::open_within(&self.path, self.format, &Scratch::default(), Duration::ZERO)
            .await
    }

    /// Opens the archive once others have written it.
    async fn open_after_others(&self) -> CtfArchiveWriter {
        let scratch = Scratch::default();
        let opened = CtfArchiveWriter::open(&self.path, self.format, &scratch).await;
        opened.unwrap()
    }

    async fn writer(&self) -> CtfArchiveWriter {
        self.open().await.unwrap()
    }

    /// Opens the archive as others see it.
    async fn reader(&self) -> CtfArchive {
        CtfArchive::open(&self.path, &Scratch::default())
            .await
            .unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    fn size(&self) -> u64 {
        fs::metadata(&self.path).unwrap().len()
    }

    fn modified(&self) -> SystemTime {
        fs::metadata(&self.path).unwrap().modified().unwrap()
    }

    /// Returns the archive as a tar.
    fn tar(&self) -> tar::Archive<Box<dyn Read>> {
        let file = fs::File::open(&self.path).unwrap();
        let reader: Box<dyn Read> = if self.is_compressed() {
            Box::new(flate2::read::MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        tar::Archive::new(reader)
    }

    /// Checks that the archive is whole, and has so many manifests and blobs.
    async fn check_holds(&self, manifests: usize, blobs: usize) {
        let found = read_all(&self.reader().await).await.unwrap();
        assert_eq!(found, (manifests, blobs));
    }

    /// Checks that writers have left nothing but the archive.
    #[track_caller]
    fn check_nothing_else_is_there(&self) {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names, [self.path.as_path()]);
    }
}

/// Pushes an image with one layer.
async fn push(store: &dyn Store, version: &str, layer: BlobRef) -> RawManifest {
    push_image(store, &repository(NAME), version, layer)
        .await
        .unwrap()
}

/// Pushes a small image.
async fn push_small(store: &dyn Store, version: &str) -> RawManifest {
    push(store, version, memory(version.to_owned())).await
}
