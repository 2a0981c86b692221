//! Software titles: what is installed, under one name.

use serde::{Deserialize, Serialize};

pub use crate::title::OwnRules as TitleRules;

api! {
    /// `GET /api/v1/titles`.
    #[derive(Default)]
    struct TitleQuery {
        /// Part of the product or publisher.
        #[serde(default)] search: String,
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted.
        #[serde(default = "super::fifty")] limit: u32,
    }
}
api! {
    /// A software title.
    struct SoftwareTitle {
        /// Its number.
        id: u64,
        /// The product.
        product: String,
        /// The publisher.
        publisher: String,
        /// Devices that have it.
        devices: u64,
        /// Versions that devices have.
        versions: u64,
    }
}
api! {
    /// A version of a title.
    struct SoftwareVersion {
        /// The version, as its package database has it.
        version: String,
        /// Devices that have it.
        devices: u64,
    }
}
api! {
    /// `GET /api/v1/titles/{id}`.
    struct TitleDetail {
        /// The title.
        title: SoftwareTitle,
        /// The versions of most devices, the newest first.
        versions: Vec<SoftwareVersion>,
    }
}
api! {
    /// `GET /api/v1/title-rules/test`: what the rules make of this.
    #[derive(Default)]
    struct TitleTest {
        /// The name.
        name: String,
        /// The version.
        #[serde(default)] version: String,
        /// The publisher.
        #[serde(default)] publisher: String,
        /// The package database: dpkg, rpm, apk, flatpak; absent: an installer of Windows.
        #[serde(default)] source: String,
    }
}
api! {
    /// What it is.
    struct TitleTested {
        /// The product.
        product: String,
        /// The publisher.
        publisher: String,
        /// The version.
        version: String,
        /// The architecture, where the name has one.
        architecture: String,
        /// The language, where the name has one.
        language: String,
    }
}
