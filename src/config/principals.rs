//! `[principals.NAME]`.

use std::collections::HashMap;

use super::PrincipalConfig;
use super::check::{Check, Section};
use super::raw::{Named, RawPrincipal};
use super::values::{self, Parsed};
use crate::access::{Principal, PrincipalKind, PrincipalName};

pub(super) fn principals(check: &mut Check<'_>, raw: &Named<RawPrincipal>) -> Vec<PrincipalConfig> {
    let mut holders: HashMap<[u8; 32], String> = HashMap::new();
    let mut principals = Vec::new();
    for (name, raw) in raw {
        let name_span = name.span();
        let mut section = Section::new(check, format!("principals.{name}"), name_span);
        let principal = principal(&mut section, name.get_ref(), raw);
        let email = section.optional("email", &raw.email, values::email);
        let token = &raw.token_sha256;
        let like = "\"<64 hexadecimal digits>\", which `hallpass token new-hash` prints";
        let hash = section.required("token_sha256", token, like, values::sha256);
        let Some(hash) = hash else { continue };
        let at = section.at("token_sha256", token);
        if let Some(other) = holders.insert(hash, name.to_string()) {
            let message =
                format!("is the token of {other} as well: everybody has a token of their own");
            check.error(&at, message);
        }
        if hash.iter().all(|byte| *byte == hash[0]) {
            let message =
                "is a placeholder: nobody can log in; `hallpass token new-hash` makes a token";
            check.warn(&at, message);
        }
        principals.extend(principal.map(|principal| PrincipalConfig {
            principal,
            email,
            token_sha256: hash,
            mfa: raw.mfa.as_ref().is_some_and(|mfa| *mfa.get_ref()),
        }));
    }
    principals
}

fn principal(section: &mut Section<'_, '_>, name: &str, raw: &RawPrincipal) -> Option<Principal> {
    let groups = section.list("groups", &raw.groups, group);
    let groups = groups.unwrap_or_default();
    match name.parse::<PrincipalName>() {
        Ok(name) if name.is_reserved() => {
            let at = section.own();
            section
                .check
                .error(&at, "is hallpass's own name".to_owned());
            None
        }
        Ok(name) => Some(Principal {
            name,
            groups: groups.into_iter().map(|(_, group)| group).collect(),
            kind: PrincipalKind::Person,
        }),
        Err(error) => {
            let at = section.own();
            section.check.error(
                &at,
                format!("bad name: {error}: letters, digits and . _ - + @"),
            );
            None
        }
    }
}

pub(super) fn group(text: &str) -> Parsed<String> {
    if let Some(bare) = text.strip_prefix('@') {
        return Err(format!(
            "`{text}`: write {bare}; the @ is only for lists that name people and groups"
        ));
    }
    text.parse::<PrincipalName>()
        .map(|_| text.to_owned())
        .map_err(|error| format!("`{text}` is not a group's name: {error}"))
}
