//! Who is who, from the command line to a real OpenID provider and back.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::clients::drivers::installed;
use crate::support::hallpass::{Setup, token};
use crate::support::in_process::InProcess;

const HALLPASS: &str = env!("CARGO_BIN_EXE_hallpass");
const PATIENCE: Duration = Duration::from_secs(60);

/// oidc-provider, in which everybody agrees at once.
struct Provider {
    issuer: String,
    _process: Child,
}

impl Provider {
    async fn start() -> Self {
        let script = "tests/it/clients/oidc_provider.cjs";
        let mut process = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .env("NODE_PATH", installed().join("node/node_modules"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        // It ends when nobody reads what it says.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            issuer: issuer.unwrap().unwrap().unwrap(),
            _process: process,
        }
    }

    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> String {
        let request = reqwest::Client::new().get(format!("{}/{path}", self.issuer));
        let answer = request.query(query).send().await.unwrap();
        answer.text().await.unwrap()
    }

    fn section(&self, folder: &Path) -> String {
        let secret = folder.join("oidc.secret");
        std::fs::write(&secret, "the-secret-of-hallpass\n").unwrap();
        format!(
            "[identity.oidc]\nissuer = {:?}\nclient_id = \"hallpass\"\n\
             client_secret = {{ file = {secret:?} }}\n",
            self.issuer
        )
    }
}

/// Somebody at their terminal, with a home of their own.
struct Person {
    home: TempDir,
    url: String,
}

impl Person {
    fn at(hallpass: &InProcess) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            url: format!("http://{}", hallpass.api),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HALLPASS);
        command
            .args(arguments)
            .env("HALLPASS_URL", &self.url)
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("HOME", self.home.path())
            .env_remove("HALLPASS_TOKEN")
            .env_remove("HALLPASS_TOKEN_FILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        output.unwrap().unwrap()
    }

    async fn whoami(&self) -> String {
        told(&self.run(&["whoami"], "").await)
    }
}

fn told(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    text.into_owned()
}

/// What a command writes to standard error up to this.
async fn until(child: &mut Child, end: &str) -> String {
    let mut text = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    while !text.contains(end) || !text.ends_with('\n') {
        let mut piece = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, stderr.read(&mut piece)).await;
        let read = read.unwrap().unwrap();
        assert_ne!(read, 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    text
}

async fn start(provider: &Provider) -> InProcess {
    let setup = Setup::in_front_of(1);
    let section = provider.section(&setup.folder());
    InProcess::start(setup.section(&section)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_on_another_device_with_a_real_provider() {
    let provider = Provider::start().await;
    let hallpass = start(&provider).await;
    let zoe = Person::at(&hallpass);
    let mut login = zoe.command(&["login", "--oidc"]).spawn().unwrap();
    let invitation = until(&mut login, " type ").await;
    let code = invitation.split(" type ").nth(1).unwrap();
    let code = code.split_whitespace().next().unwrap();
    let query = [("code", code), ("user", "zoe"), ("groups", "engineers")];
    assert_eq!(provider.ask("approve", &query).await, "approved");
    let done = tokio::time::timeout(PATIENCE, login.wait_with_output()).await;
    assert!(told(&done.unwrap().unwrap()).contains("Signed in as zoe"));
    assert_eq!(zoe.whoami().await.trim(), "zoe, in engineers");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_with_a_browser_and_a_second_factor() {
    let provider = Provider::start().await;
    let hallpass = start(&provider).await;
    let zoe = Person::at(&hallpass);
    let mut login = zoe.command(&["login", "--browser"]).spawn().unwrap();
    let invitation = until(&mut login, "/auth?").await;
    let address = invitation
        .split_whitespace()
        .find(|it| it.contains("/auth?"));
    let query = [("to", address.unwrap()), ("user", "zoe")];
    let back = provider.ask("browse", &query).await;
    assert!(back.contains("/callback?code="), "{back}");
    let page = reqwest::get(&back).await.unwrap().text().await.unwrap();
    assert!(page.contains("Go back to your terminal"), "{page}");
    let done = tokio::time::timeout(PATIENCE, login.wait_with_output()).await;
    let done = told(&done.unwrap().unwrap());
    assert!(
        done.contains("zoe") && done.contains("with a second factor"),
        "{done}"
    );
    assert_eq!(zoe.whoami().await.trim(), "zoe, in engineers");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_to_the_page_behind_a_link_with_a_real_provider() {
    let provider = Provider::start().await;
    let setup = Setup::in_front_of(1);
    let section = provider.section(&setup.folder());
    let link_base = "[notify]\nlink_base = \"https://hallpass.example.com\"\n";
    let hallpass = InProcess::start(setup.section(&section).section(link_base)).await;
    let here = format!("http://{}", hallpass.api);
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let browser = browser.build().unwrap();
    let get = async |address: &str, cookie: &str| {
        let request = browser.get(address).header("cookie", cookie);
        request.send().await.unwrap()
    };
    let header = |answer: &reqwest::Response, name: &str| {
        let value = answer.headers()[name].to_str().unwrap();
        value.split(';').next().unwrap().to_owned()
    };

    let link = format!("{here}/requests/req-4m0t8z1kqc7e");
    let page = get(&link, "").await.text().await.unwrap();
    let way = "/sign-in/provider?next=/requests/req-4m0t8z1kqc7e";
    assert!(page.contains(&format!("href=\"{way}\"")), "{page}");
    let begun = get(&format!("{here}{way}"), "").await;
    let (to, flow) = (header(&begun, "location"), header(&begun, "set-cookie"));
    assert!(flow.starts_with("__Host-hallpass-flow="), "{flow}");
    let query = [("to", &*to), ("user", "zoe")];
    let back = provider.ask("browse", &query).await;
    let back = back.replace("https://hallpass.example.com", &here);
    assert!(back.contains("/sign-in/callback?code="), "{back}");

    let stranger = get(&back, "").await;
    assert_eq!(stranger.status(), 401, "another browser did not begin it");
    let signed_in = get(&back, &flow).await;
    assert_eq!(signed_in.status(), 303);
    assert_eq!(header(&signed_in, "location"), "/requests/req-4m0t8z1kqc7e");
    let session = header(&signed_in, "set-cookie");
    let page = get(&format!("{here}/"), &session)
        .await
        .text()
        .await
        .unwrap();
    assert!(page.contains(">zoe<"), "{page}");
    let again = get(&back, &flow).await;
    assert_eq!(again.status(), 401, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_does_not_vouch_for_who_is_in_the_configuration() {
    let provider = Provider::start().await;
    let hallpass = start(&provider).await;
    let eve = Person::at(&hallpass);
    let mut login = eve.command(&["login", "--oidc"]).spawn().unwrap();
    let invitation = until(&mut login, " type ").await;
    let code = invitation.split(" type ").nth(1).unwrap();
    let code = code.split_whitespace().next().unwrap();
    let query = [("code", code), ("user", "dana")];
    provider.ask("approve", &query).await;
    let done = tokio::time::timeout(PATIENCE, login.wait_with_output()).await;
    let done = done.unwrap().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8_lossy(&done.stderr);
    let what_to_do = "an administrator takes [principals.dana] out of the configuration";
    assert!(told.contains(what_to_do), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_still_says_who_one_is_and_guesses_do_not() {
    let setup = Setup::in_front_of(1);
    let hallpass = InProcess::start(setup).await;
    let maya = Person::at(&hallpass);
    let file = maya.home.path().join("pat");
    std::fs::write(&file, token("maya")).unwrap();
    let login = ["login", "--token-file", file.to_str().unwrap()];
    told(&maya.run(&login, "").await);
    assert_eq!(maya.whoami().await.trim(), "maya, in engineers");

    let guess = maya.run(&["login", "--name", "maya"], "guess\n\n").await;
    assert_eq!(guess.status.code(), Some(1));
    let said = String::from_utf8_lossy(&guess.stderr);
    assert!(
        said.contains("the name, the password or the code is wrong"),
        "{said}"
    );
    assert_eq!(
        maya.whoami().await.trim(),
        "maya, in engineers",
        "nothing was lost"
    );
}
