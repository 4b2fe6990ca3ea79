//! The tour in `docs/guide/getting-started.md` works, and prints what it says.
//!
//! Blocks marked `console` are run in order, in one directory, a shell for each line that begins
//! with `$`; lines that begin with `>` continue it. What follows is what it prints, where `…` stands
//! for any text within a line, and alone for any number of lines. A command that fails is followed
//! by `$ echo $?`. One that ends in `&` runs until the tour is over. Blocks marked `file=NAME` are
//! written to a file before.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TOUR: &str = include_str!("../../../../docs/guide/getting-started.md");

/// The port that the tour uses; another one, that is free, is put in its place.
const PORT: &str = ":5001";

#[test]
fn the_tour_works_as_it_is_written() {
    let place = tempfile::tempdir().unwrap();
    let mut shell = Shell::new(place.path());
    for step in steps(TOUR) {
        match step {
            Step::File { name, content } => {
                std::fs::write(place.path().join(name), content).unwrap();
            }
            Step::Run { command, output } => shell.run(&command, &output),
        }
    }
    assert_eq!(shell.code, 0, "the last command of the tour failed");
    assert!(shell.commands > 5, "the tour has too few commands");
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
    File { name: String, content: String },
    Run { command: String, output: String },
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
        }
    }
    steps
}

fn read_console(block: &[&str], steps: &mut Vec<Step>) {
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::Run {
                command: command.to_owned(),
                output: String::new(),
            });
            continue;
        }
        let Some(Step::Run { command, output }) = steps.last_mut() else {
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

/// Runs the commands of the tour.
struct Shell<'a> {
    place: &'a Path,
    port: String,
    code: i32,
    commands: usize,
    background: Vec<Child>,
}

impl<'a> Shell<'a> {
    fn new(place: &'a Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            place,
            port: format!(":{}", free.local_addr().unwrap().port()),
            code: 0,
            commands: 0,
            background: Vec::new(),
        }
    }

    fn run(&mut self, command: &str, expected: &str) {
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
        assert!(
            matches(expected, &printed),
            "`{command}` should print:\n{expected}\nbut prints:\n{printed}"
        );
    }

    fn finish(&mut self, command: &str) -> String {
        let script = format!("exec 2>&1\n(exit {})\n{command}", self.code);
        let output = self.shell(&script).output().unwrap();
        self.code = output.status.code().unwrap_or(-1);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a server, and waits until it says that it listens.
    fn start(&mut self, command: &str) -> String {
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
        self.background.push(child);
        printed
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
        for child in &mut self.background {
            child.kill().ok();
            child.wait().ok();
        }
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
