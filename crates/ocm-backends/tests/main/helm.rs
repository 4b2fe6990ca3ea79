//! Charts as input and as access.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ocm_backends::access::StoreProvider;
use ocm_backends::helm::{Chart, HelmAccess, HelmInput};
use ocm_blob::{BlobRef, Bytes, read_to_end};
use ocm_constructor::input::{InputResult, Produced};
use ocm_ctf::{OciLayout, Scratch};
use ocm_digest::Digest;
use ocm_model::Access;
use ocm_oci::{
    Document, Fetch as _, ImageManifest, ImageReference, MemoryStore, Reference, RepositoryName,
    StoreRef, Tag, copy_graph,
};
use ocm_repository::{AccessMethod as _, Content};
use ocm_testkit::web::Web;
use serde_json::json;

use crate::input::{chain, process};
use crate::web;

fn charts() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/helm");
    path.canonicalize().unwrap()
}

fn layout(result: InputResult) -> BlobRef {
    let Produced::Content(Content::Blob(blob)) = result.produced else {
        panic!("not a blob")
    };
    assert_eq!(
        blob.media_type(),
        Some("application/vnd.ocm.software.oci.layout.v1+tar")
    );
    blob
}

/// Reads the artifact in a layout, and one of its blobs after the other.
async fn open(blob: &BlobRef, tag: &str) -> (ImageManifest, Vec<Bytes>) {
    let name: RepositoryName = "chart".parse().unwrap();
    let layout = OciLayout::read(blob, "layout", name.clone(), &Scratch::default())
        .await
        .unwrap();
    let tag: Tag = tag.parse().unwrap();
    let raw = layout.manifest(&name, &Reference::Tag(tag)).await.unwrap();
    let Document::Image(image) = raw.parse().unwrap() else {
        panic!("not an image")
    };
    let mut blobs = Vec::new();
    for descriptor in std::iter::once(&image.config).chain(&image.layers) {
        let blob = layout.blob(&name, descriptor);
        blobs.push(read_to_end(blob.as_ref(), u64::MAX).await.unwrap());
    }
    (*image, blobs)
}

/// Returns the names in a packaged chart.
fn names(package: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(package));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap())
        .collect()
}

/// A directory with a copy of a chart.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let root = guard.path().canonicalize().unwrap();
    for name in [
        "Chart.yaml",
        ".helmignore",
        "values.yaml",
        "templates/pod.yaml",
    ] {
        let target = root.join("mychart").join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(charts().join("mychart").join(name), target).unwrap();
    }
    (guard, root)
}

async fn refused(directory: &Path, input: &str) -> String {
    let error = process(&HelmInput::local(), directory, input)
        .await
        .unwrap_err();
    chain(&error).replace(directory.to_str().unwrap(), "<dir>")
}

#[tokio::test]
async fn a_directory_becomes_what_helm_push_makes() {
    let (_guard, root) = copy();
    fs::write(root.join("mychart/old.tgz"), "ignored").unwrap();
    let input = "{type: helm, path: mychart, repository: charts/mychart}";
    let result = process(&HelmInput::local(), &root, input).await.unwrap();
    assert_eq!(
        result.reference_name.as_deref(),
        Some("charts/mychart:0.1.0")
    );
    let blob = layout(result);
    let (image, blobs) = open(&blob, "0.1.0").await;
    assert_eq!(
        image.config.media_type,
        "application/vnd.cncf.helm.config.v1+json"
    );
    assert_eq!(
        blobs[0],
        r#"{"apiVersion":"v1","name":"mychart","version":"0.1.0"}"#
    );
    let layers: Vec<&str> = image
        .layers
        .iter()
        .map(|layer| layer.media_type.as_str())
        .collect();
    assert_eq!(
        layers,
        ["application/vnd.cncf.helm.chart.content.v1.tar+gzip"]
    );
    assert_eq!(
        names(&blobs[1]),
        [
            "mychart/.helmignore",
            "mychart/Chart.yaml",
            "mychart/templates/pod.yaml",
            "mychart/values.yaml",
        ]
    );
    assert!(
        !image
            .annotations
            .contains_key("org.opencontainers.image.created")
    );

    let again = layout(
        process(&HelmInput::local(), &root, "{type: helm, path: ./mychart/}")
            .await
            .unwrap(),
    );
    let bytes = read_to_end(blob.as_ref(), u64::MAX).await.unwrap();
    assert_eq!(bytes, read_to_end(again.as_ref(), u64::MAX).await.unwrap());
}

/// Packages a chart into a file, with a provenance beside it.
async fn packaged(root: &Path) -> Bytes {
    let result = process(&HelmInput::local(), root, "{type: helm, path: mychart}")
        .await
        .unwrap();
    let package = open(&layout(result), "0.1.0").await.1.remove(1);
    fs::write(root.join("mychart-0.1.0.tgz"), &package).unwrap();
    fs::write(root.join("mychart-0.1.0.tgz.prov"), "signed").unwrap();
    package
}

#[tokio::test]
async fn a_packaged_chart_stays_as_it_is_and_keeps_its_provenance() {
    let (_guard, root) = copy();
    let package = packaged(&root).await;
    let result = process(
        &HelmInput::local(),
        &root,
        "{type: helm, path: mychart-0.1.0.tgz}",
    )
    .await;
    let (image, blobs) = open(&layout(result.unwrap()), "0.1.0").await;
    assert_eq!(blobs[1], package);
    assert_eq!(blobs[2], "signed");
    assert_eq!(
        image.layers[1].media_type,
        "application/vnd.cncf.helm.chart.provenance.v1.prov"
    );
    assert_eq!(
        Chart::open(&root.join("mychart-0.1.0.tgz")).unwrap().name,
        "mychart"
    );
}

#[tokio::test]
async fn what_is_no_chart_is_refused() {
    let (_guard, root) = copy();
    fs::write(root.join("text.tgz"), "no archive").unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    insta::assert_snapshot!(refused(&charts(), "{type: helm, path: badchart}").await, @r"
    c.yaml:7:10: resources[0].input: cannot use the chart
      caused by: Chart.yaml has no text in the field `version`
    ");
    insta::assert_snapshot!(refused(&root, "{type: helm, path: text.tgz}").await, @r"
    c.yaml:7:10: resources[0].input: cannot use the chart
      caused by: <dir>/text.tgz cannot be read as a packaged chart
      caused by: cannot read the archive
      caused by: invalid gzip header
    ");
    insta::assert_snapshot!(refused(&root, "{type: helm, path: empty}").await, @r"
    c.yaml:7:10: resources[0].input: cannot use the chart
      caused by: there is no Chart.yaml in the chart
    ");
    insta::assert_snapshot!(refused(&root, "{type: helm, path: mychart, version: 2.0.0}").await, @"c.yaml:7:47: resources[0].input.version: the chart has the version `0.1.0`, not `2.0.0`");
    insta::assert_snapshot!(refused(&root, "{type: helm, path: mychart, repository: 'a/b:2'}").await, @"c.yaml:7:50: resources[0].input.repository: has the tag `2`, but the chart has the version `0.1.0`");
    insta::assert_snapshot!(refused(&root, "{type: helm, helmRepository: 'https://x'}").await, @"c.yaml:7:39: resources[0].input.helmRepository: charts from elsewhere are not available here");
    insta::assert_snapshot!(refused(&root, "{type: helm}").await, @"c.yaml:7:10: resources[0].input: field `path` of `helm` is missing");
    fs::write(root.join("mychart/.helmignore"), "a/**").unwrap();
    insta::assert_snapshot!(refused(&root, "{type: helm, path: mychart}").await, @r"
    c.yaml:7:10: resources[0].input: cannot use the chart
      caused by: .helmignore cannot be packaged: `a/**` is not a well-formed pattern
    ");
}

#[cfg(unix)]
#[tokio::test]
async fn links_of_a_chart_lead_nowhere_else() {
    let (_guard, root) = copy();
    std::os::unix::fs::symlink("values.yaml", root.join("mychart/other.yaml")).unwrap();
    let result = process(&HelmInput::local(), &root, "{type: helm, path: mychart}")
        .await
        .unwrap();
    let package = open(&layout(result), "0.1.0").await.1.remove(1);
    assert!(names(&package).contains(&"mychart/other.yaml".to_owned()));
    std::os::unix::fs::symlink("..", root.join("mychart/templates/a")).unwrap();
    std::os::unix::fs::symlink("..", root.join("mychart/templates/b")).unwrap();
    insta::assert_snapshot!(refused(&root, "{type: helm, path: mychart}").await.split(" cannot be packaged: ").last().unwrap(), @"there is too much in the chart");
    fs::remove_file(root.join("mychart/templates/a")).unwrap();
    fs::remove_file(root.join("mychart/templates/b")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("mychart/templates/out.yaml")).unwrap();
    insta::assert_snapshot!(refused(&root, "{type: helm, path: mychart}").await, @r"
    c.yaml:7:10: resources[0].input: cannot use the chart
      caused by: templates/out.yaml cannot be packaged: it is a symbolic link to somewhere else
    ");
}

/// One store for every registry.
#[derive(Debug)]
struct Fixed(StoreRef);

#[async_trait]
impl StoreProvider for Fixed {
    async fn store(&self, _: &ImageReference) -> Result<StoreRef, ocm_oci::Error> {
        Ok(Arc::clone(&self.0))
    }
}

fn no_registry() -> Arc<dyn StoreProvider> {
    Arc::new(Fixed(Arc::new(MemoryStore::new())))
}

/// Starts a chart repository with one chart; its index states this digest.
fn repository(package: &Bytes, digest: Digest) -> (String, Web) {
    let index = format!(
        "apiVersion: v1\nentries:\n  mychart:\n  - {{name: mychart, version: 0.1.0, \
         urls: [charts/mychart-0.1.0.tgz], digest: {}}}\n",
        digest.to_hex()
    );
    let files = vec![
        ("/helm/index.yaml", index.into_bytes()),
        ("/helm/charts/mychart-0.1.0.tgz", package.to_vec()),
    ];
    let (address, server) = web::start(files);
    (format!("{address}/helm"), server)
}

#[tokio::test]
async fn a_chart_comes_from_a_chart_repository() {
    let (_guard, root) = copy();
    let package = packaged(&root).await;
    let (address, _server) = repository(&package, Digest::sha256(&package));
    let method = HelmInput::new(web::client(), no_registry());
    for input in [
        format!("{{type: helm, helmRepository: '{address}', path: mychart}}"),
        format!("{{type: helm, helmRepository: '{address}/', path: mychart, version: 0.1.0}}"),
        format!("{{type: helm, helmRepository: '{address}/charts/mychart-0.1.0.tgz'}}"),
    ] {
        let result = process(&method, &root, &input).await.unwrap();
        assert_eq!(
            open(&layout(result), "0.1.0").await.1[1],
            package,
            "{input}"
        );
    }
    let input = format!("{{type: helm, helmRepository: '{address}', path: other}}");
    let error = process(&method, &root, &input).await.unwrap_err();
    insta::assert_snapshot!(chain(&error).replace(&address, "<server>"), @r"
    c.yaml:7:39: resources[0].input.helmRepository: cannot read a chart from <server>
      caused by: chart other in <server> not found
    ");

    let access = json!({"type": "helm", "helmRepository": address, "helmChart": "mychart:0.1.0"});
    let access = Access::from_json(access).unwrap();
    let method = HelmAccess::new(web::client(), no_registry());
    let Content::Blob(blob) = method.content(&access).await.unwrap() else {
        panic!("not a blob")
    };
    assert_eq!(blob.digest(), Some(Digest::sha256(&package)));
    assert_eq!(
        blob.media_type(),
        Some("application/vnd.cncf.helm.chart.content.v1.tar+gzip")
    );
    assert_eq!(read_to_end(blob.as_ref(), u64::MAX).await.unwrap(), package);
}

#[cfg(feature = "wget")]
#[tokio::test]
async fn certificates_to_trust_are_given_with_the_chart() {
    let (_guard, root) = copy();
    let package = packaged(&root).await;
    let index = "entries: {mychart: [{version: 0.1.0, urls: [mychart-0.1.0.tgz]}]}";
    let server = crate::tls::start(
        false,
        vec![
            ("/index.yaml", index.as_bytes().to_vec()),
            ("/mychart-0.1.0.tgz", package.to_vec()),
        ],
    );
    fs::write(root.join("ca.pem"), &server.authority).unwrap();
    let method = HelmInput::new(web::client(), no_registry());
    let chart = format!(
        "type: helm, helmRepository: '{}', path: mychart",
        server.address
    );
    assert!(
        process(&method, &root, &format!("{{{chart}}}"))
            .await
            .is_err()
    );
    let inline = serde_json::Value::from(server.authority.as_str());
    for trust in ["caCertFile: ca.pem".to_owned(), format!("caCert: {inline}")] {
        let result = process(&method, &root, &format!("{{{chart}, {trust}}}")).await;
        assert_eq!(open(&layout(result.unwrap()), "0.1.0").await.1[1], package);
    }
    let outside = format!("{{{chart}, caCertFile: ../ca.pem}}");
    assert!(process(&method, &root, &outside).await.is_err());
}

#[tokio::test]
async fn a_chart_of_another_digest_than_the_index_states_is_refused() {
    let (_guard, root) = copy();
    let package = packaged(&root).await;
    let (address, _server) = repository(&package, Digest::sha256("other"));
    let method = HelmInput::new(web::client(), no_registry());
    let input = format!("{{type: helm, helmRepository: '{address}', path: mychart}}");
    let error = process(&method, &root, &input).await.unwrap_err();
    assert!(
        chain(&error).contains("content has digest sha256:"),
        "{error}"
    );
}

#[tokio::test]
async fn a_chart_in_a_registry_stays_an_artifact() {
    let (_guard, root) = copy();
    let result = process(&HelmInput::local(), &root, "{type: helm, path: mychart}")
        .await
        .unwrap();
    let name: RepositoryName = "chart".parse().unwrap();
    let read = OciLayout::read(&layout(result), "layout", name.clone(), &Scratch::default()).await;
    let from: StoreRef = Arc::new(read.unwrap());
    let tag: Tag = "0.1.0".parse().unwrap();
    let top = from
        .resolve(&name, &Reference::Tag(tag.clone()))
        .await
        .unwrap();
    let registry: StoreRef = Arc::new(MemoryStore::new());
    let charts: RepositoryName = "acme/mychart".parse().unwrap();
    let options = ocm_oci::CopyOptions::default();
    copy_graph(
        (&from, &name),
        &top,
        (&registry, &charts),
        Some(&tag),
        &options,
    )
    .await
    .unwrap();

    let stores: Arc<dyn StoreProvider> = Arc::new(Fixed(registry));
    let access =
        json!({"type": "Helm/v1", "helmRepository": "oci://h/acme", "helmChart": "mychart:0.1.0"});
    let method = HelmAccess::new(web::client(), Arc::clone(&stores));
    let content = method
        .content(&Access::from_json(access).unwrap())
        .await
        .unwrap();
    assert_eq!(content.digest(), Some(top.digest));

    let method = HelmInput::new(web::client(), stores);
    for input in [
        "{type: helm, helmRepository: 'oci://h/acme/mychart:0.1.0'}",
        "{type: helm, helmRepository: 'oci://h/acme', path: mychart, version: 0.1.0}",
    ] {
        let Produced::Content(content) = process(&method, &root, input).await.unwrap().produced
        else {
            panic!("not content")
        };
        assert_eq!(content.digest(), Some(top.digest));
    }
}
