//! Signing in with the administrator's key, and what a session can do for itself.

use super::{Client, ClientError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use muster_model::{
    api::{Admin, Challenge, ChallengeRequest, Session, SessionRequest, SignInCode},
    id::SiteCode,
};
use muster_trust::PrivateKey;

/// What an administrator's key signs to sign in: it names the site, so that a site cannot pass the challenge of another on.
#[must_use]
pub fn sign_in_message(site: SiteCode, challenge: &[u8]) -> Vec<u8> {
    [b"muster/v1/sign-in\0", site.as_str().as_bytes(), b"\0", challenge].concat()
}

impl Client {
    /// Signs in: asks for a challenge and answers it.
    ///
    /// # Errors
    /// `unauthenticated` or `sign_in_invalid` when the site does not know the key.
    pub async fn sign_in(&self, key: &PrivateKey) -> Result<Session, ClientError> {
        let id = key.public().id();
        let given = self.session_challenge(&ChallengeRequest { key: id }).await?;
        let challenge = URL_SAFE_NO_PAD.decode(&given.challenge).map_err(|e| self.protocol(e))?;
        if challenge.len() != 32 {
            return Err(self.protocol("the challenge does not have 32 bytes"));
        }
        let signature = key.sign(&sign_in_message(self.profile.site, &challenge))?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        self.session_create(&SessionRequest { key: id, challenge: given.challenge, signature }).await
    }

    /// `POST /session/challenge`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn session_challenge(&self, request: &ChallengeRequest) -> Result<Challenge, ClientError> {
        self.post("/session/challenge", request).await
    }

    /// `POST /session`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn session_create(&self, request: &SessionRequest) -> Result<Session, ClientError> {
        self.post("/session", request).await
    }

    /// `GET /session`: who is signed in.
    ///
    /// # Errors
    /// `unauthenticated` when the session ended.
    pub async fn session_show(&self) -> Result<Admin, ClientError> {
        self.get("/session").await
    }

    /// `DELETE /session`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn session_end(&self) -> Result<(), ClientError> {
        self.delete("/session").await.map(drop)
    }

    /// `POST /session/code`: a one-time code that signs a browser in.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn session_code(&self) -> Result<SignInCode, ClientError> {
        self.post("/session/code", &serde_json::json!({})).await
    }
}
