//! Types of the administrators' API, the same for server, CLI and console. One file per noun.

use serde::{Deserialize, Serialize};

macro_rules! api {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$fmeta:meta])* $field:ident : $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name { $($(#[$fmeta])* pub $field: $type,)* }
    };
    ($(#[$meta:meta])* enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant,)* }
        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// The stable text.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("{text:?} is not one of {}", known.join(", "))
                })
            }
        }
    };
}

pub mod admin;
pub mod alert;
pub mod approval;
pub mod audit;
pub mod baseline;
pub mod boundary;
pub mod certificate;
pub mod class;
pub mod client_log;
pub mod client_status;
pub mod collection;
pub mod collection_transfer;
pub mod conflict;
pub mod deployment;
pub mod deployment_approval;
pub mod deployment_control;
pub mod device;
pub mod discovery;
pub mod enrolment;
pub mod hardware;
pub mod history;
pub mod issuer;
pub mod maintenance;
pub mod mobile;
pub mod query;
pub mod resource;
pub mod secret;
pub mod session;
pub mod settings;
pub mod site;
pub mod status;
pub mod status_rule;
pub mod title;
pub mod token;
pub mod trust;
pub mod update;
pub mod update_rule;
pub mod window;

pub use admin::*;
pub use alert::*;
pub use approval::*;
pub use audit::*;
pub use baseline::*;
pub use boundary::*;
pub use certificate::*;
pub use class::*;
pub use client_log::*;
pub use client_status::*;
pub use collection::*;
pub use collection_transfer::*;
pub use conflict::*;
pub use deployment::*;
pub use deployment_approval::*;
pub use deployment_control::*;
pub use device::*;
pub use discovery::*;
pub use enrolment::*;
pub use hardware::*;
pub use history::*;
pub use issuer::*;
pub use maintenance::*;
pub use mobile::*;
pub use query::*;
pub use resource::*;
pub use secret::*;
pub use session::*;
pub use settings::*;
pub use site::*;
pub use status::*;
pub use status_rule::*;
pub use title::*;
pub use token::*;
pub use trust::*;
pub use update::*;
pub use update_rule::*;
pub use window::*;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// How many rows there are on all pages.
    pub total: u64,
    /// Rows before this page.
    pub offset: u64,
}

api! {
    /// Which page of a list is wanted.
    #[derive(Copy, Eq)]
    struct PageQuery {
        /// Rows to skip.
        #[serde(default)] offset: u64,
        /// Rows wanted; at most `Limits::page_rows`.
        #[serde(default = "fifty")] limit: u32,
    }
}
const fn fifty() -> u32 {
    50
}
impl Default for PageQuery {
    fn default() -> Self {
        Self { offset: 0, limit: fifty() }
    }
}
