//! `[identity]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{Check, Section};
use super::principals::group;
use super::raw::{Field, List, RawConfig, RawOidc, RawWorkload};
use super::secrets;
use super::values::{self, Parsed};
use crate::access::{PrincipalName, Right, Scope};
use crate::secret::Secret;

const HOUR: Duration = Duration::from_secs(3600);

/// `[identity]`: how people and services prove who they are.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `login_lifetime`: how long a sign-in lasts. Default 12h.
    pub login_lifetime: Duration,
    /// `[identity.oidc]`: the OpenID provider that vouches for people; `None`: there is none.
    pub oidc: Option<Oidc>,
    /// `[identity.workloads.NAME]`: the CI jobs whose tokens are exchanged.
    pub workloads: Vec<Workload>,
}

/// `[identity.oidc]`: the OpenID provider that vouches for people.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// `issuer`: its address, `https://`. Required.
    pub issuer: String,
    /// `client_id`: who hallpass is there. Required.
    pub client_id: String,
    /// `client_secret`: `{ file = ".." }` or `{ env = ".." }`. Default: none, for a public client.
    pub client_secret: Option<Secret>,
    /// `scopes`: what is asked for besides `openid`. Default `profile` and `email`.
    pub scopes: Vec<String>,
    /// `name_claim`: the claim that is a person's name. Default: `preferred_username`, else the
    /// e-mail address, if it is verified.
    pub name_claim: Option<String>,
    /// `groups_claim`: the claim that lists their groups. Default `groups`.
    pub groups_claim: String,
    /// `mfa_acr`: values of `acr` that stand for a second factor. Default: none.
    pub mfa_acr: Vec<String>,
    /// `mfa_amr`: values of `amr`, one of which stands for a second factor. Default `mfa`.
    pub mfa_amr: Vec<String>,
    /// `ca`: certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
}

/// `[identity.workloads.NAME]`: CI jobs whose tokens are exchanged for short ones of hallpass.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// `issuer`: the CI provider's address, `https://`. Required.
    pub issuer: String,
    /// `audience`: whom its tokens have to be for. Required.
    pub audience: String,
    /// `claims`: what they have to say, each exactly. Required, one at least.
    pub claims: BTreeMap<String, String>,
    /// `principal`: whom the job acts as. Required.
    pub principal: PrincipalName,
    /// `groups`: its groups. Default: none.
    pub groups: Vec<String>,
    /// `scope`: what it may do of what that principal may. Default `read,request`.
    pub scope: Scope,
    /// `lifetime`: how long its token is good. Default 15m.
    pub lifetime: Duration,
    /// `ca`: certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
}

pub(super) fn identity(check: &mut Check<'_>, config: &RawConfig) -> Identity {
    let raw = &config.identity;
    let mut section = Section::new(check, "identity", 0..0);
    let lifetime = &raw.login_lifetime;
    let login_lifetime = section
        .optional("login_lifetime", lifetime, values::positive_duration)
        .unwrap_or(12 * HOUR);
    let mut workloads: Vec<Workload> = Vec::new();
    for (name, raw) in &raw.workloads {
        let title = format!("identity.workloads.{name}");
        let mut section = Section::new(check, title, name.span());
        let Some(workload) = workload(&mut section, name.get_ref(), raw) else {
            continue;
        };
        let at = section.at("principal", &raw.principal);
        if let Some(problem) = clash(&workload, &workloads, config) {
            section.check.error(&at, problem);
        }
        workloads.push(workload);
    }
    Identity {
        login_lifetime,
        oidc: raw.oidc.as_ref().and_then(|raw| {
            let span = raw.span();
            oidc(
                &mut Section::new(check, "identity.oidc", span),
                raw.get_ref(),
            )
        }),
        workloads,
    }
}

/// One name is one principal's, with one set of groups.
fn clash(new: &Workload, others: &[Workload], config: &RawConfig) -> Option<String> {
    let principal = &new.principal;
    let mut principals = config.principals.keys();
    if principals.any(|name| name.get_ref() == principal.as_str()) {
        return Some(format!("`{principal}` is in [principals] already"));
    }
    let mut same = others.iter().filter(|it| it.principal == *principal);
    let other = same.find(|it| it.groups != new.groups)?;
    Some(format!(
        "`{principal}` has other groups in identity.workloads.{}: jobs that may do different things are different principals",
        other.name
    ))
}

fn oidc(section: &mut Section<'_, '_>, raw: &RawOidc) -> Option<Oidc> {
    let like = "\"https://login.example.com\"";
    let issuer = section.required("issuer", &raw.issuer, like, issuer);
    let client_id = section.required("client_id", &raw.client_id, "\"hallpass\"", values::text);
    let client_secret = secrets::field(section, "client_secret", &raw.client_secret);
    let scopes = texts(section, "scopes", &raw.scopes);
    let name_claim = section.optional("name_claim", &raw.name_claim, values::text);
    let groups_claim = section.optional("groups_claim", &raw.groups_claim, values::text);
    let mfa_acr = texts(section, "mfa_acr", &raw.mfa_acr);
    let mfa_amr = texts(section, "mfa_amr", &raw.mfa_amr);
    Some(Oidc {
        ca: ca(section, &raw.ca),
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        scopes: scopes.unwrap_or_else(|| vec!["profile".to_owned(), "email".to_owned()]),
        name_claim,
        groups_claim: groups_claim.unwrap_or_else(|| "groups".to_owned()),
        mfa_acr: mfa_acr.unwrap_or_default(),
        mfa_amr: mfa_amr.unwrap_or_else(|| vec!["mfa".to_owned()]),
    })
}

fn workload(section: &mut Section<'_, '_>, name: &str, raw: &RawWorkload) -> Option<Workload> {
    let like = "\"https://token.actions.githubusercontent.com\"";
    let issuer = section.required("issuer", &raw.issuer, like, issuer);
    let audience = section.required("audience", &raw.audience, "\"hallpass\"", values::text);
    let principal = section.required("principal", &raw.principal, "\"ci-deploy\"", principal);
    let groups = section.list("groups", &raw.groups, group);
    let scope = section.optional("scope", &raw.scope, scope);
    let lifetime = section.optional("lifetime", &raw.lifetime, values::positive_duration);
    if raw.claims.is_empty() {
        let at = section.own();
        let message = "claims are missing: without them every job of that provider is let in; write claims = { repository = \"acme/api\" }";
        section.check.error(&at, message);
    }
    let claims = raw.claims.iter();
    Some(Workload {
        ca: ca(section, &raw.ca),
        name: name.to_owned(),
        issuer: issuer?,
        audience: audience?,
        claims: claims
            .map(|(name, value)| (name.get_ref().clone(), value.get_ref().clone()))
            .collect(),
        principal: principal?,
        groups: items(groups).unwrap_or_default(),
        scope: scope.unwrap_or_else(|| Scope::of(&[Right::Read, Right::Request])),
        lifetime: lifetime.unwrap_or(HOUR / 4),
    })
}

fn texts(section: &mut Section<'_, '_>, key: &str, raw: &Field<List>) -> Option<Vec<String>> {
    items(section.list(key, raw, values::text))
}

fn items<A>(list: Option<Vec<(A, String)>>) -> Option<Vec<String>> {
    list.map(|items| items.into_iter().map(|(_, item)| item).collect())
}

fn ca(section: &mut Section<'_, '_>, raw: &Field<String>) -> Option<PathBuf> {
    let at = section.at("ca", raw);
    section.check.file(&at, raw.as_ref()?.get_ref())
}

fn principal(text: &str) -> Parsed<PrincipalName> {
    text.parse()
        .map_err(|error| format!("`{text}` is not a principal's name: {error}"))
}

fn scope(text: &str) -> Parsed<Scope> {
    text.parse()
        .map_err(|error: crate::access::UnknownScope| error.to_string())
}

/// An issuer: what it says of itself has to be beyond others' reach.
fn issuer(text: &str) -> Parsed<String> {
    let like = "write https://login.example.com";
    let url = reqwest::Url::parse(text)
        .map_err(|error| format!("`{text}` is not an address ({error}): {like}"))?;
    let host = url.host_str().unwrap_or_default();
    let here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if here => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not encrypted: {like}")),
    }
}
