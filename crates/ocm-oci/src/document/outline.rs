//! What a manifest points to, without what it says of it.

use std::borrow::Cow;
use std::fmt;

use ocm_digest::Digest;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Descriptor, media_type, null_as_default};

/// The annotation by which a manifest in an index says that it is about another one: build records
/// of images do.
pub(crate) const ABOUT: &str = "vnd.docker.reference.digest";

/// What a manifest points to and refers to. It takes a fraction of the time and of the memory of a
/// [`Document`](super::Document), which archives of many manifests are read with.
#[derive(Debug)]
pub struct Outline<'a> {
    /// Whether it is an index.
    pub is_index: bool,
    /// Everything that it points to, in its order, without the subject.
    pub children: Vec<Link<'a>>,
    /// The digest of the manifest that it refers to.
    pub subject: Option<Digest>,
}

/// What points to content, without anything else that is said of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link<'a> {
    /// The media type of the content.
    #[serde(borrow, default)]
    pub media_type: Cow<'a, str>,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    #[serde(default)]
    urls: Vec<IgnoredAny>,
    #[serde(default)]
    platform: Option<IgnoredAny>,
    #[serde(default, rename = "annotations", deserialize_with = "has_about")]
    is_about: bool,
}

impl Link<'_> {
    /// Returns whether this points to a manifest or an index.
    pub fn is_manifest(&self) -> bool {
        media_type::is_manifest(&self.media_type)
    }

    /// Returns whether the content need not be where the manifest is: layers with addresses of their
    /// own are elsewhere, and images, or what is about them, need not be wanted for all platforms.
    pub fn may_be_missing(&self) -> bool {
        let may_be_left_out = self.platform.is_some() || self.is_about;
        !self.urls.is_empty() || self.is_manifest() && may_be_left_out
    }

    /// Returns what points to the content.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&*self.media_type, self.digest, self.size)
    }
}

impl<'a> From<&'a Descriptor> for Link<'a> {
    fn from(descriptor: &'a Descriptor) -> Self {
        Self {
            media_type: Cow::Borrowed(&descriptor.media_type),
            digest: descriptor.digest,
            size: descriptor.size,
            urls: vec![IgnoredAny; descriptor.urls.len()],
            platform: descriptor.platform.as_ref().map(|_| IgnoredAny),
            is_about: descriptor.annotations.contains_key(ABOUT),
        }
    }
}

/// An image manifest, as far as it points to anything.
#[derive(Deserialize)]
pub(super) struct Image<'a> {
    #[serde(borrow)]
    config: Link<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    layers: Vec<Link<'a>>,
    #[serde(borrow, default)]
    subject: Option<Link<'a>>,
}

/// An index, as far as it points to anything.
#[derive(Deserialize)]
pub(super) struct Index<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    manifests: Vec<Link<'a>>,
    #[serde(borrow, default)]
    subject: Option<Link<'a>>,
}

impl<'a> From<Image<'a>> for Outline<'a> {
    fn from(image: Image<'a>) -> Self {
        let mut children = image.layers;
        children.insert(0, image.config);
        Self {
            is_index: false,
            children,
            subject: image.subject.map(|subject| subject.digest),
        }
    }
}

impl<'a> From<Index<'a>> for Outline<'a> {
    fn from(index: Index<'a>) -> Self {
        Self {
            is_index: true,
            children: index.manifests,
            subject: index.subject.map(|subject| subject.digest),
        }
    }
}

/// Tells whether annotations say that something is about another manifest.
fn has_about<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Annotations;

    impl<'de> Visitor<'de> for Annotations {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("annotations")
        }

        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            let mut is_about = false;
            while let Some((key, IgnoredAny)) = map.next_entry::<Cow<'_, str>, _>()? {
                is_about |= key == ABOUT;
            }
            Ok(is_about)
        }
    }

    deserializer.deserialize_any(Annotations)
}

#[cfg(test)]
mod tests {
    use super::super::{ImageIndex, ImageManifest, Platform, RawManifest};
    use super::*;

    fn seen(raw: &RawManifest) -> Vec<(String, Digest, u64, bool)> {
        let outline = raw.outline().unwrap();
        let document = raw.parse().unwrap();
        let subject = document.subject().map(|subject| subject.digest);
        assert_eq!(outline.subject, subject);
        let of_document: Vec<_> = document.children().into_iter().map(Link::from).collect();
        let [links, of_document] = [outline.children, of_document].map(|links| -> Vec<_> {
            let links = links.into_iter();
            links
                .map(|it| {
                    let may_be_missing = it.may_be_missing();
                    (
                        it.media_type.into_owned(),
                        it.digest,
                        it.size,
                        may_be_missing,
                    )
                })
                .collect()
        });
        assert_eq!(links, of_document);
        links
    }

    #[test]
    fn an_outline_points_to_what_the_document_points_to() {
        let layer = Descriptor::of("a/\"b\"", b"1").with_annotation("x", "\u{1}");
        let mut distant = Descriptor::of("a/b", b"2");
        distant.urls = vec!["https://example.org".to_owned()];
        let config = Descriptor::of(media_type::EMPTY, b"{}");
        let mut image = ImageManifest::new(config, vec![layer, distant]);
        image.subject = Some(Descriptor::of(media_type::IMAGE_MANIFEST, b"3"));
        let links = seen(&RawManifest::image(&image));
        let missing = links.iter().map(|link| link.3);
        assert_eq!(missing.collect::<Vec<_>>(), [false, false, true]);

        let entry = |text: &str| Descriptor::of(media_type::IMAGE_MANIFEST, text.as_bytes());
        let mut of_platform = entry("1");
        of_platform.platform = Some(Platform::default());
        let record = entry("2").with_annotation(ABOUT, "sha256:00");
        let mut blob = Descriptor::of("a/b", b"4").with_annotation(ABOUT, "sha256:00");
        blob.platform = Some(Platform::default());
        let index = ImageIndex::new(vec![of_platform, record, entry("3"), blob]);
        let links = seen(&RawManifest::index(&index));
        let missing = links.iter().map(|link| link.3);
        assert_eq!(missing.collect::<Vec<_>>(), [true, true, false, false]);
    }

    #[test]
    fn what_is_null_is_not_there() {
        let digest = Digest::sha256(b"1");
        let text = format!(
            r#"{{"schemaVersion":2,"subject":null,"manifests":[{{"mediaType":"{}",
            "digest":"{digest}","size":1,"annotations":null,"platform":null}}]}}"#,
            media_type::IMAGE_MANIFEST
        );
        let raw = RawManifest::new(text.into_bytes(), media_type::IMAGE_INDEX);
        assert_eq!(
            seen(&raw),
            [(media_type::IMAGE_MANIFEST.to_owned(), digest, 1, false)]
        );
        let none = br#"{"schemaVersion":2,"manifests":null}"#;
        assert_eq!(seen(&RawManifest::new(&none[..], "")), []);
    }
}
