//! A real S3 server, moto, that checks signatures.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use tempfile::TempDir;

use crate::clients::drivers::installed;
use crate::clients::text;
use crate::support::login::said;
use crate::support::postgres::free_port;
use crate::support::wait;

/// The server. Dropping it ends it; what it had is gone then.
pub struct S3 {
    child: Child,
    url: String,
    folder: TempDir,
    user: User,
}

#[derive(Deserialize)]
struct User {
    key: String,
    secret: String,
}

/// What is known of an object.
#[derive(Debug, Deserialize)]
pub struct Object {
    /// How often it was put.
    pub versions: u64,
    /// Its object lock.
    pub mode: Option<String>,
    /// Until when that holds.
    pub until: Option<String>,
}

impl S3 {
    /// Starts it, with a bucket `audit` that has object lock.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(python("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            folder,
            user: User {
                key: String::new(),
                secret: String::new(),
            },
        };
        let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait::blocking_until("the S3 server answers", Duration::from_secs(60), answers);
        server.user = serde_json::from_str(&server.run(&["setup"])).unwrap();
        server
    }

    /// Runs a command of the script; again, should the server stumble over what hallpass does there
    /// at the same time.
    fn run(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shipped/s3.py");
        let mut command = Command::new(python("python"));
        command.arg(script).arg(&self.url).args(arguments);
        for _ in 0..3 {
            let output = command.output().unwrap();
            if output.status.success() {
                return text(&output);
            }
            eprintln!("{}", said(&output));
        }
        text(&command.output().unwrap())
    }

    /// The configuration that ships there, under `prefix`, with more lines for `[audit.ship]`.
    pub fn section(&self, prefix: &str, lines: &str) -> String {
        let User { key, secret } = &self.user;
        let file = self.folder.path().join("secret");
        fs::write(&file, secret).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        format!(
            "[audit.ship]\nurl = \"s3://audit/{prefix}\"\n{lines}\n[audit.ship.options]\n\
             region = \"eu-central-1\"\nendpoint = {:?}\nallow_http = true\n\
             access_key_id = {key:?}\nsecret_access_key = {{ file = {file:?} }}\n",
            self.url
        )
    }

    /// It answers nobody, and loses nothing, until [`S3::resume`].
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("process ids fit");
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Copies every object into `folder`; what is known of each, by its key.
    pub fn fetch(&self, folder: &Path) -> BTreeMap<String, Object> {
        let User { key, secret } = &self.user;
        let folder = folder.to_str().unwrap();
        serde_json::from_str(&self.run(&["fetch", key, secret, folder])).unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python(program: &str) -> PathBuf {
    installed().join("moto/bin").join(program)
}
