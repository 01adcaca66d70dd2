//! The example and the form of mistakes.

use super::*;

#[test]
fn the_example_is_right() {
    let config = load(&example()).unwrap();
    assert_eq!(config.targets.len(), 2);
    let doubts: Vec<&str> = config.warnings.iter().map(|w| w.key.as_str()).collect();
    let placeholders = [
        "principals.maya.token_sha256",
        "principals.dana.token_sha256",
    ];
    assert_eq!(doubts, placeholders);
}

#[test]
fn the_example_names_every_key() {
    for section in [
        "",
        "[proxy]",
        "[tls]",
        "[api]",
        "[ops]",
        "[store]",
        "[audit]",
        "[audit.ship]",
        "[audit.feeds.a]",
        "[access]",
        "[notify]",
        "[notify.slack]",
        "[notify.email]",
        "[notify.webhooks.a]",
        "[tickets]",
        "[[tickets.expect]]",
        "[policy]",
        "[identity]",
        "[identity.oidc]",
        "[identity.workloads.a]",
        "[log]",
        "[principals.a]",
        "[targets.a]",
        "[targets.a.password]",
        "[[targets.a.stages]]",
    ] {
        let found = document::read(&format!("{section}\nzzzzzzzzz = 1\n")).1;
        let known = found[0]
            .message
            .split("there are ")
            .nth(1)
            .unwrap_or("listen");
        for key in known.split(", ") {
            let named = [format!("{key} = "), format!("[{key}"), format!("# {key}:")];
            let example = example();
            assert!(named.iter().any(|n| example.contains(n)), "{section} {key}");
        }
    }
}

#[test]
fn every_default_that_the_example_shows_is_the_default() {
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with([' ', '-']) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let shown: String = example().lines().map(uncommented).collect();
    assert!(shown.contains("\nconnect_timeout = "), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let shown = load_in(folder.path(), &shown).unwrap();
    let mut plain = load_in(folder.path(), &example()).unwrap();
    // The same port, said aloud.
    plain.proxy.public_port = Some(plain.proxy.listen[0].port());
    let settings = |mut config: Config| {
        config.warnings.clear();
        config.file_sha256 = [0; 32];
        format!("{config:#?}")
    };
    assert_eq!(settings(shown), settings(plain));
}
