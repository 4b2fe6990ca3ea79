//! `ocm diff component-version`.

use std::fmt::Write as _;

use ocm::oci::CopyOptions;
use ocm::transfer::diff::{Accesses, ChangeKind, FieldChange, Part};
use ocm::{ArtifactPart, ContentDiff, DiffOptions, DiffReport, Difference, PathState, Side};
use serde_json::Value;

use super::Session;
use crate::error::Different;
use crate::output::{Format, bytes, data};

/// How many resources are compared at a time.
const PARALLEL: usize = 4;

/// How much of a value is shown in one line.
const SHOWN: usize = 60;

/// How much of a digest: enough to tell two apart, and both in one line.
const DIGEST_SHOWN: usize = 16;

/// Show what differs between two component versions
///
/// They may be at two places. Compares what the descriptors say, and, of resources whose digests
/// differ, the content: manifests, configurations and layers of OCI artifacts, the files in
/// archives, and short texts line by line. Where content lies does not count if its digest is the
/// same.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The old component version, such as `./shop.ctf//acme.org/shop:1.0.0`
    from: String,

    /// The new one
    to: String,

    /// Do not read content: compare descriptors only
    #[arg(long)]
    skip_content: bool,

    /// Show also where content lies otherwise, though it is the same
    #[arg(long)]
    accesses: bool,

    /// Exit with 1 if anything differs
    #[arg(long)]
    exit_code: bool,

    /// How to print the result
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

pub(crate) async fn run(args: Args, session: &Session) -> anyhow::Result<()> {
    let from = session.reference(&args.from).await?;
    let to = session.reference(&args.to).await?;
    let options = DiffOptions {
        skip_content: args.skip_content,
        accesses: if args.accesses {
            Accesses::All
        } else {
            Accesses::OfOtherContent
        },
        copy: CopyOptions::new(PARALLEL),
    };
    let report = session.ocm.diff(&from, &to, &options).await?;
    match data(args.output, std::slice::from_ref(&report))? {
        Some(text) => session.ui.print(&text)?,
        None => session.ui.print(&rendered(&report))?,
    }
    if report.changes.is_empty() {
        session.ui.note("no differences");
        return Ok(());
    }
    if args.exit_code {
        return Err(Different.into());
    }
    Ok(())
}

fn rendered(report: &DiffReport) -> String {
    if report.changes.is_empty() {
        return String::new();
    }
    let side = |side: &Side| format!("{}//{}", side.repository, side.component);
    let mut text = format!("--- {}\n+++ {}\n", side(&report.from), side(&report.to));
    for Difference { change, content } in &report.changes {
        let (sign, part) = (sign(change.change), part_name(change.part));
        line(&mut text, 0, &format!("{sign} {part} {}", change.name));
        if change.change == ChangeKind::Changed {
            for field in &change.fields {
                line(&mut text, 1, &field_text(field));
            }
        }
        if let Some(content) = content {
            describe(&mut text, content);
        }
    }
    text
}

fn describe(text: &mut String, content: &ContentDiff) {
    match content {
        ContentDiff::Artifact { parts, unchanged } => {
            for part in parts {
                let platform = part.platform.as_deref();
                let platform = platform.map_or_else(String::new, |it| format!("{it} "));
                let line_text = format!(
                    "{} {platform}{} {} ({})",
                    sign(part.change),
                    artifact_part(part.part),
                    part.digest,
                    bytes(part.size),
                );
                line(text, 1, &line_text);
            }
            line(text, 1, &format!("= {unchanged} in both"));
        }
        ContentDiff::Tree { paths, unchanged } => {
            for path in paths {
                let states = [&path.from, &path.to];
                let states: Vec<String> = states.into_iter().flatten().map(state).collect();
                let name = path.path.escape_debug();
                let states = states.join(" -> ");
                line(text, 1, &format!("{} {name}: {states}", sign(path.change)));
            }
            line(text, 1, &format!("= {unchanged} in both"));
        }
        ContentDiff::Text { unified } => {
            for text_line in unified.lines() {
                line(text, 1, text_line);
            }
        }
        ContentDiff::Same => line(text, 1, "content: the same"),
        ContentDiff::Bytes {
            from_size,
            to_size,
            reason,
        } => {
            let size = |size: &Option<u64>| size.map_or_else(|| "?".to_owned(), bytes);
            let sizes = format!("content: {} -> {}", size(from_size), size(to_size));
            line(text, 1, &sizes);
            if let Some(reason) = reason {
                line(text, 1, &format!("files not compared: {reason}"));
            }
        }
        ContentDiff::Unread { reason } => line(text, 1, &format!("content: not read: {reason}")),
        _ => {}
    }
}

fn line(text: &mut String, depth: usize, content: &str) {
    let indent = "    ".repeat(depth);
    // Writing to a text does not fail.
    let _ = writeln!(text, "{}", format!("{indent}{content}").trim_end());
}

const fn sign(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Added => "+",
        ChangeKind::Removed => "-",
        ChangeKind::Changed => "~",
    }
}

const fn part_name(part: Part) -> &'static str {
    match part {
        Part::Provider => "provider",
        Part::Label => "label",
        Part::Reference => "reference",
        Part::Resource => "resource",
        Part::Source => "source",
        Part::Signature => "signature",
    }
}

const fn artifact_part(part: ArtifactPart) -> &'static str {
    match part {
        ArtifactPart::Manifest => "manifest",
        ArtifactPart::Config => "config",
        ArtifactPart::Layer => "layer",
    }
}

fn state(state: &PathState) -> String {
    match state {
        PathState::File { size, mode, .. } => format!("{} {mode:o}", bytes(*size)),
        PathState::Directory => "directory".to_owned(),
        PathState::Link { target } => format!("link to {}", target.escape_debug()),
    }
}

fn field_text(change: &FieldChange) -> String {
    let from = change.from.as_ref().map_or_else(|| "-".to_owned(), short);
    let to = change.to.as_ref().map_or_else(|| "-".to_owned(), short);
    format!("{}: {from} -> {to}", change.field)
}

/// Returns a value in one line, of a digest or a label what counts.
fn short(value: &Value) -> String {
    let is_digest = value.get("hashAlgorithm").is_some();
    let value = value.get("value").unwrap_or(value);
    if let (true, Some(hex)) = (is_digest, value.as_str())
        && hex.len() > DIGEST_SHOWN
        && hex.is_ascii()
    {
        return format!("{}…", &hex[..DIGEST_SHOWN]);
    }
    let text = match value {
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    };
    if text.chars().count() <= SHOWN {
        return text;
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}…")
}
