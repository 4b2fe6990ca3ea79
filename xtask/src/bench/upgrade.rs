//! An upgrade over an air gap: what has to be carried of a release where the one before is there.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::jobs::{Bench, row, text};
use super::process::measure;
use super::random::Random;
use super::report::{Bar, Row};
use super::tools::remove;
use super::transfers::{check_room, ratio};

/// The component of which there are two releases.
const COMPONENT: &str = "bench.example.org/upgrade";

/// How many layers there are, and how many of them change.
const LAYERS: u64 = 40;
const CHANGED: u64 = 2;

/// How much of the full archive a delta archive may be, in percent.
const PART: f64 = 6.0;

/// How much is written over, and inserted, in a layer that changes, in bytes.
const OVERWRITTEN: usize = 64 * 1024;
const INSERTED: &[u8] = b"a few bytes more than before";

/// How much of a disk must be free, as a multiple of a release: two of them, the files of one, the
/// full archive, and two places that are upgraded.
const ROOM: u64 = 6;

const MIB: u64 = 1024 * 1024;

impl Bench {
    /// Upgrades a product of which few layers change.
    pub(super) fn upgrade(&mut self) -> Result<Vec<Row>> {
        let size = (2048 * MIB / LAYERS) / if self.is_quick() { 16 } else { 1 };
        check_room(self.work(), ROOM * LAYERS * size)?;
        let what = format!("{LAYERS} × {} MiB, {CHANGED} change", size / MIB);
        let old = self.release("1.0.0", size, 0)?;
        let new = self.release("1.1.0", size, CHANGED)?;
        let mut rows = Vec::new();
        let full = self.output("full.tar")?;
        remove(Path::new(&full))?;
        let cost = measure(self.tools().ours(["transfer", "ctf", &new, &full]))?;
        rows.push(row(
            format!("upgrade, {what}: all of 1.1.0 → CTF tar"),
            cost,
            Bar::None,
            vec![],
        ));
        let whole = fs::metadata(&full)?.len();
        remove(Path::new(&full))?;

        let state = self.output("far.json")?;
        let export = ["state", "export", &old, "--chunks", "-o", &state];
        let cost = measure(self.tools().ours(export))?;
        let chunks = fs::metadata(&state)?.len();
        let job = format!("… state of 1.0.0 with chunks: {} KiB", chunks / 1024);
        rows.push(row(job, cost, Bar::None, vec![]));

        for (flag, name) in [(None, "layers"), (Some("--chunk-deltas"), "chunks")] {
            let delta = self.output(&format!("delta-{name}.tar"))?;
            remove(Path::new(&delta))?;
            let write = ["transfer", "ctf", &new, &delta, "--since", &state];
            let mut write = self.tools().ours(write);
            write.args(flag);
            let cost = measure(write)?;
            let part = 100.0 * ratio(fs::metadata(&delta)?.len(), whole);
            let verdict = if part <= PART { "met" } else { "missed" };
            rows.push(row(
                format!(
                    "… delta of {name}, {part:.2} % of the full archive (≤ {PART} %: {verdict})"
                ),
                cost,
                Bar::None,
                vec![],
            ));
            let far = self.output(&format!("far-{name}"))?;
            remove(Path::new(&far))?;
            measure(self.tools().ours(["transfer", "ctf", &old, &far]))?;
            let cost = measure(self.tools().ours(["transfer", "ctf", &delta, &far]))?;
            rows.push(row("… applied to a directory", cost, Bar::None, vec![]));
            let upgraded = format!("{far}//{COMPONENT}:1.1.0");
            measure(self.tools().ours(["check", "--content", &upgraded]))?;
            remove(Path::new(&far))?;
            remove(Path::new(&delta))?;
        }
        remove(Path::new(&old))?;
        remove(Path::new(&new))?;
        Ok(rows)
    }

    /// Packs a release in which the first layers are not those of the one before.
    fn release(&self, version: &str, size: u64, changed: u64) -> Result<String> {
        let directory = self.work().join("input").join(format!("upgrade-{size}"));
        let constructor = make(&directory, version, size, changed);
        let constructor = constructor.with_context(|| format!("release {version}"))?;
        let target = self.output(&format!("upgrade-{version}"))?;
        remove(Path::new(&target))?;
        let constructor = text(&constructor)?;
        let pack = ["add", "cv", "-r", &target, "-c", &constructor];
        measure(self.tools().ours(pack))?;
        Ok(target)
    }
}

/// Makes the files of a release unless they are there, and returns its constructor file.
fn make(directory: &Path, version: &str, size: u64, changed: u64) -> Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let mut constructor = format!(
        "components:\n- name: {COMPONENT}\n  version: {version}\n  provider:\n    \
         name: bench.example.org\n  resources:\n"
    );
    for number in 0..LAYERS {
        let before = directory.join(format!("{number:02}.bin"));
        if !before.is_file() {
            let mut file = BufWriter::new(File::create(&before)?);
            Random::new(77 << 32 | number).write(size, &mut file)?;
            file.flush()?;
        }
        let mut path = before;
        if number < changed {
            let content = changed_layer(fs::read(&path)?, number)?;
            path = directory.join(format!("{number:02}-{version}.bin"));
            fs::write(&path, content)?;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(
            constructor,
            "  - name: layer-{number:02}\n    version: {version}\n    type: blob\n    relation: \
             local\n    input:\n      type: file/v1\n      path: {name}\n      mediaType: \
             application/octet-stream"
        );
    }
    let path = directory.join(format!("{version}.yaml"));
    fs::write(&path, constructor)?;
    Ok(path)
}

/// Returns the next version of a layer: one stretch is another, and some bytes have come.
fn changed_layer(mut content: Vec<u8>, number: u64) -> Result<Vec<u8>> {
    let (first, second) = (content.len() / 3, content.len() / 3 * 2);
    let mut other = Vec::new();
    Random::new(78 << 32 | number).write(OVERWRITTEN as u64, &mut other)?;
    let end = (second + OVERWRITTEN).min(content.len());
    content.splice(second..end, other);
    content.splice(first..first, INSERTED.iter().copied());
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_changes_in_two_places() {
        let before: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let after = changed_layer(before.clone(), 0).unwrap();
        assert_eq!(after.len(), before.len() + INSERTED.len());
        assert_eq!(after[..100_000], before[..100_000]);
        assert_eq!(&after[100_000..100_028], INSERTED);
        assert_eq!(after[100_028..200_028], before[100_000..200_000]);
        assert_ne!(after[200_028..], before[200_000..]);
        assert_eq!(after[270_000..], before[269_972..]);
    }
}
