//! Directories in which is looked.

use super::{Client, ClientError};
use http::Method;
use muster_model::api::{
    DirectorySettings, DiscoveryRun, DiscoverySource, DiscoverySources, NetworkDiscovery, NetworkSettings,
};

impl Client {
    /// `GET /discovery/network`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn network_discovery_show(&self) -> Result<NetworkDiscovery, ClientError> {
        self.get("/discovery/network").await
    }

    /// `PUT /discovery/network`.
    ///
    /// # Errors
    /// `malformed` when a range is none.
    pub async fn network_discovery_set(&self, settings: &NetworkSettings) -> Result<NetworkDiscovery, ClientError> {
        self.send(Method::PUT, "/discovery/network", settings, None).await
    }

    /// `GET /discovery/sources`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn discovery_list(&self) -> Result<DiscoverySources, ClientError> {
        self.get("/discovery/sources").await
    }

    /// `GET /discovery/sources/{name}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn discovery_show(&self, name: &str) -> Result<DiscoverySource, ClientError> {
        self.get(&format!("/discovery/sources/{}", part(name))).await
    }

    /// `PUT /discovery/sources/{name}`.
    ///
    /// # Errors
    /// `malformed` when a setting cannot be.
    pub async fn discovery_set(
        &self,
        name: &str,
        settings: &DirectorySettings,
    ) -> Result<DiscoverySource, ClientError> {
        self.send(Method::PUT, &format!("/discovery/sources/{}", part(name)), settings, None).await
    }

    /// `POST /discovery/sources/{name}/run`.
    ///
    /// # Errors
    /// `not_found`; `conflict` where it is not enabled.
    pub async fn discovery_run(&self, name: &str, full: bool) -> Result<DiscoverySource, ClientError> {
        self.post(&format!("/discovery/sources/{}/run", part(name)), &DiscoveryRun { full }).await
    }

    /// `DELETE /discovery/sources/{name}`.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn discovery_delete(&self, name: &str) -> Result<DiscoverySource, ClientError> {
        let answer = self.delete(&format!("/discovery/sources/{}", part(name))).await?;
        self.parse(&answer)
    }
}

/// A name as part of an address; one that is none of a source names nothing there either.
fn part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}
