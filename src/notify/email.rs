//! E-mail by SMTP, in text and in HTML.

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::text::{html, one_line, shortened};
use super::{Channel, Delivery, Failure, Notice};
use crate::secret::Secret;

/// The channel's name.
const NAME: &str = "email";
/// How long each answer of the server may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How much of what the server said is told.
const QUOTE: usize = 200;

/// How the way to the server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// STARTTLS, and nothing without it.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None.
    Off,
}

/// How e-mail is sent.
#[derive(Clone)]
pub struct EmailSettings {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub encryption: Encryption,
    /// Authorities to trust, in PEM; `None`: the system's.
    pub ca: Option<Vec<u8>>,
    /// Who we say we are, and the password.
    pub login: Option<(String, Secret)>,
    /// Who writes.
    pub from: Mailbox,
    /// The name of this machine, as we greet.
    pub hello: String,
}

/// Why e-mail cannot be set up.
pub type SetupError = lettre::transport::smtp::Error;

/// Sends mail.
pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// What the ids of messages end in.
    domain: String,
}

impl Email {
    /// A server that was not spoken to yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(settings: EmailSettings) -> Result<Self, SetupError> {
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.as_str())
                .port(settings.port)
                .tls(tls(&settings)?)
                .hello_name(ClientId::Domain(settings.hello))
                .timeout(Some(TIMEOUT));
        if let Some((user, password)) = &settings.login {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            builder = builder.credentials(credentials);
        }
        Ok(Self {
            transport: builder.build(),
            domain: settings.from.email.domain().to_owned(),
            from: settings.from,
        })
    }

    fn message(&self, notice: &Notice, to: Mailbox) -> Result<Message, lettre::error::Error> {
        // One conversation for each request.
        let thread = format!("<{}@{}>", notice.request, self.domain);
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(format!("[hallpass] {}", notice.headline()))
            .date(notice.at.into())
            // Whom it reaches twice drops the second by this.
            .message_id(Some(format!("<{}@{}>", notice.id, self.domain)))
            .references(thread.clone())
            .in_reply_to(thread)
            .raw_header(automatic())
            .multipart(MultiPart::alternative_plain_html(
                text_part(notice),
                html_part(notice),
            ))
    }
}

/// RFC 3834: nobody's holiday answer comes back.
fn automatic() -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    HeaderValue::new(name, "auto-generated".to_owned())
}

fn tls(settings: &EmailSettings) -> Result<Tls, SetupError> {
    let parameters = || {
        let mut builder = TlsParameters::builder(settings.host.clone());
        if let Some(pem) = &settings.ca {
            builder = builder
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(pem)?);
        }
        builder.build_rustls()
    };
    Ok(match settings.encryption {
        Encryption::StartTls => Tls::Required(parameters()?),
        Encryption::Implicit => Tls::Wrapper(parameters()?),
        Encryption::Off => Tls::None,
    })
}

fn text_part(notice: &Notice) -> String {
    let mut text = format!("{}\n\n", notice.headline());
    for (label, value) in notice.facts() {
        text += &format!("{:<9}{value}\n", format!("{label}:"));
    }
    for (who, why) in notice.reasons() {
        let quoted: Vec<String> = why.lines().map(|line| format!("> {line}")).collect();
        text += &format!("\n{who}:\n{}\n", quoted.join("\n"));
    }
    text += &format!("\n{}\n", notice.link);
    if notice.kind.asks() {
        let id = notice.request;
        text += &format!(
            "\nOr in a terminal: hallpass approve {id}\n                  hallpass deny {id} --reason \"why\"\n"
        );
    }
    text
}

fn html_part(notice: &Notice) -> String {
    let mut page = format!(
        "<!doctype html><html><body style=\"font-family:sans-serif\"><h3>{}</h3><table>",
        html(&notice.headline())
    );
    for (label, value) in notice.facts() {
        page += &format!(
            "<tr><td style=\"color:#666;padding-right:1em\">{label}</td><td>{}</td></tr>",
            html(&value)
        );
    }
    page += "</table>";
    for (who, why) in notice.reasons() {
        page += &format!(
            "<p>{}:</p><blockquote>{}</blockquote>",
            html(&who),
            html(&why)
        );
    }
    let link = html(&notice.link);
    page += &format!("<p><a href=\"{link}\">{link}</a></p></body></html>");
    page
}

fn failure(error: &lettre::transport::smtp::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let why = shortened(&one_line(&cause.to_string()), QUOTE);
    match error.is_permanent() || error.is_transient() {
        true => Failure::refused(format!("the mail server says {why}")),
        false => Failure::Unreachable(why),
    }
}

#[async_trait]
impl Channel for Email {
    fn name(&self) -> &str {
        NAME
    }

    fn has_recipients(&self) -> bool {
        true
    }

    async fn deliver(&self, delivery: Delivery<'_>) -> Result<Option<String>, Failure> {
        let to: Mailbox = delivery
            .recipient
            .parse()
            .map_err(|_| Failure::Gone("there is no such address".to_owned()))?;
        let message = self.message(delivery.notice, to);
        let message = message.map_err(|error| Failure::refused(error.to_string()))?;
        let sent = self.transport.send(message).await;
        sent.map(|_| None).map_err(|error| failure(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::notice::{Kind, example};
    use super::*;

    fn email() -> Email {
        Email::new(EmailSettings {
            host: "127.0.0.1".into(),
            port: 25,
            encryption: Encryption::Off,
            ca: None,
            login: None,
            from: "hallpass <hallpass@example.com>".parse().unwrap(),
            hello: "hallpass.example.com".into(),
        })
        .unwrap()
    }

    fn written(notice: &Notice) -> String {
        let to = "dana@example.com".parse().unwrap();
        let message = email().message(notice, to).unwrap();
        String::from_utf8(message.formatted()).unwrap()
    }

    #[test]
    fn a_mail_says_who_what_how_long_why_and_where() {
        let text = text_part(&example(Kind::Submitted));
        for line in [
            "maya asks for orders-ro for 30m",
            "Who:     maya",
            "For:     30m",
            "> <!channel> <b>INC-4312</b> *stuck* \u{fffd}refunds",
            "https://hallpass.example.com/requests/req-700000000000",
            "hallpass approve req-700000000000",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        let denied = text_part(&example(Kind::Denied));
        assert!(denied.contains("dana says why:\n> not <i>now</i>\n> ask lee"));
        assert!(!denied.contains("hallpass approve"));
    }

    #[test]
    fn nothing_that_somebody_wrote_is_markup_or_a_header() {
        let mut notice = example(Kind::Denied);
        notice.by = Some("a policy\r\nBcc: eve@example.com".into());
        let page = html_part(&notice);
        assert!(page.contains("&lt;b&gt;INC-4312"), "{page}");
        assert!(!page.contains("<b>") && !page.contains("<i>"), "{page}");
        let mail = written(&notice);
        let head = mail.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        for line in [
            "Message-ID: <msg_1@example.com>",
            "References: <req-700000000000@example.com>",
            "Auto-Submitted: auto-generated",
            "Date: Sun, 22 Nov 2026 09:00:00",
        ] {
            assert!(head.contains(line), "{line} is not in\n{head}");
        }
    }
}
