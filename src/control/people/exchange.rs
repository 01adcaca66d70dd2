//! A CI job exchanges the token that its provider gave it for a short one of hallpass.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Control, Error, random_id, to_the_end};
use super::failures::Failure;
use super::tokens::Made;
use crate::access::{Account, AccountKind, ApiToken, PrincipalName, Scope, TokenId, TokenOrigin};
use crate::identity::{self, Claims, Kind, Workload};
use crate::secret::Secret;
use crate::store::NewToken;

/// The longest subject that a token's note quotes, in characters.
const SUBJECT: usize = 120;

/// CI jobs that are known, and what they may do here.
pub struct Job {
    /// The configuration's name for them.
    pub name: String,
    /// What proves that it is one.
    pub workload: Workload,
    /// Whom it acts as.
    pub principal: PrincipalName,
    /// Its groups.
    pub groups: Vec<String>,
    /// What it may do of what that principal may.
    pub scope: Scope,
    /// How long its token is good.
    pub lifetime: Duration,
}

impl Control {
    /// Gives the job a token for which its provider vouches with `token`.
    ///
    /// # Errors
    /// [`Error::SignIn`] whatever is wrong with it.
    pub async fn exchange(
        self: &Arc<Self>,
        token: &Secret,
        address: Option<IpAddr>,
    ) -> Result<Made, Error> {
        let identity = self.identity.load_full();
        for job in &identity.jobs {
            if !job.workload.claims_issuer(token.expose()) {
                continue;
            }
            match job.workload.verify(token.expose()).await {
                Ok(claims) => return self.take_job(job, &claims, address).await,
                Err(error) => tracing::info!(%error, workload = job.name, "no token for a job"),
            }
        }
        let failure = Failure {
            principal: None,
            how: TokenOrigin::Workload,
            reason: "no workload of the configuration takes the token",
        };
        Err(self.refuse_now(failure, address).await)
    }

    async fn take_job(
        self: &Arc<Self>,
        job: &Job,
        claims: &Claims,
        address: Option<IpAddr>,
    ) -> Result<Made, Error> {
        let now = self.now();
        let (name, groups) = (job.principal.clone(), job.groups.clone());
        let account = Account {
            subject: Some("workload".to_owned()),
            seen_at: Some(now),
            ..Account::new(name, groups, AccountKind::Workload, now)
        };
        let subject = claims.text("sub").unwrap_or_default();
        let token = ApiToken {
            id: TokenId::from_random(random_id()),
            owner: account.name.clone(),
            made_by: account.name.clone(),
            origin: TokenOrigin::Workload,
            note: format!("{}: {}", job.name, shown(subject)),
            scope: Some(job.scope.clone()),
            mfa: false,
            created_at: now,
            expires_at: now.checked_add(job.lifetime).unwrap_or(now),
            last_used_at: None,
            revoked_at: None,
        };
        let secret = identity::generate(Kind::Service);
        let new = NewToken {
            token: token.clone(),
            sha256: identity::hash(&secret),
        };
        let control = Arc::clone(self);
        to_the_end(async move {
            control.keep_vouched(account, &new, address).await?;
            Ok(Made { secret, token })
        })
        .await
    }
}

fn shown(subject: &str) -> String {
    let plain = subject.chars().filter(|c| !c.is_control());
    plain.take(SUBJECT).collect()
}
