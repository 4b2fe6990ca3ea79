//! What goes with component versions, and what stays, whatever stands in a repository.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::Digest;
use ocm_model::{ComponentName, Version};
use ocm_oci::{
    Descriptor as Entry, EMPTY_CONFIG, Fetch as _, ImageIndex, ImageManifest, List as _,
    MemoryStore, Push as _, RawManifest, Reference, RepositoryName, StoreRef, Tag, media_type,
};
use ocm_repository::ComponentRepository as _;

const COMPONENT: &str = "acme.org/shop";

/// Numbers that look random and are the same in each run.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    }
}

struct World {
    store: MemoryStore,
    name: RepositoryName,
    /// Each manifest with what it points to among them, and its subject.
    manifests: Vec<(RawManifest, Vec<usize>, Option<usize>)>,
}

impl World {
    fn new() -> Self {
        Self {
            store: MemoryStore::new(),
            name: format!("component-descriptors/{COMPONENT}")
                .parse()
                .unwrap(),
            manifests: Vec::new(),
        }
    }

    /// Adds an image, or an index of manifests that are there, which may refer to another one.
    async fn add(&mut self, children: Vec<usize>, subject: Option<usize>) -> usize {
        let number = self.manifests.len();
        let subject_entry = subject.map(|it| self.manifests[it].0.descriptor());
        let text = number.to_string();
        let manifest = if children.is_empty() {
            for content in [EMPTY_CONFIG, text.as_bytes()] {
                let blob: BlobRef = Arc::new(MemoryBlob::new(content.to_vec()));
                self.store.push_blob(&self.name, &blob).await.unwrap();
            }
            let config = Entry::of(media_type::EMPTY, EMPTY_CONFIG);
            let layer = Entry::of("text/plain", text.as_bytes());
            let mut image = ImageManifest::new(config, vec![layer]);
            image.subject = subject_entry;
            RawManifest::image(&image)
        } else {
            let entries = children.iter().map(|it| self.manifests[*it].0.descriptor());
            let mut index = ImageIndex::new(entries.collect());
            index.annotations.insert("number".to_owned(), text);
            index.subject = subject_entry;
            RawManifest::index(&index)
        };
        self.push(&manifest, None).await;
        self.manifests.push((manifest, children, subject));
        number
    }

    async fn push(&self, manifest: &RawManifest, tag: Option<&str>) {
        let tag: Option<Tag> = tag.map(|tag| tag.parse().unwrap());
        let pushed = self.store.push_manifest(&self.name, manifest, tag.as_ref());
        pushed.await.unwrap();
    }

    /// Returns everything that some manifests lead to.
    fn below(&self, roots: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = roots.iter().copied().collect();
        while let Some(number) = open.pop() {
            if found.insert(number) {
                open.extend(&self.manifests[number].1);
            }
        }
        found
    }

    async fn has(&self, number: usize) -> bool {
        let reference = Reference::Digest(self.manifests[number].0.digest());
        self.store.manifest(&self.name, &reference).await.is_ok()
    }
}

#[tokio::test]
async fn what_any_other_tag_leads_to_stays_and_what_only_versions_have_goes() {
    for seed in 0..500 {
        check(seed).await;
    }
}

async fn check(seed: u64) {
    let mut dice = dice(seed + 1);
    let mut world = World::new();
    for number in 0..3 + dice(12) {
        let mut children = BTreeSet::new();
        if number > 0 && dice(2) == 0 {
            children.extend((0..=dice(3)).map(|_| dice(number)));
        }
        let subject = (number > 0 && dice(3) == 0).then(|| dice(number));
        world.add(children.into_iter().collect(), subject).await;
    }
    let mut tags = BTreeMap::new();
    let names = ["1.0.0", "2.0.0", "3.0.0", "latest", "app", "1.0.0.build-x"];
    for tag in names {
        if tag == "1.0.0" || dice(3) > 0 {
            let number = dice(world.manifests.len());
            world.push(&world.manifests[number].0, Some(tag)).await;
            tags.insert(tag, number);
        }
    }
    let versions = ["1.0.0", "2.0.0"].into_iter();
    let versions: BTreeSet<&str> = versions.filter(|it| tags.contains_key(it)).collect();
    let store: StoreRef = Arc::new(world.store.clone());
    let repository = OciComponentRepository::new(store, None);
    let component: ComponentName = COMPONENT.parse().unwrap();
    let parsed = versions
        .iter()
        .map(|version| version.parse::<Version>().unwrap());
    let removal = repository
        .removal(&component, &parsed.collect())
        .await
        .unwrap();
    let before = world.store.tags(&world.name).await.unwrap();
    assert_eq!(before.len(), tags.len(), "planning changes nothing");
    repository.remove(&removal).await.unwrap();

    let gone: BTreeSet<usize> = versions.iter().map(|version| tags[version]).collect();
    // An alias goes with what it names, unless a version that stays has the same manifest.
    let is_semver = |tag: &str| tag.starts_with(|first: char| first.is_ascii_digit());
    let is_kept = |tag: &str, number: usize| {
        !versions.contains(tag) && (is_semver(tag) || !gone.contains(&number))
    };
    let kept = tags.iter().filter(|(tag, number)| is_kept(tag, **number));
    let kept: BTreeMap<&str, usize> = kept.map(|(tag, number)| (*tag, *number)).collect();
    let left = world.store.tags(&world.name).await.unwrap();
    for (tag, number) in &kept {
        let there = left.iter().any(|it| it.as_str() == *tag);
        assert!(there, "seed {seed}: {tag} has gone");
        for needed in world.below(&BTreeSet::from([*number])) {
            assert!(world.has(needed).await, "seed {seed}: {tag} lacks {needed}");
        }
    }
    for version in &versions {
        let there = left.iter().any(|it| it.as_str() == *version);
        assert!(!there, "seed {seed}: {version} is still there");
    }
    let staying = world.below(&kept.values().copied().collect());
    for number in world.below(&gone).difference(&staying) {
        assert!(
            !world.has(*number).await,
            "seed {seed}: {number} is still there"
        );
    }
    // What refers to something that stays does so as well, unless it is part of what goes.
    let mut parts: BTreeSet<usize> = BTreeSet::new();
    for (number, (_, children, _)) in world.manifests.iter().enumerate() {
        if !world.has(number).await {
            parts.extend(children);
        }
    }
    for (number, (_, _, subject)) in world.manifests.iter().enumerate() {
        let refers_to_staying = subject.is_some_and(|subject| staying.contains(&subject));
        if refers_to_staying && !parts.contains(&number) && !gone.contains(&number) {
            assert!(
                world.has(number).await,
                "seed {seed}: referrer {number} has gone"
            );
        }
    }
}

#[tokio::test]
async fn a_list_of_referrers_is_stale_where_one_goes_and_the_subject_stays() {
    let mut world = World::new();
    let subject = world.add(Vec::new(), None).await;
    let version = world.add(Vec::new(), Some(subject)).await;
    let other = world.add(Vec::new(), Some(subject)).await;
    let list = world.add(vec![version, other], None).await;
    let tag = Tag::for_referrers(&world.manifests[subject].0.digest());
    for (number, tag) in [(subject, "app"), (version, "1.0.0"), (list, tag.as_str())] {
        world.push(&world.manifests[number].0, Some(tag)).await;
    }
    let store: StoreRef = Arc::new(world.store.clone());
    let repository = OciComponentRepository::new(store, None);
    let component: ComponentName = COMPONENT.parse().unwrap();
    let versions = BTreeSet::from(["1.0.0".parse::<Version>().unwrap()]);
    let removal = repository.removal(&component, &versions).await.unwrap();
    let digest = |number: usize| -> Digest { world.manifests[number].0.digest() };
    let manifests: Vec<Digest> = removal.manifests.iter().map(|entry| entry.digest).collect();
    assert_eq!(manifests, [digest(version)]);
    assert_eq!(removal.stale_lists, [(tag, digest(list))]);
    let missing = BTreeSet::from(["9.0.0".parse::<Version>().unwrap()]);
    let error = repository.removal(&component, &missing).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}
