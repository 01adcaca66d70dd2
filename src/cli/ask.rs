//! Asks for what nobody else should see: on the terminal without showing it, or, where there is
//! none, line by line from standard input.

use std::io::{self, BufRead, IsTerminal, Write};

use super::error::CliError;
use crate::secret::Secret;

/// Something secret.
pub(super) fn secret(prompt: &str) -> Result<Secret, CliError> {
    if !io::stdin().is_terminal() {
        return line().map(Secret::new);
    }
    let typed = rpassword::prompt_password(format!("{prompt}: "));
    typed.map(Secret::new).map_err(no_input)
}

/// Something secret, typed twice where it cannot be seen.
pub(super) fn new_secret(prompt: &str) -> Result<Secret, CliError> {
    let once = secret(prompt)?;
    if io::stdin().is_terminal() {
        let again = secret("Once more")?;
        if again.expose() != once.expose() {
            return Err(CliError::Usage("the two are not the same".into()));
        }
    }
    Ok(once)
}

/// Something that may be seen. Empty if nothing is typed.
pub(super) fn text(prompt: &str) -> Result<String, CliError> {
    if io::stdin().is_terminal() {
        let mut terminal = io::stderr().lock();
        let asked = write!(terminal, "{prompt}: ").and_then(|()| terminal.flush());
        asked.map_err(no_input)?;
    }
    line()
}

fn line() -> Result<String, CliError> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(no_input)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_input(error: io::Error) -> CliError {
    CliError::Usage(format!("nothing can be read from the terminal: {error}"))
}
