//! The grammar of the command line: verbs, then nouns. Spellings of the first Go tool, and of its
//! users, are aliases.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands::{
    add, check, completion, create, delete, diff, download, get, hash, list, prune, serve, sign,
    state, transfer, verify, version,
};
use crate::error::LogFormat;

/// Pack, sign, transfer, verify and serve software with the Open Component Model
#[derive(Debug, Parser)]
#[command(name = "ocm", version, propagate_version = false, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 verification failed, \
    5 not allowed, 6 conflict, 7 remote or network, 130 interrupted"
)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) global: Global,
}

/// Run an OCI registry over a directory, an archive or a bucket: `ocm serve` as a program of its own
#[derive(Debug, Parser)]
#[command(name = "ocm-registry", version, max_term_width = 100)]
pub struct RegistryCli {
    #[command(flatten)]
    pub(crate) args: serve::Args,

    #[command(flatten)]
    pub(crate) global: Global,
}

/// Options that every command has
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Read configuration from this file, and from no other place
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,

    /// Resolve relative paths against this directory
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) working_directory: Option<PathBuf>,

    /// Print nothing but results, warnings and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// How messages on stderr look
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) logformat: LogFormat,

    /// Which log messages are printed
    #[arg(long, global = true, value_enum, default_value_t, value_name = "LEVEL")]
    pub(crate) loglevel: LogLevel,
}

/// Which log messages are printed
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum LogLevel {
    /// Everything that is of use to developers
    Debug,
    /// What is done
    Info,
    /// What may be wrong
    #[default]
    Warn,
    /// What failed
    Error,
}

impl Cli {
    pub(crate) const fn log_format(&self) -> LogFormat {
        self.global.logformat
    }
}

/// Has the error about an unknown command suggest only names that the help shows: instead of a
/// hidden spelling, the name of its command, and nothing that a single letter resembles.
pub(crate) fn suggest_visible_names(error: &mut clap::Error) {
    let Some(ContextValue::Strings(names)) = error.remove(ContextKind::SuggestedSubcommand) else {
        return;
    };
    let grammar = Cli::command();
    let mut suggested: Vec<String> = Vec::new();
    for name in names.iter().filter(|name| name.len() > 1) {
        let shown = shown_name(&grammar, name).unwrap_or_else(|| name.clone());
        if !suggested.contains(&shown) {
            suggested.push(shown);
        }
    }
    if !suggested.is_empty() {
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(suggested),
        );
    }
}

/// Returns what the help calls the command with this name, anywhere in the grammar.
fn shown_name(grammar: &clap::Command, name: &str) -> Option<String> {
    grammar.get_subcommands().find_map(|command| {
        if command.get_visible_aliases().any(|alias| alias == name) {
            return Some(name.to_owned());
        }
        if command.get_name() == name || command.get_all_aliases().any(|alias| alias == name) {
            return Some(command.get_name().to_owned());
        }
        shown_name(command, name)
    })
}

/// What can be done. A variant without a description has that of its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pack component versions
    #[command(subcommand)]
    Add(AddNoun),
    /// Sign component versions
    #[command(subcommand)]
    Sign(SignNoun),
    /// Verify component versions
    #[command(subcommand)]
    Verify(VerifyNoun),
    /// Copy component versions to another place
    #[command(subcommand)]
    Transfer(TransferNoun),
    /// Look at component versions and what they consist of
    #[command(subcommand)]
    Get(GetNoun),
    /// Show digests of component versions
    #[command(subcommand)]
    Hash(HashNoun),
    /// Compare component versions
    #[command(subcommand)]
    Diff(DiffNoun),
    /// Download content
    #[command(subcommand)]
    Download(DownloadNoun),
    /// Make keys
    #[command(subcommand)]
    Create(CreateNoun),
    Check(Box<check::Args>),
    List(list::Args),
    /// Delete component versions
    #[command(subcommand)]
    Delete(DeleteNoun),
    Prune(prune::Args),
    /// Know what a place has
    #[command(subcommand)]
    State(StateNoun),
    Serve(serve::Args),
    Version(version::Args),
    Completion(completion::Args),
}

macro_rules! component_version_noun {
    ($noun:ident, $args:ty) => {
        #[derive(Debug, Subcommand)]
        pub(crate) enum $noun {
            #[command(
                        name = "component-version",
                        visible_alias = "cv",
                        aliases = [
                            "cvs", "component-versions", "componentversion", "componentversions",
                            "component", "components", "comp", "comps", "c",
                        ]
                    )]
            ComponentVersion(Box<$args>),
        }
    };
}

component_version_noun!(AddNoun, add::Args);
component_version_noun!(SignNoun, sign::Args);
component_version_noun!(VerifyNoun, verify::Args);
component_version_noun!(HashNoun, hash::Args);
component_version_noun!(DiffNoun, diff::Args);
component_version_noun!(DeleteNoun, delete::Args);

#[derive(Debug, Subcommand)]
pub(crate) enum TransferNoun {
    #[command(
        name = "component-version",
        visible_alias = "cv",
        aliases = [
            "cvs", "component-versions", "componentversion", "componentversions", "component",
            "components", "comp", "comps", "c",
        ]
    )]
    ComponentVersion(Box<transfer::Args>),
    #[command(visible_alias = "ctf", aliases = ["commontransportarchive", "transportarchive"])]
    CommonTransportArchive(Box<transfer::ArchiveArgs>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum GetNoun {
    #[command(
        name = "component-version",
        visible_alias = "cv",
        aliases = [
            "cvs", "component-versions", "componentversion", "componentversions", "component",
            "components", "comp", "comps", "c",
        ]
    )]
    ComponentVersion(get::VersionArgs),
    /// Show the resources of a component version
    #[command(visible_alias = "r", aliases = ["resource", "res"])]
    Resources(get::ElementArgs),
    /// Show the sources of a component version
    #[command(aliases = ["source", "src", "s"])]
    Sources(get::ElementArgs),
    /// Show the component versions that a component version refers to
    #[command(visible_alias = "refs", aliases = ["reference", "ref"])]
    References(get::ElementArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DownloadNoun {
    #[command(aliases = ["resources", "res", "r"])]
    Resource(download::Args),
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateNoun {
    Export(state::Args),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CreateNoun {
    #[command(aliases = ["rsakeypair", "rsa-keypair", "key-pair"])]
    Keypair(create::Args),
}
