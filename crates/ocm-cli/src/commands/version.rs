//! `ocm version`.

use clap::ValueEnum;
use serde::Serialize;

use crate::ui::Ui;

/// Show the version of this program
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    format: VersionFormat,
}

/// How the version is printed
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum VersionFormat {
    /// One line
    #[default]
    Text,
    /// The JSON document that scripts expect of the Go tools
    #[value(name = "legacyjson", alias = "json")]
    LegacyJson,
}

/// The version as the Go tools print it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionInfo<'a> {
    major: &'a str,
    minor: &'a str,
    patch: &'a str,
    git_version: &'a str,
    compiler: &'a str,
    platform: String,
}

pub(crate) fn run(args: &Args, ui: &Ui) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let platform = format!("{}/{}", std::env::consts::OS, go_architecture());
    let text = match args.format {
        VersionFormat::Text => format!("ocm {version} ({platform})\n"),
        VersionFormat::LegacyJson => {
            let info = VersionInfo {
                major: env!("CARGO_PKG_VERSION_MAJOR"),
                minor: env!("CARGO_PKG_VERSION_MINOR"),
                patch: env!("CARGO_PKG_VERSION_PATCH"),
                git_version: version,
                compiler: "rustc",
                platform,
            };
            serde_json::to_string(&info)? + "\n"
        }
    };
    ui.print(&text)
}

/// Returns the architecture by the name that OCI platforms have for it.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
