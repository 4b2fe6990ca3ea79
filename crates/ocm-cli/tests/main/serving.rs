//! `ocm serve`, used by other commands.

use std::fmt::Write as _;

use insta::assert_snapshot;
use ocm_testkit::web::{Bucket, Web};
use ocm_testkit::{Cli, Fault, Started};

use crate::world::{self, IMPATIENT, LEAF_DATA, SMALL, check_product, signed, stored};

/// Starts a server, and returns it with the place for components in it.
fn serve<'a>(cli: &'a Cli, arguments: &str) -> (Started<'a>, String) {
    let (server, url) = world::serve(cli, arguments);
    (server, format!("{url}/shop"))
}

#[test]
fn a_directory_is_a_registry() {
    let cli = signed();
    let (server, place) = serve(&cli, "served");
    cli.ok(&format!("transfer ctf shop {place}"));
    check_product(&cli, &place);
    assert_eq!(server.signal("INT").code, Some(0));
    // What was pushed is there when the server starts again.
    let (_server, place) = serve(&cli, "served");
    check_product(&cli, &place);
    cli.ok(&format!("transfer ctf {place} far.tar"));
    check_product(&cli, "far.tar");
}

#[test]
fn any_number_of_registries_serve_a_bucket() {
    let mut cli = signed();
    let bucket = Bucket::new("acme", "AKIA1", "s3cret/+");
    let web = Web::start(bucket.clone().answer());
    let place = format!("s3://acme/shop?region={}", Bucket::REGION);
    cli.set("AWS_ENDPOINT_URL", &web.url(""));
    let run = cli.run(&format!("serve {place}"));
    assert_eq!(run.code, Some(5), "{run}");
    cli.set("AWS_ACCESS_KEY_ID", "AKIA1");
    cli.set("AWS_SECRET_ACCESS_KEY", "s3cret/+");
    let run = cli.run("serve s3://other?region=eu-central-1");
    assert_eq!(run.code, Some(3), "{run}");
    let (_one, first) = serve(&cli, &place);
    let (_other, second) = serve(&cli, &format!("{place} --redirect"));
    cli.ok(&format!("transfer ctf shop {first}"));
    check_product(&cli, &second);
    cli.ok(&format!("transfer ctf {second} far.tar"));
    check_product(&cli, "far.tar");
    let keys = bucket.keys();
    assert!(keys.iter().all(|key| key.starts_with("shop/")), "{keys:?}");
}

#[test]
fn keys_of_a_bucket_come_from_the_configuration_and_from_a_profile() {
    let mut cli = signed();
    let web = Web::start(Bucket::new("acme", "AKIA1", "s3cret/+").answer());
    let place = format!(
        "s3://acme/shop?region={}&endpoint={}",
        Bucket::REGION,
        web.url("")
    );
    cli.write(
        "aws",
        "[other]\naws_access_key_id=AKIA1\naws_secret_access_key=s3cret/+\n",
    );
    let file = cli.path("aws").display().to_string();
    cli.set("AWS_SHARED_CREDENTIALS_FILE", &file);
    let run = cli.run(&format!("serve {place}"));
    assert_eq!(run.code, Some(5), "{run}");
    cli.set("AWS_PROFILE", "other");
    drop(serve(&cli, &place));
    // The configuration counts more.
    let (host, port) = web.host().split_once(':').unwrap();
    let config = |secret: &str| {
        format!(
            "type: generic.config.ocm.software/v1\nconfigurations:\n\
             - type: credentials.config.ocm.software\n  consumers:\n\
             \x20 - identity: {{type: S3Bucket, hostname: {host}, port: '{port}'}}\n\
             \x20   credentials:\n    - type: Credentials/v1\n\
             \x20     properties: {{accessKeyId: AKIA1, secretAccessKey: {secret}}}\n"
        )
    };
    cli.write("wrong.yaml", config("wrong"));
    let run = cli.run(&format!("--config wrong.yaml serve {place}"));
    assert_eq!(run.code, Some(5), "{run}");
    cli.write("right.yaml", config("s3cret/+"));
    cli.set("AWS_PROFILE", "missing");
    drop(serve(&cli, &format!("{place} --config right.yaml")));
}

#[test]
fn what_is_for_buckets_is_refused_elsewhere() {
    let cli = signed();
    for (arguments, code) in [
        ("serve shop --redirect", 2),
        ("serve s3://acme/../x", 1),
        ("serve s3://acme?typo=1", 1),
        ("serve s3://acme?endpoint=ftp://x", 1),
        ("serve s3://acme --quota 5", 2),
    ] {
        let run = cli.run(arguments);
        assert_eq!(run.code, Some(code), "{run}");
    }
}

#[test]
fn what_is_served_read_only_is_not_changed() {
    let cli = signed();
    cli.ok("transfer ctf shop disk.tar");
    let before = cli.read("disk.tar");
    cli.write("small.yaml", SMALL);
    let mut seen = String::new();
    for served in ["shop --read-only", "disk.tar"] {
        let (_server, place) = serve(&cli, served);
        // An archive has no path before its repositories, so that its components are at the top.
        let top = place.trim_end_matches("/shop");
        for command in [
            format!("add cv -r {top} small.yaml"),
            format!("transfer cv shop//acme.org/bar/leaf:1.0.0 {top}/other"),
            format!("sign cv -K acme -s second {top}//acme.org/bar/product:1.0.0"),
        ] {
            let run = cli.run(&command).to_string();
            writeln!(
                seen,
                "{}",
                run.replace(top, "<registry>").replace(&top[7..], "<host>")
            )
            .unwrap();
        }
        check_product(&cli, top);
    }
    assert_eq!(cli.read("disk.tar"), before);
    assert_snapshot!(seen, @r"
    $ ocm add cv -r <registry> small.yaml
    exit 6
    --- stderr
    error: cannot write acme.org/small:1.0.0
      caused by: <registry> is read-only

    $ ocm transfer cv shop//acme.org/bar/leaf:1.0.0 <registry>/other
    exit 6
    --- stderr
    error: cannot write acme.org/bar/leaf:1.0.0 in <registry>/other
      caused by: cannot write acme.org/bar/leaf:1.0.0
      caused by: <registry> is read-only

    $ ocm sign cv -K acme -s second <registry>//acme.org/bar/product:1.0.0
    exit 6
    --- stderr
    error: cannot write acme.org/bar/product:1.0.0
      caused by: <registry> is read-only

    $ ocm add cv -r <registry> small.yaml
    exit 6
    --- stderr
    error: cannot write acme.org/small:1.0.0
      caused by: <registry> is read-only

    $ ocm transfer cv shop//acme.org/bar/leaf:1.0.0 <registry>/other
    exit 6
    --- stderr
    error: cannot write acme.org/bar/leaf:1.0.0 in <registry>/other
      caused by: cannot write acme.org/bar/leaf:1.0.0
      caused by: <registry> is read-only

    $ ocm sign cv -K acme -s second <registry>//acme.org/bar/product:1.0.0
    exit 6
    --- stderr
    error: cannot write acme.org/bar/product:1.0.0
      caused by: <registry> is read-only
    ");
}

#[test]
fn a_server_that_is_killed_keeps_what_was_complete() {
    let (cli, registry, place) = stored();
    let (server, served) = serve(&cli, "served");
    cli.write("small.yaml", SMALL);
    cli.ok(&format!("add cv -r {served} small.yaml"));
    registry.fail(usize::MAX, "GET", LEAF_DATA, Fault::Hold);
    let transfer = cli.start(&format!("transfer ctf {place} {served}"));
    registry.wait_for(&format!(
        "GET /v2/shop/component-descriptors/acme.org/bar/leaf/blobs/sha256:{LEAF_DATA}"
    ));
    assert_eq!(server.signal("KILL").code, None);
    registry.heal();
    drop(transfer);
    let (_server, served) = serve(&cli, "served");
    cli.ok(&format!("get cv {served}//acme.org/small:1.0.0"));
    assert!(
        !cli.ok(&format!("list {served}"))
            .contains("acme.org/bar/leaf")
    );
    cli.ok(&format!("transfer ctf {place} {served}"));
    check_product(&cli, &served);
}

#[test]
fn an_archive_that_is_not_there_is_not_served() {
    let cli = signed();
    for place in ["new.tar", "new.tgz", "new --read-only"] {
        let run = cli.run(&format!("serve {place} --listen 127.0.0.1:0"));
        assert_eq!(run.code, Some(3), "{run}");
        assert!(
            run.stderr.contains("there is no repository at new"),
            "{run}"
        );
    }
    assert!(!cli.path("new.tar").exists());
}

#[test]
fn who_does_not_speak_tls_to_who_does_is_told() {
    use std::io::{Read as _, Write as _};

    let cli = signed();
    cli.write(".ocmconfig", IMPATIENT);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            // What is read is no beginning of TLS: an alert, and the end.
            connection.read_exact(&mut [0; 5]).unwrap();
            connection.write_all(b"\x15\x03\x03\0\x02\x02\x32").unwrap();
        }
    });
    let run = cli.run(&format!("transfer ctf shop {place}"));
    assert_eq!(run.code, Some(7), "{run}");
    let hint = "hint: if it speaks TLS, write `https://` before its host";
    assert!(run.stderr.contains(hint), "{run}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let mut cli = signed();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    cli.name(&address, "address");
    assert_snapshot!(cli.run(&format!("serve shop --listen {address}")), @r"
    $ ocm serve shop --listen <address>
    exit 1
    --- stderr
    error: cannot listen at <address>
      caused by: Address already in use (os error 98)
    ");
    assert_snapshot!(cli.run("serve shop --listen nonsense"), @r"
    $ ocm serve shop --listen nonsense
    exit 2
    --- stderr
    error: `nonsense` is no address such as `127.0.0.1:5001`
    ");
}

#[test]
fn a_password_is_asked_for_and_given() {
    let cli = signed();
    // The password is `password`, at the least cost that there is.
    let users = "acme:$2b$04$Oa5HmpsiEgQWnH6uZvVIzeA9SQYu9cYA7dK91l3Lu.BrAKd1iJXlu\n";
    cli.write("users", users);
    for auth in ["basic", "token"] {
        let directory = format!("served-{auth}");
        let flags = format!("{directory} --htpasswd users --anonymous-pull --auth {auth}");
        let (_server, place) = serve(&cli, &flags);
        let host = place
            .trim_start_matches("http://")
            .trim_end_matches("/shop");
        let transfer = format!("transfer ctf shop {place}");
        assert_eq!(cli.run(&transfer).code, Some(5));
        // acme:password
        let login = format!(r#"{{"auths": {{"{host}": {{"auth": "YWNtZTpwYXNzd29yZA=="}}}}}}"#);
        cli.write(".docker/config.json", login);
        cli.ok(&transfer);
        cli.write(".docker/config.json", "{}");
        check_product(&cli, &place);
    }
    let wrong = cli.run("serve --rules users");
    assert_eq!(wrong.code, Some(2));
    for flag in ["--token-key users", "--public-url https://acme.org"] {
        let wrong = cli.run(&format!("serve --htpasswd users {flag}"));
        assert_eq!(wrong.code, Some(2), "{wrong}");
        assert!(wrong.to_string().contains("--auth token"), "{wrong}");
    }
    let wrong = cli.run("serve --htpasswd missing").to_string();
    assert!(wrong.contains("cannot read"), "{wrong}");
}

#[test]
fn a_quota_is_for_a_directory_that_is_written_to() {
    let cli = signed();
    cli.ok("transfer ctf shop disk.tar");
    for place in ["disk.tar", "shop --read-only", ""] {
        let refused = cli.run(&format!("serve {place} --quota 100000000"));
        assert_eq!(refused.code, Some(2), "{refused}");
        assert!(refused.to_string().contains("--quota is for"), "{refused}");
    }
    for place in ["shop", "new/directory"] {
        let (_server, place) = serve(&cli, &format!("{place} --quota 100000000"));
        cli.ok(&format!("transfer ctf shop {place}"));
    }
}

#[test]
fn a_directory_is_cleaned_while_it_is_served() {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    let cli = signed();
    cli.ok("transfer ctf shop served");
    let name = "sha256.2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let file = cli.path("served/blobs").join(name);
    fs::write(&file, "x").unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 40);
    File::open(&file).unwrap().set_modified(old).unwrap();
    let collecting = "--gc-interval 1 --gc-grace 60 --loglevel info";
    let (mut server, place) = serve(&cli, &format!("served {collecting}"));
    server.wait_for("condemned=1");
    assert!(!file.exists());
    let condemned = cli.path("served/.condemned").join(name);
    File::open(&condemned).unwrap().set_modified(old).unwrap();
    server.wait_for("blobs=1 bytes=1 ");
    assert!(!condemned.exists());
    check_product(&cli, place.trim_end_matches("/shop"));
}

#[test]
fn what_is_not_written_to_is_not_cleaned() {
    let cli = signed();
    cli.ok("transfer ctf shop served");
    for place in ["", "served --read-only"] {
        let run = cli.run(&format!(
            "serve {place} --gc-interval 1 --listen 127.0.0.1:0"
        ));
        assert_eq!(run.code, Some(2), "{run}");
        let expected = "--gc-interval is for a directory or a bucket that is written to";
        assert!(run.stderr.contains(expected), "{run}");
    }
    let run = cli.run("serve served --gc-grace 60");
    assert_eq!(run.code, Some(2), "{run}");
}

#[test]
fn the_registry_is_a_program_of_its_own() {
    let cli = signed();
    let mut registry = Cli::new(env!("CARGO_BIN_EXE_ocm-registry"));
    registry.set("OCM_STATS", "stats.jsonl");
    let (server, url) =
        world::listening(registry.start("served --quota 1000000 --listen 127.0.0.1:0"));
    let place = format!("{url}/shop");
    cli.ok(&format!("transfer ctf shop {place}"));
    check_product(&cli, &place);
    let ended = server.signal("TERM");
    assert_eq!(ended.code, Some(0), "{ended}");
    let stats = String::from_utf8(registry.read("stats.jsonl")).unwrap();
    assert!(stats.contains(r#""serve""#), "{stats}");
    let missing = registry.run("gone.tar");
    assert_eq!(missing.code, Some(3), "{missing}");
    let refused = registry.run("--redirect");
    assert_eq!(refused.code, Some(2), "{refused}");
    let misspelt = registry.run("--lisen");
    assert_eq!(misspelt.code, Some(2), "{misspelt}");
    assert_snapshot!(misspelt.stderr, @r"
    error: unexpected argument '--lisen' found

      tip: a similar argument exists: '--listen'

    Usage: ocm-registry --listen <ADDRESS> [PATH]

    For more information, try '--help'.
    ");
}

#[cfg(unix)]
#[test]
fn a_socket_that_systemd_hands_over_is_served() {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use std::process::{Command, Stdio};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Descriptor 3 is the first that systemd hands over.
    let script =
        "exec 3<&0; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --listen systemd --access-log";
    let mut server = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_ocm")])
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let request = "GET /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    server.kill().unwrap();
    let log = server.wait_with_output().unwrap().stderr;
    let log = String::from_utf8(log).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(log.contains(r#""method":"GET","path":"/v2/""#), "{log}");
    let missing = signed().run("serve --listen systemd");
    assert_eq!(missing.code, Some(2));
}
