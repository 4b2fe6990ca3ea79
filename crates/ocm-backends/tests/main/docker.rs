//! The inputs `docker` and `dockermulti`: archives of `docker save`, and a daemon.

use std::fs;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use ocm_backends::docker::{DockerDaemon, DockerInput, DockerMultiInput};
use ocm_blob::gzip_writer;
use ocm_constructor::InputMethod;
use ocm_constructor::input::{InputResult, Produced};
use ocm_digest::Digest;
use ocm_oci::{CopyOptions, Document, ImageManifest, Reference, check_graph, media_type};
use ocm_repository::{Artifact, Content};
use serde_json::json;

use crate::input::{chain, process};

const LAYERS: [&str; 2] = ["first layer", "second layer"];

/// Returns a configuration for some layers.
fn config(architecture: &str, layers: &[&str]) -> Vec<u8> {
    let ids: Vec<Digest> = layers.iter().map(Digest::sha256).collect();
    let config = json!({"architecture": architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": ids}, "config": {"Cmd": ["/notes"]}});
    serde_json::to_vec(&config).unwrap()
}

/// A tar that is being written.
struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// An archive as Docker wrote it before it kept images as OCI artifacts.
fn old_archive(name: &str) -> Vec<u8> {
    let manifest = json!([{"Config": "c.json", "RepoTags": [name],
        "Layers": ["a/layer.tar", "b/layer.tar", "c/layer.tar"]}]);
    Tar::new()
        .file(
            "c.json",
            config("amd64", &[LAYERS[0], LAYERS[1], LAYERS[0]]),
        )
        .file("a/layer.tar", LAYERS[0])
        .file("b/layer.tar", LAYERS[1])
        .link("c/layer.tar", "../a/layer.tar")
        .file("manifest.json", manifest.to_string())
        .finish()
}

/// An archive as Docker writes it now.
fn new_archive(name: &str, architecture: &str) -> Vec<u8> {
    let config = config(architecture, &LAYERS);
    let path = |content: &[u8]| format!("blobs/sha256/{}", Digest::sha256(content).to_hex());
    let layers = LAYERS.map(|layer| path(layer.as_bytes()));
    let manifest = json!([{"Config": path(&config), "RepoTags": [name], "Layers": layers}]);
    Tar::new()
        .file(&path(&config), &config)
        .file(&layers[0], LAYERS[0])
        .file(&layers[1], LAYERS[1])
        .file("manifest.json", manifest.to_string())
        .finish()
}

/// A directory, its path without symbolic links.
fn directory() -> (tempfile::TempDir, PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let root = guard.path().canonicalize().unwrap();
    (guard, root)
}

fn nobody() -> DockerDaemon {
    DockerDaemon::new(Some("unix:///nonexistent/docker.sock"))
}

fn artifact(result: &InputResult) -> &Artifact {
    match &result.produced {
        Produced::Content(Content::Artifact(artifact)) => artifact,
        other => panic!("not an artifact: {other:?}"),
    }
}

/// Reads the manifest, and everything that it points to.
async fn manifest(artifact: &Artifact) -> ImageManifest {
    let Artifact {
        store,
        repository,
        root,
    } = artifact;
    let options = CopyOptions::default();
    check_graph(store, repository, root, &options)
        .await
        .unwrap();
    let reference = Reference::Digest(root.digest);
    let raw = store.manifest(repository, &reference).await.unwrap();
    match raw.parse().unwrap() {
        Document::Image(image) => *image,
        Document::Index(_) => panic!("an index"),
    }
}

async fn from_file(root: &Path, archive: &[u8], input: &str) -> InputResult {
    fs::write(root.join("image.tar"), archive).unwrap();
    process(&DockerInput::new(nobody()), root, input)
        .await
        .unwrap()
}

async fn refused(archive: &[u8]) -> String {
    let (_guard, root) = directory();
    fs::write(root.join("image.tar"), archive).unwrap();
    let method = DockerInput::new(nobody());
    let error = match process(&method, &root, "{type: docker, path: image.tar}").await {
        Err(error) => chain(&error),
        Ok(result) => {
            let Artifact {
                store,
                repository,
                root,
            } = artifact(&result);
            let options = CopyOptions::default();
            let checked = check_graph(store, repository, root, &options).await;
            chain(&checked.unwrap_err())
        }
    };
    error.replace(root.to_str().unwrap(), "<dir>")
}

#[tokio::test]
async fn an_archive_becomes_the_artifact_that_it_holds() {
    let (_guard, root) = directory();
    let archive = new_archive("ghcr.io/acme/notes:1.2", "amd64");
    let result = from_file(&root, &archive, "{type: docker, path: image.tar}").await;
    assert_eq!(
        result.reference_name.as_deref(),
        Some("acme.org/x/acme/notes:1.2")
    );
    let image = manifest(artifact(&result)).await;
    assert_eq!(image.config.media_type, media_type::IMAGE_CONFIG);
    let layers: Vec<_> = image.layers.iter().map(|layer| layer.digest).collect();
    assert_eq!(layers, LAYERS.map(Digest::sha256));
    let tar = "application/vnd.oci.image.layer.v1.tar";
    assert!(image.layers.iter().all(|layer| layer.media_type == tar));
}

#[tokio::test]
async fn the_same_image_has_one_digest_however_it_is_saved() {
    let (_guard, root) = directory();
    let input = "{type: docker, path: image.tar, repository: /acme/notes}";
    let plain = from_file(&root, &new_archive("notes:latest", "amd64"), input).await;
    assert_eq!(plain.reference_name.as_deref(), Some("acme/notes:1.0.0"));
    let mut compressed = gzip_writer(Vec::new());
    std::io::Write::write_all(&mut compressed, &new_archive("other", "amd64")).unwrap();
    let compressed = from_file(&root, &compressed.finish().unwrap(), input).await;
    assert_eq!(
        artifact(&plain).root.digest,
        artifact(&compressed).root.digest
    );
}

#[tokio::test]
async fn a_layer_that_is_there_twice_is_a_link() {
    let (_guard, root) = directory();
    let input = "{type: docker, path: image.tar, repository: images}";
    let result = from_file(&root, &old_archive("notes:1.0"), input).await;
    assert_eq!(
        result.reference_name.as_deref(),
        Some("acme.org/x/images:1.0")
    );
    let image = manifest(artifact(&result)).await;
    assert_eq!(image.layers.len(), 3);
    assert_eq!(image.layers[0], image.layers[2]);
}

#[tokio::test]
async fn compressed_layers_stay_compressed() {
    let (_guard, root) = directory();
    let mut layer = gzip_writer(Vec::new());
    std::io::Write::write_all(&mut layer, LAYERS[0].as_bytes()).unwrap();
    let layer = layer.finish().unwrap();
    let saved = json!([{"Config": "c", "RepoTags": null, "Layers": ["l"]}]);
    let archive = Tar::new()
        .file("c", config("amd64", &LAYERS[..1]))
        .file("l", &layer)
        .file("manifest.json", saved.to_string())
        .finish();
    let result = from_file(&root, &archive, "{type: docker, path: image.tar}").await;
    assert_eq!(
        result.reference_name.as_deref(),
        Some("acme.org/x/data:1.0.0")
    );
    let image = manifest(artifact(&result)).await;
    assert_eq!(image.layers[0].media_type, media_type::LAYER_TAR_GZIP);
    assert_eq!(image.layers[0].digest, Digest::sha256(&layer));
}

#[tokio::test]
async fn malformed_archives_are_refused() {
    let saved = |layers: serde_json::Value| {
        json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": layers}]).to_string()
    };
    let image = |manifest: &str| {
        Tar::new()
            .file("c", config("amd64", &LAYERS[..1]))
            .file("l", "other bytes")
            .file("manifest.json", manifest)
            .finish()
    };
    insta::assert_snapshot!(refused(&Tar::new().finish()).await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image image.tar
      caused by: image archive <dir>/image.tar is malformed: there is no `manifest.json` in it
    ");
    insta::assert_snapshot!(refused(b"this is no tar").await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image image.tar
      caused by: image archive <dir>/image.tar is malformed: failed to read entire block
    ");
    insta::assert_snapshot!(refused(&image("{")).await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image image.tar
      caused by: image archive <dir>/image.tar is malformed: invalid type: map, expected a sequence at line 1 column 0
    ");
    insta::assert_snapshot!(refused(&image("[]")).await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image image.tar
      caused by: image archive <dir>/image.tar is malformed: it holds no image
    ");
    insta::assert_snapshot!(refused(&image(r#"[{"Config": "c", "RepoTags": ["a:1"]}, {"Config": "c", "RepoTags": ["b:1"]}]"#)).await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image image.tar
      caused by: image archive <dir>/image.tar is malformed: it holds 2 images, not one: a:1, b:1
    ");
    insta::assert_snapshot!(refused(&image(&saved(json!(["none"])))).await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image image.tar
      caused by: image archive <dir>/image.tar is malformed: there is no `none` in it
    ");
    insta::assert_snapshot!(refused(&image(&saved(json!([])))).await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image image.tar
      caused by: image archive <dir>/image.tar is malformed: its configuration has another number of layers
    ");
    insta::assert_snapshot!(refused(&image(&saved(json!(["l"])))).await, @r"
    cannot check blob sha256:362c24d1f11739a9b01cfd8867469534044b7cc36ce0f56d80b023a228a1d056
      caused by: content has digest sha256:a3ead5eedad5df82318c51685dbc1c147a36d1ff8584fc82de6b08d0bf63a795, expected sha256:362c24d1f11739a9b01cfd8867469534044b7cc36ce0f56d80b023a228a1d056
    ");
    let cut = new_archive("a:1", "amd64");
    insta::assert_snapshot!(refused(&cut[..1500]).await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image image.tar
      caused by: image archive <dir>/image.tar is malformed: failed to read entire block
    ");
}

/// Starts a daemon that has images. Returns the value of `DOCKER_HOST`.
fn daemon(root: &Path, images: Vec<(&'static str, Vec<u8>)>) -> String {
    let socket = root.join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let router = Router::new().fallback(export).with_state(images);
    tokio::spawn(axum::serve(listener, router).into_future());
    format!("unix://{}", socket.display())
}

async fn export(State(images): State<Vec<(&'static str, Vec<u8>)>>, uri: Uri) -> Response {
    let name = uri.path().strip_prefix("/images/");
    let name = name.and_then(|name| name.strip_suffix("/get"));
    let found = images.iter().find(|(image, _)| Some(*image) == name);
    match found {
        Some((_, archive)) => archive.clone().into_response(),
        None if name == Some("broken") => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test]
async fn a_daemon_is_asked_for_what_is_no_file() {
    let (_guard, root) = directory();
    let host = daemon(
        &root,
        vec![(
            "ghcr.io/acme/notes:1.2",
            new_archive("ghcr.io/acme/notes:1.2", "amd64"),
        )],
    );
    let method = DockerInput::new(DockerDaemon::new(Some(&host)));
    let input = "{type: docker, path: 'ghcr.io/acme/notes:1.2'}";
    let result = process(&method, &root, input).await.unwrap();
    let image = manifest(artifact(&result)).await;
    assert_eq!(image.layers.len(), 2);
    let refused = async |method: &dyn InputMethod, input: &str| {
        let error = process(method, &root, input).await.unwrap_err();
        chain(&error).replace(root.to_str().unwrap(), "<dir>")
    };
    insta::assert_snapshot!(refused(&method, "{type: docker, path: 'none:1'}").await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image none:1
      caused by: image none:1 of the Docker daemon at unix://<dir>/docker.sock not found
    ");
    insta::assert_snapshot!(refused(&method, "{type: docker, path: broken}").await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image broken
      caused by: image broken of the Docker daemon at unix://<dir>/docker.sock: the daemon answered 500 Internal Server Error
    ");
    insta::assert_snapshot!(refused(&DockerInput::new(nobody()), "{type: docker, path: 'notes:1'}").await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image notes:1
      caused by: image notes:1 of the Docker daemon at unix:///nonexistent/docker.sock: cannot connect
      caused by: error sending request
      caused by: client error (Connect)
      caused by: No such file or directory (os error 2)
    ");
    let ssh = DockerInput::new(DockerDaemon::new(Some("ssh://acme.org")));
    insta::assert_snapshot!(refused(&ssh, "{type: docker, path: 'notes:1'}").await, @r"
    c.yaml:7:31: resources[0].input.path: cannot read image notes:1
      caused by: the Docker daemon at ssh://acme.org is malformed: its address starts with neither `unix://` nor `tcp://`
    ");
}

#[tokio::test]
async fn images_for_several_platforms_become_one() {
    let (_guard, root) = directory();
    fs::write(root.join("arm.tar"), new_archive("notes:arm", "arm64")).unwrap();
    let host = daemon(
        &root,
        vec![("notes:amd", new_archive("notes:amd", "amd64"))],
    );
    let method = DockerMultiInput::new(DockerDaemon::new(Some(&host)));
    let input = "{type: dockermulti, variants: ['notes:amd', arm.tar], repository: notes}";
    let result = process(&method, &root, input).await.unwrap();
    assert_eq!(
        result.reference_name.as_deref(),
        Some("acme.org/x/notes:1.0.0")
    );
    let Artifact {
        store,
        repository,
        root: top,
    } = artifact(&result);
    check_graph(store, repository, top, &CopyOptions::default())
        .await
        .unwrap();
    let reference = Reference::Digest(top.digest);
    let raw = store.manifest(repository, &reference).await.unwrap();
    let Document::Index(index) = raw.parse().unwrap() else {
        panic!("no index")
    };
    let platforms: Vec<_> = index
        .manifests
        .iter()
        .map(|entry| entry.platform.clone().unwrap().architecture)
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let empty = process(&method, &root, "{type: dockermulti}").await;
    insta::assert_snapshot!(chain(&empty.unwrap_err()), @"c.yaml:7:10: resources[0].input: must name one image for each platform in `variants`");
}
