//! `hallpass audit key`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::super::error::CliError;
use super::super::{Done, Global};
use crate::audit::{PublicKey, SigningKey};
use crate::config::Config;

/// Print the public part of the key that signs the audit.
///
/// Kept elsewhere, it lets anybody check the audit without trusting the machine that wrote it:
/// `hallpass audit verify --key FILE`. The private part is never shown.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hallpass audit key --config /etc/hallpass/hallpass.toml > audit.pub
  hallpass audit key --key-file /var/lib/hallpass/audit.key -o json")]
pub(super) struct KeyArgs {
    /// The key's file
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    key_file: Option<PathBuf>,
    /// The configuration file that names it
    #[arg(
        long,
        env = "HALLPASS_CONFIG",
        hide_env_values = true,
        default_value = "hallpass.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
}

#[derive(Serialize)]
struct Key {
    algorithm: &'static str,
    /// The 32 bytes, in base64.
    key: PublicKey,
    pem: String,
}

pub(super) fn run(global: &Global, args: &KeyArgs) -> Done {
    let file = match &args.key_file {
        Some(file) => file.clone(),
        None => {
            let config = Config::load(&args.config).map_err(CliError::BadConfiguration)?;
            config.audit.key_file
        }
    };
    let public = SigningKey::load(&file)
        .map_err(CliError::AuditKey)?
        .public();
    let key = Key {
        algorithm: "Ed25519",
        key: public,
        pem: public.to_pem(),
    };
    global.output().show(&key, |key| key.pem.clone())?;
    Ok(0)
}
