//! The PostgreSQL that is installed here, and a cluster made by it once, to be copied.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User};

/// What every cluster holds. One command a line: the server's single-user mode reads it so.
const ROLES: &str = "\
create role orders_ro login password 'orders-ro-secret'
create role orders_admin login createdb createrole password 'orders-admin-secret'
create role orders_cert login
create role orders_trust login
set password_encryption = 'md5'
create role orders_md5 login password 'orders-md5-secret'
create database orders owner orders_admin
create database analytics owner orders_admin
grant pg_monitor to orders_admin
";
const ORDERS: &str = "\
set role orders_admin
create table customers (id int primary key, name text not null)
create table orders (id int primary key, customer int not null references customers, cents int not null, note text)
insert into customers select i, 'customer ' || i from generate_series(1, 100) i
insert into orders select i, 1 + i % 100, i * 7 % 10000, case when i % 10 = 0 then E'line one\\nline two' end from generate_series(1, 1000) i
create index on orders (customer)
grant select on customers, orders to orders_ro, orders_md5, orders_cert, orders_trust
";

/// A PostgreSQL server's programs, and the account that they run under.
pub(super) struct Installation {
    bin: PathBuf,
    /// `Some` where we are root, which PostgreSQL refuses to be.
    account: Option<(Uid, Gid)>,
    version: String,
}

impl Installation {
    /// The one that is installed here.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn find() -> Self {
        let bin = candidates()
            .into_iter()
            .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
            .expect("a PostgreSQL server is installed (Debian: apt-get install postgresql)");
        let version = Command::new(bin.join("postgres"))
            .arg("--version")
            .output()
            .unwrap();
        Self {
            account: Uid::effective().is_root().then(unprivileged_account),
            version: String::from_utf8(version.stdout).unwrap().trim().to_owned(),
            bin,
        }
    }

    /// One of PostgreSQL's programs, under the account that may run it.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.env_clear().env("LC_ALL", "C");
        if let Some((uid, gid)) = self.account {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// A folder below the system's temporary one, where the account can reach it.
    pub(super) fn folder(&self) -> tempfile::TempDir {
        tempfile::Builder::new().prefix("hp-pg-").tempdir().unwrap()
    }

    /// Gives `path` and all below it to the account.
    pub(super) fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.account {
            run(Command::new("chown")
                .arg("-R")
                .arg(format!("{uid}:{gid}"))
                .arg(path));
        }
    }

    /// Copies the template to `data`, which is then a cluster of its own.
    pub(super) fn copy_template(&self, data: &Path) {
        let template = self.template();
        run(Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([&template, data]));
    }

    /// The template's data folder; made by whoever comes first, the others wait.
    fn template(&self) -> PathBuf {
        let name: String = self
            .version
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let contents = hallpass::secret::sha256(format!("{ROLES}{ORDERS}").as_bytes());
        let contents = hallpass::secret::hex(&contents[..6]);
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let template = shared.join(format!("{name}-{contents}"));
        let lock = File::create(shared.join("template.lock")).unwrap();
        lock.lock().unwrap();
        if !template.exists() {
            self.make_template(&template);
        }
        template
    }

    fn make_template(&self, template: &Path) {
        let folder = self.folder();
        self.give(folder.path());
        let data = folder.path().join("data");
        run(self
            .program("initdb")
            .current_dir(folder.path())
            .args([
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
                "--wal-segsize=1",
            ])
            .args(["--username=postgres", "--auth=trust", "--pgdata"])
            .arg(&data));
        self.single_user(&data, "postgres", ROLES);
        self.single_user(&data, "orders", ORDERS);
        let unfinished = template.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).unwrap();
        }
        run(Command::new("cp").arg("-a").args([&data, &unfinished]));
        fs::rename(&unfinished, template).unwrap();
    }

    /// Runs commands in a cluster that no server runs on.
    fn single_user(&self, data: &Path, database: &str, commands: &str) {
        let mut server = self
            .program("postgres")
            .current_dir(data)
            .args(["--single", "-F", "-c", "exit_on_error=true", "-D"])
            .arg(data)
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = server.stdin.take().unwrap();
        stdin.write_all(commands.as_bytes()).unwrap();
        drop(stdin);
        assert!(server.wait().unwrap().success(), "{commands}");
    }
}

/// Where a server's programs may be, the best first.
fn candidates() -> Vec<PathBuf> {
    let chosen = std::env::var_os("HALLPASS_TEST_POSTGRES").map(PathBuf::from);
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.and_then(|output| String::from_utf8(output.stdout).ok());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    debian.sort_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name);
        version.and_then(|v| v.to_str()?.parse::<u32>().ok())
    });
    chosen
        .into_iter()
        .chain(told.map(|bin| PathBuf::from(bin.trim())))
        .chain(std::env::split_paths(&path))
        .chain(debian.into_iter().rev())
        .collect()
}

/// `postgres`, which every package of the server makes; else `nobody`.
fn unprivileged_account() -> (Uid, Gid) {
    let user = ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).unwrap())
        .expect("there is an account that is not root's");
    (user.uid, user.gid)
}

/// Runs `command` to its end.
///
/// # Panics
/// If it fails; with what it said.
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
