//! Content of other implementations, downloaded.

use ocm::digest::Digest;
use ocm::oci::CopyOptions;
use ocm::{DownloadRequest, Extraction};

use crate::archive::{Archive, PRODUCT};

#[tokio::test]
async fn an_artifact_that_go_packed_into_a_blob_becomes_a_layout() {
    for (archive, name) in [("v1-product", "chart"), ("v2-product", "image")] {
        let archive = Archive::made_by_go(archive);
        let output = archive.path().join("downloaded");
        let request = DownloadRequest {
            selector: format!("name={name}").parse().unwrap(),
            output: Some(output.clone()),
            extraction: Extraction::Auto,
            copy: CopyOptions::default(),
        };
        let located = archive.located(PRODUCT);
        let downloaded = archive.ocm.download(&located, &request).await.unwrap();
        let digest: Digest = downloaded.digest.unwrap();
        let manifest = output.join("blobs/sha256").join(digest.to_hex());
        let bytes = std::fs::read(manifest).unwrap();
        assert_eq!(Digest::sha256(bytes), digest, "{name}");
        assert!(output.join("oci-layout").is_file(), "{name}");
    }
}
