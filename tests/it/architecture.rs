//! Who may import whom: the table of ARCHITECTURE.md, checked from the `use crate::` lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and the modules that it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("access", &[]),
    ("clock", &[]),
    ("pg", &[]),
    ("secret", &[]),
    ("sql", &[]),
    ("telemetry", &[]),
    ("tickets", &["secret"]),
    ("tls", &[]),
    ("identity", &["access", "clock", "secret", "telemetry"]),
    ("notify", &["access", "clock", "secret"]),
    ("policy", &["access"]),
    ("config", &["access", "secret"]),
    ("audit", &["access", "clock", "secret", "sql", "telemetry"]),
    ("store", &["access", "audit", "clock"]),
    ("admission", &["access", "clock", "secret", "telemetry"]),
    ("asking", &["access", "secret"]),
    (
        "proxy",
        &[
            "access",
            "admission",
            "asking",
            "audit",
            "clock",
            "pg",
            "policy",
            "secret",
            "telemetry",
            "tls",
        ],
    ),
    (
        "control",
        &[
            "access",
            "admission",
            "asking",
            "audit",
            "clock",
            "identity",
            "notify",
            "policy",
            "secret",
            "store",
            "telemetry",
            "tickets",
        ],
    ),
    (
        "http",
        &["access", "audit", "clock", "control", "secret", "telemetry"],
    ),
    (
        "cli",
        &[
            "access", "audit", "clock", "config", "http", "pg", "policy", "secret", "sql", "tls",
        ],
    ),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The top-level modules that a source names as `crate::module`, outside its tests.
fn imports(source: &str) -> BTreeSet<String> {
    let code = source
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(source);
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| {
            line.split("crate::")
                .skip(1)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    matches!(&*name, "tests.rs" | "testing.rs" | "invariants.rs")
}

#[test]
fn modules_import_only_what_the_architecture_lets_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut violations = Vec::new();
    for (module, allowed) in MAY_IMPORT {
        let file = src.join(format!("{module}.rs"));
        let files = if file.exists() {
            vec![file]
        } else {
            sources(&src.join(module))
        };
        for path in files.iter().filter(|path| !is_test(path)) {
            for import in imports(&fs::read_to_string(path).unwrap()) {
                if import != *module && !allowed.contains(&import.as_str()) {
                    violations.push(format!("{} imports {import}", path.display()));
                }
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn every_module_has_its_line_in_the_table() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for module in lib.lines().filter_map(|line| line.strip_prefix("pub mod ")) {
        let module = module.trim_end_matches(';');
        // The composition root may import everything.
        let listed = module == "app" || MAY_IMPORT.iter().any(|(name, _)| *name == module);
        assert!(listed, "{module} is missing from the table");
    }
}

/// What is kept by another way would be told to nobody who listens.
#[test]
fn changes_are_kept_by_the_one_way_that_tells_of_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control");
    let around = |path: &PathBuf| {
        let source = fs::read_to_string(path).unwrap();
        let keeps = source.contains("store.commit(");
        keeps && !source.contains("tell_listeners(") && !is_test(path)
    };
    let around: Vec<_> = sources(&root).into_iter().filter(around).collect();
    assert!(around.is_empty(), "{around:?}");
}
