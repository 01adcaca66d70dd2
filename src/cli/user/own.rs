//! One's own password and second factor.

use anstyle::{AnsiColor, Color, Style};
use clap::Args;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Serialize;

use super::super::error::CliError;
use super::super::human::clean;
use super::super::out::{BOLD, DIM, GOOD, paint};
use super::super::{Done, Global, ask, out};
use crate::http::types::{ChangePassword, ConfirmTotp, RecoveryCodes, ShowPassword};

/// Change your password.
///
/// It is asked for on the terminal, or read from standard input: the password, a code of the second
/// factor or an empty line, and the new password. Who signed in with the old one signs in again.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hallpass user passwd")]
pub(super) struct PasswdArgs {}

/// Give your account a second factor, or another one, and new recovery codes.
///
/// Shows a QR code for an authenticator app, and asks for the code that the app shows then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass user totp
  hallpass user totp --remove")]
pub(super) struct TotpArgs {
    /// Take the second factor away instead.
    #[arg(long)]
    remove: bool,
}

const ON_WHITE: Style = Style::new()
    .fg_color(Some(Color::Ansi(AnsiColor::Black)))
    .bg_color(Some(Color::Ansi(AnsiColor::BrightWhite)));

#[derive(Serialize)]
struct Changed {
    changed: &'static str,
}

pub(super) async fn passwd(global: &Global) -> Done {
    let api = global.api()?;
    let ShowPassword { password, code } = show()?;
    let new = ask::new_secret("New password")?;
    let change = ChangePassword {
        password,
        code,
        new_password: new.expose().to_owned(),
    };
    api.change_password(&change).await?;
    told(
        global,
        "password",
        "Your password is changed. Sign in with it: hallpass login",
    )
}

pub(super) async fn totp(global: &Global, args: &TotpArgs) -> Done {
    let api = global.api()?;
    let show = show()?;
    if args.remove {
        api.remove_totp(&show).await?;
        return told(global, "totp_off", "Your second factor is taken away.");
    }
    let begun = api.begin_totp(&show).await?;
    out::note(&scannable(&begun.address)?);
    let code = ask::text("The code that the app shows")?;
    let codes = api.confirm_totp(&ConfirmTotp { code }).await?;
    global.output().show(&codes, recovery)?;
    Ok(0)
}

fn told(global: &Global, changed: &'static str, text: &str) -> Done {
    let changed = Changed { changed };
    global.output().show(&changed, |_| text.to_owned())?;
    Ok(0)
}

fn show() -> Result<ShowPassword, CliError> {
    let password = ask::secret("Password")?;
    let code = ask::text("Code of your second factor (empty if there is none)")?;
    Ok(ShowPassword {
        password: password.expose().to_owned(),
        code: Some(code).filter(|code| !code.is_empty()),
    })
}

/// The address for an app: to be scanned, and to be typed.
fn scannable(address: &str) -> Result<String, CliError> {
    let code = QrCode::new(address).map_err(|error| CliError::NoRecord(error.to_string()))?;
    // Dark on light whatever the terminal's colours are: apps do not read it the other way round.
    let drawn = code.render::<Dense1x2>().build();
    let drawn: Vec<String> = drawn.lines().map(|line| paint(ON_WHITE, line)).collect();
    let drawn = drawn.join("\n");
    let hint = paint(DIM, "or type this into your app:");
    Ok(format!("{drawn}\n{hint}\n{}", clean(address)))
}

fn recovery(codes: &RecoveryCodes) -> String {
    let done = paint(GOOD, "Your second factor is in force.");
    let keep = "Each of these stands in for it once. Keep them where your device is not; they are not shown again.";
    let codes: Vec<String> = codes
        .recovery_codes
        .iter()
        .map(|code| format!("  {}", paint(BOLD, &clean(code))))
        .collect();
    format!("{done}\n{keep}\n{}", codes.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_can_be_scanned_and_typed() {
        let address = "otpauth://totp/hallpass:maya?secret=GEZDGNBVGY3TQOJQ&issuer=hallpass";
        let text = scannable(address).unwrap();
        assert!(text.contains(address));
        assert!(text.lines().count() > 15, "{text}");
    }
}
