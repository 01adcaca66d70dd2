//! `hallpass notify test`, as an operator runs it.

use std::process::Output;

use hallpass::secret::{hex, sha256};
use serde_json::Value;

use super::workspace::Workspace;
use super::{secret, setup};
use crate::clients::text;
use crate::support::hallpass::token;
use crate::support::postgres::free_port;
use crate::support::process::Process;

fn notify_test(hallpass: &Process, who: &str, arguments: &[&str]) -> Output {
    let mut command = Process::command();
    command.args(["notify", "test"]).args(arguments);
    command.env("HALLPASS_URL", format!("http://{}", hallpass.api));
    command.env("HALLPASS_TOKEN", token(who));
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_of_each_channel_what_came_of_it() {
    let slack = Workspace::start().await;
    let setup = setup();
    let hook = secret(
        &setup.folder(),
        "hook",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    let section = format!(
        "[principals.ada]\ngroups = [\"admins\"]\ntoken_sha256 = {:?}\n{}[notify.webhooks.chat]\n\
         url = \"http://127.0.0.1:{}/\"\nsecrets = [{{ file = {hook:?} }}]\n",
        hex(&sha256(token("ada").as_bytes())),
        slack.section(&setup.folder()),
        free_port()
    );
    let hallpass = Process::start(setup.section(&section)).await;

    let good = text(&notify_test(&hallpass, "ada", &["--channel", "slack"]));
    assert!(
        good.contains("slack") && good.contains("delivered"),
        "{good}"
    );
    let message = slack.next("chat.postMessage").await;
    assert_eq!(message["text"], "ada tests hallpass's notifications");
    assert!(!message.to_string().contains("Approve"), "{message:#}");

    let all = notify_test(&hallpass, "ada", &["-o", "json"]);
    assert_eq!(all.status.code(), Some(1));
    let tried: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(
        (&tried[0]["channel"], &tried[0]["delivered"]),
        (&"slack".into(), &true.into())
    );
    assert_eq!(
        (&tried[1]["channel"], &tried[1]["delivered"]),
        (&"chat".into(), &false.into())
    );
    let error = tried[1]["error"].as_str().unwrap();
    assert!(error.starts_with("unreachable: "), "{error}");

    for (who, arguments) in [("maya", &[][..]), ("ada", &["--channel", "fax"][..])] {
        let refused = notify_test(&hallpass, who, arguments);
        assert_eq!(refused.status.code(), Some(1), "{who}");
    }
}
