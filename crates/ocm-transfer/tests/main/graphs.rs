//! Graphs of transformations, as the second Go tool stores them.

use ocm_model::RepositorySpec;
use ocm_transfer::plan::MAX_SIZE;
use ocm_transfer::{GraphTransfer, Step, StoredPlan, read_transformation_graph};

fn document(name: &str) -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../conformance/transfer-spec"
    );
    std::fs::read_to_string(format!("{path}/{name}.yaml")).unwrap()
}

fn read(name: &str) -> GraphTransfer {
    let transfers = read_transformation_graph(document(name).as_bytes()).unwrap();
    assert_eq!(transfers.len(), 1, "{name}");
    transfers.into_iter().next().unwrap()
}

fn by_value(name: &str) -> Step {
    Step::CopyByValue {
        reference_name: Some(name.to_owned()),
    }
}

fn upload(path: &str) -> Step {
    Step::UploadArtifact {
        path: path.parse().unwrap(),
        tag: Some("1.0.0".parse().unwrap()),
    }
}

#[track_caller]
fn check(name: &str, target: &str, elsewhere: [Step; 3]) {
    let transfer = read(name);
    assert_eq!(transfer.target.to_string(), target);
    let ids: Vec<String> = transfer
        .versions
        .iter()
        .map(|version| version.descriptor.id().to_string())
        .collect();
    assert_eq!(ids, ["acme.org/shop:1.0.0", "acme.org/base:1.0.0"]);
    for version in &transfer.versions {
        let Some(RepositorySpec::Ctf(source)) = &version.source else {
            panic!("{:?}", version.source);
        };
        assert_eq!(source.path, "./source");
    }
    let local = [Step::CopyLocalBlob, Step::CopyLocalBlob];
    let expected: Vec<Step> = local.into_iter().chain(elsewhere).collect();
    assert_eq!(transfer.versions[0].steps, expected);
    assert_eq!(transfer.versions[1].steps, [Step::CopyLocalBlob]);
}

#[test]
fn what_the_go_tool_has_stored_is_read() {
    let kept = [Step::Keep, Step::Keep, Step::Keep];
    check("archive", "+./target", kept);
    check(
        "copied",
        "+./target",
        [
            by_value("acme/web:1.0.0"),
            by_value("page"),
            by_value("charts/web:1.0.0"),
        ],
    );
    check(
        "uploaded",
        "http://registry.example/mirror",
        [upload("acme/web"), by_value("page"), upload("charts/web")],
    );
    let embedded = read("embedded");
    assert_eq!(embedded.versions[0].source, None);
    assert!(embedded.versions[0].steps.is_empty());
}

#[test]
fn a_graph_is_told_from_a_plan() {
    let graph = StoredPlan::read(document("archive").as_bytes()).unwrap();
    assert!(matches!(graph, StoredPlan::Graph(_)), "{graph:?}");
    for other in [
        "",
        "[]",
        "transformations",
        "{",
        "\u{0}",
        "transformations: [",
    ] {
        assert!(StoredPlan::read(other.as_bytes()).is_err(), "{other}");
    }
    assert!(StoredPlan::read(&vec![b' '; MAX_SIZE + 1]).is_err());
}

/// Checks that a document with one change is refused, and why.
#[track_caller]
fn check_refused(name: &str, from: &str, to: &str, reason: &str) {
    let text = document(name);
    assert!(text.contains(from), "{from}");
    let error = read_transformation_graph(text.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn what_is_not_understood_is_refused_and_named() {
    check_refused(
        "archive",
        "CTFGetLocalResource/v1alpha1",
        "RunScript/v1alpha1",
        "`transformAcmeOrgShop100GettransformTextLinux100`: its type `RunScript/v1alpha1`",
    );
    check_refused("archive", "/v1alpha1", "/v9", "is not known");
    check_refused(
        "archive",
        "id: transformAcmeOrgShop100GettransformImage100",
        "id: transformAcmeOrgShop100GettransformTextLinux100",
        "its id is there twice",
    );
    check_refused(
        "archive",
        "labels: ${environment.transformAcmeOrgShop100.component.labels}",
        "labels: [{name: added, value: 1}]",
        "`spec.descriptor.component.labels` is not",
    );
    check_refused(
        "archive",
        "descriptor:\n      component:\n        componentReferences: ${environment.",
        "descriptor:\n      component:\n        componentReferences: ${other.",
        "componentReferences` is not",
    );
    check_refused(
        "archive",
        "- ${transformAcmeOrgShop100AddtransformTextLinux100.output.resource}",
        "- ${nothing.output.resource}",
        "`nothing.output.resource` names nothing",
    );
    check_refused(
        "archive",
        "- ${transformAcmeOrgShop100AddtransformTextLinux100.output.resource}",
        "- ${transformAcmeOrgShop100AddtransformImage100.output.resource}",
        "it reads `name=image,version=1.0.0`, but resource 0 is",
    );
    check_refused(
        "archive",
        "- ${transformAcmeOrgShop100AddtransformTextLinux100.output.resource}",
        "- ${environment.transformAcmeOrgShop100.component.resources[0]}",
        "is a local blob that nothing brings",
    );
    check_refused(
        "archive",
        "- ${environment.transformAcmeOrgShop100.component.resources[2]}",
        "- ${has(a)?b:c}",
        "names nothing that is known here",
    );
    check_refused(
        "archive",
        "resources:\n        - ${",
        "resources:\n        - {}\n        - ${",
        "are not those of",
    );
    check_refused(
        "embedded",
        "environment.transform",
        "environment.other",
        "there is no `environment.other",
    );
    check_refused(
        "uploaded",
        "imageReference: http://registry.example/mirror/acme",
        "imageReference: http://other.example/mirror/acme",
        "is not in the target",
    );
}

#[test]
fn bytes_that_are_no_graph_are_refused() {
    for text in [
        "",
        "[]",
        "transformations: []",
        "transformations: [{}]",
        "transformations: [{id: a, type: OCIAddComponentVersion, spec: {}}]",
        "transformations: [{id: a, type: OCIAddComponentVersion, spec: {repository: {}}}]",
        "{transformations: [], own: 1}",
    ] {
        assert!(
            read_transformation_graph(text.as_bytes()).is_err(),
            "{text}"
        );
    }
    assert!(read_transformation_graph(b"\xff").is_err());
    assert!(read_transformation_graph(&vec![b' '; MAX_SIZE + 1]).is_err());
}
