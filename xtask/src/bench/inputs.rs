//! The component versions that jobs work on, made from a seed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::random::Random;

/// Inputs of another seed are other inputs: their name says so.
const SEED: u64 = 1;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What `--quick` divides by.
const QUICK: u64 = 16;

/// The version that every component of one version has.
pub(crate) const VERSION: &str = "1.0.0";

/// A set of component versions.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    /// One component version with one large resource.
    Big,
    /// One component version with a few resources of the size of layers.
    Mid,
    /// One component version with many small resources.
    Small,
    /// Many components with a few small resources each.
    Wide,
    /// One component version with one small resource.
    One,
    /// Many versions of one component without resources.
    Versions,
}

impl Kind {
    /// Returns the name, which is also the last part of the component's.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Big => "big",
            Self::Mid => "mid",
            Self::Small => "small",
            Self::Wide => "wide",
            Self::One => "one",
            Self::Versions => "versions",
        }
    }

    /// Returns the name of the component, where there is one.
    pub(crate) fn component(self) -> String {
        format!("bench.example.org/{}", self.name())
    }

    /// Returns how much of it there is.
    pub(crate) const fn shape(self, is_quick: bool) -> Shape {
        let quick = if is_quick { QUICK } else { 1 };
        let (components, resources, size) = match self {
            Self::Big => (1, 1, 2048 * MIB / quick),
            Self::Mid => (1, 20, 50 * MIB / quick),
            Self::Small => (1, 500 / quick, 10 * KIB),
            Self::Wide => (2000 / quick, 5, KIB),
            Self::One => (1, 1, KIB),
            Self::Versions => (10_000 / quick, 0, 0),
        };
        Shape {
            components,
            resources,
            size,
        }
    }
}

/// How much there is of an input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shape {
    /// Component versions.
    pub(crate) components: u64,
    /// Resources of each.
    pub(crate) resources: u64,
    /// The size of each resource, in bytes.
    pub(crate) size: u64,
}

impl Shape {
    /// Returns the size of all resources, in bytes.
    pub(crate) const fn total(&self) -> u64 {
        self.components * self.resources * self.size
    }

    /// Describes the shape for people.
    pub(crate) fn describe(&self) -> String {
        let Self {
            components,
            resources,
            size,
        } = self;
        let size = match size {
            size if size % MIB == 0 => format!("{} MiB", size / MIB),
            size => format!("{} KiB", size / KIB),
        };
        match (components, resources) {
            (1, resources) => format!("{resources} × {size}"),
            (components, 0) => format!("{components} versions"),
            (components, resources) => format!("{components} × {resources} × {size}"),
        }
    }
}

/// An input on disk.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// The directory of `constructor.yaml` and of the files that it names.
    pub(crate) directory: PathBuf,
    /// The files, in order.
    pub(crate) files: Vec<PathBuf>,
}

impl Input {
    /// Returns an input, which is made unless it is there from an earlier run.
    pub(crate) fn make(root: &Path, kind: Kind, is_quick: bool) -> Result<Self> {
        let shape = kind.shape(is_quick);
        let Shape {
            components,
            resources,
            size,
        } = shape;
        let name = format!("{}-{components}-{resources}-{size}-{SEED}", kind.name());
        let directory = root.join(name);
        let count = components * resources;
        let files = (0..count).map(|number| directory.join(file_name(number)));
        let input = Self {
            files: files.collect(),
            directory,
        };
        let constructor = input.constructor();
        if !constructor.is_file() {
            fs::create_dir_all(&input.directory)?;
            for (number, path) in input.files.iter().enumerate() {
                write_file(kind, number as u64, size, path)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            // Written last, so that what is there is whole.
            fs::write(&constructor, constructor_text(kind, &shape))?;
        }
        Ok(input)
    }

    /// Returns the path of the constructor file.
    pub(crate) fn constructor(&self) -> PathBuf {
        self.directory.join("constructor.yaml")
    }
}

fn file_name(number: u64) -> String {
    format!("{number:05}.bin")
}

fn write_file(kind: Kind, number: u64, size: u64, path: &Path) -> std::io::Result<()> {
    let seed = SEED << 48 | (kind as u64) << 32 | number;
    let mut file = BufWriter::new(File::create(path)?);
    Random::new(seed).write(size, &mut file)?;
    file.flush()
}

fn constructor_text(kind: Kind, shape: &Shape) -> String {
    let mut text = String::from("components:\n");
    let mut number = 0;
    for component in 0..shape.components {
        let (name, version) = match kind {
            Kind::Wide => (
                format!("{}/c{component:05}", kind.component()),
                VERSION.to_owned(),
            ),
            Kind::Versions => (kind.component(), format!("1.0.{component}")),
            _ => (kind.component(), VERSION.to_owned()),
        };
        let _ = writeln!(text, "- name: {name}\n  version: {version}");
        let _ = writeln!(text, "  provider:\n    name: bench.example.org");
        if shape.resources > 0 {
            text.push_str("  resources:\n");
        }
        for resource in 0..shape.resources {
            let _ = writeln!(
                text,
                "  - name: r{resource:03}\n    version: {VERSION}\n    type: blob\n    \
                 relation: local\n    input:\n      type: file/v1\n      path: {}\n      \
                 mediaType: application/octet-stream",
                file_name(number)
            );
            number += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constructor_names_each_file_once() {
        let shape = Shape {
            components: 2,
            resources: 2,
            size: 1,
        };
        let text = constructor_text(Kind::Wide, &shape);
        for expected in [
            "- name: bench.example.org/wide/c00000\n  version: 1.0.0\n",
            "- name: bench.example.org/wide/c00001\n",
            "    input:\n      type: file/v1\n      path: 00003.bin\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(text.matches("path: ").count(), 4);
    }

    #[test]
    fn versions_are_versions_of_one_component() {
        let text = constructor_text(Kind::Versions, &Kind::Versions.shape(true));
        assert_eq!(
            text.matches("name: bench.example.org/versions\n").count(),
            625
        );
        assert!(text.contains("version: 1.0.624\n") && !text.contains("resources"));
    }

    #[test]
    fn shapes_are_described() {
        assert_eq!(Kind::Mid.shape(false).describe(), "20 × 50 MiB");
        assert_eq!(Kind::Wide.shape(false).describe(), "2000 × 5 × 1 KiB");
        assert_eq!(Kind::Versions.shape(false).describe(), "10000 versions");
    }
}
