//! `cargo xtask testbed`: the real servers that tests talk to.
//!
//! Each folder below `testbed/` is a Go module that pins commands of others by version and by
//! checksum. They are built once into a cache folder of the user, whose name changes with what the
//! module pins; a folder beside these has all of them, and `target/testbed` leads there. Whoever has
//! them already says so by `KUBEBUILDER_ASSETS`, the convention of the Kubernetes projects.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use ocm_digest::Digest;

use crate::metadata::Metadata;
use crate::run::succeed;

/// What the variable is called that names a folder with the programs.
pub(crate) const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The version that the module pins. Clients cannot parse the one that an unstamped build states.
const KUBERNETES: (&str, &str, &str) = ("v1.36.3", "1", "36");

/// A program, the module below `testbed/` that pins it, and its package.
struct Program {
    name: &'static str,
    module: &'static str,
    package: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "etcd",
        module: "etcd",
        package: ".",
    },
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    kubernetes(
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
    kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    Program {
        name: "helm",
        module: "helm",
        package: "helm.sh/helm/v4/cmd/helm",
    },
];

const fn kubernetes(name: &'static str, package: &'static str) -> Program {
    Program {
        name,
        module: "kubernetes",
        package,
    }
}

/// Builds what is missing; returns the folder with the programs.
pub(crate) fn build() -> Result<PathBuf> {
    if let Some(assets) = env::var_os(ASSETS).filter(|assets| !assets.is_empty()) {
        let assets = PathBuf::from(assets);
        if let Some(missing) = missing(&assets).first() {
            bail!(
                "{ASSETS} is {}, which has no {}",
                assets.display(),
                missing.name
            );
        }
        return Ok(assets);
    }
    let modules = root().join("testbed");
    let cache = cache()?;
    let folders: BTreeMap<_, _> = PROGRAMS
        .iter()
        .map(|it| Ok((it.module, cache.join(key(&modules.join(it.module))?))))
        .collect::<Result<_>>()?;
    let names = format!("{folders:?}");
    let assets = cache.join(&Digest::sha256(names).to_hex()[..16]);
    fs::create_dir_all(&assets).with_context(|| format!("cannot make {}", assets.display()))?;
    let missing = missing(&assets);
    let built = |program: &Program| folders[program.module].join(program.name);
    let unbuilt: Vec<_> = missing.iter().filter(|it| !built(it).is_file()).collect();
    if !unbuilt.is_empty() {
        let proxies = proxies(&go_setting("GOPROXY")?)?;
        // What Go keeps for the next build takes gigabytes, and there is none.
        let kept = tempfile::tempdir_in(&cache).context("cannot make a folder to build in")?;
        for program in unbuilt {
            let mut build = build_command(program, &modules, &proxies);
            build.env("GOCACHE", kept.path());
            build_program(program, build, &folders[program.module])?;
        }
    }
    for program in missing {
        lead(&assets.join(program.name), &built(program))?;
    }
    let target = Metadata::load()?.target_directory;
    fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    lead(&target.join("testbed"), &assets)?;
    Ok(assets)
}

fn missing(assets: &Path) -> Vec<&'static Program> {
    let programs = PROGRAMS.iter();
    programs
        .filter(|it| !assets.join(it.name).is_file())
        .collect()
}

/// Asks Go for a setting, which also shows that it is there.
fn go_setting(name: &str) -> Result<String> {
    let go = Command::new("go").args(["env", name]).output();
    match go {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => bail!(
            "tests run against a real Kubernetes API server, which is built once, with Go: install \
             Go 1.21 or newer (https://go.dev/dl), or have {ASSETS} name a folder with {}",
            PROGRAMS
                .iter()
                .map(|program| program.name)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// The module proxies among those that Go is to ask, without the servers of the modules themselves:
/// what proxies keep does not move or vanish.
fn proxies(setting: &str) -> Result<String> {
    let proxies = setting.split_inclusive([',', '|']);
    let proxies: String = proxies
        .filter(|it| it.trim_end_matches([',', '|']) != "direct")
        .collect();
    let proxies = proxies.trim_end_matches([',', '|']);
    if proxies.is_empty() || proxies == "off" {
        bail!(
            "the servers for tests are built from a Go module proxy, and GOPROXY is `{setting}`: \
             name one there, such as https://proxy.golang.org"
        );
    }
    Ok(proxies.to_owned())
}

fn build_command(program: &Program, modules: &Path, proxies: &str) -> Command {
    let (version, major, minor) = KUBERNETES;
    let stamp = "k8s.io/component-base/version";
    let mut command = Command::new("go");
    command
        .current_dir(modules.join(program.module))
        .env("CGO_ENABLED", "0")
        .env("GOPROXY", proxies)
        // Not even for modules that the user has exempted from proxies.
        .env("GOVCS", "*:off")
        .args(["build", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags"])
        .arg(format!(
            "-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}"
        ));
    command
}

#[expect(clippy::print_stderr, reason = "it takes minutes")]
fn build_program(program: &Program, mut build: Command, folder: &Path) -> Result<()> {
    let Program { name, package, .. } = program;
    eprintln!("building {name} (once)");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Under a name of its own until it is whole: several builds may run at once.
    let partial = folder.join(format!(".{name}.{}", std::process::id()));
    build.arg("-o").arg(&partial).arg(package);
    succeed(build)?;
    let program = folder.join(name);
    fs::rename(&partial, &program).with_context(|| format!("cannot write {}", program.display()))
}

/// What the programs of a module are made of, as a name: another pin is another folder.
fn key(module: &Path) -> Result<String> {
    let mut pins = format!("{KUBERNETES:?} {} {}\n", env::consts::OS, env::consts::ARCH);
    for file in ["go.mod", "go.sum", "main.go"] {
        let path = module.join(file);
        if file != "main.go" || path.exists() {
            let text = fs::read_to_string(&path);
            pins += &text.with_context(|| format!("cannot read {}", path.display()))?;
        }
    }
    Ok(Digest::sha256(pins).to_hex()[..16].to_owned())
}

/// The folder of the user for what can be made again.
fn cache() -> Result<PathBuf> {
    let named = |name| {
        env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("ocm-rs").join("testbed"))
}

/// Has a link lead somewhere, whatever was there before.
fn lead(link: &Path, target: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|present| present == target) {
        return Ok(());
    }
    let failed = || format!("cannot make {}", link.display());
    let partial = link.with_extension(std::process::id().to_string());
    std::os::unix::fs::symlink(target, &partial).with_context(failed)?;
    fs::rename(&partial, link).with_context(failed)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_pin_is_another_folder() {
        let module = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(module.path().join(name), text).unwrap();
        write("go.mod", "module a");
        write("go.sum", "");
        let before = key(module.path()).unwrap();
        assert_eq!(key(module.path()).unwrap(), before);
        write("go.sum", "a v1.0.0 h1:x");
        assert_ne!(key(module.path()).unwrap(), before);
    }

    #[test]
    fn a_link_leads_to_what_it_was_told_last() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("it");
        for target in ["a", "a", "b"] {
            lead(&link, Path::new(target)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
        }
    }

    #[test]
    fn modules_come_from_proxies_alone() {
        let check = |setting, expected| assert_eq!(proxies(setting).unwrap(), expected);
        check(
            "https://proxy.golang.org,direct",
            "https://proxy.golang.org",
        );
        check("http://a|http://b,direct", "http://a|http://b");
        check("direct,http://a", "http://a");
        let error = proxies("direct").unwrap_err().to_string();
        assert!(error.contains("GOPROXY is `direct`"), "{error}");
        assert!(proxies("off").is_err());
    }
}
