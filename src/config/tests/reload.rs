//! Tickets, and what a reload makes of two configurations.

use super::*;

const TICKETS: &str = "[tickets]\nurl = \"https://jira.example.com/rest/api/2/issue/{ticket}\"\n";

#[test]
fn tickets_are_looked_up_where_the_file_says() {
    let text = format!(
        "{PRINCIPALS}{TARGET}reason_pattern = '(?<ticket>INC-[0-9]+)'\ncheck_ticket = true\n{TICKETS}\
         timeout = \"2s\"\nheaders.Authorization = {{ env = \"JIRA_PASSWORD\" }}\n\
         [[tickets.expect]]\npointer = \"/fields/status/name\"\none_of = [\"Open\", \"In Progress\"]\n\
         [[tickets.expect]]\npointer = \"/fields/assignee/emailAddress\"\nequals = \"requester.email\"\n"
    );
    let config = load(&text).unwrap();
    assert!(config.targets[0].target.terms.check_ticket);
    let tickets = config.tickets.clone().unwrap();
    assert_eq!(tickets.timeout, Duration::from_secs(2));
    assert_eq!(tickets.expect[1].wanted, Wanted::RequesterEmail);
    let facts = config.facts();
    let expected = "/fields/status/name is Open or In Progress, /fields/assignee/emailAddress is requester.email";
    assert_eq!(facts["tickets.expect"], expected);
    assert!(!format!("{facts:?}").contains("hunter2"));
}

#[test]
fn tickets_that_could_not_be_looked_up_are_refused() {
    let wants = "reason_pattern = '(?<ticket>INC-[0-9]+)'\n";
    for (text, words) in [
        (
            format!("{TARGET}check_ticket = true\n{wants}"),
            "needs [tickets]",
        ),
        (
            format!("{TARGET}check_ticket = true\n{TICKETS}"),
            "needs a reason_pattern",
        ),
        (
            format!("{TARGET}check_ticket = true\nreason_pattern = 'INC'\n{TICKETS}"),
            "needs a reason_pattern",
        ),
        ("[tickets]\n".into(), "tickets.url: is missing"),
        (
            "[tickets]\nurl = \"https://a/b\"\n".into(),
            "must have {ticket} once",
        ),
        (
            "[tickets]\nurl = \"https://{ticket}.a/b\"\n".into(),
            "must have {ticket} once",
        ),
        (
            "[tickets]\nurl = \"https://u:p@a/{ticket}\"\n".into(),
            "has a password",
        ),
        (
            format!("{TICKETS}[[tickets.expect]]\npointer = \"a\"\none_of = [\"b\"]\n"),
            "JSON pointer",
        ),
        (
            format!("{TICKETS}[[tickets.expect]]\npointer = \"/a\"\n"),
            "needs one_of",
        ),
        (
            format!("{TICKETS}[[tickets.expect]]\npointer = \"/a\"\none_of = []\n"),
            "needs one_of",
        ),
        (
            format!("{TICKETS}[[tickets.expect]]\npointer = \"/a\"\nequals = \"maya\"\n"),
            "requester.email",
        ),
    ] {
        let errors = errors(&text).join("\n");
        assert!(errors.contains(words), "{words}: {errors}");
    }
}

fn facts(text: &str) -> Facts {
    load(text).unwrap().facts()
}

#[test]
fn what_differs_is_told_by_what_it_is_about() {
    let text = format!("{PRINCIPALS}{TARGET}");
    let old = facts(&text);
    assert_eq!(subjects(&old, &old), []);
    let new = text.replacen("[principals.maya]", "[principals.\"maya.k\"]", 1)
        + "max_duration = \"1h\"\n[proxy]\ndrain_grace = \"5s\"\n";
    let subjects = subjects(&old, &facts(&new));
    let lines: Vec<String> = subjects.iter().flat_map(Subject::lines).collect();
    let target = load(&text).unwrap().targets.remove(0).target.name;
    let longest = format!("~ targets.{target}.max_duration: 8h -> 1h");
    assert_eq!(
        lines,
        [
            "- principals.maya",
            "+ principals.maya.k",
            "~ proxy.drain_grace: 30s -> 5s",
            &longest,
        ]
    );
    let restart: Vec<bool> = subjects.iter().map(Subject::needs_restart).collect();
    assert_eq!(restart, [false, false, true, false]);
}

#[test]
fn facts_hold_every_key_that_is_reloaded_and_no_secret() {
    let facts = facts(&example());
    for key in [
        "targets.orders-ro.host",
        "targets.orders-admin.stages.1",
        "principals.maya.groups",
    ] {
        assert!(facts.contains_key(key), "{key}: {facts:#?}");
    }
    assert_eq!(facts["targets.orders-ro.password"], "<secret>");
    assert!(!format!("{facts:?}").contains("hunter2"));
}

#[test]
fn a_reload_takes_up_what_it_may_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let old = load_in(folder.path(), &format!("{PRINCIPALS}{TARGET}")).unwrap();
    let text =
        "[proxy]\npublic_host = \"db\"\ndrain_grace = \"5s\"\n[access]\nrequest_lapse = \"5m\"\n";
    let new = load_in(folder.path(), text).unwrap();
    let merged = old.clone().reloaded(new.clone());
    let (merged, new) = (merged.facts(), new.facts());
    let left: Vec<String> = subjects(&merged, &new)
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(left, ["proxy.drain_grace"]);
    assert_eq!(
        merged["proxy.drain_grace"],
        old.facts()["proxy.drain_grace"]
    );
}
