//! What registries send: manifests, names, headers.

use std::fmt::Write as _;

use ocm_oci::lookup::{Answer, Lookup, MAX_REFERENCES, Presence};
use ocm_oci::{
    Challenge, Descriptor, Document, ImageReference, Link, RawManifest, Reference, RepositoryName,
    Tag, media_type, next_page,
};

use crate::text::{prints_the_text, reads_as_it_prints};

/// References to images and the names in them.
pub fn image_reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    reads_as_it_prints::<ImageReference>(text);
    prints_the_text::<Reference>(text);
    prints_the_text::<RepositoryName>(text);
    prints_the_text::<Tag>(text);
}

/// A manifest, under every media type that it may have.
pub fn manifest(bytes: &[u8]) {
    for media_type in [""].into_iter().chain(media_type::MANIFESTS) {
        let raw = RawManifest::new(bytes.to_vec(), media_type);
        assert_eq!(raw.bytes(), bytes);
        let Ok(document) = raw.parse() else {
            let _ = raw.outline();
            continue;
        };
        let _ = document.artifact_type();
        let outline = raw.outline().expect("less is read of what can be read");
        let links = outline.children.iter().map(Link::descriptor);
        let children = document.children().into_iter().map(Descriptor::plain);
        assert!(links.eq(children));
        let subject = document.subject().map(|subject| subject.digest);
        assert_eq!(outline.subject, subject);
        if let Some(subject) = document.subject() {
            assert!(raw.as_referrer_of(&subject.digest).is_some());
        }
        let written = write(&document);
        let again = RawManifest::new(written.bytes().clone(), raw.media_type());
        let again = again.parse().expect("what was written is a manifest");
        assert_eq!(again, document);
        assert_eq!(write(&again).bytes(), written.bytes());
    }
}

fn write(document: &Document) -> RawManifest {
    match document {
        Document::Image(image) => RawManifest::image(image),
        Document::Index(index) => RawManifest::index(index),
    }
}

/// What is looked up at a registry, and on the next line its answer.
pub fn lookup(bytes: &[u8]) {
    let (line, rest) = crate::first_line(bytes);
    let Ok(lookup) = Lookup::parse(line.as_bytes()) else {
        return;
    };
    assert!(lookup.manifests.len() <= MAX_REFERENCES);
    let again = serde_json::to_vec(&lookup).expect("what was read can be written");
    assert_eq!(Lookup::parse(&again).ok().as_ref(), Some(&lookup));
    let Ok(said) = Answer::parse(rest, &lookup.manifests) else {
        return;
    };
    assert_eq!(said.len(), lookup.manifests.len());
    for (wanted, said) in lookup.manifests.iter().zip(said) {
        if let (Reference::Digest(digest), Presence::There(found)) = (&wanted.reference, said) {
            assert_eq!(*digest, found.digest);
        }
    }
}

/// The `WWW-Authenticate` header.
pub fn challenge(bytes: &[u8]) {
    let Ok(header) = std::str::from_utf8(bytes) else {
        return;
    };
    let challenges = Challenge::parse(header);
    assert!(challenges.len() <= 16);
    let mut written = String::new();
    for challenge in &challenges {
        assert!(challenge.parameters.len() <= 16);
        written.push_str(&challenge.scheme);
        written.push(' ');
        for (name, value) in &challenge.parameters {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            write!(written, "{name}=\"{value}\", ").expect("a String takes any text");
        }
    }
    // Escaping may make it longer than what is looked at.
    if written.len() <= header.len() {
        assert_eq!(Challenge::parse(&written), challenges, "{written}");
    }
}

/// The `Link` header.
pub fn link(bytes: &[u8]) {
    let Ok(header) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(next) = next_page(header) {
        assert!(header.contains(&next) && next.trim() == next && !next.contains('>'));
    }
}
