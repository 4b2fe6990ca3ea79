//! The files that `cargo fuzz` starts from.

use std::fs;
use std::path::{Path, PathBuf};

/// One input.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The directory of the fuzz targets.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The files of a target, sorted by name.
pub(crate) fn corpus_of(target: &str) -> Vec<File> {
    let place = directory().join("corpus").join(target);
    names(&place)
        .into_iter()
        .map(|name| File {
            bytes: fs::read(place.join(&name)).unwrap(),
            name,
        })
        .collect()
}

/// The names of all corpora, sorted.
pub(crate) fn directories() -> Vec<String> {
    names(&directory().join("corpus"))
}

fn names(place: &Path) -> Vec<String> {
    let entries = fs::read_dir(place).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}
