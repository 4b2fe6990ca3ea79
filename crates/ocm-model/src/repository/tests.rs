use serde_json::json;

use super::*;

fn registry(text: &str) -> (String, String) {
    match text.parse().unwrap() {
        RepositorySpec::Oci(oci) => (oci.base_url.to_string(), oci.sub_path),
        other => panic!("{text}: {other:?} is no registry"),
    }
}

fn archive(text: &str) -> CtfRepository {
    match text.parse().unwrap() {
        RepositorySpec::Ctf(ctf) => ctf,
        other => panic!("{text}: {other:?} is no archive"),
    }
}

#[test]
fn texts_that_mean_registries() {
    for (text, base_url, sub_path) in [
        ("ghcr.io/my-org/my-repo", "ghcr.io", "my-org/my-repo"),
        ("ghcr.io", "ghcr.io", ""),
        ("localhost", "localhost", ""),
        ("localhost:5000/my-repo", "localhost:5000", "my-repo"),
        ("1.2.3.4:5000/my-repo", "1.2.3.4:5000", "my-repo"),
        ("[::1]:5000/my-repo", "[::1]:5000", "my-repo"),
        (
            "https://registry.example.com/my-repo",
            "https://registry.example.com",
            "my-repo",
        ),
        ("http://registry:5000", "http://registry:5000", ""),
        ("oci://ghcr.io/acme/", "oci://ghcr.io", "acme"),
        ("HTTPS://ghcr.io", "https://ghcr.io", ""),
        ("https://ghcr.io/a/../b", "https://ghcr.io", "a/../b"),
        (
            "ghcr.io/my-org/repo/../repo",
            "ghcr.io",
            "my-org/repo/../repo",
        ),
        ("ghcr.io/team..name", "ghcr.io", "team..name"),
        ("localhost:5000/a..b", "localhost:5000", "a..b"),
        ("registry.io:5000/x/../y", "registry.io:5000", "x/../y"),
        ("target-registry.internal", "target-registry.internal", ""),
        ("my.archive", "my.archive", ""),
        ("oci::ghcr.io/my-org/my-repo", "ghcr.io", "my-org/my-repo"),
        ("OCIRepository/v1::registry/x", "registry", "x"),
        ("OCIRegistry::ghcr.io", "ghcr.io", ""),
    ] {
        assert_eq!(
            registry(text),
            (base_url.to_owned(), sub_path.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn texts_that_mean_archives() {
    for (text, path) in [
        ("transport-archive", "transport-archive"),
        ("./non-existing-archive", "./non-existing-archive"),
        ("../relative/path", "../relative/path"),
        ("../../../relative/path", "../../../relative/path"),
        ("../a/../b", "../a/../b"),
        ("test/../../neighbour", "test/../../neighbour"),
        ("./test.path.with.dot", "./test.path.with.dot"),
        ("/tmp/test-archive", "/tmp/test-archive"),
        ("/tmp/x.y:z", "/tmp/x.y:z"),
        ("file://../rel/archive", "../rel/archive"),
        ("file:///abs/archive", "/abs/archive"),
        ("C:\\TEMP\\ctf", "C:\\TEMP\\ctf"),
        ("D:/TEMP/ctf", "D:/TEMP/ctf"),
        ("archive.tar", "archive.tar"),
        ("archive.TGZ", "archive.TGZ"),
        ("archive.tar.gz", "archive.tar.gz"),
        ("archive.ctf", "archive.ctf"),
        ("some/archive.ctf/", "some/archive.ctf/"),
        ("localhost/x", "localhost/x"),
        (".", "."),
        ("ctf::./local/archive", "./local/archive"),
        ("ctf::ghcr.io", "ghcr.io"),
        ("CommonTransportFormat/v1::x", "x"),
    ] {
        assert_eq!(archive(text).path, path, "{text}");
    }
}

#[test]
fn component_archives_are_named_by_their_type() {
    for text in [
        "ca::x.tgz",
        "ComponentArchive::x.tgz",
        "ComponentArchive/v1::x.tgz",
    ] {
        let spec: RepositorySpec = text.parse().unwrap();
        let expected = ComponentArchiveRepository::new("x.tgz");
        assert_eq!(spec, RepositorySpec::ComponentArchive(expected), "{text}");
    }
    let RepositorySpec::ComponentArchive(archive) = "ca+directory::x".parse().unwrap() else {
        panic!("no component archive");
    };
    assert_eq!(archive.format, Some(CtfFormat::Directory));
}

#[test]
fn what_exists_is_an_archive() {
    let exists = |path: &str| path == "my.archive" || path == "localhost:5000";
    let parse = |text: &str| RepositorySpec::parse(text, exists).unwrap();
    assert_eq!(
        parse("my.archive"),
        RepositorySpec::Ctf(CtfRepository::new("my.archive"))
    );
    assert!(matches!(parse("localhost:5000"), RepositorySpec::Ctf(_)));
    assert!(matches!(parse("oci::my.archive"), RepositorySpec::Oci(_)));
    assert!(matches!(
        parse("https://my.archive"),
        RepositorySpec::Oci(_)
    ));
}

#[test]
fn formats_and_creation_are_written_as_v1_does() {
    let ctf = archive("+ctf+tgz::x");
    assert_eq!(ctf.format(), CtfFormat::Tgz);
    assert_eq!(ctf.access_mode, Some(AccessMode::Create));
    assert_eq!(archive("directory::x.tgz").format(), CtfFormat::Directory);
    assert_eq!(archive("tar::x").format(), CtfFormat::Tar);
    for (path, format) in [
        ("x.tar", CtfFormat::Tar),
        ("x.tar.gz", CtfFormat::Tgz),
        ("X.TGZ", CtfFormat::Tgz),
        ("x", CtfFormat::Directory),
    ] {
        assert_eq!(archive(&format!("ctf::{path}")).format(), format);
    }
}

#[test]
fn malformed_repositories_say_why() {
    let reason = |text: &str| text.parse::<RepositorySpec>().unwrap_err().to_string();
    for (text, message) in [
        ("", "repository has no location"),
        ("ctf::", "repository has no location"),
        ("ca::file://", "repository has no location"),
        (
            "git::x",
            "repository type `git` is not known; known are `oci`, `ctf` and `ca`",
        ),
        (
            "oci+tgz::x",
            "repository type `oci+tgz` is not known; known are `oci`, `ctf` and `ca`",
        ),
        (
            "ctf/v2::x",
            "repository type `ctf/v2` is not known; known are `oci`, `ctf` and `ca`",
        ),
        (
            "ssh://ghcr.io",
            "scheme `ssh` is not that of a registry; use `https`, `http` or `oci`",
        ),
        (
            "https://",
            "`https://` does not start with the host of a registry",
        ),
        (
            "https:///x",
            "`https:///x` does not start with the host of a registry",
        ),
        (
            "gh cr.io",
            "`gh cr.io` does not start with the host of a registry",
        ),
        (
            "[::g]:1/x",
            "`[::g]:1/x` does not start with the host of a registry",
        ),
        (
            "ghcr.io:x",
            "`ghcr.io:x` has a port that is no number from 0 to 65535",
        ),
        (
            "ghcr.io:+1",
            "`ghcr.io:+1` has a port that is no number from 0 to 65535",
        ),
        (
            "ghcr.io:65536",
            "`ghcr.io:65536` has a port that is no number from 0 to 65535",
        ),
        (
            "https://user:secret@ghcr.io",
            "registry must not have a user name or password; configure credentials instead",
        ),
        ("{", "repository specification is not well-formed JSON"),
        ("{}", "repository specification cannot be used"),
    ] {
        assert_eq!(reason(text), message, "{text}");
    }
}

#[test]
fn specifications_are_read_under_all_names() {
    let read = |value: Value| -> RepositorySpec { serde_json::from_value(value).unwrap() };
    for name in [
        "OCIRepository",
        "OCI",
        "oci",
        "OCIRegistry",
        "ociRegistry",
        "OCIRegistry/v1",
    ] {
        let spec = read(json!({"type": name, "baseUrl": "https://ghcr.io/a", "subPath": "/b/"}));
        let RepositorySpec::Oci(oci) = spec else {
            panic!("{name} is no registry");
        };
        assert_eq!(oci.to_string(), "https://ghcr.io/a/b");
    }
    for (mode, expected) in [
        (json!("readwrite|create"), AccessMode::Create),
        (json!("readonly"), AccessMode::ReadOnly),
        (json!(1), AccessMode::ReadWrite),
    ] {
        let spec = read(json!({"type": "CTF", "filePath": "x", "accessMode": mode}));
        let RepositorySpec::Ctf(ctf) = &spec else {
            panic!("no archive");
        };
        assert_eq!(ctf.access_mode, Some(expected));
        assert_eq!(read(serde_json::to_value(&spec).unwrap()), spec);
    }
    for name in ["ComponentArchive", "ComponentArchive/v1"] {
        let spec = read(json!({"type": name, "filePath": "file://x", "fileFormat": "tgz"}));
        let RepositorySpec::ComponentArchive(archive) = &spec else {
            panic!("{name} is no component archive");
        };
        assert_eq!(
            (archive.path.as_str(), archive.format),
            ("x", Some(CtfFormat::Tgz))
        );
        assert_eq!(read(serde_json::to_value(&spec).unwrap()), spec);
    }
    let other = json!({"type": "acme/v1", "filePath": "x", "new": [null]});
    assert_eq!(serde_json::to_value(read(other.clone())).unwrap(), other);
    let broken = json!({"type": "CTF", "filePath": "x", "accessMode": "all"});
    assert!(serde_json::from_value::<RepositorySpec>(broken).is_err());
}

#[test]
fn a_repository_reads_as_it_prints() {
    for text in [
        "ghcr.io/acme",
        "http://localhost:5000",
        "./archive",
        "oci::registry/x",
        "ctf::my.archive",
        "ctf+tgz::x",
        "ca::./archive",
        "ca+tar::x",
        "ca::file://file://x",
        r#"{"type":"acme","x":1}"#,
    ] {
        assert_eq!(text.parse::<RepositorySpec>().unwrap().to_string(), text);
    }
}

#[test]
fn what_no_location_says_is_printed_as_json() {
    for spec in [
        json!({"type": "OCIRegistry", "baseUrl": "ghcr.io", "componentNameMapping": "sha256-digest"}),
        json!({"type": "CTF", "filePath": "x", "accessMode": "readwrite"}),
    ] {
        let spec: RepositorySpec = serde_json::from_value(spec).unwrap();
        assert_eq!(spec.to_string().parse::<RepositorySpec>().unwrap(), spec);
    }
}

#[test]
fn loopback_hosts_are_told_apart() {
    let is_loopback = |text: &str| {
        text.parse::<OciRepository>()
            .unwrap()
            .base_url
            .is_loopback()
    };
    assert!(
        ["localhost:5001", "127.0.0.1", "[::1]:5000"]
            .into_iter()
            .all(is_loopback)
    );
    assert!(
        !["ghcr.io", "10.0.0.1", "localhost.acme.org"]
            .into_iter()
            .any(is_loopback)
    );
}

#[test]
fn descriptors_of_a_component_have_their_own_repository() {
    let name = "acme.org/shop".parse().unwrap();
    let repository = |text: &str| {
        text.parse::<OciRepository>()
            .unwrap()
            .component_repository(&name)
    };
    assert_eq!(repository("ghcr.io"), "component-descriptors/acme.org/shop");
    assert_eq!(
        repository("ghcr.io/a/b"),
        "a/b/component-descriptors/acme.org/shop"
    );
}
