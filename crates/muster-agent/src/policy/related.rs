//! Signed applications of a policy, with their deployment types.

use muster_model::{application::Application, id::Hash};
use muster_trust::Verified;

/// A signed application that comes along with another one.
#[derive(Debug)]
pub struct Related {
    hash: Hash,
    application: Verified<Application>,
    types: Vec<Application>,
}

/// The deployment types of an application that has several.
pub(super) fn several(application: &Application) -> Vec<Application> {
    if application.types.is_empty() { Vec::new() } else { application.each_type() }
}

/// The deployment types of an application: it is itself the one that it has.
pub(super) fn each<'a>(types: &'a [Application], application: &'a Application) -> &'a [Application] {
    if types.is_empty() { std::slice::from_ref(application) } else { types }
}

impl Related {
    pub(super) fn new(hash: Hash, application: Verified<Application>) -> Self {
        let types = several(application.value());
        Self { hash, application, types }
    }

    /// Digest of the signed object.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Authors who signed it and are believed.
    #[must_use]
    pub fn signers(&self) -> &[Hash] {
        self.application.signers()
    }

    /// The application.
    #[must_use]
    pub fn application(&self) -> &Application {
        self.application.value()
    }

    /// Its deployment types in their order, each as an application of its own.
    #[must_use]
    pub fn types(&self) -> &[Application] {
        each(&self.types, self.application())
    }
}
