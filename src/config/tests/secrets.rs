//! Secrets, and where they come from.

use super::*;

#[test]
fn a_secret_comes_from_a_file_or_the_environment_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pw");
    fs::write(&file, "hunter2\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for source in ["file = \"pw\"", "env = \"ORDERS_PASSWORD\""] {
        let text = format!("{PRINCIPALS}{TARGET}password = {{ {source} }}\n");
        let config = load_in(folder.path(), &text).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let password = config.targets[0].upstream.password.as_ref().unwrap();
        assert_eq!(password.expose(), "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_an_error() {
    let error = error_of_target("password = { file = \"/x/y\" }");
    assert_eq!(
        error,
        "15: targets.orders-ro.password.file: /x/y: no such file"
    );
    let error = error_of_target("password = { env = \"NOWHERE\" }");
    assert!(error.ends_with("password.env: the environment variable NOWHERE is not set"));
    let error = error_of_target("password = { }");
    assert!(error.contains("one of the two"), "{error}");
    let error = error_of_target("password = { file = \"/\" }");
    assert!(error.ends_with("/: is a folder, not a file"), "{error}");
}

#[test]
fn a_secret_that_everybody_can_read_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pw");
    fs::write(&file, "hunter2").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let text = format!("{PRINCIPALS}{TARGET}password = {{ file = \"pw\" }}\n");
    let warnings = load_in(folder.path(), &text).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("chmod 600"), "{warnings:?}");
}
