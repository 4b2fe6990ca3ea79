//! Questions about a lot: what differs between two large component versions, and what could go from
//! a large archive.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::jobs::{Bench, forget, repeat, row, text};
use super::process::measure;
use super::report::{Bar, Row};
use super::tools::remove;

/// How many versions one constructor has; more may be too many values for one document.
const AT_A_TIME: usize = 200;

const COMPONENT: &str = "bench.example.org/large";

/// How many versions an archive has, and of how many resources each consists.
#[derive(Clone, Copy, Debug)]
struct Shape {
    versions: usize,
    resources: usize,
}

impl Shape {
    const fn of(versions: usize, resources: usize, is_quick: bool) -> Self {
        let part = if is_quick { 16 } else { 1 };
        Self {
            versions,
            resources: resources / part,
        }
    }

    /// Returns the text of a resource: one of twenty differs between two versions that are compared,
    /// and all do in an archive of many.
    fn text(&self, version: usize, resource: usize) -> String {
        let is_same = self.versions == 2 && !resource.is_multiple_of(20);
        let version = if is_same { 0 } else { version };
        format!("resource {resource} of version {version}")
    }

    /// Returns the constructor of some of the versions.
    fn constructor(&self, versions: Range<usize>) -> String {
        let mut text = String::from("components:\n");
        for version in versions {
            let _ = writeln!(
                text,
                "- name: {COMPONENT}\n  version: 1.0.{version}\n  provider: {{name: \
                 bench.example.org}}\n  resources:"
            );
            for resource in 0..self.resources {
                let content = self.text(version, resource);
                let _ = writeln!(
                    text,
                    "  - {{name: r{resource:05}, type: plainText, input: {{type: utf8, text: \
                     {content}}}}}"
                );
            }
        }
        text
    }
}

impl Bench {
    /// Compares two versions.
    pub(super) fn diff(&mut self) -> Result<Vec<Row>> {
        let shape = Shape::of(2, 10_000, self.is_quick());
        let archive = text(&self.packed(&shape)?)?;
        let versions = [0, 1].map(|version| format!("{archive}//{COMPONENT}:1.0.{version}"));
        let ours = repeat(|| {
            forget();
            let [old, new] = &versions;
            Ok(self.tools().ours(["diff", "cv", old, new, "-o", "json"]))
        })?;
        let job = format!(
            "`diff cv` of two versions with {} resources",
            shape.resources
        );
        Ok(vec![row(job, ours, Bar::Seconds(1.0), vec![])])
    }

    /// Looks for what could go from an archive.
    pub(super) fn prune(&mut self) -> Result<Vec<Row>> {
        let shape = Shape::of(1_000, 98, self.is_quick());
        let archive = self.packed(&shape)?;
        let blobs = fs::read_dir(archive.join("blobs"))?.count();
        let archive = text(&archive)?;
        let ours = repeat(|| {
            forget();
            let command = ["prune", &archive, "--root", COMPONENT, "-o", "json"];
            Ok(self.tools().ours(command))
        })?;
        let job = format!("`prune --dry-run` over {blobs} blobs");
        Ok(vec![row(job, ours, Bar::Seconds(1.0), vec![])])
    }

    /// Returns an archive of some versions, which stays for later runs.
    fn packed(&self, shape: &Shape) -> Result<PathBuf> {
        let name = format!("large-{}-{}", shape.versions, shape.resources);
        let directory = self.work().join("archive");
        let path = directory.join(&name);
        if path.is_dir() {
            return Ok(path);
        }
        fs::create_dir_all(&directory)?;
        let file = directory.join(format!("{name}.yaml"));
        // Named last, so that what is there is whole.
        let partial = directory.join(format!("{name}.partial"));
        remove(&partial)?;
        let (target, constructor) = (text(&partial)?, text(&file)?);
        for first in (0..shape.versions).step_by(AT_A_TIME) {
            let versions = first..shape.versions.min(first + AT_A_TIME);
            fs::write(&file, shape.constructor(versions))
                .with_context(|| format!("cannot write {}", file.display()))?;
            measure(
                self.tools()
                    .ours(["add", "cv", "-r", &target, "-c", &constructor]),
            )?;
        }
        fs::rename(&partial, &path)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_differ_in_one_of_twenty_resources() {
        let shape = Shape::of(2, 10_000, false);
        let differing = (0..shape.resources).filter(|it| shape.text(0, *it) != shape.text(1, *it));
        assert_eq!(differing.count(), 500);
    }
}
