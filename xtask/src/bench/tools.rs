//! The tools that are compared: ours, and what is installed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow};

use super::layout::TAG;

/// A tool that moves OCI images.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Copier {
    Regctl,
    Crane,
    Skopeo,
}

impl Copier {
    pub(crate) const ALL: [Self; 3] = [Self::Regctl, Self::Crane, Self::Skopeo];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Regctl => "regctl",
            Self::Crane => "crane",
            Self::Skopeo => "skopeo",
        }
    }
}

/// What is there to run.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    /// Our `ocm`, as it is delivered.
    pub(crate) ocm: PathBuf,
    /// Our `ocm-registry`, as it is delivered.
    pub(crate) ocm_registry: PathBuf,
    /// The Go `ocm`, if `OCM_GO` names one.
    pub(crate) go: Option<PathBuf>,
    /// The registry of distribution, if it is installed.
    pub(crate) distribution: Option<PathBuf>,
    /// Zot, if it is installed.
    pub(crate) zot: Option<PathBuf>,
    copiers: Vec<(Copier, PathBuf)>,
    /// Where the tools find their configuration.
    home: PathBuf,
}

impl Tools {
    /// Builds ours and looks for the others.
    pub(crate) fn find(ocm: PathBuf, ocm_registry: PathBuf, home: PathBuf) -> Result<Self> {
        fs::create_dir_all(&home)?;
        let copiers = Copier::ALL
            .into_iter()
            .filter_map(|copier| Some((copier, in_path(copier.name())?)));
        let go = std::env::var_os("OCM_GO").map(PathBuf::from);
        if let Some(path) = go.as_ref().filter(|path| !path.is_file()) {
            return Err(anyhow!("OCM_GO: there is no {}", path.display()));
        }
        let (distribution, zot) = (in_path("registry"), in_path("zot"));
        for program in [&ocm, &ocm_registry] {
            read_anew(program)?;
        }
        for program in [&distribution, &zot].into_iter().flatten() {
            read_anew(program)?;
        }
        // Its uploads would end after half a minute.
        fs::write(home.join("go-config.yaml"), GO_CONFIGURATION)?;
        Ok(Self {
            copiers: copiers.collect(),
            ocm,
            ocm_registry,
            go,
            distribution,
            zot,
            home,
        })
    }

    /// Returns the image tools that are installed.
    pub(crate) fn copiers(&self) -> impl Iterator<Item = Copier> {
        self.copiers.iter().map(|(copier, _)| *copier)
    }

    /// Returns a command of our `ocm`.
    pub(crate) fn ours<const N: usize>(&self, arguments: [&str; N]) -> Command {
        self.command(&self.ocm, &arguments)
    }

    /// Returns a command of the Go `ocm`.
    pub(crate) fn go<const N: usize>(&self, arguments: [&str; N]) -> Option<Command> {
        let mut command = self.command(self.go.as_ref()?, &arguments);
        command
            .arg("--config")
            .arg(self.home.join("go-config.yaml"));
        Some(command)
    }

    /// Returns the command by which an image tool moves the image of a layout to a registry.
    pub(crate) fn push(&self, copier: Copier, layout: &Path, image: &str) -> Result<Command> {
        let layout = layout.to_str().context("the path is no text")?;
        let program = self.program(copier)?;
        Ok(match copier {
            Copier::Regctl => {
                self.allow_plain(program, image)?;
                let source = format!("ocidir://{layout}:{TAG}");
                self.command(program, &["image", "copy", &source, image])
            }
            Copier::Crane => self.command(program, &["push", "--insecure", layout, image]),
            Copier::Skopeo => {
                let source = format!("oci:{layout}:{TAG}");
                let target = format!("docker://{image}");
                let arguments = [
                    "copy",
                    "--insecure-policy",
                    "--preserve-digests",
                    "--dest-tls-verify=false",
                    &source,
                    &target,
                ];
                self.command(program, &arguments)
            }
        })
    }

    /// Returns the command by which an image tool moves an image of a registry to a layout.
    pub(crate) fn pull(&self, copier: Copier, image: &str, layout: &Path) -> Result<Command> {
        let layout = layout.to_str().context("the path is no text")?;
        let program = self.program(copier)?;
        Ok(match copier {
            Copier::Regctl => {
                self.allow_plain(program, image)?;
                let target = format!("ocidir://{layout}:{TAG}");
                self.command(program, &["image", "copy", image, &target])
            }
            Copier::Crane => self.command(
                program,
                &["pull", "--insecure", "--format", "oci", image, layout],
            ),
            Copier::Skopeo => {
                let source = format!("docker://{image}");
                let target = format!("oci:{layout}:{TAG}");
                let arguments = [
                    "copy",
                    "--insecure-policy",
                    "--preserve-digests",
                    "--src-tls-verify=false",
                    &source,
                    &target,
                ];
                self.command(program, &arguments)
            }
        })
    }

    fn program(&self, copier: Copier) -> Result<&Path> {
        let found = self.copiers.iter().find(|(known, _)| *known == copier);
        found
            .map(|(_, path)| path.as_path())
            .with_context(|| format!("{} is not installed", copier.name()))
    }

    /// Returns a command that reads and writes no configuration of the user.
    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("HOME", &self.home);
        command.env("XDG_CONFIG_HOME", self.home.join("config"));
        command.env("DOCKER_CONFIG", self.home.join("docker"));
        command.env("REGCTL_CONFIG", self.home.join("regctl.json"));
        command.env("OCM_DISABLE_VERSION_CHECK", "true");
        command
    }

    fn allow_plain(&self, program: &Path, image: &str) -> Result<()> {
        let host = image.split('/').next().unwrap_or(image);
        let arguments = ["registry", "set", "--skip-check", "--tls", "disabled", host];
        let mut command = self.command(program, &arguments);
        let output = command.stdin(Stdio::null()).output()?;
        if output.status.success() {
            Ok(())
        } else {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(anyhow!("regctl registry set: {text}"))
        }
    }
}

const GO_CONFIGURATION: &str = "\
type: generic.config.ocm.software/v1
configurations:
- type: http.config.ocm.software/v1alpha1
  timeout: 0s
";

/// Has the system forget a program, so that it is read from the disk as after a start. How much of a
/// program is mapped at a time, and so its memory, depends on how it has got into the memory of the
/// system: just written, it is in larger pieces.
fn read_anew(program: &Path) -> Result<()> {
    let forget = || {
        let file = File::open(program)?;
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok::<_, std::io::Error>(())
    };
    forget().with_context(|| format!("cannot read {} anew", program.display()))
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// Makes a directory that is empty.
pub(crate) fn fresh(path: &Path) -> Result<()> {
    remove(path)?;
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

/// Removes a file or a directory, if there is one.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else if path.exists() {
        fs::remove_file(path)
    } else {
        Ok(())
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}
