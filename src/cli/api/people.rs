//! Who one is: signing in, accounts, tokens.

use super::super::error::CliError;
use super::{Api, Nothing};
use crate::access::{PrincipalName, TokenId};
use crate::http::types::{
    AccountView, BeginOidc, ChangePassword, ConfirmTotp, CreateAccount, CreateToken, Done,
    FinishOidc, Groups, Login, NewToken, OidcBegun, RecoveryCodes, Reset, SetUp, ShowPassword,
    TokenView, TotpBegun, Whoami,
};

/// What an attempt to end a sign-in is answered with.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Finished {
    Made(Box<NewToken>),
    NotYet(Done),
}

impl Api {
    /// Signs in, with nothing but what `login` says.
    pub(in super::super) async fn login(&self, login: &Login) -> Result<NewToken, CliError> {
        let request = self.http.post(self.address("login")).json(login);
        self.receive(request).await
    }

    /// Begins to sign in with the OpenID provider.
    pub(in super::super) async fn begin_oidc(
        &self,
        begin: &BeginOidc,
    ) -> Result<OidcBegun, CliError> {
        let request = self.http.post(self.address("login/oidc")).json(begin);
        self.receive(request).await
    }

    /// Ends it; `None` while nobody has agreed on the other device.
    pub(in super::super) async fn finish_oidc(
        &self,
        finish: &FinishOidc,
    ) -> Result<Option<NewToken>, CliError> {
        let request = self.http.post(self.address("login/oidc/finish"));
        let answer: Finished = self.receive(request.json(finish)).await?;
        Ok(match answer {
            Finished::Made(made) => Some(*made),
            Finished::NotYet(_) => None,
        })
    }

    pub(in super::super) async fn logout(&self) -> Result<TokenView, CliError> {
        self.post("logout", &Nothing {}).await
    }

    pub(in super::super) async fn change_password(
        &self,
        change: &ChangePassword,
    ) -> Result<Done, CliError> {
        self.post("account/password", change).await
    }

    pub(in super::super) async fn begin_totp(
        &self,
        show: &ShowPassword,
    ) -> Result<TotpBegun, CliError> {
        self.post("account/totp", show).await
    }

    pub(in super::super) async fn confirm_totp(
        &self,
        code: &ConfirmTotp,
    ) -> Result<RecoveryCodes, CliError> {
        self.post("account/totp/confirm", code).await
    }

    pub(in super::super) async fn remove_totp(
        &self,
        show: &ShowPassword,
    ) -> Result<Done, CliError> {
        let path = self.address("account/totp");
        self.send(self.http.delete(path).json(show)).await
    }

    pub(in super::super) async fn accounts(&self) -> Result<Vec<AccountView>, CliError> {
        self.get("accounts").await
    }

    pub(in super::super) async fn add_account(
        &self,
        new: &CreateAccount,
    ) -> Result<SetUp, CliError> {
        self.post("accounts", new).await
    }

    pub(in super::super) async fn disable_account(
        &self,
        name: &PrincipalName,
        disable: bool,
    ) -> Result<AccountView, CliError> {
        let act = if disable { "disable" } else { "enable" };
        self.post(&format!("accounts/{name}/{act}"), &Nothing {})
            .await
    }

    pub(in super::super) async fn reset_account(
        &self,
        name: &PrincipalName,
        reset: &Reset,
    ) -> Result<SetUp, CliError> {
        self.post(&format!("accounts/{name}/reset"), reset).await
    }

    pub(in super::super) async fn set_groups(
        &self,
        name: &PrincipalName,
        groups: &Groups,
    ) -> Result<AccountView, CliError> {
        let path = self.address(&format!("accounts/{name}/groups"));
        self.send(self.http.put(path).json(groups)).await
    }

    /// One's own tokens, or everybody's.
    pub(in super::super) async fn tokens(&self, all: bool) -> Result<Vec<TokenView>, CliError> {
        let owner = if all { "anybody" } else { "me" };
        self.list(&format!("tokens?owner={owner}&limit=500")).await
    }

    pub(in super::super) async fn create_token(
        &self,
        asked: &CreateToken,
    ) -> Result<NewToken, CliError> {
        self.create("tokens", asked).await
    }

    pub(in super::super) async fn revoke_token(&self, id: TokenId) -> Result<TokenView, CliError> {
        let path = self.address(&format!("tokens/{id}"));
        self.send(self.http.delete(path)).await
    }

    pub(in super::super) async fn whoami(&self) -> Result<Whoami, CliError> {
        self.get("whoami").await
    }
}
