//! The command line. All but `serve`, `config`, `policy check`, `token`, `audit`, `openapi` and
//! `demo` are clients of the REST API and of nothing else.

mod api;
mod ask;
mod audit;
#[allow(dead_code, reason = "for the commands that read the audit")]
mod columns;
mod completions;
mod config;
mod connect;
mod connections;
mod delegate;
mod demo;
mod error;
mod events;
mod extend;
mod frame;
#[allow(dead_code, reason = "for the commands that read the audit")]
mod highlight;
mod human;
mod inbox;
mod login;
mod logout;
mod moment;
mod notify;
mod oidc;
mod openapi;
mod out;
#[allow(dead_code, reason = "for the commands that read the audit")]
mod pager;
mod policy;
mod psql;
mod requests;
mod review;
mod serve;
mod sessions;
mod settings;
mod spans;
mod stream;
mod strings;
mod targets;
mod terminal;
mod token;
mod user;
mod welcome;
mod whoami;
mod written;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use api::Api;
use error::CliError;
use out::{Format, Output};

pub use serve::ServeArgs;

/// What a command ends with: the process's exit code, or what went wrong.
type Done = Result<u8, CliError>;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "hallpass", version, about = ABOUT, long_about = ABOUT, after_help = AFTER)]
#[command(propagate_version = false)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    /// None: says what to do next.
    #[command(subcommand)]
    command: Option<Command>,
}

const ABOUT: &str = "PostgreSQL access for as long as it is needed: asked for, approved, recorded.";

const AFTER: &str = "\
Examples:
  hallpass request orders-ro --for 30m --reason \"INC-4312 stuck refunds\" --wait
  hallpass connect orders-ro
  hallpass demo

`hallpass COMMAND --help` shows what a command takes, with examples.";

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of all commands")]
struct Global {
    /// How results are printed; json is the API's own documents, one value; csv is for commands that
    /// say so
    #[arg(
        short,
        long,
        value_enum,
        default_value_t,
        global = true,
        value_name = "FORMAT"
    )]
    output: Format,
    /// Where the server is [default: http://127.0.0.1:8432]
    #[arg(
        long,
        env = "HALLPASS_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    url: Option<String>,
    /// The certificates (PEM) to trust for the server's API, if no public authority issued it
    #[arg(
        long,
        env = "HALLPASS_CA",
        hide_env_values = true,
        global = true,
        value_name = "FILE"
    )]
    ca: Option<PathBuf>,
}

impl Global {
    fn output(&self) -> Output {
        Output(self.output)
    }

    fn api(&self) -> Result<Api, CliError> {
        Api::new(settings::gather(self)?)
    }
}

/// The commands; what `--help` says of each is the comment on its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(ServeArgs),
    Config(config::ConfigArgs),
    Policy(policy::PolicyArgs),
    Token(token::TokenArgs),
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    User(user::UserArgs),
    Whoami(whoami::WhoamiArgs),
    Targets(targets::TargetsArgs),
    Request(requests::RequestArgs),
    Requests(requests::RequestsArgs),
    Show(requests::ShowArgs),
    Inbox(inbox::InboxArgs),
    Approve(requests::ApproveArgs),
    Deny(requests::DenyArgs),
    Withdraw(requests::WithdrawArgs),
    Delegate(delegate::DelegateArgs),
    Review(review::ReviewArgs),
    Sessions(sessions::SessionsArgs),
    Extend(extend::ExtendArgs),
    Done(extend::DoneArgs),
    Revoke(sessions::RevokeArgs),
    Connections(connections::ConnectionsArgs),
    Connect(connect::ConnectArgs),
    Events(events::EventsArgs),
    Audit(audit::AuditArgs),
    Notify(notify::NotifyArgs),
    Demo(demo::DemoArgs),
    Openapi(openapi::OpenapiArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Whether it has an output as CSV.
    fn has_csv(&self) -> bool {
        matches!(self, Self::Audit(args) if args.has_csv())
    }
}

impl Cli {
    /// The arguments of `serve`, the one command that [`run`] does not do.
    pub fn serve(&self) -> Option<&ServeArgs> {
        match &self.command {
            Some(Command::Serve(args)) => Some(args),
            _ => None,
        }
    }
}

/// Runs every command but `serve`, and reports what went wrong.
pub async fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        None => welcome::run(&cli.global).await,
        Some(command) => dispatch(&cli.global, command).await,
    };
    finish(done)
}

async fn dispatch(global: &Global, command: Command) -> Done {
    if global.output == Format::Csv && !command.has_csv() {
        return Err(CliError::Usage(out::NO_CSV.into()));
    }
    match command {
        Command::Serve(_) => Err(CliError::Usage("`serve` is run by itself".into())),
        Command::Config(args) => config::run(global, args).await,
        Command::Policy(args) => policy::run(global, args).await,
        Command::Token(args) => token::run(global, args).await,
        Command::Login(args) => login::run(global, args).await,
        Command::Logout(_) => logout::run(global).await,
        Command::User(args) => user::run(global, args).await,
        Command::Whoami(_) => whoami::run(global).await,
        Command::Targets(_) => targets::run(global).await,
        Command::Request(args) => requests::request(global, args).await,
        Command::Requests(args) => requests::list(global, &args).await,
        Command::Show(args) => requests::show(global, &args).await,
        Command::Inbox(args) => inbox::run(global, args).await,
        Command::Approve(args) => requests::approve(global, args).await,
        Command::Deny(args) => requests::deny(global, args).await,
        Command::Withdraw(args) => requests::withdraw(global, &args).await,
        Command::Delegate(args) => delegate::run(global, args).await,
        Command::Review(args) => review::run(global, args).await,
        Command::Sessions(args) => sessions::list(global, &args).await,
        Command::Extend(args) => extend::extend(global, args).await,
        Command::Done(args) => extend::done(global, args).await,
        Command::Revoke(args) => sessions::revoke(global, args).await,
        Command::Connections(_) => connections::run(global).await,
        Command::Connect(args) => connect::run(global, args).await,
        Command::Events(_) => events::run(global).await,
        Command::Audit(args) => audit::run(global, args).await,
        Command::Notify(args) => notify::run(global, args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Openapi(_) => openapi::run(),
        Command::Completions(args) => completions::run(&args),
    }
}

/// Says on standard error why the process ends, the whole chain of it in one line.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    out::note(&format!("{} {error:#}", out::paint(out::BAD, "error:")));
    ExitCode::FAILURE
}

/// The exit code of what was done, after saying on standard error what went wrong.
fn finish(done: Done) -> ExitCode {
    match done {
        Ok(code) => code.into(),
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            out::complain(&error);
            error.exit_code().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documented_commands_parse() {
        for line in [
            "hallpass",
            "hallpass serve --config config/hallpass.toml",
            "hallpass config check",
            "hallpass config diff --config c --against old",
            "hallpass policy check policies",
            "hallpass policy explain --principal maya --action request --target orders-ro --for 2h",
            "hallpass policy show --config hallpass.toml -o json",
            "hallpass token new-hash",
            "hallpass token create --for ci --scope request,read --expires 90d --note x",
            "hallpass token list --all",
            "hallpass token revoke tok-4m0t8z1kqc7e",
            "hallpass login",
            "hallpass login --name maya",
            "hallpass login --oidc",
            "hallpass login --browser",
            "hallpass logout",
            "hallpass user add maya --group a --group b --email m@example.com",
            "hallpass user add ci --service",
            "hallpass user list -o json",
            "hallpass user groups maya a b",
            "hallpass user disable maya",
            "hallpass user enable maya",
            "hallpass user reset maya --totp",
            "hallpass user passwd",
            "hallpass user totp --remove",
            "hallpass login --url https://hallpass.example.com --token-file t",
            "hallpass whoami",
            "hallpass targets -o json",
            "hallpass request orders-ro --for 30m --reason why --wait",
            "hallpass request orders-ro --for 30m --reason why --at 22:00",
            "hallpass request orders-ro --for 30m --reason why --break-glass",
            "hallpass requests --all",
            "hallpass show req-4m0t8z1kqc7e",
            "hallpass inbox",
            "hallpass inbox --plain",
            "hallpass extend orders-ro --for 30m --reason why --wait",
            "hallpass extend ses-4m0t8z1kqc7e --for 30m --reason why",
            "hallpass done",
            "hallpass done orders-ro",
            "hallpass delegate",
            "hallpass delegate --to dana --until 2026-12-01",
            "hallpass delegate --to dana --end",
            "hallpass review list --all",
            "hallpass review close ses-4m0t8z1kqc7e --note fine",
            "hallpass approve req-4m0t8z1kqc7e --for 10m",
            "hallpass deny req-4m0t8z1kqc7e --reason no",
            "hallpass withdraw req-4m0t8z1kqc7e",
            "hallpass sessions --all --output json",
            "hallpass revoke ses-4m0t8z1kqc7e --reason done",
            "hallpass connections",
            "hallpass events -o json",
            "hallpass connect orders-ro",
            "hallpass connect ses-4m0t8z1kqc7e --print",
            "hallpass connect orders-ro -- -d other -c select",
            "hallpass audit head --from d -o json",
            "hallpass audit search refunds --in sql --since 2h --principal maya -n 5",
            "hallpass audit search -e from.refunds --rows >10 --longer 5s --sqlstate 42*",
            "hallpass audit search --events=only -o csv --table orders --outcome failed",
            "hallpass audit search --server refunds --outcome failed --outcome unknown",
            "hallpass audit tail -f --outcome failed --events",
            "hallpass audit stats --by table --since 7d",
            "hallpass audit export --format ocsf --since 1h --to f --force",
            "hallpass audit hold ses-4m0t8z1kqc7e --reason case",
            "hallpass audit release ses-4m0t8z1kqc7e --reason closed",
            "hallpass audit holds -o json",
            "hallpass audit key --key-file audit.key",
            "hallpass audit verify --config hallpass.toml --closed",
            "hallpass audit verify --from d --key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            "hallpass notify test --channel slack -o json",
            "hallpass demo --once --dir d",
            "hallpass completions zsh",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in [
            "hallpass request orders-ro --for 30m",
            "hallpass request orders-ro --reason why",
            "hallpass request Orders --for 30m --reason why",
            "hallpass request orders-ro --for 30 --reason why",
            "hallpass request orders-ro --for 0s --reason why",
            "hallpass approve ses-4m0t8z1kqc7e",
            "hallpass deny req-4m0t8z1kqc7e",
            "hallpass connect orders-ro -d other",
            "hallpass request orders-ro --for 30m --reason why --at 22:00 --break-glass",
            "hallpass delegate --to dana",
            "hallpass delegate --until 3d",
            "hallpass delegate --to dana --until 3d --end",
            "hallpass review close ses-4m0t8z1kqc7e",
            "hallpass audit",
            "hallpass audit verify --head 12",
            "hallpass audit hold ses-4m0t8z1kqc7e",
            "hallpass audit release req-4m0t8z1kqc7e --reason closed",
            "hallpass audit verify --key no/such/file",
            "hallpass audit verify --from d --config c",
            "hallpass audit search --since yesterday",
            "hallpass audit export --since 1h",
            "hallpass audit search --rows many",
            "hallpass audit search --regex",
            "hallpass audit search --server --from d",
            "hallpass audit search --table a.",
            "hallpass token",
            "hallpass token create --scope everything",
            "hallpass token revoke maya",
            "hallpass user add ma~ya",
            "hallpass login --name maya --token-file t",
            "hallpass policy explain --target orders-ro",
            "hallpass policy explain --action aprove --target orders-ro",
            "hallpass policy explain --config c --action request --target orders-ro",
            "hallpass login --oidc --browser",
            "hallpass login --oidc --name maya",
            "hallpass frobnicate",
        ] {
            assert_eq!(parse(line).err().map(|e| e.exit_code()), Some(2), "{line}");
        }
    }

    #[test]
    fn no_command_takes_a_token_as_an_argument() {
        use clap::CommandFactory;
        let mut command = Cli::command();
        command.build();
        let all = std::iter::once(&command).chain(command.get_subcommands());
        for argument in all.flat_map(clap::Command::get_arguments) {
            assert_ne!(argument.get_long(), Some("token"));
            assert_ne!(argument.get_long(), Some("password"));
        }
    }

    #[test]
    fn each_command_shows_an_example() {
        use clap::CommandFactory;
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.contains("hallpass ")),
                "{}",
                command.get_name()
            );
        }
    }
}
