//! All that a client needs to connect, to PostgreSQL itself or through hallpass alike.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::postgres::Cluster;

/// Where, as whom, and with which secret.
#[derive(Debug, Clone)]
pub struct Login {
    /// The host's name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// PostgreSQL's `user`.
    pub user: String,
    /// The password.
    pub password: String,
    /// The database.
    pub database: String,
    /// libpq's word for it.
    pub sslmode: String,
    /// Certificates to trust.
    pub ca: Option<PathBuf>,
}

impl Login {
    /// The same to another database.
    pub fn database(&self, name: &str) -> Self {
        Self {
            database: name.to_owned(),
            ..self.clone()
        }
    }

    /// A program with this login in libpq's environment variables.
    pub fn command(&self, program: impl Into<String>) -> Command {
        let mut command = Cluster::client(&program.into());
        command
            .env("PGHOST", &self.host)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", &self.user)
            .env("PGPASSWORD", &self.password)
            .env("PGDATABASE", &self.database)
            .env("PGSSLMODE", &self.sslmode)
            .env("PGCONNECT_TIMEOUT", "20");
        if let Some(ca) = &self.ca {
            command.env("PGSSLROOTCERT", ca);
        }
        command
    }

    /// psql, without anybody's `.psqlrc`.
    pub fn psql(&self) -> Command {
        let mut command = self.command("psql");
        command.arg("--no-psqlrc");
        command
    }

    /// What psql prints, unaligned and without headers, for `sql`.
    ///
    /// # Panics
    /// If psql fails; with what it said.
    pub fn ask(&self, sql: &str) -> String {
        let output = self.psql().args(["-XAtc", sql]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// The settings of tokio-postgres.
    pub fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(&self.user)
            .password(&self.password)
            .dbname(&self.database)
            .ssl_mode(match self.sslmode.as_str() {
                "disable" => tokio_postgres::config::SslMode::Disable,
                _ => tokio_postgres::config::SslMode::Require,
            });
        config
    }

    /// TLS that trusts [`Login::ca`] and nothing else.
    pub fn tls(&self) -> MakeRustlsConnect {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(path) = &self.ca {
            for certificate in CertificateDer::pem_file_iter(path).unwrap() {
                roots.add(certificate.unwrap()).unwrap();
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        MakeRustlsConnect::new(config)
    }

    /// A tokio-postgres client, or why there is none.
    ///
    /// # Errors
    /// What the server said.
    pub async fn try_connect(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (client, connection) = self.config().connect(self.tls()).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A tokio-postgres client.
    ///
    /// # Panics
    /// If the login is refused.
    pub async fn connect(&self) -> tokio_postgres::Client {
        self.try_connect().await.unwrap()
    }
}

/// What a program printed, for a failed test's message.
pub fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{}\nstdout: {out}\nstderr: {err}", output.status)
}
