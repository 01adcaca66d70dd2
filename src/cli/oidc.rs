//! Signs in with an OpenID provider: on another device, or in a browser on this machine, which comes
//! back to a port that is open for that alone.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::api::Api;
use super::error::CliError;
use super::human::clean;
use super::out::{self, BOLD, DIM, paint};
use crate::http::types::{BeginOidc, FinishOidc, NewToken, OidcBegun};

/// How long somebody has in their browser.
const LONGEST: Duration = Duration::from_secs(600);
/// The longest first line of a request, in bytes.
const LINE: usize = 8192;

/// On another device; in a browser on this machine, if the provider knows no other way.
pub(super) async fn on_a_device(api: &Api) -> Result<NewToken, CliError> {
    let begun = match api.begin_oidc(&BeginOidc::default()).await {
        Err(CliError::Problem(problem)) if problem.code == "no_device_flow" => {
            return in_a_browser(api).await;
        }
        begun => begun?,
    };
    out::note(&invitation(&begun));
    let finish = FinishOidc {
        flow: begun.flow,
        code: None,
        state: None,
    };
    loop {
        if let Some(made) = api.finish_oidc(&finish).await? {
            return Ok(made);
        }
    }
}

fn invitation(begun: &OidcBegun) -> String {
    let code = begun.code.as_deref().unwrap_or_default();
    let (address, code) = (clean(&begun.address), paint(BOLD, &clean(code)));
    let whole = begun.whole_address.as_ref();
    let whole = whole.map_or_else(String::new, |whole| {
        format!("\n{} {}", paint(DIM, "or at once:"), clean(whole))
    });
    format!("Open {address} on any device and type {code}{whole}")
}

/// In a browser on this machine.
pub(super) async fn in_a_browser(api: &Api) -> Result<NewToken, CliError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(no_port)?;
    let port = listener.local_addr().map_err(no_port)?.port();
    let redirect_uri = Some(format!("http://127.0.0.1:{port}/callback"));
    let begun = api.begin_oidc(&BeginOidc { redirect_uri }).await?;
    out::note(&format!(
        "Open this in a browser: {}",
        clean(&begun.address)
    ));
    open(&begun.address);
    let late = || CliError::NotSignedIn("nobody signed in within ten minutes".into());
    let back = tokio::time::timeout(LONGEST, come_back(&listener)).await;
    let (code, state) = back.map_err(|_| late())?.map_err(no_port)??;
    let finish = FinishOidc {
        flow: begun.flow,
        code: Some(code),
        state: Some(state),
    };
    let made = api.finish_oidc(&finish).await?;
    made.ok_or_else(|| CliError::NotSignedIn("the server did not finish the sign-in".into()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_port(error: io::Error) -> CliError {
    CliError::NotSignedIn(format!("the browser cannot come back: {error}"))
}

/// What the browser comes back with: `code` and `state`, or why it has none.
async fn come_back(listener: &TcpListener) -> io::Result<Result<(String, String), CliError>> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let Ok(path) = request_path(&mut stream).await else {
            continue;
        };
        let Some(told) = read(&path) else {
            let _ = answer(&mut stream, "404 Not Found", "There is nothing here.").await;
            continue;
        };
        let text = match &told {
            Ok(_) => "Go back to your terminal: you can close this.",
            Err(_) => "The sign-in failed: your terminal says why.",
        };
        let _ = answer(&mut stream, "200 OK", text).await;
        return Ok(told);
    }
}

async fn request_path(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut piece)).await??;
        if read == 0 || head.len() > LINE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&piece[..read]);
    }
    let text = String::from_utf8_lossy(&head);
    let path = text
        .strip_prefix("GET ")
        .and_then(|it| it.split(' ').next());
    path.map(str::to_owned)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What the path of a callback tells; `None` for other paths.
fn read(path: &str) -> Option<Result<(String, String), CliError>> {
    let url = reqwest::Url::parse(&format!("http://127.0.0.1{path}")).ok()?;
    if url.path() != "/callback" {
        return None;
    }
    let value = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, it)| it.into_owned())
    };
    match (value("code"), value("state"), value("error")) {
        (Some(code), Some(state), None) => Some(Ok((code, state))),
        (_, _, Some(error)) => Some(Err(CliError::NotSignedIn(format!(
            "the provider does not let you in: {}",
            clean(&value("error_description").unwrap_or(error))
        )))),
        _ => None,
    }
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) -> io::Result<()> {
    let length = text.len();
    let head = "Content-Type: text/plain\r\nCache-Control: no-store\r\nConnection: close";
    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{text}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Shows the address in a browser, if there is one; if not, it is on the terminal.
fn open(address: &str) {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let _ = std::process::Command::new(opener)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_tells_code_and_state_or_why_there_are_none() {
        let fine = read("/callback?code=a%2Fb&state=s&iss=x").unwrap().unwrap();
        assert_eq!(fine, ("a/b".to_owned(), "s".to_owned()));
        let denied = read("/callback?error=access_denied&state=s").unwrap();
        assert!(denied.unwrap_err().to_string().contains("access_denied"));
        assert!(read("/favicon.ico").is_none());
        assert!(read("/callback?code=a").is_none());
    }
}
