//! Git repositories, as input and as access. These tests need the `git` program.

use insta::assert_snapshot;
use ocm_testkit::{Cli, GitServer, Run, git};

use crate::world::{IMPATIENT, empty};

/// Returns a directory with the repository `notes.git` of two commits, its server, and the commits.
fn repository() -> (Cli, GitServer, [String; 2]) {
    let mut cli = empty();
    cli.write("notes/README", "first");
    let work = cli.path("notes");
    let commit = |message: &str| {
        git(&work, &["add", "--all"]);
        git(&work, &["commit", "--quiet", "--message", message]);
        git(&work, &["rev-parse", "HEAD"])
    };
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    let first = commit("first");
    cli.write("notes/README", "second");
    cli.write("notes/src/main.rs", "fn main() {}");
    let second = commit("second");
    git(
        cli.path("."),
        &["clone", "--quiet", "--bare", "notes", "notes.git"],
    );
    let server = GitServer::start(cli.path("."));
    cli.name(server.host(), "host");
    cli.write(".ocmconfig", IMPATIENT);
    (cli, server, [first, second])
}

/// Packs a component with one source of content.
fn add(cli: &Cli, content: &str) -> Run {
    cli.write(
        "app.yaml",
        format!(
            "name: acme.org/app\nversion: 1.0.0\nprovider: {{name: acme}}\nresources:\n\
             - name: code\n  type: directoryTree\n  version: 1.0.0\n  {content}\n"
        ),
    );
    cli.run("add cv -r app --replace app.yaml")
}

#[test]
fn a_commit_is_packed_and_comes_out_again() {
    let (cli, _server, [first, _]) = repository();
    let input = format!("input: {{type: git, repository: notes.git, commit: {first}}}");
    let run = add(&cli, &input);
    assert_eq!(run.code, Some(0), "{run}");
    cli.ok("transfer cv app//acme.org/app:1.0.0 far.tar");
    cli.ok("download resource far.tar//acme.org/app:1.0.0 code -O out");
    assert_eq!(cli.read("out/README"), b"first");
}

#[test]
fn an_access_is_pinned_verified_and_moved_by_value() {
    let (cli, server, [_, second]) = repository();
    let access = format!(
        "access: {{type: git, repository: 'http://{}/notes.git', ref: main}}",
        server.host()
    );
    let run = add(&cli, &access);
    assert_eq!(run.code, Some(0), "{run}");
    let listed = cli.ok("get resources app//acme.org/app:1.0.0 -o json");
    assert!(listed.contains(&second), "{listed}");
    cli.ok("create keypair acme --bits 2048");
    cli.ok("sign cv -K acme app//acme.org/app:1.0.0");
    let run = cli.run("verify cv -k acme.pub app//acme.org/app:1.0.0");
    assert!(run.stderr.contains("content of 1 of 1 resource"), "{run}");
    cli.ok("transfer cv --copy-resources app//acme.org/app:1.0.0 far");
    drop(server);
    let run = cli.run("verify cv -k acme.pub far//acme.org/app:1.0.0");
    assert!(run.stderr.contains("content of 1 of 1 resource"), "{run}");
    cli.ok("download resource far//acme.org/app:1.0.0 code -O out");
    assert_eq!(cli.read("out/src/main.rs"), b"fn main() {}");
    assert_eq!(
        cli.run("download resource app//acme.org/app:1.0.0 code")
            .code,
        Some(7)
    );
}

#[test]
fn a_server_that_asks_who_it_is_gets_an_answer_from_the_configuration() {
    let (cli, server, _) = repository();
    let access = format!(
        "access: {{type: git, repository: 'http://{}/secret/notes.git'}}",
        server.host()
    );
    assert_snapshot!(add(&cli, &access), @r"
    $ ocm add cv -r app --replace app.yaml
    exit 5
    --- stderr
    error: app.yaml:5:3: resources[0]: cannot find the content of `code`
      caused by: cannot find the current commit of http://<host>/secret/notes.git
      caused by: http://<host>/secret/notes.git/info/refs: not authenticated

    hint: --skip-reference-digest-processing packs without looking at what lies elsewhere; it gets no digest then, and no signature covers it
    ");
    let port = server.host().split_once(':').unwrap().1;
    for properties in ["username: ann, password: hunter2", "token: hunter2"] {
        let config = format!(
            "{IMPATIENT}- type: credentials.config.ocm.software\n  consumers:\n  - identity: {{type: Git, hostname: 127.0.0.1, port: '{port}', scheme: http}}\n    credentials:\n    - type: Credentials/v1\n      properties: {{{properties}}}\n"
        );
        cli.write(".ocmconfig", config);
        let run = add(&cli, &access);
        assert_eq!(run.code, Some(0), "{run}");
        assert!(!run.stderr.contains("hunter2"), "{run}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let (cli, server, _) = repository();
    let from = |rest: &str| {
        format!(
            "{{type: git, repository: 'http://{}/{rest}}}",
            server.host()
        )
    };
    assert_snapshot!(add(&cli, &format!("input: {}", from("notes.git', ref: none"))), @r"
    $ ocm add cv -r app --replace app.yaml
    exit 3
    --- stderr
    error: app.yaml:8:34: resources[0].input.repository: cannot read `none` of http://<host>/notes.git
      caused by: `none` of http://<host>/notes.git not found
    ");
    assert_snapshot!(add(&cli, &format!("access: {}", from("none.git'"))), @r"
    $ ocm add cv -r app --replace app.yaml
    exit 3
    --- stderr
    error: app.yaml:5:3: resources[0]: cannot find the content of `code`
      caused by: cannot find the current commit of http://<host>/none.git
      caused by: http://<host>/none.git/info/refs not found

    hint: --skip-reference-digest-processing packs without looking at what lies elsewhere; it gets no digest then, and no signature covers it
    ");
    assert_snapshot!(add(&cli, &format!("access: {}", from("notes.git', commit: main"))), @r"
    $ ocm add cv -r app --replace app.yaml
    exit 1
    --- stderr
    error: app.yaml:5:3: resources[0]: cannot find the content of `code`
      caused by: cannot read git access
      caused by: git commit `main` is malformed: it does not have 40 hexadecimal digits

    hint: --skip-reference-digest-processing packs without looking at what lies elsewhere; it gets no digest then, and no signature covers it
    ");
    let cut = add(&cli, &format!("input: {}", from("cut/notes.git'")));
    assert_eq!(cut.code, Some(7), "{cut}");
}
