//! Access and input `git`, against the server of git itself. These tests need the `git` program.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use flate2::read::GzDecoder;
use ocm_backends::HttpSource;
use ocm_backends::git::{GitAccess, GitInput, GitSource, SshKey, SshKeys};
use ocm_blob::{BlobRef, read_to_end};
use ocm_constructor::input::{InputError, Produced};
use ocm_model::Access;
use ocm_repository::{AccessMethod as _, Content, Error};
use ocm_testkit::{GitServer, git};
use serde_json::{Value, json};

use crate::input::{chain, process};
use crate::web;

/// A directory with the repository `notes.git` of two commits, and its path without links.
struct World {
    _guard: tempfile::TempDir,
    root: PathBuf,
    /// Where `root` is served.
    address: String,
    _server: GitServer,
    first: String,
    second: String,
}

impl World {
    fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().canonicalize().unwrap();
        let work = root.join("work");
        fs::create_dir_all(work.join("src/deep")).unwrap();
        git(&work, &["init", "--quiet", "--initial-branch=main"]);
        fs::write(work.join("README"), "first").unwrap();
        git(&work, &["add", "--all"]);
        git(&work, &["commit", "--quiet", "--message=first"]);
        let first = git(&work, &["rev-parse", "HEAD"]);
        fs::write(work.join("README"), "second").unwrap();
        fs::write(work.join("src/deep/notes.rs"), "fn main() {}").unwrap();
        fs::write(work.join("src.txt"), "sorted by name").unwrap();
        fs::write(work.join("gr\u{fc}n"), "green").unwrap();
        fs::write(work.join("run.sh"), "#!/bin/sh").unwrap();
        git(&work, &["add", "--all"]);
        git(&work, &["update-index", "--chmod=+x", "run.sh"]);
        std::os::unix::fs::symlink("README", work.join("link")).unwrap();
        git(&work, &["add", "link"]);
        let module = format!("160000,{first},module");
        git(&work, &["update-index", "--add", "--cacheinfo", &module]);
        git(&work, &["commit", "--quiet", "--message=second"]);
        let second = git(&work, &["rev-parse", "HEAD"]);
        git(&work, &["tag", "--annotate", "--message=one", "v1", &first]);
        git(&work, &["branch", "old", &first]);
        git(&root, &["clone", "--quiet", "--bare", "work", "notes.git"]);
        let server = GitServer::start(&root);
        Self {
            _guard: guard,
            address: format!("http://{}", server.host()),
            _server: server,
            root,
            first,
            second,
        }
    }
}

/// No key for any server.
#[derive(Debug)]
struct NoKeys;

#[async_trait]
impl SshKeys for NoKeys {
    async fn key(
        &self,
        _: &str,
    ) -> Result<Option<SshKey>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(None)
    }
}

fn source(http: HttpSource) -> GitSource {
    GitSource::new(http, Arc::new(NoKeys))
}

async fn content(http: HttpSource, mut access: Value) -> Result<BlobRef, Error> {
    access["type"] = "git/v1alpha1".into();
    let access = Access::from_json(access).unwrap();
    let method = GitAccess::new(source(http));
    assert!(method.handles(&access));
    match method.content(&access).await? {
        Content::Blob(blob) => Ok(blob),
        Content::Artifact(_) => panic!("not a blob"),
    }
}

/// Returns the entries of the tar in a blob: kind, mode, path, content.
async fn entries(blob: &BlobRef) -> Vec<String> {
    assert_eq!(blob.media_type(), Some("application/x-tgz"));
    let bytes = read_to_end(blob.as_ref(), u64::MAX).await.unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (0, 0));
        let mode = header.mode().unwrap();
        let path = entry.path().unwrap().display().to_string();
        let link = entry
            .link_name()
            .unwrap()
            .map(|link| link.display().to_string());
        let mut content = String::new();
        std::io::Read::read_to_string(&mut entry, &mut content).unwrap();
        format!("{mode:o} {path} {}", link.unwrap_or(content))
    });
    entries.collect()
}

async fn readme(blob: &BlobRef) -> String {
    let entries = entries(blob).await;
    let line = entries.iter().find(|line| line.contains(" README "));
    line.unwrap().split_once("README ").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_commit_becomes_a_tar_of_its_files() {
    let world = World::new();
    let repository = format!("{}/notes.git", world.address);
    let blob = content(web::client(), json!({"repository": repository}))
        .await
        .unwrap();
    assert_eq!(
        entries(&blob).await,
        [
            "644 README second",
            "644 gr\u{fc}n green",
            "777 link README",
            "755 module/ ",
            "755 run.sh #!/bin/sh",
            "755 src/ ",
            "755 src/deep/ ",
            "644 src/deep/notes.rs fn main() {}",
            "644 src.txt sorted by name",
        ]
    );
    let again = content(web::client(), json!({"repository": repository}))
        .await
        .unwrap();
    let (first, second) = (
        read_to_end(blob.as_ref(), u64::MAX).await.unwrap(),
        read_to_end(again.as_ref(), u64::MAX).await.unwrap(),
    );
    assert_eq!(first, second);
}

#[tokio::test]
async fn branches_tags_and_commits_are_found() {
    let world = World::new();
    let address = &world.address;
    for (fields, expected) in [
        (json!({}), "second"),
        (json!({"ref": "main"}), "second"),
        (json!({"ref": "refs/heads/main"}), "second"),
        (json!({"ref": "old"}), "first"),
        (json!({"ref": "v1"}), "first"),
        (json!({"ref": "refs/tags/v1"}), "first"),
        (json!({"commit": world.first}), "first"),
        (
            json!({"ref": "refs/heads/main", "commit": world.first}),
            "first",
        ),
        (
            json!({"ref": "refs/heads/main", "commit": world.second}),
            "second",
        ),
    ] {
        for place in ["", "/moved"] {
            let mut access = fields.clone();
            access["repository"] = format!("{address}{place}/notes.git").into();
            let blob = content(web::client(), access).await.unwrap();
            assert_eq!(readme(&blob).await, expected, "{fields} {place}");
        }
    }
}

#[tokio::test]
async fn a_branch_is_pinned_to_its_commit() {
    let world = World::new();
    let repository = format!("{}/notes.git", world.address);
    let method = GitAccess::new(source(web::client()));
    let pin = async |mut fields: Value| {
        fields["type"] = "git".into();
        fields["repository"] = repository.clone().into();
        let pinned = method
            .pin(&Access::from_json(fields).unwrap())
            .await
            .unwrap();
        pinned.as_json()["commit"].as_str().unwrap().to_owned()
    };
    assert_eq!(pin(json!({})).await, world.second);
    assert_eq!(pin(json!({"ref": "old", "commit": ""})).await, world.first);
    assert_eq!(pin(json!({"ref": "v1"})).await, world.first);
    assert_eq!(
        pin(json!({"ref": "main", "commit": world.first})).await,
        world.first
    );
}

#[tokio::test]
async fn credentials_are_sent_to_their_server() {
    let world = World::new();
    let repository = format!("{}/secret/notes.git", world.address);
    let client = |properties: &str| web::client_at("Git", &world.address, properties);
    for http in [
        client("username: ann, password: hunter2"),
        client("token: hunter2"),
    ] {
        let blob = content(http, json!({"repository": repository}))
            .await
            .unwrap();
        assert_eq!(readme(&blob).await, "second");
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_is_named() {
    let world = World::new();
    let address = &world.address;
    let refused = async |path: &str, fields: Value| {
        let mut access = fields;
        access["repository"] = format!("{address}{path}").into();
        let error = content(web::client(), access).await.unwrap_err();
        chain(&error).replace(address.as_str(), "<server>")
    };
    insta::assert_snapshot!(refused("/secret/notes.git", json!({})).await, @r"
    cannot read the current commit of <server>/secret/notes.git
      caused by: <server>/secret/notes.git/info/refs: not authenticated
    ");
    insta::assert_snapshot!(refused("/none.git", json!({})).await, @r"
    cannot read the current commit of <server>/none.git
      caused by: <server>/none.git/info/refs not found
    ");
    insta::assert_snapshot!(refused("/notes.git", json!({"ref": "none"})).await, @r"
    cannot read `none` of <server>/notes.git
      caused by: `none` of <server>/notes.git not found
    ");
    insta::assert_snapshot!(refused("/notes.git", json!({"commit": "0123456789012345678901234567890123456789"})).await, @r"
    cannot read commit 0123456789012345678901234567890123456789 of <server>/notes.git
      caused by: commit 0123456789012345678901234567890123456789 of <server>/notes.git not found
    ");
    insta::assert_snapshot!(refused("/notes.git", json!({"commit": "main"})).await, @r"
    cannot read git access
      caused by: git commit `main` is malformed: it does not have 40 hexadecimal digits
    ");
    for path in ["/page", "/cut"] {
        let error = refused(&format!("{path}/notes.git"), json!({})).await;
        let expected = format!("<server>{path}/notes.git: cannot be fetched");
        assert!(error.contains(&expected), "{error}");
    }
    let here = content(
        web::client(),
        json!({"repository": "file:///srv/notes.git"}),
    )
    .await;
    insta::assert_snapshot!(chain(&here.unwrap_err()), @r"
    cannot read git access
      caused by: /srv/notes.git (repositories of this machine can be inputs, but no accesses): not allowed
    ");
    let nobody = content(
        web::client(),
        json!({"repository": "http://127.0.0.1:9/notes.git"}),
    )
    .await;
    assert!(chain(&nobody.unwrap_err()).contains("cannot connect"));
}

#[tokio::test]
async fn an_input_may_be_a_repository_of_this_machine() {
    let world = World::new();
    let method = GitInput::new(source(web::client()));
    let take = async |input: String| {
        let result = process(&method, &world.root, &input).await?;
        match result.produced {
            Produced::Content(Content::Blob(blob)) => Ok::<_, InputError>(readme(&blob).await),
            other => panic!("not a blob: {other:?}"),
        }
    };
    for (repository, expected) in [
        (
            format!("file://{}/notes.git", world.root.display()),
            "second",
        ),
        ("notes.git".to_owned(), "second"),
        ("./work".to_owned(), "second"),
        ("work, ref: v1".to_owned(), "first"),
        (format!("work, commit: {}", world.first), "first"),
    ] {
        let taken = take(format!("{{type: git, repository: {repository}}}")).await;
        assert_eq!(taken.unwrap(), expected, "{repository}");
    }
    let refused = async |fields: &str| {
        let error = take(format!("{{type: git, {fields}}}")).await.unwrap_err();
        chain(&error).replace(world.root.to_str().unwrap(), "<dir>")
    };
    insta::assert_snapshot!(refused("repository: none.git").await, @r"
    c.yaml:7:34: resources[0].input.repository: cannot open <dir>/none.git
      caused by: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(refused("repository: ../notes.git").await, @r"
    c.yaml:7:34: resources[0].input.repository: cannot open <dir>/../notes.git
      caused by: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(refused("repository: 'file:///none/notes.git'").await, @r"
    c.yaml:7:34: resources[0].input.repository: cannot read the current commit of /none/notes.git
      caused by: /none/notes.git not found
    ");
    insta::assert_snapshot!(refused("repository: work/src").await, @r"
    c.yaml:7:34: resources[0].input.repository: cannot read the current commit of <dir>/work/src
      caused by: <dir>/work/src not found
    ");
    insta::assert_snapshot!(refused("repository: work, ref: none").await, @r"
    c.yaml:7:34: resources[0].input.repository: cannot read `none` of <dir>/work
      caused by: `none` of <dir>/work not found
    ");
    let error = refused("repository: work, ref: 'a b'").await;
    let expected = "c.yaml:7:45: resources[0].input.ref: git reference `a b` is malformed";
    assert!(error.starts_with(expected), "{error}");
    insta::assert_snapshot!(refused("repository: 'ftp://acme.org/x'").await, @"c.yaml:7:34: resources[0].input.repository: address `ftp://acme.org/x` of a git repository is malformed: its scheme is none of https, http, ssh, git and file");
    insta::assert_snapshot!(refused("branch: main").await, @"c.yaml:7:30: resources[0].input.branch: is not a field of `git`; known are `repository`, `ref`, `commit`");
}

/// One key for every server.
#[derive(Debug)]
struct OneKey;

#[async_trait]
impl SshKeys for OneKey {
    async fn key(
        &self,
        address: &str,
    ) -> Result<Option<SshKey>, Box<dyn std::error::Error + Send + Sync>> {
        assert!(address.starts_with("ssh://acme.org/"), "{address}");
        Ok(Some(SshKey {
            username: Some("ann".to_owned()),
            file: "/keys/ann's key".into(),
        }))
    }
}

#[tokio::test]
async fn ssh_is_run_with_the_key_of_the_server() {
    let world = World::new();
    // What the other side would do, on this one.
    let script = world.root.join("ssh");
    let log = world.root.join("log");
    let text = format!(
        "#!/bin/sh\necho \"$@\" > '{}'\nwhile [ \"$1\" != ann@acme.org ]; do shift; done\nshift\nexec sh -c \"$*\"\n",
        log.display()
    );
    // Written by another process: a file that this one has open for writing cannot be run as long as
    // some process that another test has just started holds it open too.
    let written = Command::new("/bin/sh")
        .args(["-c", "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
        .args([script.as_os_str(), std::ffi::OsStr::new(&text)])
        .status();
    assert!(written.unwrap().success());
    let command = Some(script.display().to_string());
    let source = GitSource::new(web::client(), Arc::new(OneKey)).with_ssh_command(command);
    let method = GitAccess::new(source);
    let repository = format!("ssh://acme.org{}/notes.git", world.root.display());
    let access = json!({"type": "git", "repository": repository, "ref": "v1"});
    let content = method.content(&Access::from_json(access).unwrap()).await;
    let Content::Blob(blob) = content.unwrap() else {
        panic!("not a blob")
    };
    assert_eq!(readme(&blob).await, "first");
    let arguments = fs::read_to_string(log).unwrap();
    assert!(
        arguments.starts_with("-i /keys/ann's key -o IdentitiesOnly=yes"),
        "{arguments}"
    );
}
