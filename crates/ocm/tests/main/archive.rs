//! Archives of the Go tools, for the tests.

use std::fs;
use std::path::{Path, PathBuf};

use ocm::{Environment, Located, Ocm};

pub(crate) const PRODUCT: &str = "acme.org/bar/product:1.0.0";

/// An archive of a Go tool, in a place where it may be changed.
pub(crate) struct Archive {
    place: tempfile::TempDir,
    pub(crate) ocm: Ocm,
}

impl Archive {
    pub(crate) fn made_by_go(name: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let original = PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../conformance/ctf"
        ));
        copy(&original.join(name), place.path());
        let ocm = Ocm::new(Environment::default());
        Self { place, ocm }
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn located(&self, version: &str) -> Located {
        let text = format!("{}//{version}", self.place.path().display());
        self.ocm.reference(&text).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
