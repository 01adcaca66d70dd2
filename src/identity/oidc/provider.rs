//! The provider that vouches for people.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreDeviceAuthorizationResponse, CoreGrantType, CoreIdToken, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret,
    CsrfToken, DeviceAuthorizationUrl, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl,
    Nonce, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, Scope,
    TokenResponse,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::http::Http;
use super::{Claims, OidcError, chain};
use crate::secret::Secret;

/// How long what the provider says of itself, its keys above all, is used.
const FRESH: Duration = Duration::from_secs(600);
/// How soon it is asked again for a token that its keys do not fit.
const AGAIN: Duration = Duration::from_secs(30);
/// How long somebody has to agree in the device flow.
const DEVICE: Duration = Duration::from_secs(900);

/// Where the provider is, and what its claims mean.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// Its issuer, an address.
    pub issuer: String,
    /// Who hallpass is there.
    pub client_id: String,
    /// What proves it, unless hallpass is a public client.
    pub client_secret: Option<Secret>,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim that is a person's name; `None`: `preferred_username`, else the e-mail address.
    pub name_claim: Option<String>,
    /// The claim that lists their groups.
    pub groups_claim: String,
    /// Values of `acr` that stand for a second factor.
    pub mfa_acr: Vec<String>,
    /// Values of `amr`, one of which stands for a second factor.
    pub mfa_amr: Vec<String>,
    /// The certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<Vec<u8>>,
}

/// Whom a provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// Their name.
    pub name: String,
    /// Who they are to the provider for ever: issuer and subject.
    pub subject: String,
    /// Their groups, as the provider calls them.
    pub groups: Vec<String>,
    /// Their e-mail address, if it is known to be theirs.
    pub email: Option<String>,
    /// Whether they showed a second factor.
    pub mfa: bool,
}

/// A sign-in that goes on in a browser.
pub struct Browser {
    /// Where the browser is to go.
    pub address: String,
    /// What comes back with the code.
    pub state: Secret,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
}

/// A sign-in that goes on on another device.
pub struct Device {
    /// Where to go.
    pub address: String,
    /// The same with the code in it.
    pub whole_address: Option<String>,
    /// What to type there.
    pub code: String,
    /// How long that is good.
    pub good: Duration,
    details: CoreDeviceAuthorizationResponse,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct DeviceEndpoint {
    device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
}

impl AdditionalProviderMetadata for DeviceEndpoint {}

type Metadata = ProviderMetadata<
    DeviceEndpoint,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider that vouches for people.
pub struct Oidc {
    settings: OidcSettings,
    http: Http,
    /// What it says of itself, and when it said so.
    metadata: Mutex<Option<(Instant, Arc<Metadata>)>>,
}

impl Oidc {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// [`OidcError::Provider`] if the certificates cannot be used.
    pub fn new(settings: OidcSettings) -> Result<Self, OidcError> {
        Ok(Self {
            http: Http::new(settings.ca.as_deref())?,
            settings,
            metadata: Mutex::new(None),
        })
    }

    /// Begins a sign-in whose browser comes back to `redirect`.
    ///
    /// # Errors
    /// [`OidcError::Provider`].
    pub async fn begin_browser(&self, redirect: &str) -> Result<Browser, OidcError> {
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|error| provider(&error))?;
        let client = self.client().await?.set_redirect_uri(redirect.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let request = client.authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        let (address, state, nonce) = request
            .add_scopes(self.scopes())
            .set_pkce_challenge(challenge)
            .url();
        Ok(Browser {
            address: address.to_string(),
            state: Secret::new(state.secret()),
            nonce,
            verifier,
            redirect,
        })
    }

    /// Ends it with the code that the browser came back with.
    ///
    /// # Errors
    /// [`OidcError::Refused`] if the provider's token does not hold.
    pub async fn finish_browser(&self, begun: Browser, code: &str) -> Result<Vouched, OidcError> {
        let client = self.client().await?.set_redirect_uri(begun.redirect);
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| provider(&error))?
            .set_pkce_verifier(begun.verifier);
        let answer = request.request_async(&self.http).await;
        let answer = answer.map_err(|error| OidcError::Unfinished(chain(&error)))?;
        self.vouched(&answer, Some(&begun.nonce)).await
    }

    /// Begins a sign-in on another device.
    ///
    /// # Errors
    /// [`OidcError::NoDeviceFlow`].
    pub async fn begin_device(&self) -> Result<Device, OidcError> {
        let metadata = self.metadata(FRESH).await?;
        let endpoint = &metadata.additional_metadata().device_authorization_endpoint;
        let endpoint = endpoint.clone().ok_or(OidcError::NoDeviceFlow)?;
        let client = self.client().await?.set_device_authorization_url(endpoint);
        let request = client.exchange_device_code().add_scopes(self.scopes());
        let details: Result<CoreDeviceAuthorizationResponse, _> =
            request.request_async(&self.http).await;
        let details = details.map_err(|error| provider(&error))?;
        let whole = details.verification_uri_complete();
        Ok(Device {
            address: details.verification_uri().to_string(),
            whole_address: whole.map(|address| address.secret().clone()),
            code: details.user_code().secret().clone(),
            good: details.expires_in().min(DEVICE),
            details,
        })
    }

    /// Waits until somebody has agreed there.
    ///
    /// # Errors
    /// [`OidcError::Unfinished`] if nobody does.
    pub async fn finish_device(&self, begun: &Device) -> Result<Vouched, OidcError> {
        let client = self.client().await?;
        let request = client
            .exchange_device_access_token(&begun.details)
            .map_err(|error| provider(&error))?;
        let answer = request
            .request_async(&self.http, tokio::time::sleep, Some(begun.good))
            .await
            .map_err(|error| OidcError::Unfinished(chain(&error)))?;
        // The flow knows no nonce: the device code binds the answer to the question.
        self.vouched(&answer, None).await
    }

    fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.settings.scopes.iter().cloned().map(Scope::new)
    }

    async fn client(&self) -> Result<Client, OidcError> {
        let metadata = self.metadata(FRESH).await?;
        let settings = &self.settings;
        let secret = settings.client_secret.as_ref();
        Ok(CoreClient::from_provider_metadata(
            Metadata::clone(&metadata),
            ClientId::new(settings.client_id.clone()),
            secret.map(|secret| ClientSecret::new(secret.expose().to_owned())),
        ))
    }

    /// What the provider says of itself, not longer ago than `fresh`.
    async fn metadata(&self, fresh: Duration) -> Result<Arc<Metadata>, OidcError> {
        let mut known = self.metadata.lock().await;
        match &*known {
            Some((at, metadata)) if at.elapsed() < fresh => return Ok(Arc::clone(metadata)),
            _ => {}
        }
        let issuer = IssuerUrl::new(self.settings.issuer.clone());
        let issuer = issuer.map_err(|error| provider(&error))?;
        let metadata = Metadata::discover_async(issuer, &self.http).await;
        let metadata = Arc::new(metadata.map_err(|error| provider(&error))?);
        *known = Some((Instant::now(), Arc::clone(&metadata)));
        Ok(metadata)
    }

    async fn vouched(
        &self,
        answer: &CoreTokenResponse,
        nonce: Option<&Nonce>,
    ) -> Result<Vouched, OidcError> {
        let token = answer.id_token();
        let token = token.ok_or_else(|| OidcError::Refused("there is none".to_owned()))?;
        match self.verify(token, nonce, FRESH).await {
            // The provider may have new keys.
            Err(OidcError::Refused(_)) => self.verify(token, nonce, AGAIN).await,
            verified => verified,
        }
    }

    /// Whom a token vouches for, once its signature, issuer, audience, times and nonce are right.
    async fn verify(
        &self,
        token: &CoreIdToken,
        nonce: Option<&Nonce>,
        fresh: Duration,
    ) -> Result<Vouched, OidcError> {
        self.metadata(fresh).await?;
        let client = self.client().await?;
        let verifier = client.id_token_verifier().set_allowed_algs(signatures());
        let checked = match nonce {
            Some(nonce) => token.claims(&verifier, nonce),
            None => token.claims(&verifier, |_: Option<&Nonce>| Ok(())),
        };
        checked.map_err(|error| OidcError::Refused(chain(&error)))?;
        self.read(&Claims::of_verified(&token.to_string())?)
    }

    fn read(&self, claims: &Claims) -> Result<Vouched, OidcError> {
        let settings = &self.settings;
        let missing = |what: &str| OidcError::Claims(format!("{what} is missing"));
        let name = match &settings.name_claim {
            Some(claim) if claim == "email" => claims.email(),
            Some(claim) => claims.text(claim),
            None => claims.text("preferred_username").or(claims.email()),
        };
        let subject = claims.text("sub").ok_or_else(|| missing("`sub`"))?;
        let acr = claims.text("acr").unwrap_or_default();
        let amr = claims.texts("amr");
        let groups = claims.texts(&settings.groups_claim);
        Ok(Vouched {
            name: name.ok_or_else(|| missing("the name"))?.to_owned(),
            subject: format!("{} {subject}", settings.issuer),
            groups: groups.into_iter().map(str::to_owned).collect(),
            email: claims.email().map(str::to_owned),
            mfa: settings.mfa_acr.iter().any(|it| it == acr)
                || settings.mfa_amr.iter().any(|it| amr.contains(&it.as_str())),
        })
    }
}

/// How a token may be signed: never by nobody, nor by who has only a shared secret.
pub(super) fn signatures() -> impl IntoIterator<Item = CoreJwsSigningAlgorithm> {
    use CoreJwsSigningAlgorithm as Algorithm;
    [
        Algorithm::RsaSsaPkcs1V15Sha256,
        Algorithm::RsaSsaPkcs1V15Sha384,
        Algorithm::RsaSsaPkcs1V15Sha512,
        Algorithm::RsaSsaPssSha256,
        Algorithm::RsaSsaPssSha384,
        Algorithm::RsaSsaPssSha512,
        Algorithm::EcdsaP256Sha256,
        Algorithm::EcdsaP384Sha384,
        Algorithm::EdDsa,
    ]
}

pub(super) fn provider(error: &dyn std::error::Error) -> OidcError {
    OidcError::Provider(chain(error))
}
