//! Component versions as stores hold them.

use bytes::Bytes;
use ocm_backends::{ComponentArchive, decode_descriptor};
use ocm_blob::read_to_end;
use ocm_ctf::FileArchive;
use ocm_repository::{ComponentRepository as _, Content};

const START: &str = "application/vnd.ocm.software.component-descriptor.v2";

/// The layer with the component descriptor, in every encoding.
pub fn component_layer(bytes: &[u8]) {
    for suffix in ["+json", "+yaml", "+yaml+tar", ""] {
        let Some(descriptor) = decode_descriptor(&format!("{START}{suffix}"), bytes) else {
            continue;
        };
        let stored = descriptor.write_json();
        let again = decode_descriptor(&format!("{START}+json"), &stored);
        let again = again.expect("what was written is a descriptor");
        assert_eq!(again.write_json(), stored);
    }
}

/// A component archive in a tar: its descriptor, and the files that it names.
pub fn component_archive(bytes: &[u8]) {
    let Ok(files) = FileArchive::from_bytes(Bytes::copy_from_slice(bytes), "archive") else {
        return;
    };
    let Ok(Some(archive)) = ComponentArchive::read(files, "archive") else {
        return;
    };
    crate::block_on(async {
        let stored = archive.component_version(archive.id()).await;
        let descriptor = stored.expect("it is the one that is there").descriptor;
        for resource in descriptor.resources().into_iter().take(64) {
            let Some(access) = resource.access else {
                continue;
            };
            let content = archive.local_content(archive.id(), &access).await;
            let Ok(Content::Blob(blob)) = content else {
                continue;
            };
            if let (Ok(content), Some(digest)) =
                (read_to_end(blob.as_ref(), 1 << 20).await, blob.digest())
            {
                assert_eq!(digest.algorithm().digest(&content), digest);
            }
        }
    });
}
