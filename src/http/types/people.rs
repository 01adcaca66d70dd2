//! Documents about who is who.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{AccountKind, PrincipalName, Scope, TokenId, TokenOrigin};

/// `POST /api/v1/login`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The account's name.
    pub name: String,
    /// Its password, or the code that it was set up with.
    pub password: String,
    /// A code of the second factor, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The password from now on, instead of the code that the account was set up with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_password: Option<String>,
}

/// The answer to whoever signed in or made a token: the only time that it is seen.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// The token itself.
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub known: TokenView,
}

/// What is known of an API token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its name.
    pub id: TokenId,
    /// Whom its bearer acts as.
    pub owner: PrincipalName,
    /// Who had it made.
    pub made_by: PrincipalName,
    /// How it came to be.
    pub origin: TokenOrigin,
    /// What it is for.
    pub note: String,
    /// What it lets its bearer do of what the owner may; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Whether its owner showed a second factor for it.
    pub mfa: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used last, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// When somebody ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// `POST /api/v1/tokens`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// The service that its bearer acts as; absent: the caller.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PrincipalName>,
    /// What it lets its bearer do.
    pub scope: Scope,
    /// How long it is good.
    #[schema(value_type = super::DurationText)]
    pub lifetime: String,
    /// What it is for.
    #[serde(default)]
    pub note: String,
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// Whose.
    pub name: PrincipalName,
    /// How its holder proves who they are.
    pub kind: AccountKind,
    /// Its groups.
    pub groups: Vec<String>,
    /// Where its holder is written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether it has a second factor here.
    pub totp: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// The last sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// Since when it may do nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// Until when nobody gets in after too many guesses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_until: Option<Timestamp>,
}

/// `POST /api/v1/accounts`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// Whose.
    pub name: PrincipalName,
    /// Their groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Where they are written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// It is a service: it has no password, but tokens.
    #[serde(default)]
    pub service: bool,
}

/// The answer to whoever added or reset an account: the only time that the code is seen.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SetUp {
    /// The account.
    pub account: AccountView,
    /// The code by which its holder signs in first; a service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_code: Option<String>,
}

/// `POST /api/v1/accounts/{name}/reset`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The second factor goes, too.
    #[serde(default)]
    pub totp: bool,
}

/// `PUT /api/v1/accounts/{name}/groups`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// All groups of the account.
    pub groups: Vec<String>,
}

/// `POST /api/v1/account/password`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The password up to now.
    pub password: String,
    /// A code of the second factor, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The password from now on.
    pub new_password: String,
}

/// `POST` and `DELETE /api/v1/account/totp`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowPassword {
    /// The password.
    pub password: String,
    /// A code of the second factor up to now, or a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The answer to whoever begins with a second factor.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TotpBegun {
    /// The `otpauth://` address that authenticator apps take, with the secret in it.
    pub address: String,
}

/// `POST /api/v1/account/totp/confirm`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTotp {
    /// A code of the new second factor.
    pub code: String,
}

/// The answer to whoever has a second factor now: the only time that the codes are seen.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodes {
    /// Each stands in once for a code of the second factor.
    pub recovery_codes: Vec<String>,
}

/// What was asked is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Done {}

/// `POST /api/v1/login/oidc`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginOidc {
    /// Where the browser comes back to on the caller's own machine; absent: another device is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
}

/// The answer to whoever begins to sign in with an OpenID provider.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct OidcBegun {
    /// What it is ended with; nobody else should know it.
    pub flow: String,
    /// Where a browser is to go.
    pub address: String,
    /// The same with the code in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_address: Option<String>,
    /// What to type there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How long there is.
    pub good: String,
}

/// `POST /api/v1/login/oidc/finish`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishOidc {
    /// What the beginning was answered with.
    pub flow: String,
    /// The `code` that the browser came back with; absent: another device is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The `state` that it came back with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// `POST /api/v1/token/exchange`, as a form (RFC 8693).
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenExchange {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`.
    #[schema(pattern = "^urn:ietf:params:oauth:grant-type:token-exchange$")]
    pub grant_type: String,
    /// The CI provider's token.
    pub subject_token: String,
    /// `urn:ietf:params:oauth:token-type:id_token`, or `:jwt`.
    #[schema(pattern = "^urn:ietf:params:oauth:token-type:(id_token|jwt)$")]
    pub subject_token_type: String,
}

/// The answer to an exchange (RFC 8693).
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Exchanged {
    /// The API token.
    pub access_token: String,
    /// What it is: `urn:ietf:params:oauth:token-type:access_token`.
    pub issued_token_type: String,
    /// How it is sent: `Bearer`.
    pub token_type: String,
    /// How long it is good, in seconds.
    pub expires_in: i64,
    /// What it lets its bearer do.
    pub scope: String,
}
