//! E-mail, at a real mail server.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{REASON, SOON, ask, decide, python, script, secret, setup};
use crate::support::certificates::Authority;
use crate::support::postgres::free_port;
use crate::support::process::Process;
use crate::support::wait;

/// aiosmtpd. Dropping it kills it.
struct Smtp {
    child: Child,
    folder: TempDir,
    port: u16,
    ca: PathBuf,
}

impl Smtp {
    fn start(mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        let (certificate, key) = authority.issue("smtp", &["localhost"]);
        let port = free_port();
        let child = Command::new(python("python"))
            .arg(script("smtp.py"))
            .args([mode, &port.to_string()])
            .args([&certificate, &key])
            .arg(folder.path())
            .spawn()
            .unwrap();
        let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait::blocking_until("the mail server answers", Duration::from_secs(60), answers);
        Self {
            child,
            folder,
            port,
            ca: authority.certificate(),
        }
    }

    fn section(&self, tls: &str, password: &str) -> String {
        let password = secret(self.folder.path(), "password", password);
        format!(
            "[notify]\nlink_base = \"https://hallpass.example.com\"\n\
             [notify.email]\nserver = \"localhost\"\nport = {}\ntls = {tls:?}\nca = {:?}\n\
             user = \"hallpass\"\npassword = {{ file = {password:?} }}\n\
             from = \"hallpass <hallpass@example.com>\"\n",
            self.port, self.ca
        )
    }

    fn mails(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|it| it.ends_with('\n'));
        whole.map(|it| serde_json::from_str(it).unwrap()).collect()
    }

    async fn mail(&self, number: usize) -> Value {
        let look = || async { self.mails().get(number).cloned() };
        wait::until_some("a mail arrives", SOON, look).await
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The approver is asked, and the requester is answered.
async fn arrives(tls: &str) {
    let smtp = Smtp::start(tls);
    let setup = setup().section(&smtp.section(tls, "smtp-s3cret"));
    let hallpass = Process::start(setup).await;
    let request = ask(&hallpass).await;
    let asked = smtp.mail(0).await;
    assert_eq!(asked["to"], json!(["dana@example.com"]));
    assert_eq!(asked["from"], "hallpass@example.com");
    assert_eq!(asked["hello"], "hallpass.example.com");
    assert_eq!(
        (&asked["encrypted"], &asked["login"]),
        (&json!(true), &json!(true))
    );
    let headers = &asked["headers"];
    assert_eq!(
        headers["Subject"],
        "[hallpass] maya asks for orders-ro for 30m"
    );
    assert_eq!(headers["Auto-Submitted"], "auto-generated");
    let (text, html) = (
        asked["text"].as_str().unwrap(),
        asked["html"].as_str().unwrap(),
    );
    let link = format!("https://hallpass.example.com/requests/{request}");
    for part in [REASON, link.as_str(), "hallpass approve req-"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(html.contains("&lt;b&gt;bold&lt;/b&gt;"), "{html}");
    assert!(html.contains(&link) && !html.contains("<b>"), "{html}");

    decide(
        &hallpass,
        request,
        "deny",
        json!({ "reason": "not <i>now</i>" }),
    )
    .await;
    let told = smtp.mail(1).await;
    assert_eq!(told["to"], json!(["maya@example.com"]));
    let subject = &told["headers"]["Subject"];
    assert_eq!(subject, "[hallpass] dana denied orders-ro to maya");
    assert!(told["text"].as_str().unwrap().contains("> not <i>now</i>"));
    assert_eq!(told["headers"]["References"], headers["References"]);
    assert_ne!(told["headers"]["Message-ID"], headers["Message-ID"]);
}

#[tokio::test]
async fn mail_arrives_by_starttls() {
    arrives("starttls").await;
}

#[tokio::test]
async fn mail_arrives_by_implicit_tls() {
    arrives("implicit").await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_without_tls_or_to_one_that_is_not_trusted() {
    let plain = Smtp::start("plain");
    let stranger = Smtp::start("implicit");
    let other = plain.ca.to_str().unwrap().to_owned();
    let own = stranger.ca.to_str().unwrap();
    let untrusted = stranger
        .section("implicit", "smtp-s3cret")
        .replace(own, &other);
    for (smtp, section) in [
        (&plain, plain.section("starttls", "smtp-s3cret")),
        (&stranger, untrusted),
    ] {
        let hallpass = Process::start(setup().section(&section)).await;
        ask(&hallpass).await;
        let failed = "hallpass_notices_total{channel=\"email\",outcome=\"failed\"}";
        let fails = || async { hallpass.metric(failed).await >= 2.0 };
        wait::until("it fails and is tried again", SOON, fails).await;
        assert!(smtp.mails().is_empty(), "{:?}", smtp.mails());
        assert!(!hallpass.log().contains("smtp-s3cret"));
        assert!(!hallpass.log().contains("INC-4312"), "{}", hallpass.log());
    }
}

#[tokio::test]
async fn an_address_that_is_refused_holds_up_nobody_else() {
    let smtp = Smtp::start("starttls");
    let section = smtp.section("starttls", "smtp-s3cret");
    let section = format!("{section}recipients = [\"a@example.com\", \"refused@example.com\"]\n");
    let hallpass = Process::start(setup().section(&section)).await;
    ask(&hallpass).await;
    smtp.mail(1).await;
    let failed = "hallpass_notices_total{channel=\"email\",outcome=\"failed\"}";
    let fails = || async { hallpass.metric(failed).await >= 2.0 };
    wait::until("the third is tried again", SOON, fails).await;
    let mut to: Vec<Value> = smtp.mails().iter().map(|it| it["to"][0].clone()).collect();
    to.sort_by_key(ToString::to_string);
    assert_eq!(to, ["a@example.com", "dana@example.com"]);
    let log = hallpass.log();
    assert!(
        log.contains("no such user") && !log.contains("\u{1b}[2J"),
        "{log}"
    );
}
