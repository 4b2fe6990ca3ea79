//! Resources on a real API server, with a real registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm_controllers::api::{Component, Resource, ResourceStatus};
use ocm_testkit::web::{Answer, Github, S3, Web, files};
use ocm_testkit::{Fault, GitServer, Registry, git};
use serde_json::{Value, json};

use crate::delivery::{Packing, component, digest_of, repository, resource, wrong_digest};
use crate::running::{gone, kubectl, look_again, of_resource, operator, wait};
use crate::world::{COMPONENT, apply, cluster, key, public};

const READY: &str = "True Succeeded: Applied version 1.0.0";
const YAML: &str = "application/yaml";

async fn says(namespace: &str, name: &str, readiness: &str) -> ResourceStatus {
    let found = wait(namespace, name, |it: &Resource| {
        of_resource(it) == readiness
    });
    found.await.status.unwrap()
}

async fn begins(namespace: &str, name: &str, readiness: &str) -> Resource {
    let begins = |it: &Resource| of_resource(it).starts_with(readiness);
    wait(namespace, name, begins).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_found_and_said_of_what_it_is() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let packing = Packing::start(&registry, "1.0.0").await;
    packing.blob("notes", YAML, b"notes").await.put().await;
    let fields = "  additionalStatusFields:
    type: resource.type
    oci: resource.access.toOCI()
    parts: {of: 'resource.digest.hashAlgorithm + \"!\"', size: size(resource.name)}
";
    let objects = [
        repository(&registry),
        component("1.0.0", ""),
        resource("it", "notes", fields),
    ];
    apply(&namespace, &objects.concat());
    let status = says(&namespace, "it", READY).await;
    assert_eq!(status.observed_generation, Some(1));
    let info = status.resource.unwrap();
    assert_eq!((&*info.name, &*info.kind), ("notes", "blob"));
    assert_eq!(info.version.as_deref(), Some("1.0.0"));
    assert_eq!(json!(info.digest), digest_of(b"notes"));
    assert_eq!(info.access["mediaType"], YAML);
    let containing = status.component.unwrap();
    assert_eq!(
        (&*containing.component, &*containing.version),
        (COMPONENT, "1.0.0")
    );
    assert_eq!(containing.repository_spec["type"], "OCIRegistry");
    let digest = format!("sha256:{}", info.digest.unwrap().value);
    assert_eq!(
        status.additional.map(Value::Object),
        Some(json!({
            "type": "blob",
            "oci": {
                "host": registry.host(), "registry": registry.host(), "tag": "",
                "repository": format!("component-descriptors/{COMPONENT}"),
                "digest": digest, "reference": digest,
            },
            "parts": {"of": "SHA-256!", "size": 5},
        }))
    );

    // What is no longer asked for is no longer said.
    apply(&namespace, &resource("it", "notes", ""));
    let cleared = |it: &Resource| {
        let status = it.status.as_ref().unwrap();
        of_resource(it) == READY
            && status.observed_generation == Some(2)
            && status.additional.is_none()
    };
    wait(&namespace, "it", cleared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_that_fail_or_take_too_much_are_named_and_change_nothing() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let packing = Packing::start(&registry, "1.0.0").await;
    packing.blob("notes", YAML, b"notes").await.put().await;
    let with = |expression: &str| {
        let fields = format!("  additionalStatusFields: {{a: {{b: '{expression}'}}}}\n");
        resource("it", "notes", &fields)
    };
    let objects = [
        repository(&registry),
        component("1.0.0", ""),
        with("resource.name"),
    ];
    apply(&namespace, &objects.concat());
    says(&namespace, "it", READY).await;
    for (expression, expected) in [
        ("resource.nothing", "expression failed: "),
        ("((", "expression cannot be parsed: "),
        (
            "[1,2,3,4,5,6,7,8,9].map(a, [1,2,3,4,5,6,7,8,9].map(b, [1,2,3,4,5,6,7,8,9].map(c, \
             [1,2,3,4,5,6,7,8,9].map(d, [1,2,3,4,5,6,7,8,9].map(e, \
             [1,2,3,4,5,6,7,8,9].map(f, [1,2,3,4,5,6,7,8,9].map(g, a + b + c)))))))",
            "expression exceeds a limit: ",
        ),
    ] {
        apply(&namespace, &with(expression));
        let prefix = format!("False StatusSetFailed: additional status field \"a.b\": {expected}");
        let failed = begins(&namespace, "it", &prefix).await.status.unwrap();
        let before = json!({"a": {"b": "notes"}});
        assert_eq!(
            failed.additional.map(Value::Object),
            Some(before),
            "{expression}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_every_sort_of_server_is_compared_with_its_digest() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let index = "entries: {notes: [{name: notes, version: 1.0.0, urls: [notes-1.0.0.tgz]}]}";
    let web = Web::start(files([
        ("/index.yaml", index.as_bytes().to_vec()),
        ("/notes-1.0.0.tgz", b"chart".to_vec()),
        ("/notes.yaml", b"notes".to_vec()),
    ]));
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let archives = Web::start(|asked| match asked.path() {
        "/acme/notes.tgz" => Answer::file("archive").without_tag(),
        _ => Answer::status(404),
    });
    let hosted = Github {
        commit: commit.to_owned(),
        branch: commit.to_owned(),
        archive: archives.url("/acme/notes.tgz"),
    };
    let hosted = Web::start(hosted.answer());
    let bucket = Web::start(S3::new("acme").with("notes", "object").answer());
    let accesses = [
        (
            "wget",
            json!({"type": "wget", "url": web.url("/notes.yaml")}),
            &b"notes"[..],
        ),
        (
            "helm",
            json!({"type": "helm", "helmRepository": web.url(""), "helmChart": "notes:1.0.0"}),
            b"chart",
        ),
        (
            "github",
            json!({"type": "gitHub", "repoUrl": hosted.url("/acme/notes.git"), "commit": commit}),
            b"archive",
        ),
        (
            "s3",
            json!({
                "type": "S3Bucket/v1", "bucketName": "acme", "objectKey": "notes",
                "region": "eu-central-1", "endpoint": bucket.url(""), "usePathStyle": true,
            }),
            b"object",
        ),
    ];
    let mut packing = Packing::start(&registry, "1.0.0").await;
    let mut objects = repository(&registry) + &component("1.0.0", "");
    for (name, access, content) in accesses {
        let wrong = format!("{name}-wrong");
        packing = packing.resource(name, &access, Some(digest_of(content)));
        packing = packing.resource(&wrong, &access, Some(wrong_digest()));
        objects += &resource(name, name, "");
        objects += &resource(&wrong, &wrong, "");
        objects += &resource(
            &format!("{name}-never"),
            &wrong,
            "  verificationPolicy: Never\n",
        );
    }
    packing.put().await;
    apply(&namespace, &objects);
    for name in ["wget", "helm", "github", "s3"] {
        let status = says(&namespace, name, READY).await;
        assert!(status.resource.unwrap().digest.is_some(), "{name}");
        let wrong = format!("{name}-wrong");
        let refused = begins(&namespace, &wrong, "False GetOCMResourceFailed: ").await;
        assert!(
            of_resource(&refused).contains("digest mismatch: sha256:"),
            "{refused:?}"
        );
        says(&namespace, &format!("{name}-never"), READY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_git_repositories_is_compared_with_its_digest() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().join("notes");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("README"), "notes").unwrap();
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "--message", "first"]);
    let commit = git(&work, &["rev-parse", "HEAD"]);
    git(
        directory.path(),
        &["clone", "--quiet", "--bare", "notes", "notes.git"],
    );
    let server = GitServer::start(directory.path());
    let address = format!("http://{}/notes.git", server.host());
    let access = |address: &str| json!({"type": "git", "repository": address, "commit": commit});
    // A path is one of the controllers' machine, where this repository is.
    let path = work.display().to_string();
    let packing = Packing::start(&registry, "1.0.0").await;
    packing
        .resource("wrong", &access(&address), Some(wrong_digest()))
        .resource("free", &access(&address), None)
        .resource("path", &access(&path), Some(wrong_digest()))
        .put()
        .await;
    let objects = [
        repository(&registry),
        component("1.0.0", ""),
        resource("wrong", "wrong", ""),
        resource("free", "free", ""),
        resource("path", "path", ""),
    ];
    apply(&namespace, &objects.concat());
    let refused = begins(&namespace, "wrong", "False GetOCMResourceFailed: ").await;
    let message = of_resource(&refused);
    let (_, actual) = message.split_once("the content has sha256:").unwrap();
    says(&namespace, "free", READY).await;
    says(&namespace, "path", READY).await;
    let right = json!({
        "hashAlgorithm": "SHA-256", "normalisationAlgorithm": "genericBlobDigest/v1",
        "value": actual,
    });
    let packing = Packing::start(&registry, "1.1.0").await;
    let packing = packing.resource("wrong", &access(&address), Some(right));
    packing.put().await;
    apply(&namespace, &component("1.1.0", ""));
    says(&namespace, "wrong", "True Succeeded: Applied version 1.1.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_named_by_what_its_tag_points_to_and_must_have_its_digest() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    // Another component version is an artifact like any other.
    let other = Packing::start(&registry, "9.0.0").await.put().await;
    let tag = format!(
        "{}/component-descriptors/{COMPONENT}:9.0.0",
        registry.host()
    );
    let access = json!({"type": "ociArtifact", "imageReference": format!("http://{tag}")});
    let wrong = json!({
        "hashAlgorithm": "SHA-256", "normalisationAlgorithm": "ociArtifactDigest/v1",
        "value": "0".repeat(64),
    });
    let packing = Packing::start(&registry, "1.0.0").await;
    packing
        .resource("image", &access, None)
        .resource("wrong", &access, Some(wrong))
        .put()
        .await;
    drop(other);
    let fields = "  additionalStatusFields: {oci: resource.access.imageReference.toOCI()}\n";
    let objects = [
        repository(&registry),
        component("1.0.0", ""),
        resource("image", "image", fields),
        resource("wrong", "wrong", ""),
    ];
    apply(&namespace, &objects.concat());
    let status = says(&namespace, "image", READY).await;
    let info = status.resource.unwrap();
    let digest = info.digest.unwrap();
    assert_eq!(digest.normalisation_algorithm, "ociArtifactDigest/v1");
    let reference = info.access["imageReference"].as_str().unwrap();
    assert_eq!(reference, format!("http://{tag}@sha256:{}", digest.value));
    let oci = &status.additional.unwrap()["oci"];
    assert_eq!(oci["reference"], format!("9.0.0@sha256:{}", digest.value));
    assert_eq!(oci["registry"], registry.host());
    let refused = begins(&namespace, "wrong", "False GetOCMResourceFailed: ").await;
    assert!(
        of_resource(&refused).contains("digest mismatch"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_references_is_followed_with_the_digests_that_it_states() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let ocm = ocm::Ocm::new(ocm::Environment::default());
    let part = Packing::with(&ocm, &registry, "acme.org/part", "2.0.0").await;
    let part = part.blob("notes", YAML, b"notes").await.put().await;
    let middle = Packing::with(&ocm, &registry, "acme.org/middle", "1.5.0").await;
    let middle = middle.reference("part", &part).put().await;
    let wrong = json!({
        "hashAlgorithm": "SHA-256", "normalisationAlgorithm": "jsonNormalisation/v4alpha1",
        "value": "0".repeat(64),
    });
    let key = key();
    let packing = Packing::start(&registry, "1.0.0").await;
    packing
        .reference("middle", &middle)
        .reference_as("wrong", &middle, Some(wrong))
        .reference_as("open", &middle, None)
        .put_signed("acme", &key)
        .await;
    let path = |name: &str, first: &str, more: &str| {
        format!(
            "apiVersion: delivery.ocm.software/v1alpha1
kind: Resource
metadata: {{name: {name}}}
spec:
  componentRef: {{name: it, namespace: {namespace}}}
  resource:
    byReference:
      resource: {{name: notes}}
      referencePath: [{{name: {first}}}, {{name: part, version: 2.0.0}}]
{more}---
"
        )
    };
    let objects = [
        repository(&registry),
        component("1.0.0", ""),
        path("right", "middle", ""),
        path("wrong", "wrong", ""),
        path("missing", "missing", ""),
        path("open", "open", ""),
    ];
    apply(&namespace, &objects.concat());
    let status = says(&namespace, "right", "True Succeeded: Applied version 2.0.0").await;
    let containing = status.component.unwrap();
    assert_eq!(
        (&*containing.component, &*containing.version),
        ("acme.org/part", "2.0.0")
    );
    let mismatch = "False GetOCMResourceFailed: digest mismatch of acme.org/middle:1.5.0: ";
    begins(&namespace, "wrong", mismatch).await;
    let missing = format!(
        "False GetOCMResourceFailed: component reference with identity name=missing not found in \
         component {COMPONENT}:1.0.0 at reference path step 1"
    );
    says(&namespace, "missing", &missing).await;
    // Nobody is sure of anything here, so it is followed.
    says(&namespace, "open", "True Succeeded: Applied version 2.0.0").await;

    // With signatures, what is not covered by them is not followed, unless that is asked for.
    let value = STANDARD.encode(public(&key));
    let verify = format!("  verify: [{{signature: acme, value: {value}}}]\n");
    apply(&namespace, &component("1.0.0", &verify));
    let refused = format!(
        "False GetOCMResourceFailed: component {COMPONENT}:1.0.0 is verified, but its reference to \
         acme.org/middle:1.5.0 states no digest, so that no signature covers what it leads to"
    );
    says(&namespace, "open", &refused).await;
    says(&namespace, "right", "True Succeeded: Applied version 2.0.0").await;
    apply(
        &namespace,
        &path("open", "open", "  verificationPolicy: Never\n"),
    );
    says(&namespace, "open", "True Succeeded: Applied version 2.0.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_needs_its_component_and_follows_it() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    for version in ["1.0.0", "1.1.0"] {
        let packing = Packing::start(&registry, version).await;
        packing
            .blob("notes", YAML, version.as_bytes())
            .await
            .put()
            .await;
    }
    apply(&namespace, &resource("it", "notes", ""));
    let missing = "False ResourceIsNotAvailable: failed to locate object: \
                   components.delivery.ocm.software \"it\" not found";
    says(&namespace, "it", missing).await;
    apply(&namespace, &component("1.0.0", ""));
    let unready = format!("False ResourceIsNotAvailable: object is not ready: {namespace}/it");
    says(&namespace, "it", &unready).await;
    apply(&namespace, &repository(&registry));
    says(&namespace, "it", READY).await;
    apply(&namespace, &component("1.1.0", ""));
    let status = says(&namespace, "it", "True Succeeded: Applied version 1.1.0").await;
    assert_eq!(json!(status.resource.unwrap().digest), digest_of(b"1.1.0"));

    let elsewhere =
        resource("it", "notes", "").replace("{name: it}\n", "{name: it, namespace: other}\n");
    apply(
        &namespace,
        &elsewhere.replace(
            "metadata: {name: it, namespace: other}",
            "metadata: {name: it}",
        ),
    );
    let refused = "False InvalidSpecification: componentRef.namespace must be the namespace of this \
                   object";
    says(&namespace, "it", refused).await;
    apply(&namespace, &resource("it", "none", ""));
    let none = format!(
        "False GetOCMResourceFailed: resource with identity name=none not found in component \
         {COMPONENT}:1.1.0"
    );
    says(&namespace, "it", &none).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_goes_after_its_resources_alone_and_suspended_ones_go_too() {
    operator();
    let registry = Registry::start();
    let packing = Packing::start(&registry, "1.0.0").await;
    packing.blob("notes", YAML, b"notes").await.put().await;
    let (first, second) = (cluster().namespace(), cluster().namespace());
    let objects = [
        repository(&registry),
        component("1.0.0", ""),
        resource("it", "notes", "  suspend: true\n"),
    ];
    for namespace in [&first, &second] {
        apply(namespace, &objects.concat());
        let started = |it: &Resource| it.metadata.finalizers.is_some();
        wait(namespace, "it", started).await;
    }
    kubectl(&first, &["delete", "component", "it", "--wait=false"]);
    let held = format!(
        "False DeletionFailed: component cannot be removed as resources are still referencing it: \
         {first}/it"
    );
    wait(&first, "it", |it: &Component| {
        crate::running::of_component(it) == held
    })
    .await;
    kubectl(&first, &["delete", "resource", "it", "--wait=false"]);
    gone::<Resource>(&first, "it").await;
    // The other namespace has a resource of a component of this name as well.
    gone::<Component>(&first, "it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_fails_for_now_is_asked_again() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let web = Web::start(files([("/notes.yaml", b"notes".to_vec())]));
    let access = json!({"type": "wget", "url": web.url("/notes.yaml")});
    let packing = Packing::start(&registry, "1.0.0").await;
    let packing = packing.resource("notes", &access, Some(digest_of(b"notes")));
    packing.put().await;
    web.fail(1000, "GET", "", Fault::Status(503));
    let objects = [
        repository(&registry),
        component("1.0.0", ""),
        resource("it", "notes", ""),
    ];
    apply(&namespace, &objects.concat());
    begins(&namespace, "it", "False ").await;
    web.heal();
    says(&namespace, "it", READY).await;
    // What is known by now counts while nobody answers.
    web.fail(1000, "GET", "", Fault::Status(503));
    look_again(&namespace, "resource", "it", "1");
    apply(&namespace, &resource("it", "notes", "  interval: 1h\n"));
    let looked = |it: &Resource| {
        of_resource(it) == READY && it.status.as_ref().unwrap().observed_generation == Some(2)
    };
    wait(&namespace, "it", looked).await;
}
