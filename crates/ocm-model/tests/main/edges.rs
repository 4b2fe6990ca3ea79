//! Where implementations of normalisation go apart: a folder of data for each case, whose bytes
//! another program has made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ocm_digest::HashAlgorithm;
use ocm_model::{Descriptor, NormalisationAlgorithm};

#[test]
fn every_edge_has_the_bytes_and_the_digest_of_its_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/normalisation-edges");
    let table = fs::read_to_string(root.join("digests.tsv")).unwrap();
    let mut folders = BTreeSet::new();
    for row in table.lines() {
        let [folder, name, digest] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("malformed: {row}");
        };
        let read = |file: &str| fs::read_to_string(root.join(folder).join(file)).unwrap();
        let algorithm: NormalisationAlgorithm =
            format!("jsonNormalisation/{name}").parse().unwrap();
        let descriptor = Descriptor::read_json(read("input.json").as_bytes()).unwrap();
        let normalised = descriptor.normalise(algorithm);
        let bytes = String::from_utf8_lossy(normalised.as_bytes());
        assert_eq!(bytes, read(&format!("{name}.json")), "{folder} {name}");
        let spec = normalised.digest_spec(HashAlgorithm::Sha256);
        assert_eq!(spec.value, digest, "{folder} {name}");
        folders.insert((folder.to_owned(), name.to_owned()));
    }
    let entries = fs::read_dir(&root).unwrap().map(Result::unwrap);
    for folder in entries.filter(|entry| entry.path().is_dir()) {
        let folder = folder.file_name().to_string_lossy().into_owned();
        for name in ["v3", "v4alpha1"] {
            assert!(
                folders.contains(&(folder.clone(), name.to_owned())),
                "{folder}"
            );
        }
    }
}
