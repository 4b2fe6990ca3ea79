//! Prints `docs/reference/cli.md`: every command with its flags, made of the grammar itself.
//!
//! `cargo xtask generate` writes it to its place, `cargo xtask generate --check` compares.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::{Arg, Command};

const HEAD: &str = "\
<!-- Written by `cargo xtask generate`. -->

# Command line

`ocm <verb> <noun> …`. Data goes to stdout, everything else to stderr. [Exit codes](../concepts/exit-codes.md) are the same for all commands.

";

fn main() -> io::Result<()> {
    let mut root = ocm_cli::command();
    root.build();
    io::stdout().write_all(reference(&root).as_bytes())
}

/// Returns the whole document.
fn reference(root: &Command) -> String {
    let mut text = HEAD.to_owned();
    let mut commands = Vec::new();
    collect(root, root.get_name(), &mut commands);
    text.push_str("| command | |\n| --- | --- |\n");
    for (path, command) in &commands {
        let anchor = path.replace(' ', "-");
        let _ = writeln!(text, "| [`{path}`](#{anchor}) | {} |", about(command));
    }
    text.push_str("\n## Flags of every command\n\n");
    flags(&mut text, root, |arg| {
        arg.is_global_set() && !arg.is_hide_set()
    });
    for (path, command) in &commands {
        section(&mut text, path, command);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Collects the commands that do something, in the order of the grammar.
fn collect<'a>(command: &'a Command, path: &str, into: &mut Vec<(String, &'a Command)>) {
    for child in command.get_subcommands().filter(|child| shown(child)) {
        let path = format!("{path} {}", child.get_name());
        if child.get_subcommands().any(shown) {
            collect(child, &path, into);
        } else {
            into.push((path, child));
        }
    }
}

fn shown(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn section(text: &mut String, path: &str, command: &Command) {
    let _ = write!(text, "## {path}\n\n");
    let long = command
        .get_long_about()
        .or_else(|| command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = writeln!(text, "{}\n", long.trim());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let _ = writeln!(text, "```text\n{usage}\n```\n");
    let aliases: Vec<String> = command
        .get_visible_aliases()
        .map(|alias| format!("`{alias}`"))
        .collect();
    if !aliases.is_empty() {
        let _ = writeln!(text, "Also: {}.\n", aliases.join(", "));
    }
    positionals(text, command);
    flags(text, command, |arg| {
        !arg.is_global_set() && !arg.is_hide_set()
    });
    if let Some(after) = command
        .get_after_long_help()
        .or_else(|| command.get_after_help())
    {
        let _ = writeln!(text, "```text\n{}\n```\n", after.to_string().trim());
    }
}

fn positionals(text: &mut String, command: &Command) {
    let arguments: Vec<&Arg> = command
        .get_positionals()
        .filter(|arg| !arg.is_hide_set())
        .collect();
    if arguments.is_empty() {
        return;
    }
    text.push_str("| argument | |\n| --- | --- |\n");
    for arg in arguments {
        let name = value_names(arg).replace('|', "\\|");
        let _ = writeln!(text, "| `{name}` | {} |", meaning(arg));
    }
    text.push('\n');
}

fn flags(text: &mut String, command: &Command, wanted: impl Fn(&Arg) -> bool) {
    let flags: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !is_builtin(arg) && wanted(arg))
        .collect();
    if flags.is_empty() {
        return;
    }
    text.push_str("| flag | |\n| --- | --- |\n");
    for arg in flags {
        let _ = writeln!(text, "| {} | {} |", spellings(arg), meaning(arg));
    }
    text.push('\n');
}

fn is_builtin(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

/// Returns all ways to write a flag.
fn spellings(arg: &Arg) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let shorts = arg.get_visible_short_aliases().unwrap_or_default();
    names.extend(shorts.iter().map(|short| format!("-{short}")));
    let longs = arg.get_visible_aliases().unwrap_or_default();
    names.extend(longs.iter().map(|long| format!("--{long}")));
    let value = if arg.get_action().takes_values() {
        format!(" {}", value_names(arg))
    } else {
        String::new()
    };
    let names: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let value = if index + 1 == names.len() {
                value.as_str()
            } else {
                ""
            };
            format!("`{name}{value}`")
        })
        .collect();
    names.join(", ")
}

fn value_names(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(clap::builder::Str::as_str).collect();
    let names = names.join(" ");
    let many = arg.is_positional()
        && arg
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1);
    if many && !names.contains('…') {
        names + "…"
    } else {
        names
    }
}

/// Returns what an argument means, with its values, default and variable.
fn meaning(arg: &Arg) -> String {
    let help = arg
        .get_long_help()
        .or_else(|| arg.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut meaning = cell(&help);
    let mut facts = Vec::new();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if arg.get_action().takes_values() && !values.is_empty() && !arg.is_hide_possible_values_set() {
        facts.push(values.join(", "));
    }
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() {
        let defaults: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|value| format!("`{}`", value.display()))
            .collect();
        if !defaults.is_empty() {
            facts.push(format!("default: {}", defaults.join(" ")));
        }
    }
    if let Some(variable) = arg.get_env() {
        facts.push(format!("environment: `{}`", variable.display()));
    }
    if !facts.is_empty() {
        if !meaning.is_empty() && !meaning.ends_with('.') {
            meaning.push('.');
        }
        let _ = write!(meaning, " ({})", facts.join("; "));
    }
    meaning
}

fn about(command: &Command) -> String {
    command
        .get_about()
        .map(|about| cell(&about.to_string()))
        .unwrap_or_default()
}

/// Returns text as it can stand in a cell of a table.
fn cell(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .trim()
        .to_owned()
}
