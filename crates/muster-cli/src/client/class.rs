//! Inventory classes.

use super::{Client, ClientError};
use muster_model::api::{ClassAdd, Classes, InventoryClass};

impl Client {
    /// `GET /classes`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn class_list(&self) -> Result<Classes, ClientError> {
        self.get("/classes").await
    }

    /// `POST /classes`.
    ///
    /// # Errors
    /// `malformed` when it cannot be a class; `conflict` when it would change what there is.
    pub async fn class_add(&self, class: &ClassAdd) -> Result<InventoryClass, ClientError> {
        self.post("/classes", class).await
    }

    /// `GET /classes/{name}`. Anything in the name that no class has is asked for as `-`, which none is called.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn class_show(&self, name: &str) -> Result<InventoryClass, ClientError> {
        self.get(&format!("/classes/{}", part(name))).await
    }

    /// `DELETE /classes/{name}`.
    ///
    /// # Errors
    /// `not_found`; `conflict` when it is retired.
    pub async fn class_retire(&self, name: &str) -> Result<InventoryClass, ClientError> {
        let answer = self.delete(&format!("/classes/{}", part(name))).await?;
        self.parse(&answer)
    }
}

fn part(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    if name.is_empty() { "-".to_owned() } else { name.chars().map(keep).collect() }
}
