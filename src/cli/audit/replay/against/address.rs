//! Where the database is, from a URL as libpq reads it, and the password from where libpq has it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::super::super::super::error::CliError;
use crate::secret::Secret;
use crate::tls::{UpstreamTls, Verification};

const DEFAULT_PORT: u16 = 5432;

/// A server, a user, and perhaps a database.
#[derive(Clone)]
pub(super) struct Address {
    /// A name, an address, or the folder of a Unix socket.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// `None`: each connection's own.
    pub(super) database: Option<String>,
    /// `None`: without TLS.
    pub(super) tls: Option<UpstreamTls>,
    pub(super) password: Option<Secret>,
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Address {
    /// Reads `postgres://user@host:port/database?sslmode=..&sslrootcert=..`.
    pub(super) fn parse(text: &str) -> Result<Self, CliError> {
        Self::parse_with(text, &|name| std::env::var_os(name))
    }

    fn parse_with(text: &str, lookup: Lookup<'_>) -> Result<Self, CliError> {
        let wrong = |what: &str| CliError::Usage(format!("--against: {what}"));
        let url = Url::parse(text)
            .map_err(|_| wrong("not a URL; expected postgres://user@host:5432/database"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong(
                "expected a URL like postgres://user@host:5432/database",
            ));
        }
        if url.password().is_some() {
            return Err(wrong(
                "a password in a URL can be seen by others on this machine; set PGPASSWORD, or put \
                 it into ~/.pgpass",
            ));
        }
        let options = Options::read(&url)?;
        let host = options.host.or_else(|| url.host_str().map(percent_decoded));
        let host = host.filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("names no host"))?;
        let user = Some(percent_decoded(url.username())).filter(|user| !user.is_empty());
        let user = user.or_else(|| Some(lookup("PGUSER")?.to_string_lossy().into_owned()));
        let user = user.ok_or_else(|| wrong("names no user: postgres://user@host/database"))?;
        let database = percent_decoded(url.path().trim_start_matches('/'));
        let mut address = Self {
            tls: tls(
                options.sslmode.as_deref(),
                &host,
                options.sslrootcert.as_deref(),
            )?,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(DEFAULT_PORT),
            user,
            database: (!database.is_empty()).then_some(database),
            password: None,
        };
        address.password = address.find_password(lookup);
        Ok(address)
    }

    /// The socket's path, if it is one.
    pub(super) fn socket(&self) -> Option<PathBuf> {
        let folder = self.host.starts_with('/').then(|| Path::new(&self.host));
        folder.map(|it| it.join(format!(".s.PGSQL.{}", self.port)))
    }

    /// How people call it, without a secret.
    pub(super) fn name(&self) -> String {
        let database = self
            .database
            .as_deref()
            .unwrap_or("(each connection's own database)");
        format!("{}@{}:{}/{database}", self.user, self.host, self.port)
    }

    fn find_password(&self, lookup: Lookup<'_>) -> Option<Secret> {
        if let Some(password) = lookup("PGPASSWORD").filter(|it| !it.is_empty()) {
            return Some(Secret::new(password.to_string_lossy().into_owned()));
        }
        let file = lookup("PGPASSFILE").map(PathBuf::from);
        let file = file.or_else(|| Some(PathBuf::from(lookup("HOME")?).join(".pgpass")))?;
        // As libpq: a file that others can read does not count.
        let mode = fs::metadata(&file).ok()?.permissions().mode();
        if mode & 0o077 != 0 {
            return None;
        }
        let text = fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| self.password_in(line))
    }

    /// The password in a line of a passfile, if the line is about this server.
    fn password_in(&self, line: &str) -> Option<Secret> {
        let fields = fields(line);
        let [host, port, database, user, password] = &fields[..] else {
            return None;
        };
        let is = |field: &str, value: &str| field == "*" || field == value;
        let local = self.socket().is_some() && host == "localhost";
        let about = (local || is(host, &self.host))
            && is(port, &self.port.to_string())
            && self.database.as_ref().is_none_or(|it| is(database, it))
            && is(user, &self.user);
        about.then(|| Secret::new(password.clone()))
    }
}

/// The fields of a line of a passfile: between colons, with backslashes before what is meant.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => fields
                .last_mut()
                .into_iter()
                .for_each(|it| it.extend(characters.next())),
            ':' if fields.len() < 5 => fields.push(String::new()),
            c => fields.last_mut().into_iter().for_each(|it| it.push(c)),
        }
    }
    fields
}

/// What stands behind the question mark.
#[derive(Default)]
struct Options {
    host: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
}

impl Options {
    fn read(url: &Url) -> Result<Self, CliError> {
        let mut options = Self::default();
        for (name, value) in url.query_pairs() {
            let place = match &*name {
                "host" => &mut options.host,
                "sslmode" => &mut options.sslmode,
                "sslrootcert" => &mut options.sslrootcert,
                other => {
                    return Err(CliError::Usage(format!(
                        "--against: {other:?} is not known there; known are host, sslmode and \
                         sslrootcert"
                    )));
                }
            };
            *place = Some(value.into_owned());
        }
        Ok(options)
    }
}

/// TLS as it was asked for; if it was not: checked in full, but for what does not leave this
/// machine.
fn tls(mode: Option<&str>, host: &str, ca: Option<&str>) -> Result<Option<UpstreamTls>, CliError> {
    let here = host.starts_with('/') || matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let verification = match mode {
        Some("disable") => return Ok(None),
        None if here => return Ok(None),
        Some("require") => Verification::None,
        Some("verify-ca") => Verification::Authority,
        Some("verify-full") | None => Verification::Full,
        Some(other) => {
            return Err(CliError::Usage(format!(
                "--against: sslmode={other} is not known; use disable, require, verify-ca or \
                 verify-full"
            )));
        }
    };
    let tls = UpstreamTls::load(verification, ca.map(Path::new), None);
    tls.map(Some)
        .map_err(|error| CliError::Usage(format!("--against: {error}")))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let code = behind.get(..2).filter(|_| first == b'%');
        let code = code.and_then(|it| u8::from_str_radix(std::str::from_utf8(it).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = &behind[if code.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Address, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Address::parse_with(text, &lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_names_server_user_and_database() {
        let address = parse(
            "postgres://m%40x@db.example.com/or%20ders?sslmode=disable",
            &[],
        )
        .unwrap();
        assert_eq!(address.name(), "m@x@db.example.com:5432/or ders");
        let address = parse("postgresql://[::1]:1234", &[("PGUSER", "maya")]).unwrap();
        assert_eq!(
            (&*address.host, address.port, &*address.user),
            ("::1", 1234, "maya")
        );
        assert!(address.database.is_none() && address.tls.is_none());
        let address = parse("postgres://u@localhost/d?host=/run/pg", &[]).unwrap();
        assert_eq!(
            address.socket(),
            Some(PathBuf::from("/run/pg/.s.PGSQL.5432"))
        );
        let far = parse("postgres://u@db.example.com/d", &[]).unwrap();
        assert!(far.tls.is_some(), "what leaves the machine is encrypted");
    }

    #[test]
    fn mistakes_say_what_is_right_and_a_password_is_never_taken_from_the_command_line() {
        for (text, says) in [
            ("orders", "postgres://user@host"),
            ("http://u@h/d", "postgres://user@host"),
            ("postgres://u:secret@h/d", "PGPASSWORD"),
            ("postgres://h/d", "no user"),
            ("postgres://u@localhost/d?sslmode=prefer", "verify-full"),
            ("postgres://u@localhost/d?x=1", "sslrootcert"),
        ] {
            let error = parse(text, &[]).err().unwrap();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_password_comes_from_the_environment_or_the_passfile() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pass");
        fs::write(
            &file,
            "# x\nother:*:*:*:no\nlocalhost:5432:*:maya:p\\:w:1\n",
        )
        .unwrap();
        let path = file.to_str().unwrap();
        let password = |variables: &[(&str, &str)]| {
            let address = parse("postgres://maya@localhost/orders", variables).unwrap();
            address.password.map(|it| it.expose().to_owned())
        };
        let both = [("PGPASSWORD", "env"), ("PGPASSFILE", path)];
        assert_eq!(password(&both).as_deref(), Some("env"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(password(&both[1..]), None);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password(&both[1..]).as_deref(), Some("p:w:1"));
    }
}
