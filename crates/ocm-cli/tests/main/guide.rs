//! The commands in `README.md` and in `docs/guide` work, and print what is said there.
//!
//! The blocks of a document are run in order, in one directory. In those marked `console`, lines
//! that begin with `$` are commands, and those that begin with `>` continue them. What follows is
//! what they print, where `…` stands for any text within a line, and alone for any number of lines.
//! A command that fails is followed by `$ echo $?`. In blocks marked `sh test`, all lines are
//! commands, which have to succeed. One that ends in `&` is a server, which runs until the document
//! ends or another one takes its place. Blocks marked `file=NAME` are written to a file before. Other blocks are
//! not run: they need what is not there.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::world::conformance;

const README: &str = include_str!("../../../../README.md");
const GETTING_STARTED: &str = include_str!("../../../../docs/guide/getting-started.md");
const SIGNING: &str = include_str!("../../../../docs/guide/signing.md");
const CONSTRUCTOR: &str = include_str!("../../../../docs/guide/constructor.md");
const REGISTRY: &str = include_str!("../../../../docs/guide/registry.md");
const AIR_GAP: &str = include_str!("../../../../docs/guide/air-gap.md");

/// The port that the documents use; another one, that is free, is put in its place.
const PORT: &str = ":5001";

#[test]
fn the_short_tour_works_as_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    Shell::new(place.path()).follow(README, 6);
}

#[test]
fn getting_started_works_as_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    Shell::new(place.path()).follow(GETTING_STARTED, 15);
}

#[test]
fn the_guide_to_signing_works_as_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    let mut shell = Shell::new(place.path());
    shell.follow(before(GETTING_STARTED, "\n## Sign\n"), 5);
    shell.follow(SIGNING, 8);
}

#[test]
fn the_guide_to_constructors_works_as_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("build")).unwrap();
    std::fs::write(place.path().join("build/server"), "#!/bin/sh\n").unwrap();
    let mut shell = Shell::new(place.path());
    let (image, chart) = (
        conformance("oci-layout/oci-layout.tar.gz"),
        conformance("helm/mychart"),
    );
    shell.run(
        &format!("gunzip -c {} > build/image.tar", image.display()),
        None,
    );
    shell.run(&format!("cp -r {} chart", chart.display()), None);
    shell.follow(CONSTRUCTOR, 2);
}

#[test]
fn the_guide_to_the_registry_works_as_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    let mut shell = Shell::new(place.path());
    shell.follow(
        before(GETTING_STARTED, "\nThat file is what crosses the air gap."),
        9,
    );
    shell.follow(REGISTRY, 6);
}

#[test]
fn the_guide_over_an_air_gap_works_as_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    let mut shell = Shell::new(place.path());
    shell.follow(before(GETTING_STARTED, "\n## Carry\n"), 8);
    // What the reader has elsewhere is here.
    let guide = AIR_GAP
        .replace("ghcr.io/acme//", "archive//")
        .replace("acme.pub", "release.pub")
        .replace("0.0.0.0:", "127.0.0.1:")
        .replace("http://machine:", "http://127.0.0.1:");
    shell.follow(&guide, 7);
}

/// Returns a document up to a text that is in it.
fn before<'a>(document: &'a str, text: &str) -> &'a str {
    let (start, _) = document.split_once(text).unwrap();
    start
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    assert!(matches("a … c\n…\nz", "a b c\nd\ne\nz"));
    assert!(matches("a\n…", "a"));
    assert!(matches("…b…", "abc"));
    assert!(!matches("a … c", "a b d"));
    assert!(!matches("a", "a\nb"));
    assert!(!matches("ab…ba", "aba"));
}

enum Step {
    File {
        name: String,
        content: String,
    },
    /// Without output, whatever the command prints is right.
    Run {
        command: String,
        output: Option<String>,
    },
}

fn steps(document: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if let Some(name) = info.split(' ').find_map(|word| word.strip_prefix("file=")) {
            steps.push(Step::File {
                name: name.to_owned(),
                content: block.join("\n") + "\n",
            });
        } else if info == "console" {
            read_console(&block, &mut steps);
        } else if info == "sh test" {
            read_script(&block, &mut steps);
        }
    }
    steps
}

fn read_console(block: &[&str], steps: &mut Vec<Step>) {
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::Run {
                command: command.to_owned(),
                output: Some(String::new()),
            });
            continue;
        }
        let Some(Step::Run {
            command,
            output: Some(output),
        }) = steps.last_mut()
        else {
            panic!("a block begins with output: {line}");
        };
        match line.strip_prefix("> ") {
            Some(more) if output.is_empty() => {
                command.push('\n');
                command.push_str(more);
            }
            _ => {
                output.push_str(line);
                output.push('\n');
            }
        }
    }
}

fn read_script(block: &[&str], steps: &mut Vec<Step>) {
    let script = block.join("\n").replace("\\\n", " ");
    let lines = script.lines().map(str::trim);
    for command in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        steps.push(Step::Run {
            command: command.to_owned(),
            output: None,
        });
    }
}

/// Runs the commands of documents.
struct Shell<'a> {
    place: &'a Path,
    port: String,
    code: i32,
    commands: usize,
    server: Option<Child>,
}

impl<'a> Shell<'a> {
    fn new(place: &'a Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            place,
            port: format!(":{}", free.local_addr().unwrap().port()),
            code: 0,
            commands: 0,
            server: None,
        }
    }

    /// Does what a document says, which has at least so many commands.
    fn follow(&mut self, document: &str, commands: usize) {
        let before = self.commands;
        for step in steps(document) {
            match step {
                Step::File { name, content } => {
                    std::fs::write(self.place.join(name), content).unwrap();
                }
                Step::Run { command, output } => self.run(&command, output.as_deref()),
            }
        }
        assert_eq!(self.code, 0, "the last command failed");
        let run = self.commands - before;
        assert!(run >= commands, "{run} commands were found");
    }

    fn run(&mut self, command: &str, expected: Option<&str>) {
        assert!(
            self.code == 0 || command.starts_with("echo $?"),
            "the command before `{command}` failed with {}",
            self.code
        );
        self.commands += 1;
        let here = command.replace(PORT, &self.port);
        let printed = match here.strip_suffix(" &") {
            Some(server) => self.start(server),
            None => self.finish(&here),
        };
        let printed = printed.replace(&self.port, PORT);
        match expected {
            Some(expected) => assert!(
                matches(expected, &printed),
                "`{command}` should print:\n{expected}\nbut prints:\n{printed}"
            ),
            None => assert_eq!(self.code, 0, "`{command}` fails:\n{printed}"),
        }
    }

    fn finish(&mut self, command: &str) -> String {
        let script = format!("exec 2>&1\n(exit {})\n{command}", self.code);
        let output = self.shell(&script).output().unwrap();
        self.code = output.status.code().unwrap_or(-1);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a server in the place of another one, and waits until it says that it listens.
    fn start(&mut self, command: &str) -> String {
        self.stop();
        let command = if command.contains("--listen") {
            command.to_owned()
        } else {
            format!("{command} --listen 127.0.0.1{}", self.port)
        };
        let mut child = self
            .shell(&format!("exec {command} 2>&1"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        while !printed.contains("listening on") {
            let read = reader.read_line(&mut printed).unwrap();
            assert_ne!(read, 0, "`{command}` ended: {printed}");
        }
        self.server = Some(child);
        printed
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().ok();
            server.wait().ok();
        }
    }

    fn shell(&self, script: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_ocm"));
        let mut path = binary.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .current_dir(self.place)
            .env("PATH", path)
            .env("HOME", self.place)
            .env_remove("OCM_CONFIG")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells whether text is what a pattern with ellipses says.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<&str> = pattern.trim_end().lines().map(str::trim_end).collect();
    let text: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines_match(&pattern, &text)
}

fn lines_match(pattern: &[&str], text: &[&str]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((&"…", rest)) => (0..=text.len()).any(|skip| lines_match(rest, &text[skip..])),
        Some((first, rest)) => text
            .split_first()
            .is_some_and(|(line, more)| line_matches(first, line) && lines_match(rest, more)),
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
