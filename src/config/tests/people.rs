//! Who there is, and who approves.

use super::*;

#[test]
fn two_principals_never_share_a_token() {
    let text = PRINCIPALS.replace("02aa", "01aa");
    assert_eq!(
        errors(&text),
        [
            "4: principals.maya.token_sha256: is the token of dana as well: everybody has a token of their own"
        ]
    );
}

#[test]
fn an_owner_that_nobody_here_is_called_is_a_doubt_only_if_it_looks_like_a_slip() {
    let owners = |list: &str| {
        let text = format!("{PRINCIPALS}{TARGET}").replace("[\"@leads\", \"dana\"]", list);
        load(&text).map(|config| config.warnings)
    };
    assert_eq!(owners("[\"@orders\", \"omar@example.com\"]").unwrap(), []);
    let doubts = owners("[\"@enginers\", \"dan\"]").unwrap();
    let doubts: Vec<&str> = doubts.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        doubts,
        [
            "nobody here is called `@enginers`; did you mean `@engineers`?",
            "nobody here is called `dan`; did you mean `dana`?",
        ]
    );
    let wrong = |list: &str| owners(list).unwrap_err().to_string();
    assert!(wrong("[\"leads\"]").contains("`leads` is a group: write @leads"));
    assert!(wrong("[\"the leads\"]").contains("is not a name"));
}

#[test]
fn the_stages_of_a_target_name_people_and_its_owners() {
    let stages = "reason_pattern = '(?<ticket>INC-\\d+)'\nmax_extension = \"1h\"\n\
        [[targets.orders-ro.stages]]\napprovers = [\"owners\", \"maya\"]\ncount = 2\n\
        escalate_after = \"15m\"\nescalate_to = [\"@leads\"]\n\
        [[targets.orders-ro.stages]]\napprovers = [\"dana\"]\n";
    let config = load(&format!("{PRINCIPALS}{TARGET}{stages}")).unwrap();
    let terms = &config.targets[0].target.terms;
    assert_eq!(terms.max_extension, Duration::from_secs(3600));
    let [first, second] = &terms.stages[..] else {
        panic!("{terms:?}");
    };
    assert_eq!(first.approvers, ["@leads", "dana", "maya"]);
    assert_eq!((first.count, second.count), (2, 1));
    assert_eq!(first.escalate_after, Some(Duration::from_secs(900)));
    assert_eq!(first.escalate_to, ["@leads"]);
    let ticket = terms.reason.as_ref().unwrap().ticket("INC-7 stuck");
    assert_eq!(ticket, Ok(Some("INC-7".to_owned())));
}

#[test]
fn mistakes_in_stages_are_told_with_their_place() {
    let wrong = |lines: &str| error_of_target(&format!("[[targets.orders-ro.stages]]\n{lines}"));
    for (lines, expected) in [
        ("approvers = [\"leads\"]", "is a group: write @leads"),
        ("approvers = []", "is empty: nobody could approve"),
        ("count = 2", "is missing: write approvers ="),
        ("approvers = [\"dana\"]\ncount = 0", "stages.count"),
        (
            "approvers = [\"dana\"]\nescalate_after = \"5m\"",
            "needs escalate_to",
        ),
        (
            "approvers = [\"dana\"]\nescalate_to = [\"dana\"]",
            "needs escalate_after",
        ),
    ] {
        let error = wrong(lines);
        assert!(error.contains(expected), "{lines}\n{error}");
    }
    let ownerless = TARGET.replace("owners = [\"@leads\", \"dana\"]\n", "");
    let stage = "[[targets.orders-ro.stages]]\napprovers = [\"owners\"]\n";
    let errors = errors(&format!("{PRINCIPALS}{ownerless}{stage}"));
    assert!(errors[0].contains("the target has no owners"), "{errors:?}");
    let pattern = error_of_target("reason_pattern = \"(\"");
    assert!(pattern.contains("is no regular expression"), "{pattern}");
    let hint = error_of_target("reason_hint = \"a ticket\"");
    assert!(hint.contains("reason_pattern"), "{hint}");
}

#[test]
fn a_job_is_one_principal_with_one_set_of_groups_and_known_by_its_claims() {
    let job = |name: &str, principal: &str, rest: &str| {
        format!(
            "[identity.workloads.{name}]\nissuer = \"https://ci.example.com\"\naudience = \"h\"\n\
             principal = \"{principal}\"\n{rest}\n"
        )
    };
    let claims = "claims = { repository = \"acme/api\" }";
    let groups = format!("{claims}\ngroups = [\"admins\"]");
    for (text, problem) in [
        (job("a", "ci", ""), "claims are missing"),
        (
            job("a", "ci", claims) + &job("b", "ci", &groups),
            "has other groups",
        ),
        (
            job("a", "ci", claims).replace("https", "http"),
            "is not encrypted",
        ),
        (
            job("a", "ci", &format!("{claims}\nscope = \"all\"")),
            "is no scope",
        ),
        (
            job("a", "maya", claims)
                + "[principals.maya]\ntoken_sha256 = \""
                + &"0f".repeat(32)
                + "\"",
            "in [principals] already",
        ),
    ] {
        let errors = load(&text).unwrap_err().to_string();
        assert!(errors.contains(problem), "{errors}");
    }
}
