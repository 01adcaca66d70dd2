//! Child processes that do not outlive the demo.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::super::error::CliError;

/// How long a command of the story may take.
const PATIENCE: Duration = Duration::from_secs(25);

/// A child and its own children, in a process group of their own, so that a signal can be sent to
/// all of them as a terminal does. Dropping it ends all of them.
pub(super) struct Group {
    child: Child,
    leader: Pid,
    ended: bool,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(super) struct Said {
    /// Standard output, then standard error.
    pub(super) text: String,
    /// The exit code; -1 if it had none.
    pub(super) code: i32,
}

impl Said {
    /// The first word that starts with `prefix` and could be an id: `req-...`.
    pub(super) fn id(&self, prefix: &str) -> Option<String> {
        let plain = anstream::adapter::strip_str(&self.text).to_string();
        plain
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .find(|word| word.starts_with(prefix))
            .map(str::to_owned)
    }
}

impl Group {
    /// Starts `command`, with nothing to read from.
    pub(super) fn spawn(command: &mut Command) -> Result<Self, CliError> {
        let name = command.as_std().get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(CliError::file(name))?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = Pid::from_raw(id.expect("a child that was just started has an id"));
        Ok(Self {
            child,
            leader,
            ended: false,
        })
    }

    /// Starts `command`; [`Group::output`] has what it prints.
    pub(super) fn piped(command: &mut Command) -> Result<Self, CliError> {
        Self::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Sends signals to the group from elsewhere.
    pub(super) fn handle(&self) -> Handle {
        Handle(self.leader)
    }

    /// Whether it has ended, and how.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        self.ended |= status.is_some();
        status
    }

    /// Until it has ended.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.wait().await.ok();
        self.ended = true;
        status
    }

    /// What it prints up to the end of the line that has `word` in it, for which there is as much
    /// patience; [`Group::output`] has the rest.
    pub(super) async fn heard(&mut self, word: &str) -> String {
        let mut bytes = Vec::new();
        if let Some(stdout) = &mut self.child.stdout {
            // Who falls silent has said what it had to say.
            let _ = timeout(PATIENCE, listen(stdout, word, &mut bytes)).await;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All that it prints, up to its end, for which there is patience, but not without a bound.
    pub(super) async fn output(mut self) -> Said {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let all = async { tokio::join!(drain(stdout), drain(stderr), self.wait()) };
        match timeout(PATIENCE, all).await {
            Ok((stdout, stderr, status)) => Said {
                text: stdout + &stderr,
                code: status.and_then(|status| status.code()).unwrap_or(-1),
            },
            Err(_) => Said {
                text: format!("(nothing for {} s: ended)", PATIENCE.as_secs()),
                code: -1,
            },
        }
    }

    /// Asks it to end by `signal`, and makes it after `grace`.
    pub(super) async fn stop(&mut self, signal: Signal, grace: Duration) {
        self.handle().send(signal);
        if timeout(grace, self.wait()).await.is_err() {
            self.handle().send(Signal::SIGKILL);
            self.wait().await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.handle().send(Signal::SIGKILL);
        }
    }
}

/// A group that signals can be sent to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handle(Pid);

impl Handle {
    pub(super) fn send(self, signal: Signal) {
        // If nobody is left in the group, it is where it should be.
        let _ = killpg(self.0, signal);
    }
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // A pipe that breaks has said what it had to say.
        let _ = pipe.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until a whole line has `word` in it, or nothing more comes.
async fn listen(pipe: &mut (impl AsyncRead + Unpin), word: &str, bytes: &mut Vec<u8>) {
    let said = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.ends_with('\n') && text.contains(word)
    };
    while !said(bytes) && matches!(pipe.read_buf(bytes).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn is_alive(pid: i32) -> bool {
        nix::sys::signal::kill(Pid::from_raw(pid), None).is_ok()
    }

    #[tokio::test]
    async fn what_a_command_says_comes_back_with_its_exit_code() {
        let group = Group::piped(&mut shell("echo out; echo req-1a: err >&2; exit 3")).unwrap();
        let said = group.output().await;
        assert_eq!((said.text.as_str(), said.code), ("out\nreq-1a: err\n", 3));
        assert_eq!(said.id("req-").as_deref(), Some("req-1a"));
    }

    #[tokio::test]
    async fn one_can_listen_before_the_end() {
        let script = "trap 'echo three; exit' TERM; echo one; echo two; while :; do :; done";
        let mut group = Group::piped(&mut shell(script)).unwrap();
        assert_eq!(group.heard("two").await, "one\ntwo\n");
        group.handle().send(Signal::SIGTERM);
        assert_eq!(group.output().await.text, "three\n");
    }

    #[tokio::test]
    async fn a_group_ends_with_its_owner_grandchildren_included() {
        let mut group = Group::piped(&mut shell("sleep 600 & echo $!; wait")).unwrap();
        let mut line = [0; 16];
        let stdout = group.child.stdout.as_mut().unwrap();
        let length = stdout.read(&mut line).await.unwrap();
        let sleeper: i32 = String::from_utf8_lossy(&line[..length])
            .trim()
            .parse()
            .unwrap();
        assert!(is_alive(sleeper));
        let mut rest = group.child.stdout.take().unwrap();
        drop(group);
        // The pipe ends when the last process that holds it has gone.
        let ended = timeout(PATIENCE, rest.read(&mut line)).await;
        assert_eq!(ended.unwrap().unwrap(), 0);
    }
}
