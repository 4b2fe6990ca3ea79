//! Disks that are full, and targets that cannot be written.
//!
//! Nobody has a full disk at hand. Most of these have the system refuse to let a file become larger
//! than some KiB, which fails the same calls with another error, for every user. Where file systems
//! can be mounted, one fills a disk.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use ocm_testkit::Cli;

use crate::raw::{body_of, exchange, header, host_of};
use crate::world::{
    IMPATIENT, LARGE, SMALL, check_product, content, listening, names, noise, packed, serve, signed,
};

/// Where a directory has its index.
const INDEX: &str = "/artifact-index.json";

/// The size of the content that does not fit, in bytes.
const SIZE: usize = 300_000;

/// How large files can become, in KiB.
const SPACE: u64 = 100;

/// Returns the product, signed, and what does not fit.
fn crowded() -> Cli {
    let cli = signed();
    cli.write("src/large.bin", noise(SIZE, 1));
    cli.write("src/large.yaml", LARGE);
    cli.write("small.yaml", SMALL);
    cli
}

/// Runs a command without enough space for a target that has one component version, then with
/// enough, and returns what it said without.
#[track_caller]
fn check(cli: &Cli, target: &str, command: &str) -> String {
    cli.ok(&format!("add cv -r {target} small.yaml"));
    let before = cli.ok(&format!("get cv {target} -o json"));
    let there = names(cli);
    let run = cli.run_short_of_space(SPACE, command);
    assert_eq!(run.code, Some(1), "{run}");
    let small = format!("get cv {target}//acme.org/small -o json");
    assert_eq!(cli.ok(&small), before);
    assert!(!cli.ok(&format!("list {target}")).contains("acme.org/large"));
    // Where a transfer could not even keep its work in the archive, that waits beside it.
    let mut left = names(cli);
    left.retain(|name| !name.starts_with(&format!(".{target}.")));
    assert_eq!(left, there);
    cli.ok(command);
    assert_eq!(names(cli), there);
    assert_eq!(cli.ok(&small), before);
    let large = format!("download resource {target}//acme.org/large:1.0.0 data");
    cli.ok(&large);
    assert_eq!(cli.read("data"), noise(SIZE, 1));
    run.to_string()
}

#[test]
fn packing_into_a_directory_without_space() {
    let said = check(&crowded(), "target", "add cv -r target src/large.yaml");
    assert_snapshot!(without_number(&said), @r"
    $ ocm add cv -r target src/large.yaml
    exit 1
    --- stderr
    error: src/large.yaml:5:3: resources[0]: cannot store the content of `data`
      caused by: cannot write to <dir>/target
      caused by: cannot store blob of <dir>/target
      caused by: cannot write <dir>/target/blobs/.tmp-<n>
      caused by: File too large (os error 27)
    ");
}

#[test]
fn packing_into_a_tar_without_space() {
    let said = check(&crowded(), "far.tar", "add cv -r far.tar src/large.yaml");
    assert_snapshot!(said, @r"
    $ ocm add cv -r far.tar src/large.yaml
    exit 1
    --- stderr
    error: src/large.yaml:5:3: resources[0]: cannot store the content of `data`
      caused by: cannot write to <dir>/far.tar
      caused by: cannot store blob in <dir>/far.tar
      caused by: cannot write <dir>/.far.tar.partial
      caused by: File too large (os error 27)
    ");
}

#[test]
fn packing_into_a_compressed_tar_without_space() {
    let said = check(&crowded(), "far.tgz", "add cv -r far.tgz src/large.yaml");
    assert_snapshot!(said, @r"
    $ ocm add cv -r far.tgz src/large.yaml
    exit 1
    --- stderr
    error: src/large.yaml:5:3: resources[0]: cannot store the content of `data`
      caused by: cannot write to <dir>/far.tgz
      caused by: cannot store blob in <dir>/far.tgz
      caused by: cannot write <dir>/.far.tgz.partial
      caused by: File too large (os error 27)
    ");
}

#[test]
fn transferring_without_space() {
    for target in ["target", "far.tar", "far.tgz"] {
        let cli = crowded();
        cli.ok("add cv -r shop src/large.yaml");
        check(&cli, target, &format!("transfer ctf shop {target}"));
        check_product(&cli, target);
    }
}

#[test]
fn signing_without_space() {
    for (archive, space) in [("disk", 1), ("disk.tar", 4), ("disk.tgz", 1)] {
        let cli = signed();
        cli.ok(&format!("transfer ctf shop {archive}"));
        let there = names(&cli);
        let sign = format!("sign cv -K acme -s second {archive}//acme.org/bar/product:1.0.0");
        let run = cli.run_short_of_space(space, &sign);
        assert_eq!(run.code, Some(1), "{run}");
        assert_eq!(names(&cli), there);
        check_product(&cli, archive);
        cli.ok(&sign);
        cli.ok(&format!(
            "verify cv -k acme.pub -s second {archive}//acme.org/bar/product:1.0.0"
        ));
    }
}

#[test]
fn downloading_without_space() {
    let cli = crowded();
    cli.ok("add cv -r shop src/large.yaml");
    cli.write("data", "as it was");
    let there = names(&cli);
    let download = "download resource shop//acme.org/large:1.0.0 data";
    assert_snapshot!(cli.run_short_of_space(SPACE, download), @r"
    $ ocm download resource shop//acme.org/large:1.0.0 data
    exit 1
    --- stderr
    error: cannot download resource name=data,version=1.0.0 of acme.org/large:1.0.0
      caused by: cannot write <dir>/data
      caused by: File too large (os error 27)
    ");
    assert_eq!(cli.read("data"), b"as it was");
    assert_eq!(names(&cli), there);
    cli.ok(download);
    assert_eq!(cli.read("data"), noise(SIZE, 1));
}

/// How much space there may be, in KiB: none, less than the index or a manifest takes, less than the
/// product, and up to the last part of the large content.
const SPACES: [u64; 14] = [0, 1, 2, 3, 4, 6, 10, 40, 128, 256, 257, 288, 290, 292];

/// Fills the disk at each write of a transfer.
#[test]
fn wherever_a_disk_is_full_nothing_is_damaged_and_the_next_run_completes() {
    let cli = crowded();
    cli.ok("add cv -r shop src/large.yaml");
    let transfer = |target: &str| format!("transfer ctf shop {target}");
    for ending in ["", ".tar", ".tgz"] {
        let whole = format!("whole{ending}");
        cli.ok(&format!("add cv -r {whole} small.yaml"));
        cli.ok(&transfer(&whole));
        let whole = in_order(content(&cli, &whole));
        for space in SPACES {
            let target = format!("{space}{ending}");
            cli.ok(&format!("add cv -r {target} small.yaml"));
            let run = cli.run_short_of_space(space, &transfer(&target));
            assert_eq!(run.code, Some(1), "{run}");
            assert!(run.stderr.contains("File too large"), "{run}");
            cli.ok(&format!("check {target}//acme.org/small:1.0.0"));
            check_whole_or_absent(&cli, &target);
            cli.ok(&transfer(&target));
            assert!(in_order(content(&cli, &target)) == whole, "{run}");
        }
    }
}

/// Fills a disk at each place of a transfer, until everything finds its place.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_is_said_and_with_more_space_the_next_run_completes() {
    const SCRIPT: &str = r#"
        mkdir disk done
        for ending in "" .tar .tgz; do
            space=4
            while :; do
                mount -t tmpfs -o size=${space}k none disk 2> said || { cat said >&2; exit 77; }
                code=0
                "$OCM" transfer ctf shop disk/copy$ending > said 2>&1 || code=$?
                if [ $code = 0 ]; then break; fi
                if [ $code != 1 ] || ! grep -q "No space left on device" said; then
                    echo "with $space KiB for copy$ending: exit code $code"
                    cat said
                    exit 9
                fi
                mount -o remount,size=16m disk
                "$OCM" transfer ctf shop disk/copy$ending
                test "$(ls -A disk)" = copy$ending
                cp -R disk/copy$ending done/$space$ending
                umount disk
                space=$((space + 16))
            done
            umount disk
        done
    "#;
    let cli = crowded();
    cli.ok("add cv -r shop src/large.yaml");
    let endings = [".tar", ".tgz", ""];
    for ending in endings {
        cli.ok(&format!("transfer ctf shop whole{ending}"));
    }
    let Some(run) = cli.run_with_mounts(SCRIPT) else {
        return;
    };
    assert_eq!(run.code, Some(0), "{run}");
    let whole = endings.map(|ending| in_order(content(&cli, &format!("whole{ending}"))));
    let mut times = [0; 3];
    for entry in std::fs::read_dir(cli.path("done")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let kind = endings
            .iter()
            .position(|ending| name.ends_with(ending))
            .unwrap();
        times[kind] += 1;
        let found = in_order(content(&cli, &format!("done/{name}")));
        assert!(found == whole[kind], "{name}");
    }
    // The large content alone takes some dozens of such steps.
    assert!(times.iter().all(|count| *count > SIZE / 16384), "{times:?}");
}

/// Sorts the entries of the index of a directory, where they stand in the order in which they came.
fn in_order(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    if let Some(index) = files.get_mut(INDEX) {
        let text = String::from_utf8(std::mem::take(index)).unwrap();
        let mut entries: Vec<&str> = text.split(['{', '}']).collect();
        entries.sort_unstable();
        *index = entries.concat().into_bytes();
    }
    files
}

/// Checks that what fits is there whole or not at all, and what does not fit is not there.
#[track_caller]
fn check_whole_or_absent(cli: &Cli, place: &str) {
    for name in ["bar/leaf", "bar/product", "large"] {
        let run = cli.run(&format!("check {place}//acme.org/{name}:1.0.0"));
        let fits = name != "large";
        assert!(run.code == Some(3) || fits && run.code == Some(0), "{run}");
    }
}

/// Checks that a directory has nothing but blobs and an index, and uploads that may go on: a client
/// that gives up need not have said so of each.
#[track_caller]
fn check_tidy(cli: &Cli, directory: &str) {
    let files = content(cli, directory);
    let known = ["/blobs/sha256.", "/.uploads/"];
    let is_known = |name: &str| name == INDEX || known.iter().any(|it| name.starts_with(it));
    let strange: Vec<&String> = files.keys().filter(|name| !is_known(name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// Fills the disk of a server at each of its writes.
#[test]
fn a_server_without_space_damages_nothing_and_goes_on() {
    let cli = crowded();
    cli.write(".ocmconfig", IMPATIENT);
    cli.ok("add cv -r shop src/large.yaml");
    for space in SPACES {
        let served = format!("served{space}");
        let arguments = format!("serve {served} --listen 127.0.0.1:0");
        let (server, url) = listening(cli.start_short_of_space(space, &arguments));
        let run = cli.run(&format!("transfer ctf shop {url}/shop"));
        assert!(matches!(run.code, Some(1 | 7)), "{run}");
        assert!(run.stderr.contains("507 Insufficient Storage"), "{run}");
        check_whole_or_absent(&cli, &format!("{url}/shop"));
        let run = server.signal("INT");
        assert_eq!(run.code, Some(0), "{run}");
        let (server, url) = serve(&cli, &served);
        cli.ok(&format!("transfer ctf shop {url}/shop"));
        check_product(&cli, &format!("{url}/shop"));
        assert_eq!(server.signal("INT").code, Some(0));
        check_tidy(&cli, &served);
    }
}

/// Fills the disk where an upload and what is known of it are kept between its requests.
#[test]
fn an_upload_without_space_is_given_up_and_takes_none() {
    const CHUNK: usize = 40_000;
    let cli = crowded();
    let large = noise(2_000_000, 7);
    for space in [0, 1, 2, 39, 40, 60, 100, 1900] {
        let served = format!("served{space}");
        let arguments = format!("serve {served} --listen 127.0.0.1:0");
        let (server, url) = listening(cli.start_short_of_space(space, &arguments));
        let host = host_of(&url);
        let started = exchange(host, "POST /v2/shop/blobs/uploads/ HTTP/1.1", b"").0;
        let location = header(&started, "location");
        let patch = format!("PATCH {location} HTTP/1.1");
        let mut sent = 0;
        let refused = loop {
            let end = large.len().min(sent + CHUNK);
            let answer = exchange(host, &patch, &large[sent..end]).0;
            if !answer.starts_with("HTTP/1.1 202") {
                break answer;
            }
            sent = end;
            assert!(sent < large.len(), "{space}");
        };
        assert!(refused.starts_with("HTTP/1.1 507"), "{refused}");
        let gone = exchange(host, &format!("GET {location} HTTP/1.1"), b"").0;
        assert!(gone.starts_with("HTTP/1.1 404"), "{gone}");
        let digest = ocm::digest::Digest::sha256(&large);
        let whole = format!("POST /v2/shop/blobs/uploads/?digest={digest} HTTP/1.1");
        let refused = exchange(host, &whole, &large).0;
        assert!(refused.starts_with("HTTP/1.1 507"), "{refused}");
        let run = server.signal("INT");
        assert_eq!(run.code, Some(0), "{run}");
        // Nothing came to be there, so there is nothing.
        assert!(!cli.path(&served).exists(), "{space}");
        let (_server, url) = serve(&cli, &served);
        let taken = exchange(host_of(&url), &whole, &large).0;
        assert!(taken.starts_with("HTTP/1.1 201"), "{taken}");
        assert!(body_of(host_of(&url), &format!("/v2/shop/blobs/{digest}")) == large);
    }
}

/// Replaces what differs in the names of temporary files.
fn without_number(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("/.tmp-") {
        Some((start, _)) => [start, "/.tmp-<n>\n"].concat(),
        None => [line, "\n"].concat(),
    });
    lines.collect()
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let cli = packed();
    for command in ["get cv shop", "get cv shop -o json", "list shop", "version"] {
        let run = cli.run_into("/dev/full", command);
        assert_eq!(run.code, Some(1), "{run}");
    }
    assert_eq!(cli.run_into("/dev/full", "--help").code, Some(1));
    assert_snapshot!(cli.run_into("/dev/full", "list shop"), @r"
    $ ocm list shop > /dev/full
    exit 1
    --- stderr
    error: cannot write to standard output
      caused by: No space left on device (os error 28)
    ");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_replaced_by_a_download() {
    let cli = packed();
    let download = "download resource shop//acme.org/bar/leaf:1.0.0 data -O";
    let _socket = std::os::unix::net::UnixListener::bind(cli.path("socket")).unwrap();
    assert_snapshot!(cli.run(&format!("{download} socket")), @r"
    $ ocm download resource shop//acme.org/bar/leaf:1.0.0 data -O socket
    exit 1
    --- stderr
    error: cannot download resource name=data,version=1.0.0 of acme.org/bar/leaf:1.0.0
      caused by: cannot replace <dir>/socket
      caused by: it is no regular file
    ");
    assert!(!cli.path("socket").is_file());
    std::fs::create_dir(cli.path("there")).unwrap();
    cli.write("there/precious.txt", "here since 1999");
    assert_snapshot!(cli.run(&format!("{download} there")), @r"
    $ ocm download resource shop//acme.org/bar/leaf:1.0.0 data -O there
    exit 1
    --- stderr
    error: cannot download resource name=data,version=1.0.0 of acme.org/bar/leaf:1.0.0
      caused by: cannot write <dir>/there
      caused by: Is a directory (os error 21)
    ");
    let tree = "download resource shop//acme.org/bar/product:1.0.0 tree -O there";
    assert_snapshot!(cli.run(tree), @r"
    $ ocm download resource shop//acme.org/bar/product:1.0.0 tree -O there
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/bar/product:1.0.0
      caused by: cannot write <dir>/there
      caused by: Directory not empty (os error 39)
    ");
    assert_eq!(cli.read("there/precious.txt"), b"here since 1999");
    assert_eq!(names(&cli), ["shop", "socket", "src", "there"]);
}

#[cfg(unix)]
#[test]
fn a_target_below_a_file_is_named() {
    let cli = packed();
    cli.write("file", "a file");
    for target in ["file/far", "file/far.tar", "file/far.tgz"] {
        let run = cli.run(&format!("transfer ctf shop {target}"));
        assert_eq!(run.code, Some(1), "{run}");
    }
    assert_snapshot!(cli.run("transfer ctf shop file/far.tar"), @r"
    $ ocm transfer ctf shop file/far.tar
    exit 1
    --- stderr
    error: cannot open <dir>/file/far.tar
      caused by: cannot create <dir>/file/.far.tar.partial
      caused by: Not a directory (os error 20)
    ");
    assert_snapshot!(cli.run("add cv -r file/far src/product.yaml"), @r"
    $ ocm add cv -r file/far src/product.yaml
    exit 1
    --- stderr
    error: cannot open <dir>/file/far
      caused by: cannot create <dir>/file/far/blobs
      caused by: Not a directory (os error 20)
    ");
    assert_eq!(cli.read("file"), b"a file");
}

/// Nobody can create files there, not even who may do everything.
#[cfg(target_os = "linux")]
const READ_ONLY: &str = "/sys";

#[cfg(target_os = "linux")]
#[test]
fn a_target_that_is_read_only_is_named() {
    let mut cli = packed();
    for reason in [
        "Permission denied (os error 13)",
        "Operation not permitted (os error 1)",
        "Read-only file system (os error 30)",
    ] {
        // Which of them depends on the user and on how the file system is mounted.
        cli.name(reason, "refused");
    }
    assert_snapshot!(cli.run(&format!("transfer ctf shop {READ_ONLY}/far.tar")), @r"
    $ ocm transfer ctf shop /sys/far.tar
    exit 1
    --- stderr
    error: cannot open /sys/far.tar
      caused by: cannot create /sys/.far.tar.partial
      caused by: <refused>
    ");
    assert_snapshot!(cli.run(&format!("add cv -r {READ_ONLY}/far src/product.yaml")), @r"
    $ ocm add cv -r /sys/far src/product.yaml
    exit 1
    --- stderr
    error: cannot open /sys/far
      caused by: cannot create /sys/far/blobs
      caused by: <refused>
    ");
    let download = "download resource shop//acme.org/bar/leaf:1.0.0 data -O";
    let run = cli.run(&format!("{download} {READ_ONLY}/data"));
    assert_eq!(run.code, Some(1), "{run}");
    let run = cli.run(&format!("create keypair {READ_ONLY}/key"));
    assert_eq!(run.code, Some(1), "{run}");
}
