use super::*;

const DIGEST: &str = "sha256:5b0bcabd1ed22e9fb1310cf6c2dec7cdef19f0ad69efa1f392e94a4333501270";

/// Repository (with its type), component, version, digest; `-` for what is absent.
#[track_caller]
fn check(text: &str, expected: [&str; 4]) {
    check_with(text, &[], expected);
}

#[track_caller]
fn check_with(text: &str, existing: &[&str], expected: [&str; 4]) {
    let reference = ComponentRef::parse(text, |path| existing.contains(&path)).unwrap();
    let repository = match &reference.repository {
        None => "-".to_owned(),
        Some(RepositorySpec::Oci(oci)) => format!("oci {oci}"),
        Some(RepositorySpec::Ctf(ctf)) => format!("ctf {}", ctf.path),
        Some(RepositorySpec::ComponentArchive(archive)) => format!("ca {}", archive.path),
        Some(RepositorySpec::Other(spec)) => format!("other {}", spec.type_text()),
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let found = [
        repository,
        reference.component.to_string(),
        or_dash(reference.version.as_ref().map(ToString::to_string)),
        or_dash(reference.digest.as_ref().map(ToString::to_string)),
    ];
    assert_eq!(found.each_ref().map(String::as_str), expected, "{text}");
}

#[track_caller]
fn refused(text: &str, message: &str) {
    assert_eq!(
        text.parse::<ComponentRef>().unwrap_err().to_string(),
        message
    );
}

#[test]
fn double_slashes_separate() {
    let ocm = "oci github.com/open-component-model/ocm";
    let text = "github.com/open-component-model/ocm//ocm.software/ocmcli";
    check(
        &format!("{text}:0.23.0"),
        [ocm, "ocm.software/ocmcli", "0.23.0", "-"],
    );
    check(
        &format!("{text}:v0.1+b"),
        [ocm, "ocm.software/ocmcli", "v0.1+b", "-"],
    );
    check(
        &format!("{text}:latest"),
        [ocm, "ocm.software/ocmcli", "latest", "-"],
    );
    check(
        &format!("{text}@{DIGEST}"),
        [ocm, "ocm.software/ocmcli", "-", DIGEST],
    );
    check(
        &format!("{text}:1@{DIGEST}"),
        [ocm, "ocm.software/ocmcli", "1", DIGEST],
    );
    check(text, [ocm, "ocm.software/ocmcli", "-", "-"]);
    check("./my-path//a.bc/d:1", ["ctf ./my-path", "a.bc/d", "1", "-"]);
    check(
        "ctf::./my-path//a.bc/d",
        ["ctf ./my-path", "a.bc/d", "-", "-"],
    );
    check(
        "ctf::./x.ctf//a.bc/d:1",
        ["ctf ./x.ctf", "a.bc/d", "1", "-"],
    );
    check(
        "transport-archive//a.bc/d",
        ["ctf transport-archive", "a.bc/d", "-", "-"],
    );
    check(
        "localhost:5000//a.bc/d",
        ["oci localhost:5000", "a.bc/d", "-", "-"],
    );
    check("a//b//a.bc/d", ["ctf a//b", "a.bc/d", "-", "-"]);
}

#[test]
fn component_descriptors_separate() {
    let with = |repository: &str| format!("{repository}/component-descriptors/a.bc/d:1");
    check(&with("ghcr.io/x"), ["oci ghcr.io/x", "a.bc/d", "1", "-"]);
    check(
        &with("oci::http://ghcr.io/x"),
        ["oci http://ghcr.io/x", "a.bc/d", "1", "-"],
    );
    check(
        &with("oci::ghcr.io:80/x"),
        ["oci ghcr.io:80/x", "a.bc/d", "1", "-"],
    );
    check(&with("ctf::/tmp/ctf"), ["ctf /tmp/ctf", "a.bc/d", "1", "-"]);
    check(
        &with("./relative/path"),
        ["ctf ./relative/path", "a.bc/d", "1", "-"],
    );
    check(&with("a//b"), ["ctf a//b", "a.bc/d", "1", "-"]);
}

#[test]
fn windows_paths_are_read() {
    for text in [
        "C:\\TEMP\\ctf\\component-descriptors\\a.bc/d:0.1.0",
        "C:/TEMP/ctf/component-descriptors/a.bc/d:0.1.0",
        "C:\\TEMP\\ctf//a.bc/d:0.1.0",
    ] {
        check(text, ["ctf C:/TEMP/ctf", "a.bc/d", "0.1.0", "-"]);
    }
}

#[test]
fn all_ways_to_write_a_part_combine() {
    let repositories = [
        ("https://github.com/a/b", "oci https://github.com/a/b"),
        ("http://github.com/a/b", "oci http://github.com/a/b"),
        ("oci://github.com/a/b", "oci oci://github.com/a/b"),
        ("github.com/a/b", "oci github.com/a/b"),
        ("localhost:5000/a/b", "oci localhost:5000/a/b"),
        ("[::1]:5000/a", "oci [::1]:5000/a"),
        ("1.2.3.5:5000/a", "oci 1.2.3.5:5000/a"),
        ("./local/path", "ctf ./local/path"),
        ("file://./local/path", "ctf ./local/path"),
        ("file:///local/path", "ctf /local/path"),
        ("/absolute/path", "ctf /absolute/path"),
        ("D:/data/archive", "ctf D:/data/archive"),
    ];
    for (repository, expected) in repositories {
        let kind = &expected[..3];
        for kind in [String::new(), format!("{kind}::")] {
            for separator in SEPARATORS {
                for version in ["-", "1.2.3", "v0.1.0"] {
                    for digest in ["-", DIGEST] {
                        let mut text = format!("{kind}{repository}{separator}ocm.software/cli");
                        if version != "-" {
                            text = format!("{text}:{version}");
                        }
                        if digest != "-" {
                            text = format!("{text}@{digest}");
                        }
                        check(&text, [expected, "ocm.software/cli", version, digest]);
                        let reference: ComponentRef = text.parse().unwrap();
                        assert_eq!(reference.to_string().parse(), Ok(reference), "{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn after_a_host_the_right_most_component_name_is_the_component() {
    check(
        "ghcr.io/acme.org/product:1.0.0",
        ["oci ghcr.io", "acme.org/product", "1.0.0", "-"],
    );
    check(
        "ghcr.io/x/acme.org/a/b",
        ["oci ghcr.io/x", "acme.org/a/b", "-", "-"],
    );
    check(
        "localhost/acme.org/a",
        ["oci localhost", "acme.org/a", "-", "-"],
    );
    check(
        "localhost:5001/acme.org/a:1",
        ["oci localhost:5001", "acme.org/a", "1", "-"],
    );
    check(
        "https://host/acme.org/x",
        ["oci https://host", "acme.org/x", "-", "-"],
    );
    check(
        "http://host:80/y/acme.org/x:1",
        ["oci http://host:80/y", "acme.org/x", "1", "-"],
    );
    check("oci::host/acme.org/x", ["oci host", "acme.org/x", "-", "-"]);
    check(
        "ghcr.io/acme.org/foo.bar/baz",
        ["oci ghcr.io/acme.org", "foo.bar/baz", "-", "-"],
    );
}

#[test]
fn a_path_that_exists_is_the_repository() {
    let existing = ["./archive", "archive", "ghcr.io"];
    check_with(
        "./archive/acme.org/a:1",
        &existing,
        ["ctf ./archive", "acme.org/a", "1", "-"],
    );
    check_with(
        "archive/acme.org/a",
        &existing,
        ["ctf archive", "acme.org/a", "-", "-"],
    );
    check_with(
        "ghcr.io/acme.org/a",
        &existing,
        ["ctf ghcr.io", "acme.org/a", "-", "-"],
    );
    check_with(
        "oci::ghcr.io/acme.org/a",
        &existing,
        ["oci ghcr.io", "acme.org/a", "-", "-"],
    );
    check_with(
        "my.dir//acme.org/a",
        &["my.dir"],
        ["ctf my.dir", "acme.org/a", "-", "-"],
    );
    check(
        "ctf::./archive/acme.org/a",
        ["ctf ./archive", "acme.org/a", "-", "-"],
    );
}

#[test]
fn a_bare_component_has_no_repository() {
    check(
        "acme.org/product:1.0.0",
        ["-", "acme.org/product", "1.0.0", "-"],
    );
    check("acme.org/a/b", ["-", "acme.org/a/b", "-", "-"]);
    // It cannot be told from a repository without component.
    check("ghcr.io/org/comp:1", ["-", "ghcr.io/org/comp", "1", "-"]);
    check(
        &format!("acme.org/a@{DIGEST}"),
        ["-", "acme.org/a", "-", DIGEST],
    );
    let id = "acme.org/a:1"
        .parse::<ComponentRef>()
        .unwrap()
        .id()
        .unwrap();
    assert_eq!(ComponentRef::bare(id).to_string(), "acme.org/a:1");
}

#[test]
fn a_specification_in_json_is_a_repository() {
    check(
        r#"{"type":"OCIRegistry","baseUrl":"https://ghcr.io","subPath":"a"}//a.bc/d:1"#,
        ["oci https://ghcr.io/a", "a.bc/d", "1", "-"],
    );
    check(
        r#"{"type":"acme","url":"x//y:z"}//a.bc/d"#,
        ["other acme", "a.bc/d", "-", "-"],
    );
}

#[test]
fn malformed_references_say_why() {
    let hint = "names no component; separate repository and component with `//`, as in \
                `ghcr.io/acme//acme.org/shop:1.0.0`";
    for text in [
        "",
        "x",
        "ghcr.io",
        "./archive/acme.org/a",
        "localhost:5001",
        "oci::acme.org/a",
        "https://acme.org/a",
        "ctf::acme.org/a",
        "archive/acme.org/a",
    ] {
        refused(text, &format!("`{text}` {hint}"));
    }
    refused(
        "ghcr.io//acme",
        "component name `acme` has no path after its domain, as in `acme.org/shop`",
    );
    refused("//acme.org/a", "repository has no location");
    refused(
        "git::x//acme.org/a",
        "repository type `git` is not known; known are `oci`, `ctf` and `ca`",
    );
    refused(
        "ghcr.io//acme.org/a:",
        "`` is not a version such as `1.2.3`, `v1.2` or `1.0.0-rc.1+build`",
    );
    refused(
        "ghcr.io//acme.org/a@x",
        "digest `x` does not name its algorithm, as in `sha256:…`",
    );
    refused(
        "ssh://ghcr.io//acme.org/a",
        "scheme `ssh` is not that of a registry; use `https`, `http` or `oci`",
    );
}
