//! What is in an archive: listed, shown in every format, downloaded.

use insta::assert_snapshot;

use crate::world::{signed, source};

#[test]
fn a_component_version_is_shown_in_every_format() {
    let cli = signed();
    assert_snapshot!(cli.run("get cv shop//acme.org/bar/product"), @r"
    $ ocm get cv shop//acme.org/bar/product
    exit 0
    --- stdout
    COMPONENT             VERSION  PROVIDER
    acme.org/bar/product  1.0.0    acme.org
    ");
    assert_snapshot!(cli.run("get cv shop"), @r"
    $ ocm get cv shop
    exit 0
    --- stdout
    COMPONENT             VERSION  PROVIDER
    acme.org/bar/leaf     1.0.0    acme.org
    acme.org/bar/product  1.0.0    acme.org
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/bar/product:1.0.0 -o wide"), @r"
    $ ocm get cv shop//acme.org/bar/product:1.0.0 -o wide
    exit 0
    --- stdout
    COMPONENT             VERSION  PROVIDER  RESOURCES  SOURCES  REFERENCES  SIGNATURES  REPOSITORY
    acme.org/bar/product  1.0.0    acme.org  3          1        1           default     <dir>/shop
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/bar/product:1.0.0 -o tree"), @r"
    $ ocm get cv shop//acme.org/bar/product:1.0.0 -o tree
    exit 0
    --- stdout
    NESTING  COMPONENT             VERSION  PROVIDER
    └─       acme.org/bar/product  1.0.0    acme.org
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/bar/product:1.0.0 -o tree --recursive"), @r"
    $ ocm get cv shop//acme.org/bar/product:1.0.0 -o tree --recursive
    exit 0
    --- stdout
    NESTING  COMPONENT             VERSION  PROVIDER
    └─ ●     acme.org/bar/product  1.0.0    acme.org
       └─    acme.org/bar/leaf     1.0.0    acme.org
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/bar/leaf:1.0.0 -o json"), @r#"
    $ ocm get cv shop//acme.org/bar/leaf:1.0.0 -o json
    exit 0
    --- stdout
    [
      {
        "component": {
          "componentReferences": null,
          "name": "acme.org/bar/leaf",
          "provider": "acme.org",
          "repositoryContexts": null,
          "resources": [
            {
              "access": {
                "localReference": "sha256:<digest>",
                "mediaType": "text/plain",
                "type": "LocalBlob/v1"
              },
              "digest": {
                "hashAlgorithm": "SHA-256",
                "normalisationAlgorithm": "genericBlobDigest/v1",
                "value": "<digest>"
              },
              "name": "data",
              "relation": "local",
              "type": "blob",
              "version": "1.0.0"
            }
          ],
          "sources": null,
          "version": "1.0.0"
        },
        "meta": {
          "schemaVersion": "v2"
        }
      }
    ]
    "#);
    assert_snapshot!(cli.run("get cv shop//acme.org/bar/product:1.0.0 -o yaml"), @r#"
    $ ocm get cv shop//acme.org/bar/product:1.0.0 -o yaml
    exit 0
    --- stdout
    - component:
        componentReferences:
        - componentName: acme.org/bar/leaf
          digest:
            hashAlgorithm: SHA-256
            normalisationAlgorithm: jsonNormalisation/v4alpha1
            value: <digest>
          name: leaf
          version: "1.0.0"
        labels:
        - name: acme.org/stage
          signing: true
          value: release
        name: acme.org/bar/product
        provider: acme.org
        repositoryContexts: null
        resources:
        - access:
            localReference: sha256:<digest>
            mediaType: text/plain
            type: LocalBlob/v1
          digest:
            hashAlgorithm: SHA-256
            normalisationAlgorithm: genericBlobDigest/v1
            value: <digest>
          extraIdentity:
            architecture: amd64
            os: linux
          name: file
          relation: local
          type: blob
          version: "1.0.0"
        - access:
            localReference: sha256:<digest>
            mediaType: application/x-tar
            type: LocalBlob/v1
          digest:
            hashAlgorithm: SHA-256
            normalisationAlgorithm: genericBlobDigest/v1
            value: <digest>
          name: tree
          relation: local
          type: directoryTree
          version: "1.0.0"
        - access:
            localReference: sha256:<digest>
            mediaType: application/vnd.oci.image.manifest.v1+json
            type: LocalBlob/v1
          digest:
            hashAlgorithm: SHA-256
            normalisationAlgorithm: ociArtifactDigest/v1
            value: <digest>
          name: image
          relation: local
          type: ociImage
          version: "1.0.0"
        sources:
        - access:
            commit: 5af0bb1c6bd0e1b2f9a1a3a7a6a0d2dd2c2ae6a1
            repoUrl: acme.org/bar
            type: gitHub
          name: code
          type: git
          version: "1.0.0"
        version: "1.0.0"
      meta:
        schemaVersion: v2
      signatures:
      - digest:
          hashAlgorithm: SHA-256
          normalisationAlgorithm: jsonNormalisation/v4alpha1
          value: <digest>
        name: default
        signature:
          algorithm: RSASSA-PSS
          mediaType: application/vnd.ocm.signature.rsa.pss
          value: <signature>
    "#);
    assert_snapshot!(cli.run("get cv shop -o ndjson"), @r#"
    $ ocm get cv shop -o ndjson
    exit 0
    --- stdout
    {"component":{"componentReferences":null,"name":"acme.org/bar/leaf","provider":"acme.org","repositoryContexts":null,"resources":[{"access":{"localReference":"sha256:<digest>","mediaType":"text/plain","type":"LocalBlob/v1"},"digest":{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"genericBlobDigest/v1","value":"<digest>"},"name":"data","relation":"local","type":"blob","version":"1.0.0"}],"sources":null,"version":"1.0.0"},"meta":{"schemaVersion":"v2"}}
    {"component":{"componentReferences":[{"componentName":"acme.org/bar/leaf","digest":{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"jsonNormalisation/v4alpha1","value":"<digest>"},"name":"leaf","version":"1.0.0"}],"labels":[{"name":"acme.org/stage","signing":true,"value":"release"}],"name":"acme.org/bar/product","provider":"acme.org","repositoryContexts":null,"resources":[{"access":{"localReference":"sha256:<digest>","mediaType":"text/plain","type":"LocalBlob/v1"},"digest":{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"genericBlobDigest/v1","value":"<digest>"},"extraIdentity":{"architecture":"amd64","os":"linux"},"name":"file","relation":"local","type":"blob","version":"1.0.0"},{"access":{"localReference":"sha256:<digest>","mediaType":"application/x-tar","type":"LocalBlob/v1"},"digest":{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"genericBlobDigest/v1","value":"<digest>"},"name":"tree","relation":"local","type":"directoryTree","version":"1.0.0"},{"access":{"localReference":"sha256:<digest>","mediaType":"application/vnd.oci.image.manifest.v1+json","type":"LocalBlob/v1"},"digest":{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"ociArtifactDigest/v1","value":"<digest>"},"name":"image","relation":"local","type":"ociImage","version":"1.0.0"}],"sources":[{"access":{"commit":"5af0bb1c6bd0e1b2f9a1a3a7a6a0d2dd2c2ae6a1","repoUrl":"acme.org/bar","type":"gitHub"},"name":"code","type":"git","version":"1.0.0"}],"version":"1.0.0"},"meta":{"schemaVersion":"v2"},"signatures":[{"digest":{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"jsonNormalisation/v4alpha1","value":"<digest>"},"name":"default","signature":{"algorithm":"RSASSA-PSS","mediaType":"application/vnd.ocm.signature.rsa.pss","value":"<signature>"}}]}
    "#);
}

#[test]
fn versions_are_chosen_by_constraint() {
    let cli = source();
    let constructor = "name: acme.org/app\nversion: ${VERSION}\nprovider: {name: acme}\n";
    cli.write("app.yaml", constructor);
    for version in ["1.2.0", "1.10.0", "2.0.0-rc.1"] {
        cli.ok(&format!("add cv -r shop app.yaml VERSION={version}"));
    }
    assert_snapshot!(cli.run("get cv shop//acme.org/app"), @r"
    $ ocm get cv shop//acme.org/app
    exit 0
    --- stdout
    COMPONENT     VERSION     PROVIDER
    acme.org/app  2.0.0-rc.1  acme
    acme.org/app  1.10.0      acme
    acme.org/app  1.2.0       acme
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/app --latest"), @r"
    $ ocm get cv shop//acme.org/app --latest
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER
    acme.org/app  1.10.0   acme
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/app -c ^1.2"), @r"
    $ ocm get cv shop//acme.org/app -c ^1.2
    exit 0
    --- stdout
    COMPONENT     VERSION  PROVIDER
    acme.org/app  1.10.0   acme
    acme.org/app  1.2.0    acme
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/app -c >5"), @r"
    $ ocm get cv shop//acme.org/app -c >5
    exit 0
    --- stdout
    COMPONENT  VERSION  PROVIDER
    --- stderr
    no versions of shop//acme.org/app
    ");
    assert_snapshot!(cli.run("list shop"), @r"
    $ ocm list shop
    exit 0
    --- stdout
    COMPONENT     LATEST      VERSIONS
    acme.org/app  2.0.0-rc.1  3
    ");
    assert_snapshot!(cli.run("transfer cv shop//acme.org/app -c ~1.10 one.tar"), @r"
    $ ocm transfer cv shop//acme.org/app -c ~1.10 one.tar
    exit 0
    --- stdout
    COMPONENT VERSION    OUTCOME
    acme.org/app:1.10.0  added
    --- stderr
    transferred to one.tar: 1 component version added, 0 updated, 0 replaced, 0 skipped; 0 blobs copied, 0 mounted, 0 there already; 0 B moved in <n> s
    ");
}

#[test]
fn elements_are_listed() {
    let cli = signed();
    assert_snapshot!(cli.run("get resources shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm get resources shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    NAME   VERSION  IDENTITY                     TYPE           RELATION
    file   1.0.0    architecture=amd64,os=linux  blob           local
    tree   1.0.0    -                            directoryTree  local
    image  1.0.0    -                            ociImage       local
    ");
    assert_snapshot!(cli.run("get resources shop//acme.org/bar/product:1.0.0 -o wide"), @r"
    $ ocm get resources shop//acme.org/bar/product:1.0.0 -o wide
    exit 0
    --- stdout
    NAME   VERSION  IDENTITY                     TYPE           RELATION  ACCESS        DIGEST
    file   1.0.0    architecture=amd64,os=linux  blob           local     LocalBlob/v1  <digest>
    tree   1.0.0    -                            directoryTree  local     LocalBlob/v1  <digest>
    image  1.0.0    -                            ociImage       local     LocalBlob/v1  <digest>
    ");
    assert_snapshot!(cli.run("get resources shop//acme.org/bar/product:1.0.0 --recursive"), @r"
    $ ocm get resources shop//acme.org/bar/product:1.0.0 --recursive
    exit 0
    --- stdout
    COMPONENT VERSION           NAME   VERSION  IDENTITY                     TYPE           RELATION
    acme.org/bar/product:1.0.0  file   1.0.0    architecture=amd64,os=linux  blob           local
    acme.org/bar/product:1.0.0  tree   1.0.0    -                            directoryTree  local
    acme.org/bar/product:1.0.0  image  1.0.0    -                            ociImage       local
    acme.org/bar/leaf:1.0.0     data   1.0.0    -                            blob           local
    ");
    assert_snapshot!(cli.run("get resources shop//acme.org/bar/product:1.0.0 os=linux -o yaml"), @r#"
    $ ocm get resources shop//acme.org/bar/product:1.0.0 os=linux -o yaml
    exit 0
    --- stdout
    - name: file
      version: "1.0.0"
      type: blob
      relation: local
      extraIdentity:
        architecture: amd64
        os: linux
      access:
        localReference: sha256:<digest>
        mediaType: text/plain
        type: LocalBlob/v1
      digest:
        hashAlgorithm: SHA-256
        normalisationAlgorithm: genericBlobDigest/v1
        value: <digest>
    "#);
    assert_snapshot!(cli.run("get references shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm get references shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    NAME  COMPONENT          VERSION  IDENTITY
    leaf  acme.org/bar/leaf  1.0.0    -
    ");
    assert_snapshot!(cli.run("get sources shop//acme.org/bar/product:1.0.0 -o wide"), @r"
    $ ocm get sources shop//acme.org/bar/product:1.0.0 -o wide
    exit 0
    --- stdout
    NAME  VERSION  IDENTITY  TYPE  ACCESS
    code  1.0.0    -         git   gitHub
    ");
    assert_snapshot!(cli.run("list shop -o json"), @r#"
    $ ocm list shop -o json
    exit 0
    --- stdout
    [
      {
        "name": "acme.org/bar/leaf",
        "versions": [
          "1.0.0"
        ]
      },
      {
        "name": "acme.org/bar/product",
        "versions": [
          "1.0.0"
        ]
      }
    ]
    "#);
}

#[test]
fn content_is_downloaded_as_what_it_is() {
    let cli = signed();
    assert_snapshot!(cli.run("download resource shop//acme.org/bar/product:1.0.0 file -O file"), @r"
    $ ocm download resource shop//acme.org/bar/product:1.0.0 file -O file
    exit 0
    --- stderr
    downloaded <dir>/file (digest sha256:<digest> verified)
    ");
    assert_eq!(cli.read("file"), cli.read("src/file.txt"));
    assert_snapshot!(cli.run("download resource shop//acme.org/bar/product:1.0.0 tree -O tree"), @r"
    $ ocm download resource shop//acme.org/bar/product:1.0.0 tree -O tree
    exit 0
    --- stderr
    downloaded <dir>/tree (digest sha256:<digest> verified)
    ");
    assert_eq!(cli.read("tree/sub/b"), cli.read("src/tree/sub/b"));
    assert_snapshot!(cli.run("download resource shop//acme.org/bar/product:1.0.0 tree -O tree.tar --extraction-policy disable"), @r"
    $ ocm download resource shop//acme.org/bar/product:1.0.0 tree -O tree.tar --extraction-policy disable
    exit 0
    --- stderr
    downloaded <dir>/tree.tar (digest sha256:<digest> verified)
    ");
    assert!(cli.path("tree.tar").is_file());
    assert_snapshot!(cli.run("download resource shop//acme.org/bar/product:1.0.0 image -O image"), @r"
    $ ocm download resource shop//acme.org/bar/product:1.0.0 image -O image
    exit 0
    --- stderr
    downloaded <dir>/image (digest sha256:<digest> verified)
    ");
    assert!(cli.path("image/oci-layout").is_file());
    assert_snapshot!(cli.run("download resource shop//acme.org/bar/product:1.0.0 file -O file"), @r"
    $ ocm download resource shop//acme.org/bar/product:1.0.0 file -O file
    exit 0
    --- stderr
    downloaded <dir>/file (digest sha256:<digest> verified)
    ");
}

#[test]
fn the_program_tells_its_version_and_completes() {
    let cli = source();
    let run = cli.run("version");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(
        run.stdout
            .starts_with(concat!("ocm ", env!("CARGO_PKG_VERSION")))
    );
    for shell in ["bash", "zsh", "fish"] {
        assert!(cli.ok(&format!("completion {shell}")).contains("transfer"));
    }
}
