//! How people are told.

use super::*;

const NOTIFY: &str = r#"
[notify]
link_base = "https://hallpass.example.com/db/"
[notify.slack]
channel = "C0123ABCD"
token = { file = "slack" }
signing_secret = { file = "slack" }
[notify.slack.users]
U1 = "dana"
[notify.email]
server = "smtp.example.com"
tls = "implicit"
user = "hallpass"
password = { file = "slack" }
from = "hallpass <hallpass@example.com>"
recipients = ["db@example.com"]
[notify.webhooks.chat]
url = "https://example.com/hook"
secrets = [{ file = "hook" }, { file = "hook" }]
"#;

/// A folder with the secrets that `NOTIFY` names, and what comes of the text.
fn load_notify(text: &str) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let hook = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (name, secret) in [("slack", "xoxb-1"), ("hook", hook)] {
        let path = folder.path().join(name);
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    load_in(folder.path(), &format!("{text}{PRINCIPALS}{TARGET}"))
}

#[test]
fn people_are_told_where_the_file_says() {
    let config = load_notify(NOTIFY).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert!(config.is_behind_proxy());
    let plain = NOTIFY.replace("link_base = \"https:", "link_base = \"http:");
    assert!(!load_notify(&plain).unwrap().is_behind_proxy());
    let notify = config.notify.unwrap();
    let slack = notify.slack.unwrap();
    assert_eq!(slack.api.as_str(), "https://slack.com/api");
    assert_eq!(slack.users[0].1.as_str(), "dana");
    let email = notify.email.unwrap();
    assert_eq!((email.port, email.tls), (465, EmailTls::Implicit));
    assert_eq!(email.login.unwrap().0, "hallpass");
    assert_eq!(notify.webhooks[0].secrets.len(), 2);
    assert!(load_notify("").unwrap().notify.is_none());
}

#[test]
fn how_people_are_told_is_checked() {
    for (from, to, expected) in [
        (
            "link_base = \"https:",
            "link_base = \"ftp:",
            "is not a web address",
        ),
        ("\"C0123ABCD\"", "\"#db-access\"", "is not an id of Slack's"),
        ("= \"dana\"", "= \"da na\"", "is not allowed in a name"),
        ("= \"dana\"", "= \"@leads\"", "is a group"),
        (
            "signing_secret =",
            "# =",
            "notify.slack.signing_secret: is missing",
        ),
        (
            "token = { file = \"slack\" }",
            "token = \"xoxb-1\"",
            "the secret itself never stands here",
        ),
        (
            "tls = \"implicit\"",
            "tls = \"off\"",
            "the password would travel readable",
        ),
        ("tls = \"implicit\"", "tls = \"tls\"", "`tls` is unknown"),
        ("user = \"hallpass\"", "", "user and password go together"),
        ("<hallpass@", "<hallpass", "is not an address"),
        ("[\"db@", "[\"db", "is not an e-mail address"),
        (
            "[{ file = \"hook\" }, { file = \"hook\" }]",
            "[]",
            "secrets: is empty",
        ),
        (
            "[{ file = \"hook\" },",
            "[{ file = \"slack\" },",
            "is not a webhook's secret",
        ),
        ("webhooks.chat", "webhooks.email", "is another channel"),
        ("webhooks.chat", "webhooks.Chat", "bad name"),
    ] {
        let text = NOTIFY.replacen(from, to, 1);
        assert_ne!(text, NOTIFY, "{from}");
        let errors = load_notify(&text).unwrap_err().to_string();
        assert_eq!(errors.lines().count(), 1, "{to}\n{errors}");
        assert!(errors.contains(expected), "{to}\n{errors}");
        assert!(
            !errors.contains("xoxb") && !errors.contains("MfKQ"),
            "{errors}"
        );
    }
    let plain = NOTIFY.replacen("https://example.com", "http://example.com", 1);
    let warnings = load_notify(&plain).unwrap().warnings;
    assert!(warnings[0].message.contains("has no TLS"), "{warnings:?}");
}
