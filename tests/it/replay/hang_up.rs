//! A terminal that goes away while a session is played on it.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};

use super::Recorded;
use crate::support::wait;

/// A command on a terminal of its own.
struct OnTerminal {
    child: Child,
    terminal: File,
}

impl OnTerminal {
    fn run(command: &Command) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        // The command must not hold what is to be closed.
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        // Makes the terminal that of a new session, which hears when it goes.
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Self {
            child,
            terminal: pty.master.into(),
        }
    }

    /// Reads what is shown until `text` is.
    fn until(&mut self, text: &str) {
        let (mut shown, mut piece) = (String::new(), [0; 4096]);
        while !shown.contains(text) {
            let count = self.terminal.read(&mut piece).unwrap();
            shown.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    }

    /// Closes the terminal. The code that the command ends with.
    fn hang_up(self) -> Option<i32> {
        let Self {
            mut child,
            terminal,
        } = self;
        drop(terminal);
        let mut ended = None;
        wait::blocking_until("it ends", Duration::from_secs(5), || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        ended.and_then(|status| status.code())
    }
}

#[tokio::test]
async fn a_replay_ends_with_its_terminal() {
    let recorded = Recorded::start().await;
    let client = recorded.login().connect().await;
    client.simple_query("select pg_sleep(2)").await.unwrap();
    drop(client);
    recorded.settle().await;
    let session = recorded.session().to_string();
    // Slowly, and at its end, where it waits for keys.
    for (speed, shows) in [("0.25", "plays"), ("64", "the end")] {
        let replay = recorded.audit(&["replay", &session, "--speed", speed]);
        let mut replay = OnTerminal::run(&replay);
        replay.until(shows);
        let code = replay.hang_up();
        // By the signal, or because nothing could be drawn any more, whichever was first.
        assert!(matches!(code, Some(129 | 1)), "{shows}: {code:?}");
    }
}
