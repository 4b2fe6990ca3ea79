//! Archives: tars, compressed streams, the indices of archives, layouts.

use std::io::{Cursor, Read as _, Write as _};
use std::str::FromStr as _;

use bytes::Bytes;
use ocm_backends::docker::DockerImage;
use ocm_blob::{
    OpenFile, TarEntry, TarKind, TarScan, collect, gunzip, gzip as compress, once, read_to_end,
};
use ocm_ctf::{ArtifactIndex, OciLayout, PartList};
use ocm_oci::{Fetch as _, List as _, Reference, Referrers as _, RepositoryName};

/// What `docker save` writes.
pub fn docker_archive(bytes: &[u8]) {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("a file that can be written");
    // That an image is found says little: its layers are read, and checked, only when it is copied.
    let _ = DockerImage::read(&OpenFile::new(file, "image.tar"));
}

/// A tar, in place and as a stream.
pub fn tar(bytes: &[u8]) {
    let mut found = Vec::new();
    let mut scan = TarScan::new(Cursor::new(bytes)).expect("memory can be sought");
    let mut whole = true;
    loop {
        match scan.next_entry() {
            Ok(Some(entry)) => {
                check_entry(&entry, bytes);
                found.push(entry);
            }
            Ok(None) => break,
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    let mut stream = TarScan::stream(bytes);
    let mut again = Vec::new();
    while let Ok(Some(entry)) = stream.next_entry() {
        let mut content = Vec::new();
        if stream.content().read_to_end(&mut content).is_ok() {
            let start = usize::try_from(entry.offset).expect("it is in memory");
            assert_eq!(content, bytes[start..start + content.len()]);
        }
        again.push(entry);
    }
    assert!(again.starts_with(&found), "{found:?}\n{again:?}");
    if whole {
        assert_eq!(found, again);
    }
    let mut with_links = TarScan::stream(bytes).with_links();
    while let Ok(Some(entry)) = with_links.next_entry() {
        check_entry(&entry, bytes);
        check_link(&entry);
    }
}

/// A link goes up at its start only, and not above the root.
fn check_link(entry: &TarEntry) {
    assert_eq!(entry.kind == TarKind::Link, entry.link.is_some());
    let Some(target) = &entry.link else { return };
    assert!(!target.starts_with('/'), "{entry:?}");
    let parts = || target.split('/').filter(|part| !matches!(*part, "" | "."));
    let up = parts().take_while(|part| *part == "..").count();
    assert!(up <= entry.path.matches('/').count(), "{entry:?}");
    assert!(parts().skip(up).all(|part| part != ".."), "{entry:?}");
}

fn check_entry(entry: &TarEntry, archive: &[u8]) {
    let end = entry
        .offset
        .checked_add(entry.size)
        .expect("it is in memory");
    assert!(end <= archive.len() as u64, "{entry:?}");
    let outside = |part: &str| matches!(part, ".." | ".");
    assert!(
        !entry.path.starts_with('/') && !entry.path.split('/').any(outside),
        "{entry:?}"
    );
    assert!(entry.kind == TarKind::File || entry.size == 0, "{entry:?}");
}

/// A compressed stream.
pub fn gzip(bytes: &[u8]) {
    const LIMIT: u64 = 1024 * 1024;
    crate::block_on(async {
        let packed = once(Bytes::copy_from_slice(bytes));
        let Ok(unpacked) = collect(gunzip(packed, LIMIT), u64::MAX).await else {
            return;
        };
        assert!(unpacked.len() as u64 <= LIMIT);
        let packed = compress(once(unpacked.clone()));
        let again = collect(gunzip(packed, LIMIT), u64::MAX).await;
        assert_eq!(again.expect("what was packed can be unpacked"), unpacked);
    });
}

/// The index of an archive, read, written and changed.
pub fn ctf_index(bytes: &[u8]) {
    let Ok(mut index) = ArtifactIndex::read(bytes, "index") else {
        return;
    };
    check_index(&index);
    let names: Vec<RepositoryName> = index.repositories().cloned().collect();
    for repository in &names {
        let tags: Vec<_> = index
            .tags(repository)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let manifests: Vec<_> = index
            .manifests(repository)
            .map(|listed| listed.digest)
            .collect();
        for (tag, digest) in tags.iter().zip(manifests.iter().rev()) {
            index.add(repository, Some(tag), *digest, "");
            let listed = index.resolve(repository, &tag.clone().into());
            assert_eq!(listed.map(|listed| listed.digest), Some(*digest));
        }
        check_index(&index);
        for tag in tags.iter().step_by(2) {
            assert!(index.remove_tag(repository, tag));
        }
        check_index(&index);
        for digest in &manifests {
            assert!(index.remove_manifest(repository, digest));
        }
        assert!(!index.has_repository(repository));
        check_index(&index);
    }
}

fn check_index(index: &ArtifactIndex) {
    let written = index.write();
    let again = ArtifactIndex::read(&written, "index").expect("what was written is an index");
    assert_eq!(String::from_utf8(again.write()), String::from_utf8(written));
    let names: Vec<_> = index.repositories().collect();
    assert_eq!(names, again.repositories().collect::<Vec<_>>());
    for repository in names {
        let manifests: Vec<_> = index.manifests(repository).collect();
        assert_eq!(manifests, again.manifests(repository).collect::<Vec<_>>());
        for tag in index.tags(repository).into_iter().flatten() {
            let reference = Reference::Tag(tag.clone());
            let listed = index.resolve(repository, &reference);
            assert_eq!(listed, again.resolve(repository, &reference));
            assert!(listed.is_some_and(|listed| index.lists(&listed.digest)));
        }
    }
}

/// The list of the parts of an archive.
pub fn part_list(bytes: &[u8]) {
    let Ok(list) = PartList::read(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&list).expect("it is JSON");
    assert_eq!(PartList::read(&written).expect("it was a list"), list);
    let sum: u128 = list.parts.iter().map(|part| u128::from(part.size)).sum();
    assert_eq!(sum, u128::from(list.size));
    assert!((1..=PartList::MOST).contains(&list.parts.len()));
    let directory = std::path::Path::new("/directory");
    for part in &list.parts {
        let path = directory.join("list").with_file_name(&part.name);
        assert_eq!(path.parent(), Some(directory), "{part:?}");
        assert!(path.file_name().is_some_and(|name| *name == *part.name));
    }
}

/// A layout in a tar.
pub fn oci_layout(bytes: &[u8]) {
    let repository = RepositoryName::from_str("layout").expect("it is a name");
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(layout) = OciLayout::from_bytes(bytes, "layout", repository.clone()) else {
        return;
    };
    crate::block_on(async {
        let _ = layout.main_artifact();
        for entry in layout.entries().iter().take(64) {
            let _ = layout.manifest(&repository, &entry.digest.into()).await;
            let _ = layout.referrers(&repository, &entry.digest).await;
            if let Ok(content) =
                read_to_end(layout.blob(&repository, entry).as_ref(), 1 << 20).await
            {
                assert_eq!(entry.digest.algorithm().digest(&content), entry.digest);
            }
        }
        for tag in layout.tags(&repository).await.unwrap_or_default() {
            let _ = layout.manifest(&repository, &tag.into()).await;
        }
    });
}
