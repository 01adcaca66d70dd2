//! CI providers, which vouch for the jobs that they run.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use openidconnect::core::{
    CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreProviderMetadata,
};
use openidconnect::{ClientId, IssuerUrl, Nonce};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::http::Http;
use super::provider::{provider, signatures};
use super::{Claims, OidcError, chain};

/// How long a provider's keys are used.
const FRESH: Duration = Duration::from_secs(600);
/// How soon they are fetched again for a token that they do not fit.
const AGAIN: Duration = Duration::from_secs(30);

/// Which tokens of which provider are taken.
#[derive(Debug, Clone)]
pub struct WorkloadSettings {
    /// The provider's issuer, an address.
    pub issuer: String,
    /// Whom its tokens have to be for.
    pub audience: String,
    /// What they have to say, besides.
    pub claims: BTreeMap<String, String>,
    /// The certificates to trust, in PEM; `None`: the system's.
    pub ca: Option<Vec<u8>>,
}

/// A CI provider.
pub struct Workload {
    settings: WorkloadSettings,
    http: Http,
    keys: Mutex<Option<(Instant, CoreJsonWebKeySet)>>,
}

impl Workload {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// [`OidcError::Provider`] if the certificates cannot be used.
    pub fn new(settings: WorkloadSettings) -> Result<Self, OidcError> {
        Ok(Self {
            http: Http::new(settings.ca.as_deref())?,
            settings,
            keys: Mutex::new(None),
        })
    }

    /// Whether the token says that it is this provider's: whether that is true, `verify` tells.
    pub fn claims_issuer(&self, token: &str) -> bool {
        let claims = Claims::of_verified(token);
        claims.is_ok_and(|claims| claims.text("iss") == Some(&self.settings.issuer))
    }

    /// What the token says, once signature, issuer, audience, times and claims are right.
    ///
    /// # Errors
    /// [`OidcError::Refused`].
    pub async fn verify(&self, token: &str) -> Result<Claims, OidcError> {
        let refused = |error: &dyn std::error::Error| OidcError::Refused(chain(error));
        let parsed = CoreIdToken::from_str(token).map_err(|error| refused(&error))?;
        if let Err(error) = self.check(&parsed, FRESH).await {
            // The provider may have new keys.
            match error {
                OidcError::Refused(_) => self.check(&parsed, AGAIN).await?,
                error => return Err(error),
            }
        }
        let claims = Claims::of_verified(token)?;
        for (name, expected) in &self.settings.claims {
            if !claims.has(name, expected) {
                let problem = format!("its {name} is not {expected}");
                return Err(OidcError::Refused(problem));
            }
        }
        Ok(claims)
    }

    async fn check(&self, token: &CoreIdToken, fresh: Duration) -> Result<(), OidcError> {
        let keys = self.keys(fresh).await?;
        let audience = ClientId::new(self.settings.audience.clone());
        let verifier = CoreIdTokenVerifier::new_public_client(audience, self.issuer()?, keys)
            .set_allowed_algs(signatures());
        let checked = token.claims(&verifier, |_: Option<&Nonce>| Ok(()));
        checked
            .map(drop)
            .map_err(|error| OidcError::Refused(chain(&error)))
    }

    fn issuer(&self) -> Result<IssuerUrl, OidcError> {
        IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| provider(&error))
    }

    /// The provider's keys, fetched not longer ago than `fresh`.
    async fn keys(&self, fresh: Duration) -> Result<CoreJsonWebKeySet, OidcError> {
        let mut known = self.keys.lock().await;
        match &*known {
            Some((at, keys)) if at.elapsed() < fresh => return Ok(keys.clone()),
            _ => {}
        }
        let metadata = CoreProviderMetadata::discover_async(self.issuer()?, &self.http).await;
        let keys = metadata.map_err(|error| provider(&error))?.jwks().clone();
        *known = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }
}
