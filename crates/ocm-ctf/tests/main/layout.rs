//! OCI layouts and artifact sets.

use std::fs;
use std::sync::Arc;

use ocm_blob::{
    Blob as _, BlobRef, Bytes, CHUNK, FileBlob, GzipBlob, TAR_END, TarBlob, tar_header,
};
use ocm_ctf::{OciLayout, ReferrersOf, Scratch, write_layout};
use ocm_digest::Digest;
use ocm_oci::{
    Descriptor, EMPTY_CONFIG, Error, Fetch as _, ImageIndex, ImageManifest, List as _, MemoryStore,
    Push as _, RawManifest, Reference, Selection, Store, media_type,
};
use proptest::prelude::*;

use crate::support::{
    by_tag, chain, conformance, image, memory, noise, push_image, read, read_all, repository, tag,
};

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A layout in memory: files and manifests by the paths that they are given.
struct Made(Vec<(String, Bytes)>);

impl Made {
    fn new(index_file: &str, index: &ImageIndex) -> Self {
        let raw = RawManifest::index(index);
        Self(vec![(index_file.to_owned(), raw.bytes().clone())])
    }

    fn with(mut self, path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        self.0.push((path.into(), content.into()));
        self
    }

    fn with_blob(self, separator: char, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let hex = Digest::sha256(&content).to_hex();
        self.with(format!("blobs/sha256{separator}{hex}"), content)
    }

    fn tar(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, content) in &self.0 {
            bytes.extend(tar_header(path, content.len() as u64, 0o644).unwrap());
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes.extend(TAR_END);
        bytes
    }

    fn open(&self) -> Result<OciLayout, Error> {
        OciLayout::from_bytes(self.tar(), "sample", repository("layout"))
    }

    fn main(&self) -> Result<Digest, Error> {
        let found = self.open()?.main_artifact()?;
        assert!(found.is_manifest());
        Ok(found.digest)
    }
}

fn raw_image(number: usize, subject: Option<&RawManifest>) -> RawManifest {
    let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    let mut image = ImageManifest::new(config, Vec::new());
    image.subject = subject.map(RawManifest::descriptor);
    let annotations = &mut image.annotations;
    annotations.insert("number".to_owned(), number.to_string());
    RawManifest::image(&image)
}

#[tokio::test]
async fn a_layout_of_another_tool_is_read_in_every_form() {
    let packed = conformance("oci-layout/oci-layout.tar.gz");
    let place = tempfile::tempdir().unwrap();
    let plain = place.path().join("plain.tar");
    let blob: BlobRef = Arc::new(FileBlob::open_path(&packed).unwrap());
    let unpacked = ocm_blob::GunzipBlob::new(Arc::clone(&blob), u64::MAX);
    let bytes = ocm_blob::collect(unpacked.open().await.unwrap(), u64::MAX)
        .await
        .unwrap();
    fs::write(&plain, &bytes).unwrap();
    let directory = place.path().join("directory");
    tar::Archive::new(&bytes[..]).unpack(&directory).unwrap();

    let (name, scratch) = (repository("layout"), Scratch::default());
    let layouts = [
        OciLayout::open(&packed, name.clone(), &scratch)
            .await
            .unwrap(),
        OciLayout::open(&plain, name.clone(), &scratch)
            .await
            .unwrap(),
        OciLayout::open(&directory, name.clone(), &scratch)
            .await
            .unwrap(),
        OciLayout::read(&blob, "blob", name.clone(), &scratch)
            .await
            .unwrap(),
        OciLayout::read(&memory(bytes.clone()), "blob", name.clone(), &scratch)
            .await
            .unwrap(),
        OciLayout::from_bytes(bytes, "bytes", name.clone()).unwrap(),
    ];
    for layout in layouts {
        let main = layout.main_artifact().unwrap();
        assert_eq!(
            main.digest.to_hex(),
            "3572605a9b5634cff58bf86d649df46638eb096b6987adfd03157f1306b66c6c"
        );
        let raw = layout.manifest(&name, &main.digest.into()).await.unwrap();
        for child in raw.parse().unwrap().children() {
            assert_eq!(
                read(&layout, &name, child).await.unwrap().len() as u64,
                child.size
            );
        }
    }
}

#[tokio::test]
async fn tags_come_from_both_kinds_of_annotations() {
    let raw = raw_image(1, None);
    let mut entry = raw.descriptor().with_annotation(REF_NAME, "1.0");
    entry = entry.with_annotation("software.ocm/tags", "1.0, latest,not a tag");
    let made =
        Made::new("index.json", &ImageIndex::new(vec![entry])).with_blob('/', raw.bytes().clone());
    let layout = made.open().unwrap();
    let name = layout.repository();
    assert_eq!(
        layout.tags(name).await.unwrap(),
        [tag("1.0"), tag("latest")]
    );
    assert_eq!(layout.manifest(name, &by_tag("latest")).await.unwrap(), raw);
    let other = layout.tags(&repository("other")).await.unwrap_err();
    assert!(other.is_not_found());
}

#[test]
fn artifact_sets_name_their_main_artifact() {
    let (first, second) = (raw_image(1, None), raw_image(2, None));
    let mut index = ImageIndex::new(vec![first.descriptor(), second.descriptor()]);
    let annotations = &mut index.annotations;
    annotations.insert("software.ocm/main".to_owned(), second.digest().to_string());
    for file in [
        "artifact-descriptor.json",
        "index.json",
        "artifact-set-descriptor.json",
    ] {
        let made = Made::new(file, &index)
            .with_blob('.', first.bytes().clone())
            .with_blob('.', second.bytes().clone());
        assert_eq!(made.main().unwrap(), second.digest());
    }
    for text in ["x", &Digest::sha256("other").to_string()] {
        let annotations = &mut index.annotations;
        annotations.insert("software.ocm/main".to_owned(), text.to_owned());
        let error = Made::new("index.json", &index).main().unwrap_err();
        assert!(error.to_string().contains("main artifact"), "{error}");
    }
}

#[test]
fn the_main_artifact_is_the_one_that_nothing_else_explains() {
    let child = raw_image(1, None);
    let parent = RawManifest::index(&ImageIndex::new(vec![child.descriptor()]));
    let signature = raw_image(2, Some(&parent));
    let fallback = RawManifest::index(&ImageIndex::new(vec![signature.descriptor()]));
    let fallback_name = format!("sha256-{}", parent.digest().to_hex());
    let index = ImageIndex::new(vec![
        child.descriptor(),
        signature.descriptor(),
        fallback
            .descriptor()
            .with_annotation(REF_NAME, fallback_name),
        parent.descriptor().with_annotation(REF_NAME, "1.0"),
        parent.descriptor().with_annotation(REF_NAME, "latest"),
    ]);
    let mut made = Made::new("index.json", &index);
    for raw in [&child, &parent, &signature, &fallback] {
        made = made.with_blob('/', raw.bytes().clone());
    }
    assert_eq!(made.main().unwrap(), parent.digest());
}

#[test]
fn of_several_artifacts_one_with_a_name_is_the_main_one() {
    let (first, second) = (raw_image(1, None), raw_image(2, None));
    let main = |entries| {
        Made::new("index.json", &ImageIndex::new(entries))
            .with_blob('/', first.bytes().clone())
            .with_blob('/', second.bytes().clone())
            .main()
    };
    let named = second.descriptor().with_annotation(REF_NAME, "x");
    let found = main(vec![first.descriptor(), named]).unwrap();
    assert_eq!(found, second.digest());
    for entries in [vec![first.descriptor(), second.descriptor()], Vec::new()] {
        let error = main(entries).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
}

#[test]
fn an_entry_without_media_type_gets_that_of_its_manifest() {
    let raw = raw_image(1, None);
    let mut entry = raw.descriptor();
    entry.media_type = String::new();
    let made =
        Made::new("index.json", &ImageIndex::new(vec![entry])).with_blob('/', raw.bytes().clone());
    assert_eq!(made.main().unwrap(), raw.digest());
}

#[test]
fn malformed_layouts_say_why() {
    let index = ImageIndex::new(Vec::new());
    let version = r#"{"imageLayoutVersion":"2.0.0"}"#;
    for (made, reason) in [
        (Made(Vec::new()), "no index.json"),
        (
            Made(Vec::new()).with("index.json", "{"),
            "index.json of sample",
        ),
        (
            Made::new("index.json", &index).with("oci-layout", version),
            "2.0.0",
        ),
        (
            Made::new("index.json", &index).with("oci-layout", "x"),
            "oci-layout",
        ),
    ] {
        let text = chain(&made.open().unwrap_err());
        assert!(text.contains("sample") && text.contains(reason), "{text}");
    }
}

async fn sample_store() -> (MemoryStore, RawManifest, Vec<RawManifest>) {
    let store = MemoryStore::new();
    let name = repository("a");
    let mut children = Vec::new();
    for (number, size) in [10, CHUNK * 2 + 1].into_iter().enumerate() {
        let layer = memory(noise(size, 1));
        let raw = image(&store, &name, &number.to_string(), layer)
            .await
            .unwrap();
        store.push_manifest(&name, &raw, None).await.unwrap();
        children.push(raw);
    }
    let descriptors = children.iter().map(RawManifest::descriptor).collect();
    let root = RawManifest::index(&ImageIndex::new(descriptors));
    store
        .push_manifest(&name, &root, Some(&tag("1.0")))
        .await
        .unwrap();
    (store, root, children)
}

async fn bytes_of(layout: TarBlob) -> Bytes {
    let size = layout.size().unwrap();
    let bytes = ocm_blob::collect(layout.open().await.unwrap(), u64::MAX)
        .await
        .unwrap();
    assert_eq!(bytes.len() as u64, size);
    bytes
}

#[tokio::test]
async fn an_artifact_is_written_as_a_layout_of_the_same_bytes_each_time() {
    let (store, root, _) = sample_store().await;
    let name = repository("a");
    let write = async || {
        let root = by_tag("1.0");
        write_layout(
            &store,
            &name,
            &root,
            Some("1.0"),
            ReferrersOf::Nobody,
            &Selection::all(),
        )
        .await
        .unwrap()
    };
    let bytes = bytes_of(write().await).await;
    assert_eq!(bytes, bytes_of(write().await).await);
    let layout = OciLayout::from_bytes(bytes, "written", name.clone()).unwrap();
    assert_eq!(layout.main_artifact().unwrap().digest, root.digest());
    assert_eq!(layout.tags(&name).await.unwrap(), [tag("1.0")]);
    assert_eq!(read_all(&layout).await.unwrap(), (3, 4));

    let packed: BlobRef = Arc::new(GzipBlob::new(Arc::new(write().await)));
    let layout = OciLayout::read(&packed, "packed", name, &Scratch::default())
        .await
        .unwrap();
    assert_eq!(read_all(&layout).await.unwrap(), (3, 4));
}

#[tokio::test]
async fn referrers_come_along_when_they_are_asked_for() {
    let (store, root, children) = sample_store().await;
    let name = repository("a");
    let signature = raw_image(1, Some(&children[0]));
    let attestation = raw_image(2, Some(&signature));
    for raw in [&signature, &attestation] {
        store.push_manifest(&name, raw, None).await.unwrap();
    }
    let reference = Reference::Digest(root.digest());
    let layout = write_layout(
        &store,
        &name,
        &reference,
        None,
        ReferrersOf::Everything,
        &Selection::all(),
    )
    .await
    .unwrap();
    let layout = OciLayout::from_bytes(bytes_of(layout).await, "written", name.clone()).unwrap();
    assert_eq!(layout.main_artifact().unwrap().digest, root.digest());
    let store: &dyn Store = &layout;
    for (subject, referrer) in [(&children[0], &signature), (&signature, &attestation)] {
        let found = store.referrers(&name, &subject.digest()).await.unwrap();
        assert_eq!(found[0].digest, referrer.digest());
    }
}

#[tokio::test]
async fn what_is_missing_is_no_layout() {
    let store = MemoryStore::new();
    let name = repository("a");
    push_image(&store, &name, "1.0", memory("layer"))
        .await
        .unwrap();
    let reference = by_tag("2.0");
    let error = write_layout(
        &store,
        &name,
        &reference,
        None,
        ReferrersOf::Nobody,
        &Selection::all(),
    )
    .await
    .unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_index_is_read_or_refused(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = ocm_ctf::ArtifactIndex::read(text.as_bytes(), "index");
        let made = Made(Vec::new()).with("index.json", text);
        let _ = made.open().map(|layout| layout.main_artifact());
        let _ = OciLayout::from_bytes(bytes, "bytes", repository("a"));
    }
}
