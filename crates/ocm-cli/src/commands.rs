//! The commands, a file for each. A command parses, calls one operation and prints its result.

pub(crate) mod add;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod download;
pub(crate) mod get;
pub(crate) mod hash;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod prune;
pub(crate) mod required;
pub(crate) mod serve;
pub(crate) mod sign;
pub(crate) mod state;
pub(crate) mod transfer;
pub(crate) mod tree;
pub(crate) mod verify;
pub(crate) mod version;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ocm::model::RepositorySpec;
use ocm::{AddressError, Environment, Located, Occasion, Ocm, Rules, causes};

use crate::cli::{
    AddNoun, Cli, Command, CreateNoun, DeleteNoun, DiffNoun, DownloadNoun, GetNoun, Global,
    HashNoun, LogLevel, RegistryCli, SignNoun, StateNoun, TransferNoun, VerifyNoun,
};
use crate::error::{Interrupted, LogFormat, hinted, is_hinted, report};
use crate::exit;
use crate::targets::Targets;
use crate::ui::{LogWriter, Ui};

/// Returns who checks component descriptors that are taken over.
fn rules(is_strict: bool) -> Arc<Rules> {
    let rules = if is_strict {
        Rules::strict()
    } else {
        Rules::default()
    };
    Arc::new(rules)
}

/// What commands work with.
pub(crate) struct Session {
    pub(crate) ocm: Ocm,
    pub(crate) ui: Ui,
    /// Texts that were taken for registries by nothing but their look.
    guesses: RefCell<Vec<Guess>>,
    pub(crate) targets: Targets,
}

/// A text that could be the name of an archive as well.
struct Guess {
    text: String,
    host: String,
}

impl Session {
    fn new(global: Global, targets: Targets) -> anyhow::Result<Self> {
        Ok(Self {
            ocm: Ocm::with_config(environment(&global)?, global.config),
            ui: Ui::new(global.quiet),
            guesses: RefCell::default(),
            targets,
        })
    }

    /// Reads a text that names a component version.
    pub(crate) async fn reference(&self, text: &str) -> Result<Located, ocm::Error> {
        let located = self.ocm.locate(text).await?;
        self.note_guess(&located.repository);
        Ok(located)
    }

    /// Reads a text that names a component version, maybe in a repository that is given apart.
    pub(crate) async fn reference_in(
        &self,
        repository: Option<&str>,
        text: &str,
    ) -> Result<Located, ocm::Error> {
        match repository {
            Some(repository) => self.reference(&format!("{repository}//{text}")).await,
            None => self.reference(text).await,
        }
    }

    /// Reads a text that names a repository.
    pub(crate) fn repository(&self, text: &str) -> Result<RepositorySpec, AddressError> {
        let spec = self.ocm.repository(text)?;
        self.note_guess(&spec);
        Ok(spec)
    }

    /// Says when it is, and whether somebody is there to log in.
    pub(crate) fn occasion(&self) -> Occasion {
        Occasion {
            now: Some(ocm::Timestamp::now()),
            terminal: self.ui.terminal(),
        }
    }

    fn note_guess(&self, spec: &RepositorySpec) {
        if let RepositorySpec::Oci(oci) = spec
            && oci.base_url.scheme.is_none()
            && !oci.base_url.authority().contains(':')
        {
            self.guesses.borrow_mut().push(Guess {
                text: spec.to_string(),
                host: oci.base_url.authority(),
            });
        }
    }

    /// Adds to an error what helps whichever command it comes from.
    fn with_hint(&self, error: anyhow::Error) -> anyhow::Error {
        let hint = causes(error.as_ref()).find_map(|cause| match cause.downcast_ref()? {
            ocm::oci::Error::Unauthenticated { .. } => Some(CREDENTIALS.to_owned()),
            ocm::oci::Error::Denied { .. } => Some(OTHER_CREDENTIALS.to_owned()),
            ocm::oci::Error::Busy { .. } => Some(BUSY.to_owned()),
            ocm::oci::Error::Unsupported {
                operation: "listing repositories",
                ..
            } => Some(CATALOGUE.to_owned()),
            ocm::oci::Error::Unsupported {
                operation: "deleting manifests" | "deleting tags",
                ..
            } => Some(DELETION.to_owned()),
            ocm::oci::Error::Remote { status: None, .. }
                if causes(error.as_ref()).any(|it| it.to_string() == NO_HTTP) =>
            {
                Some(TLS.to_owned())
            }
            ocm::oci::Error::Remote {
                what, status: None, ..
            } => {
                let guesses = self.guesses.borrow();
                let guess = guesses.iter().find(|guess| what.contains(&guess.host))?;
                Some(format!(
                    "`{text}` was taken for a registry, since nothing of that name is here; an \
                     archive can be given as `./{text}`",
                    text = guess.text
                ))
            }
            _ => None,
        });
        let hint = hint.or_else(|| match error.downcast_ref() {
            Some(ocm::Error::PartsAway { path, .. }) => Some(parts_away(path)),
            _ => None,
        });
        match hint {
            Some(hint) if !is_hinted(&error) => hinted(error, hint),
            _ => error,
        }
    }
}

/// What helps where a registry wants to know who asks.
const CREDENTIALS: &str = "log in with `docker login`, or configure credentials for the host \
     in .ocmconfig; docs/guide/credentials.md shows both";

/// What the HTTP client says of an answer that is none, such as that of a server that wants TLS.
const NO_HTTP: &str = "invalid HTTP version parsed";

/// What helps there.
const TLS: &str = "if it speaks TLS, write `https://` before its host";

/// What helps where an archive in one file has another writer that does not come to an end.
const BUSY: &str = "an archive in one file has one writer at a time: run the same command again \
     once the other one has ended";

/// Returns what helps where an archive in parts cannot be continued.
fn parts_away(archive: &Path) -> String {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "copy them back to be compared, and run the same command again; to begin anew instead, \
         remove `.{name}.partial` and the parts that are there"
    )
}

/// What helps where a registry does not show what it has.
const CATALOGUE: &str = "name a component: `ocm list REPOSITORY COMPONENT` finds what it refers to as well; some \
     registries list what they have only for who is logged in";

/// What helps where a registry keeps everything.
const DELETION: &str = "whoever runs the registry decides whether anything can be deleted there, as \
     REGISTRY_STORAGE_DELETE_ENABLED does for the registry of distribution; some have deletion only \
     in an interface of their own";

/// What helps where a registry knows who asks, or does not care, and refuses.
const OTHER_CREDENTIALS: &str = "whoever may do this has other credentials; \
     docs/guide/credentials.md shows where they are looked for";

/// Runs a command until it is done or interrupted, and returns the exit code.
pub(crate) async fn run(cli: Cli) -> u8 {
    let format = cli.log_format();
    start_log(&cli.global);
    // A server ends by itself when it is told to, and is not interrupted by that.
    let serves = matches!(cli.command, Command::Serve(_));
    let targets = Targets::default();
    // The work has ended before the other branch goes on: its future is gone by then.
    let outcome = tokio::select! {
        outcome = dispatch(cli, targets.clone()) => outcome,
        () = interrupted(), if !serves => {
            tokio::select! {
                () = targets.suspend() => {}
                // Who cannot wait for that interrupts again.
                () = interrupted_again() => {}
            }
            Err(anyhow::Error::new(Interrupted))
        }
    };
    code(outcome, format)
}

/// Runs the registry until it is told to end, and returns the exit code.
pub(crate) async fn run_registry(cli: RegistryCli) -> u8 {
    let RegistryCli { args, global } = cli;
    let format = global.logformat;
    start_log(&global);
    let outcome = match Session::new(global, Targets::default()) {
        Ok(session) => {
            let outcome = serve::run(args, &session).await;
            outcome.map_err(|error| session.with_hint(error))
        }
        Err(error) => Err(error),
    };
    code(outcome, format)
}

fn code(outcome: anyhow::Result<()>, format: LogFormat) -> u8 {
    match outcome {
        Ok(()) => exit::DONE,
        Err(error) => report(&error, format),
    }
}

async fn dispatch(cli: Cli, targets: Targets) -> anyhow::Result<()> {
    let Cli { command, global } = cli;
    if let Command::Completion(args) = &command {
        return completion::run(args);
    }
    if let Command::Version(args) = &command {
        return version::run(args, &Ui::new(global.quiet));
    }
    let session = Session::new(global, targets)?;
    let outcome = perform(command, &session).await;
    outcome.map_err(|error| session.with_hint(error))
}

async fn perform(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Add(AddNoun::ComponentVersion(args)) => add::run(*args, session).await,
        Command::Sign(SignNoun::ComponentVersion(args)) => sign::run(*args, session).await,
        Command::Verify(VerifyNoun::ComponentVersion(args)) => verify::run(*args, session).await,
        Command::Transfer(TransferNoun::ComponentVersion(args)) => {
            transfer::run(*args, session).await
        }
        Command::Transfer(TransferNoun::CommonTransportArchive(args)) => {
            transfer::run_archive(*args, session).await
        }
        Command::Get(GetNoun::ComponentVersion(args)) => get::versions(args, session).await,
        Command::Get(GetNoun::Resources(args)) => get::resources(args, session).await,
        Command::Get(GetNoun::Sources(args)) => get::sources(args, session).await,
        Command::Get(GetNoun::References(args)) => get::references(args, session).await,
        Command::Hash(HashNoun::ComponentVersion(args)) => hash::run(*args, session).await,
        Command::Download(DownloadNoun::Resource(args)) => download::run(args, session).await,
        Command::Create(CreateNoun::Keypair(args)) => create::run(&args, session).await,
        Command::Diff(DiffNoun::ComponentVersion(args)) => diff::run(*args, session).await,
        Command::Check(args) => check::run(*args, session).await,
        Command::List(args) => list::run(args, session).await,
        Command::Delete(DeleteNoun::ComponentVersion(args)) => delete::run(*args, session).await,
        Command::Prune(args) => prune::run(args, session).await,
        Command::State(StateNoun::Export(args)) => state::run(args, session).await,
        Command::Serve(args) => serve::run(args, session).await,
        Command::Version(_) | Command::Completion(_) => Ok(()),
    }
}

/// Waits for Ctrl-C, or for a request to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the signal ends the process by itself.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for an interrupt that is meant as another one.
async fn interrupted_again() {
    // Wrappers such as `timeout` send a signal to the process and to its group.
    const SAME: Duration = Duration::from_secs(1);
    tokio::time::sleep(SAME).await;
    interrupted().await;
}

fn environment(global: &Global) -> anyhow::Result<Environment> {
    let vars: std::collections::BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut cwd = std::env::current_dir()?;
    if let Some(directory) = &global.working_directory {
        cwd = cwd.join(directory);
    }
    let exe = std::env::current_exe().ok();
    Ok(Environment {
        home: vars.get("HOME").map(PathBuf::from),
        exe_dir: exe.and_then(|exe| exe.parent().map(PathBuf::from)),
        vars,
        cwd,
    })
}

fn start_log(global: &Global) {
    let level = match global.loglevel {
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Error => tracing::Level::ERROR,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(LogWriter::new);
    // A program that embeds this one may have set up a log of its own.
    let _ = match global.logformat {
        LogFormat::Text => log.with_target(false).without_time().try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}
