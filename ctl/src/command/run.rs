//! `bankstream run <app>`: one program of the pipeline with the servers this tool uses.
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use streams::topology_file::TopologyFile;

use crate::cli::Shared;
use crate::output;

/// Arguments of `bankstream run`.
///
/// The program takes this process's place: signals and the exit code are its own.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the program's state; a start reads from the changelogs what is not in it [default:
    /// DIR/state/INSTANCE].
    #[arg(long, env = "BANKSTREAM_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Name of this instance; a second one of the same app needs another.
    #[arg(long, env = "BANKSTREAM_INSTANCE", default_value = "1")]
    instance: String,
    /// The app, as declared in the topology file.
    app: String,
    /// What is passed on to the program; `--help` lists what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs `bankstream run`.
#[expect(clippy::unused_async, reason = "the shape of every sub-command")]
pub async fn run(args: Args, shared: &Shared) -> anyhow::Result<ExitCode> {
    TopologyFile::load(&shared.topology_file)?.app(&args.app)?;
    let here = std::env::current_exe().context("finding the programs beside this one")?;
    let program = here.with_file_name(&args.app);
    if let Err(error) = shared.bootstrap_servers()
        && !only_tells(&args.arguments)
    {
        output::progress(&format!("{error}; {} tries its default", args.app));
    }
    let error = command(&program, &args, shared).exec();
    Err(error).with_context(|| {
        format!("starting {}: build it with `cargo build --bin {}`", program.display(), args.app)
    })
}

fn command(program: &Path, args: &Args, shared: &Shared) -> Command {
    let mut command = Command::new(program);
    command.args(&args.arguments);
    command.env("TOPOLOGY_FILE", &shared.topology_file).env("BANKSTREAM_PROFILE", &shared.profile);
    let instance = passed_on("--instance", &args.arguments).unwrap_or(&args.instance);
    command.env("BANKSTREAM_INSTANCE", instance);
    let state = args.state_dir.clone().unwrap_or_else(|| shared.dir.join("state").join(instance));
    command.env("BANKSTREAM_STATE_DIR", state);
    // Without servers `--help` and `--describe` still answer, and flags may name them.
    if let Ok(servers) = shared.bootstrap_servers() {
        command.env("KAFKA_BOOTSTRAP_SERVERS", servers);
    }
    if let Ok(url) = shared.schema_registry_url() {
        command.env("SCHEMA_REGISTRY_URL", url);
    }
    command
}

/// Whether the program is asked about itself, which takes no server.
fn only_tells(arguments: &[OsString]) -> bool {
    let told = ["--help", "-h", "--version", "-V", "--describe"];
    arguments.iter().any(|word| told.iter().any(|flag| word == flag))
}

/// The value of one of the program's own flags, which hold over variables.
fn passed_on<'a>(flag: &str, arguments: &'a [OsString]) -> Option<&'a str> {
    let mut words = arguments.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        match word.strip_prefix(flag) {
            Some("") => return words.next(),
            Some(rest) if rest.starts_with('=') => return rest.get(1..),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::{Args, Shared, command};

    #[derive(Debug, Parser)]
    struct Given {
        #[command(flatten)]
        shared: Shared,
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn state_is_kept_in_a_folder_of_the_instance_unless_another_is_named() {
        #[track_caller]
        fn check(words: &[&str], instance: &str, state: &str) {
            let before = ["", "--dir", "here", "--bootstrap-servers", "a:1"];
            let given = Given::try_parse_from(before.iter().chain(words)).unwrap();
            let command = command(Path::new("program"), &given.args, &given.shared);
            let value = |name: &str| {
                let mut all = command.get_envs();
                all.find(|(known, _)| *known == name).and_then(|(_, value)| value)
            };
            assert_eq!(value("BANKSTREAM_INSTANCE"), Some(instance.as_ref()), "{words:?}");
            assert_eq!(value("BANKSTREAM_STATE_DIR"), Some(state.as_ref()), "{words:?}");
            assert_eq!(value("KAFKA_BOOTSTRAP_SERVERS"), Some("a:1".as_ref()));
        }
        check(&["books"], "1", "here/state/1");
        check(&["--instance", "2", "books"], "2", "here/state/2");
        check(&["books", "--instance", "b"], "b", "here/state/b");
        check(&["books", "--run-id", "x", "--instance=b"], "b", "here/state/b");
        check(&["--state-dir", "/s", "books", "--instance=b"], "b", "/s");
    }
}
