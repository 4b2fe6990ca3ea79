//! Content that stands on web servers: packed by reference, verified, brought along, downloaded.

use insta::assert_snapshot;
use ocm_testkit::web::{Answer, Github, Npm, S3, Web, files, maven};
use ocm_testkit::{Cli, Fault, Run};

use crate::world::{IMPATIENT, empty};

const FOREVER: usize = usize::MAX;
const CONTENT: &[u8] = b"the content of something that stands elsewhere";
const COMMIT: &str = "5af0bb1c6bd0e1b2f9a1a3a7a6a0d2dd2c2ae6a1";

/// Returns a directory in which nobody is waited for long, with the keys `acme` and `acme.pub`.
fn world() -> Cli {
    let cli = empty();
    cli.write(".ocmconfig", IMPATIENT);
    cli.ok("create keypair acme --bits 2048");
    cli
}

/// Adds credentials for a consumer at a server to the configuration.
fn log_in(cli: &Cli, kind: &str, server: &Web, credentials: &str) {
    let (host, port) = server.host().split_once(':').unwrap();
    cli.write(
        ".ocmconfig",
        format!(
            "{IMPATIENT}- type: credentials.config.ocm.software\n  consumers:\n  - identity: \
             {{type: {kind}, hostname: {host}, port: '{port}', scheme: http}}\n    credentials:\n    \
             - {{type: Credentials/v1, properties: {{{credentials}}}}}\n"
        ),
    );
}

/// Packs a component with one resource.
fn add(cli: &Cli, content: &str) -> Run {
    cli.write(
        "src/app.yaml",
        format!(
            "name: acme.org/app\nversion: 1.0.0\nprovider: {{name: acme}}\nresources:\n\
             - name: data\n  type: blob\n  version: 1.0.0\n  {content}\n"
        ),
    );
    cli.run("add cv -r shop --component-version-conflict-policy replace src/app.yaml")
}

/// Packs and signs a component with content by reference, verifies it, brings its content along,
/// and downloads it here and there. Returns the access in the descriptor.
#[track_caller]
fn tour(cli: &Cli, access: &str, content: &[u8]) -> String {
    let run = add(cli, &format!("access: {{{access}}}"));
    assert_eq!(run.code, Some(0), "{run}");
    cli.ok("sign cv -K acme shop//acme.org/app:1.0.0");
    let kept = written(cli, "shop");
    verify(cli, "shop");
    cli.ok("transfer cv --copy-resources shop//acme.org/app:1.0.0 far");
    assert!(written(cli, "far").contains(r#""type":"LocalBlob/v1""#));
    verify(cli, "far");
    for place in ["shop", "far"] {
        cli.ok(&format!(
            "download resource {place}//acme.org/app:1.0.0 data --extraction-policy disable \
             --output got-{place}"
        ));
        assert_eq!(cli.read(format!("got-{place}")), content, "{place}");
    }
    kept
}

/// Returns the access in a descriptor.
fn written(cli: &Cli, place: &str) -> String {
    let descriptor = cli.ok(&format!("get cv {place}//acme.org/app:1.0.0 -o json"));
    let (_, access) = descriptor.split_once("\"access\":").unwrap();
    let (access, _) = access.split_once('}').unwrap();
    access.split_whitespace().collect::<String>() + "}"
}

#[track_caller]
fn verify(cli: &Cli, place: &str) {
    let run = cli.run(&format!(
        "verify cv -k acme.pub {place}//acme.org/app:1.0.0"
    ));
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("content of 1 of 1 resource"), "{run}");
}

/// Checks what becomes of a component that has been packed and signed when its content cannot be
/// had as it was.
#[track_caller]
fn check_failures(cli: &Cli, server: &Web, fragment: &str) {
    let transfer = || cli.run("transfer cv --copy-resources shop//acme.org/app:1.0.0 broken");
    for (fault, code) in [
        (Fault::Status(404), 3),
        (Fault::OtherBytes, 4),
        (Fault::Status(401), 5),
        (Fault::Status(403), 5),
        (Fault::Status(503), 7),
    ] {
        server.fail(FOREVER, "GET", fragment, fault.clone());
        let run = transfer();
        assert_eq!(run.code, Some(code), "{fault:?}: {run}");
        let download =
            cli.run("download resource shop//acme.org/app:1.0.0 data --output broken-data");
        assert_eq!(download.code, Some(code), "{fault:?}: {download}");
        assert!(!cli.path("broken-data").exists());
        server.heal();
    }
    server.fail(1, "GET", fragment, Fault::Status(503));
    server.fail(1, "GET", fragment, Fault::Cut);
    cli.ok("transfer cv --copy-resources shop//acme.org/app:1.0.0 continued");
    verify(cli, "continued");
}

#[test]
fn a_package_of_npm_makes_the_tour() {
    let cli = world();
    let npm = Npm::new("@acme/notes", "1.2.3", CONTENT);
    let server = Web::with_password("robot", "secret", npm.answer());
    let registry = server.url("/npm/");
    let access =
        format!("type: npm, registry: '{registry}', package: '@acme/notes', version: 1.2.3");
    assert_eq!(add(&cli, &format!("access: {{{access}}}")).code, Some(5));
    log_in(
        &cli,
        "NpmRegistry",
        &server,
        "username: robot, password: wrong",
    );
    assert_eq!(add(&cli, &format!("access: {{{access}}}")).code, Some(5));
    log_in(
        &cli,
        "NpmRegistry",
        &server,
        "username: robot, password: secret",
    );
    server.take_requests();
    let kept = tour(&cli, &access, CONTENT);
    assert_eq!(
        kept.replace(&registry, "<registry>"),
        r#"{"package":"@acme/notes","registry":"<registry>","type":"npm","version":"1.2.3"}"#
    );
    assert_eq!(
        server.take_requests()[..2],
        [
            "GET /npm/@acme%2Fnotes/1.2.3",
            "GET /npm/@acme/notes/-/package-1.2.3.tgz"
        ]
    );
    check_failures(&cli, &server, "/-/package");
}

#[test]
fn a_package_that_is_not_what_npm_promises_is_refused() {
    let mut cli = world();
    let npm = Npm {
        promised: b"something else".as_slice().into(),
        by_version: false,
        ..Npm::new("notes", "1.0.0", CONTENT)
    };
    let server = Web::start(npm.answer());
    cli.name(server.host(), "host");
    let registry = server.url("/npm");
    let access = |version: &str| {
        format!(
            "access: {{type: npm/v1, registry: '{registry}', package: notes, version: {version}}}"
        )
    };
    assert_snapshot!(add(&cli, &access("1.0.0")), @r"
    $ ocm add cv -r shop --component-version-conflict-policy replace src/app.yaml
    exit 4
    --- stderr
    error: src/app.yaml:5:3: resources[0]: cannot read the content of `data`
      caused by: cannot read the content of `data`
      caused by: cannot read http://<host>/npm/notes/-/package-1.0.0.tgz
      caused by: content has sha512 checksum <digest>, expected <digest>

    hint: --skip-reference-digest-processing packs without looking at what lies elsewhere; it gets no digest then, and no signature covers it
    ");
    assert_snapshot!(add(&cli, &access("2.0.0")), @r"
    $ ocm add cv -r shop --component-version-conflict-policy replace src/app.yaml
    exit 3
    --- stderr
    error: src/app.yaml:5:3: resources[0]: cannot read the content of `data`
      caused by: cannot read package notes@2.0.0 of http://<host>/npm
      caused by: package notes@2.0.0 of http://<host>/npm not found

    hint: --skip-reference-digest-processing packs without looking at what lies elsewhere; it gets no digest then, and no signature covers it
    ");
}

#[test]
fn a_tarball_on_another_host_gets_no_credentials() {
    let cli = world();
    let other = Web::start(files([("/notes.tgz", CONTENT)]));
    let npm = Npm {
        elsewhere: Some(other.url("/notes.tgz")),
        ..Npm::new("notes", "1.0.0", CONTENT)
    };
    let server = Web::with_token("t0ken", npm.answer());
    log_in(&cli, "NpmRegistry", &server, "token: t0ken");
    let registry = server.url("/npm");
    tour(
        &cli,
        &format!("type: NPM, registry: '{registry}', package: notes, version: latest"),
        CONTENT,
    );
    assert!(!other.take_requests().is_empty());
    assert_eq!(other.take_authorizations(), [""; 0]);
}

const JAR: &str = "org/acme/notes/1.0/notes-1.0.jar";

#[test]
fn a_file_of_maven_makes_the_tour() {
    let cli = world();
    let server = Web::with_password("robot", "secret", maven([(JAR, CONTENT)]));
    let access = format!(
        "type: maven, repoUrl: '{}', groupId: org.acme, artifactId: notes, version: '1.0', \
         classifier: '', extension: jar",
        server.url("/maven2")
    );
    assert_eq!(add(&cli, &format!("access: {{{access}}}")).code, Some(5));
    log_in(
        &cli,
        "MavenRepository",
        &server,
        "username: robot, password: secret",
    );
    tour(&cli, &access, CONTENT);
    check_failures(&cli, &server, "notes-1.0.jar");
}

#[test]
fn several_files_of_maven_become_an_archive() {
    let cli = world();
    let contents = [
        (JAR, CONTENT),
        (
            "org/acme/notes/1.0/notes-1.0-sources.jar",
            b"sources".as_slice(),
        ),
        ("org/acme/notes/1.0/notes-1.0.pom", b"<project/>"),
        ("org/acme/notes/1.0/notes-1.0.pom.asc", b"signed"),
    ];
    let server = Web::start(maven(contents));
    let coordinates = format!(
        "repoUrl: '{}', groupId: org.acme, artifactId: notes, version: '1.0'",
        server.url("/maven2/")
    );
    let run = add(&cli, &format!("access: {{type: Maven/v1, {coordinates}}}"));
    assert_eq!(run.code, Some(0), "{run}");
    cli.ok("sign cv -K acme shop//acme.org/app:1.0.0");
    verify(&cli, "shop");
    cli.ok("transfer cv --copy-resources shop//acme.org/app:1.0.0 far");
    verify(&cli, "far");
    assert!(written(&cli, "far").contains(r#""mediaType":"application/x-tgz""#));
    cli.ok("download resource far//acme.org/app:1.0.0 data --output files");
    assert_eq!(cli.read("files/notes-1.0.jar"), CONTENT);
    assert_eq!(cli.read("files/notes-1.0-sources.jar"), b"sources");
    assert!(cli.path("files/notes-1.0.pom").is_file());
    assert!(!cli.path("files/notes-1.0.pom.asc").exists());

    let run = add(
        &cli,
        &format!("input: {{type: maven, {coordinates}, extension: pom}}"),
    );
    assert_eq!(run.code, Some(0), "{run}");
    cli.ok("download resource shop//acme.org/app:1.0.0 data --output poms");
    assert_eq!(cli.read("poms/notes-1.0.pom"), b"<project/>");
    assert!(!cli.path("poms/notes-1.0.jar").exists());
}

#[test]
fn a_file_that_is_not_what_maven_promises_is_refused() {
    let mut cli = world();
    let checksum = format!("{JAR}.sha1");
    let zeros = "0".repeat(40);
    let server = Web::start(maven([
        (checksum.as_str(), zeros.as_bytes()),
        (JAR, CONTENT),
        ("org/acme/notes/1.0/notes-1.0.pom", b"<project/>"),
    ]));
    cli.name(server.host(), "host");
    let input = |more: &str| {
        format!(
            "input: {{type: maven, repoUrl: '{}', groupId: org.acme, artifactId: notes, \
             version: '1.0'{more}}}",
            server.url("/maven2")
        )
    };
    assert_snapshot!(add(&cli, &input(", classifier: '', extension: jar")), @r"
    $ ocm add cv -r shop --component-version-conflict-policy replace src/app.yaml
    exit 4
    --- stderr
    error: src/app.yaml:5:3: resources[0]: cannot store the content of `data`
      caused by: cannot write to <dir>/shop
      caused by: cannot store blob of <dir>/shop
      caused by: cannot read http://<host>/maven2/org/acme/notes/1.0/notes-1.0.jar
      caused by: content has sha1 checksum 3f30ed7d85e4f669842fd41d389246838628714d, expected 0000000000000000000000000000000000000000
    ");
    assert_snapshot!(add(&cli, &input("")), @r"
    $ ocm add cv -r shop --component-version-conflict-policy replace src/app.yaml
    exit 4
    --- stderr
    error: src/app.yaml:5:3: resources[0]: cannot store the content of `data`
      caused by: cannot write to <dir>/shop
      caused by: cannot store blob of <dir>/shop
      caused by: cannot read http://<host>/maven2/org/acme/notes/1.0/notes-1.0.jar
      caused by: content has sha1 checksum 3f30ed7d85e4f669842fd41d389246838628714d, expected 0000000000000000000000000000000000000000
    ");
    assert_snapshot!(add(&cli, &input(", classifier: javadoc")), @r"
    $ ocm add cv -r shop --component-version-conflict-policy replace src/app.yaml
    exit 3
    --- stderr
    error: src/app.yaml:8:10: resources[0].input: cannot read artifact org.acme:notes:1.0
      caused by: org.acme:notes:1.0, classifier `javadoc` not found
    ");
}

#[test]
fn a_maven_repository_in_the_directory_of_the_constructor_is_read() {
    let cli = world();
    cli.write(format!("src/repository/{JAR}"), CONTENT);
    cli.write(format!("src/repository/{JAR}.md5"), "0".repeat(32));
    cli.write(format!("outside/{JAR}"), CONTENT);
    let input = |place: &str| {
        format!(
            "input: {{type: maven, {place}, groupId: org.acme, artifactId: notes, version: '1.0', \
             classifier: '', extension: jar}}"
        )
    };
    assert_eq!(add(&cli, &input("path: repository")).code, Some(4));
    std::fs::remove_file(cli.path(format!("src/repository/{JAR}.md5"))).unwrap();
    for place in [
        "path: repository".to_owned(),
        format!("repoUrl: 'file://{}'", cli.path("src/repository").display()),
        format!(
            "repoUrl: 'file://localhost{}'",
            cli.path("src/repository").display()
        ),
    ] {
        let run = add(&cli, &input(&place));
        assert_eq!(run.code, Some(0), "{run}");
        cli.ok("download resource shop//acme.org/app:1.0.0 data");
        assert_eq!(cli.read("data"), CONTENT);
    }
    let outside = format!("repoUrl: 'file://{}'", cli.path("outside").display());
    for (place, code) in [
        ("path: ../outside", 2),
        (outside.as_str(), 2),
        ("path: nowhere", 2),
        ("path: .", 3),
        ("path: repository, repoUrl: 'http://localhost'", 2),
    ] {
        let run = add(&cli, &input(place));
        assert_eq!(run.code, Some(code), "{run}");
    }
    let access = input(&outside).replace("input", "access");
    assert_eq!(add(&cli, &access).code, Some(1));
}

#[test]
fn a_commit_on_github_makes_the_tour_and_is_pinned() {
    let cli = world();
    let archives = Web::start(|asked| match asked.path() {
        // The real ones have no tags either, and no lengths.
        "/acme/notes.tgz" => Answer::file(CONTENT).without_tag(),
        _ => Answer::status(404),
    });
    let github = Github {
        commit: COMMIT.to_owned(),
        branch: COMMIT.to_owned(),
        archive: archives.url("/acme/notes.tgz?token=secret"),
    };
    let server = Web::with_token("t0ken", github.answer());
    let repository = server.url("/acme/notes.git");
    let access = format!("type: gitHub, repoUrl: '{repository}', ref: main");
    assert_eq!(add(&cli, &format!("access: {{{access}}}")).code, Some(5));
    log_in(&cli, "Github", &server, "token: t0ken");
    let kept = tour(&cli, &access, CONTENT);
    assert_eq!(
        kept.replace(&repository, "<repository>"),
        format!(r#"{{"commit":"{COMMIT}","ref":"main","repoUrl":"<repository>","type":"gitHub"}}"#)
    );
    assert!(!archives.take_requests().is_empty());
    assert_eq!(archives.take_authorizations(), [""; 0]);
    for (fields, code) in [
        ("ref: other", 3),
        ("commit: '0000000000000000000000000000000000000000'", 3),
        ("commit: abc", 1),
        ("commit: 7", 2),
    ] {
        let run = add(
            &cli,
            &format!("access: {{type: GitHub/v1, repoUrl: '{repository}', {fields}}}"),
        );
        assert_eq!(run.code, Some(code), "{run}");
    }
    let commit = format!("access: {{type: GitHub/v1, repoUrl: '{repository}', commit: {COMMIT}}}");
    assert_eq!(add(&cli, &commit).code, Some(0));
    archives.fail(FOREVER, "GET", "/acme", Fault::Cut);
    assert_eq!(add(&cli, &commit).code, Some(7));
}

#[test]
fn an_object_in_a_bucket_makes_the_tour_and_is_pinned() {
    let cli = world();
    let bucket = S3::new("acme-data")
        .with("a key/with+odd &parts", "an old version")
        .with("a key/with+odd &parts", CONTENT)
        .for_key("AKIA1", "s3cret/+");
    let server = Web::start(bucket.answer());
    let endpoint = server.url("");
    let access = format!(
        "type: S3Bucket/v1, bucketName: acme-data, objectKey: a key/with+odd &parts, \
         region: eu-central-1, endpoint: '{endpoint}', usePathStyle: true"
    );
    let object = format!("access: {{{access}}}");
    assert_eq!(add(&cli, &object).code, Some(5));
    log_in(
        &cli,
        "S3Bucket",
        &server,
        "accessKeyId: AKIA1, secretAccessKey: wrong",
    );
    assert_eq!(add(&cli, &object).code, Some(5));
    log_in(
        &cli,
        "S3",
        &server,
        "awsAccessKeyID: AKIA1, awsSecretAccessKey: s3cret/+",
    );
    let kept = tour(&cli, &access, CONTENT);
    assert!(kept.contains(r#""version":"v2""#), "{kept}");
    check_failures(&cli, &server, "/acme-data/");
    // The service says where the bucket is; the fields are those of the first generation.
    let elsewhere = format!(
        "access: {{type: s3/v1, bucket: acme-data, key: a key/with+odd &parts, version: v1, \
         endpoint: '{endpoint}', mediaType: text/old}}"
    );
    let run = add(&cli, &elsewhere);
    assert_eq!(run.code, Some(0), "{run}");
    cli.ok("download resource shop//acme.org/app:1.0.0 data");
    assert_eq!(cli.read("data"), b"an old version");
    for (key, code) in [("nothing", 3), ("../other", 1)] {
        let run = add(
            &cli,
            &format!(
                "access: {{type: S3Bucket, bucketName: acme-data, objectKey: {key}, \
                 endpoint: '{endpoint}'}}"
            ),
        );
        assert_eq!(run.code, Some(code), "{run}");
    }
}

#[test]
fn a_bucket_that_is_open_needs_no_credentials() {
    let cli = world();
    let server = Web::start(S3::new("open").with("a", CONTENT).answer());
    let endpoint = server.url("");
    tour(
        &cli,
        &format!("type: s3Bucket, bucketName: open, objectKey: a, endpoint: '{endpoint}'"),
        CONTENT,
    );
    assert_eq!(server.take_authorizations(), [""; 0]);
}

#[test]
fn a_chart_makes_the_tour() {
    let cli = world();
    let digest = ocm::digest::Digest::sha256(CONTENT).to_hex();
    let index = format!(
        "apiVersion: v1\nentries:\n  notes:\n  - {{version: 1.0.0, digest: {digest}, \
         urls: [files/notes-1.0.0.tgz]}}\n"
    );
    let charts = files(
        [
            ("/charts/index.yaml", index.as_bytes()),
            ("/charts/files/notes-1.0.0.tgz", CONTENT),
        ]
        .map(|(path, content)| (path, content.to_vec())),
    );
    let server = Web::with_password("robot", "secret", charts);
    let access = format!(
        "type: helm/v1, helmRepository: '{}', helmChart: 'notes:1.0.0'",
        server.url("/charts")
    );
    assert_eq!(add(&cli, &format!("access: {{{access}}}")).code, Some(5));
    let kind = "HelmChartRepository, path: charts";
    log_in(&cli, kind, &server, "username: robot, password: secret");
    tour(&cli, &access, CONTENT);
    check_failures(&cli, &server, "notes-1.0.0.tgz");
}

#[test]
fn a_download_makes_the_tour() {
    let cli = world();
    let server = Web::with_password("robot", "secret", files([("/data", CONTENT)]));
    let url = server.url("/data");
    let access = format!("type: wget, URL: '{url}', mediaType: text/plain");
    assert_eq!(add(&cli, &format!("access: {{{access}}}")).code, Some(5));
    log_in(&cli, "wget", &server, "username: robot, password: secret");
    tour(&cli, &access, CONTENT);
    check_failures(&cli, &server, "/data");
}

#[test]
fn a_redirect_takes_no_secret_along() {
    let cli = world();
    let other = Web::start(|asked| {
        let names = asked.headers.keys().map(|name| name.as_str().to_owned());
        Answer::file(names.collect::<Vec<_>>().join(" "))
    });
    let place = other.url("/data?signed");
    let server = Web::with_token("t0ken", move |_| Answer::redirect(&place));
    log_in(&cli, "Wget", &server, "identityToken: t0ken");
    let input = format!(
        "{{type: wget, url: '{}', header: {{X-Secret: [s], Accept: [a/b], Cookie: [c]}}}}",
        server.url("/data")
    );
    let run = add(&cli, &format!("input: {input}"));
    assert_eq!(run.code, Some(0), "{run}");
    cli.ok("download resource shop//acme.org/app:1.0.0 data");
    assert_eq!(cli.read("data"), b"accept user-agent host");
}

#[test]
fn inputs_come_from_registries_too() {
    let cli = world();
    let server = Web::start(Npm::new("notes", "1.0.0", CONTENT).answer());
    let registry = server.url("/npm");
    let input = |more: &str| format!("input: {{type: npm, registry: '{registry}'{more}}}");
    let run = add(&cli, &input(", package: notes"));
    assert_eq!(run.code, Some(0), "{run}");
    assert!(written(&cli, "shop").contains(r#""mediaType":"application/x-tgz""#));
    cli.ok("download resource shop//acme.org/app:1.0.0 data --extraction-policy disable");
    assert_eq!(cli.read("data"), CONTENT);
    for (more, code) in [
        (", package: other", 3),
        (", package: notes, version: 7.0.0", 3),
        ("", 2),
        (", package: notes, flavour: sweet", 2),
    ] {
        let run = add(&cli, &input(more));
        assert_eq!(run.code, Some(code), "{run}");
    }
    server.fail(FOREVER, "GET", "/npm", Fault::Status(503));
    assert_eq!(add(&cli, &input(", package: notes")).code, Some(7));
}
