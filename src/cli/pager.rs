//! Long output: through a pager on a terminal, line by line as it is made.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use anstream::{AutoStream, ColorChoice};
use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use super::Done;
use super::error::CliError;

/// What less is told: colours pass, one screenful needs no pager, and stays when it ends.
const LESS: &str = "-RFX";
/// How much is gathered where nobody watches lines come.
const BUFFER: usize = 64 * 1024;
/// What a shell exits with if it cannot run the command.
const NOT_RUN: [i32; 2] = [126, 127];

/// For commands whose output may be long.
#[derive(Debug, Clone, Args)]
pub(super) struct Paging {
    /// Print to the terminal itself, not through $PAGER (or less)
    #[arg(long)]
    no_pager: bool,
}

/// Where long output goes: `$PAGER`, or less, if a person reads it; else standard output.
///
/// A person sees each line at once; a pipe gets them in blocks. When whoever reads has gone,
/// [`Self::print`] says so with an error that [`CliError::is_closed_pipe`] knows, and which ends the
/// command quietly. [`Self::close`] has to be called in the end.
pub(super) struct Pages {
    /// `None` once it is closed.
    out: Option<Out>,
    pager: Option<Pager>,
    /// Each line is shown at once.
    watched: bool,
}

type Out = AutoStream<Box<dyn Write + Send>>;

struct Pager {
    command: OsString,
    process: Child,
    /// The pipe to it, to ask whether it still reads.
    pipe: File,
}

/// What to run.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    None,
    /// Whatever is installed of the usual one.
    Less,
    /// What `$PAGER` says, for the shell.
    Shell(OsString),
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Pages {
    /// Opens the way for a command's output.
    pub(super) fn open(paging: &Paging) -> Result<Self, CliError> {
        let lookup: Lookup<'_> = &|name| std::env::var_os(name);
        let terminal = io::stdout().is_terminal();
        let command = match choice(paging.no_pager || !terminal, lookup) {
            Choice::None => return Ok(Self::standard(terminal)),
            Choice::Less => with_arguments("less", &[LESS]),
            Choice::Shell(text) => with_arguments("sh", &[OsStr::new("-c"), &text]),
        };
        let colour = AutoStream::choice(&io::stdout());
        match Self::through(command, lookup, colour) {
            Err(CliError::NoPager(_)) => Ok(Self::standard(terminal)),
            opened => opened,
        }
    }

    /// Standard output itself.
    fn standard(terminal: bool) -> Self {
        let colour = AutoStream::choice(&io::stdout());
        let out = BufWriter::with_capacity(BUFFER, io::stdout());
        Self {
            out: Some(AutoStream::new(Box::new(out), colour)),
            pager: None,
            watched: terminal,
        }
    }

    fn through(
        mut command: Command,
        lookup: Lookup<'_>,
        colour: ColorChoice,
    ) -> Result<Self, CliError> {
        for (name, value) in [("LESS", LESS), ("LESSCHARSET", "utf-8"), ("LV", "-c")] {
            if lookup(name).is_none() {
                command.env(name, value);
            }
        }
        survive_interrupts()?;
        let name = command.get_args().last().unwrap_or_default().to_owned();
        let unusable = |_| CliError::NoPager(name.clone());
        let mut process = command.stdin(Stdio::piped()).spawn().map_err(unusable)?;
        let stdin = process.stdin.take().map(OwnedFd::from).map(File::from);
        let pipe = stdin.ok_or_else(|| CliError::NoPager(name.clone()))?;
        let out: Box<dyn Write + Send> = Box::new(pipe.try_clone().map_err(CliError::Output)?);
        Ok(Self {
            out: Some(AutoStream::new(out, colour)),
            pager: Some(Pager {
                command: name,
                process,
                pipe,
            }),
            watched: true,
        })
    }

    /// Prints `text` and ends the line.
    pub(super) fn print(&mut self, text: &str) -> Result<(), CliError> {
        self.write(text).map_err(CliError::Output)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let out = self.out.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        // One write a line: the pager's pipe has no buffer of ours before it.
        out.write_all(format!("{}\n", text.trim_end_matches('\n')).as_bytes())?;
        if self.watched { out.flush() } else { Ok(()) }
    }

    /// Shows what has gathered: before waiting for more.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        self.out
            .as_mut()
            .map_or(Ok(()), Write::flush)
            .map_err(CliError::Output)
    }

    /// Fails as [`Self::print`] would if whoever reads has gone: for long work between two lines,
    /// which Ctrl-C does not end while a pager runs.
    pub(super) fn check(&self) -> Result<(), CliError> {
        let gone = match &self.pager {
            Some(pager) => is_closed(&pager.pipe),
            None => is_closed(&io::stdout()),
        };
        if gone {
            return Err(CliError::Output(io::ErrorKind::BrokenPipe.into()));
        }
        Ok(())
    }

    /// Ends the output, waits until it was read, and passes on what was done. The pager's own exit
    /// code is nobody's business, unless it could not be run at all: then nothing was read.
    pub(super) fn close(mut self, done: Done) -> Done {
        let flushed = self.flush();
        self.wait()?;
        let code = done?;
        flushed.map(|()| code)
    }

    fn wait(&mut self) -> Result<(), CliError> {
        // The pager ends when its input does.
        drop(self.out.take());
        let Some(mut pager) = self.pager.take() else {
            return Ok(());
        };
        drop(pager.pipe);
        let status = pager.process.wait().map_err(CliError::Output)?;
        match status.code() {
            Some(code) if NOT_RUN.contains(&code) => Err(CliError::NoPager(pager.command)),
            _ => Ok(()),
        }
    }
}

/// Nothing else may use the terminal before the pager has ended: not even an error.
impl Drop for Pages {
    fn drop(&mut self) {
        // Whoever did not close it has another error to tell.
        let _ = self.wait();
    }
}

fn with_arguments<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn choice(plain: bool, lookup: Lookup<'_>) -> Choice {
    let dumb = lookup("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if plain || dumb {
        return Choice::None;
    }
    match lookup("PAGER") {
        None => Choice::Less,
        Some(pager) if pager.is_empty() || pager == "cat" => Choice::None,
        Some(pager) => Choice::Shell(pager),
    }
}

/// From here on Ctrl-C is the pager's: it reaches both of us, and if we died of it, the shell and
/// the pager would both have the terminal.
fn survive_interrupts() -> Result<(), CliError> {
    if Handle::try_current().is_ok() {
        // It stays caught when nobody listens.
        drop(signal(SignalKind::interrupt()).map_err(CliError::Output)?);
    }
    Ok(())
}

/// Whether nobody reads what is written to `pipe`.
fn is_closed(pipe: &impl AsFd) -> bool {
    let mut asked = [PollFd::new(pipe.as_fd(), PollFlags::empty())];
    let answered = poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0);
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    answered
        && asked[0]
            .revents()
            .is_some_and(|events| events.intersects(gone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::out::{GOOD, paint};

    fn chosen(plain: bool, variables: &[(&str, &str)]) -> Choice {
        choice(plain, &|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_pager_is_the_users_choice() {
        let term = ("TERM", "xterm");
        assert_eq!(chosen(false, &[term]), Choice::Less);
        assert_eq!(chosen(true, &[term, ("PAGER", "more")]), Choice::None);
        assert_eq!(
            chosen(false, &[term, ("PAGER", "less -S | cat")]),
            Choice::Shell("less -S | cat".into())
        );
        for pager in ["", "cat"] {
            assert_eq!(chosen(false, &[term, ("PAGER", pager)]), Choice::None);
        }
        assert_eq!(chosen(false, &[("TERM", "dumb")]), Choice::None);
        assert_eq!(chosen(false, &[]), Choice::None);
    }

    fn pages(script: &str, colour: ColorChoice) -> Pages {
        let command = with_arguments("sh", &["-c", script]);
        Pages::through(command, &|_| None, colour).unwrap()
    }

    #[test]
    fn a_pager_gets_lines_as_they_are_made_with_the_colours_of_the_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, file) = (dir.path().join("fifo"), dir.path().join("out"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = format!(
            "head -n1 > {}; echo $LESS >> {1}; cat >> {1}",
            fifo.display(),
            file.display()
        );
        for (colour, last) in [
            (ColorChoice::Always, paint(GOOD, "two")),
            (ColorChoice::Never, "two".to_owned()),
        ] {
            let mut pages = pages(&script, colour);
            pages.print("one\n").unwrap();
            // Blocks until the pager has written it: before there is a second line.
            assert_eq!(std::fs::read_to_string(&fifo).unwrap(), "one\n");
            pages.print(&paint(GOOD, "two")).unwrap();
            assert!(matches!(pages.close(Ok(1)), Ok(1)));
            let text = std::fs::read_to_string(&file).unwrap();
            assert_eq!(text, format!("-RFX\n{last}\n"));
            std::fs::remove_file(&file).unwrap();
        }
    }

    /// Prints until the reader has gone.
    fn print_on(pages: &mut Pages) -> CliError {
        loop {
            if let Err(error) = pages.print("line") {
                return error;
            }
        }
    }

    #[test]
    fn a_pager_that_was_quit_ends_quietly_whatever_it_exits_with() {
        let mut pages = pages("head -n1 >/dev/null; exit 3", ColorChoice::Never);
        assert!(pages.check().is_ok());
        assert!(print_on(&mut pages).is_closed_pipe());
        assert!(pages.check().is_err_and(|error| error.is_closed_pipe()));
        assert!(matches!(pages.close(Ok(1)), Ok(1)));
    }

    #[test]
    fn a_pager_that_is_not_installed_is_named() {
        let mut pages = pages("no-such-pager -x", ColorChoice::Never);
        let closed = print_on(&mut pages);
        let error = pages.close(Err(closed)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the pager \"no-such-pager -x\" cannot be run"
        );
        assert!(
            error
                .advice()
                .is_some_and(|advice| advice.contains("--no-pager"))
        );
    }
}
