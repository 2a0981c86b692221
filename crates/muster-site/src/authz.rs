//! What each kind of caller may do: one table, asked by every rule and walked by the router's test.

use crate::{Caller, Ctx, SiteError, ctx::DeviceCaller};
use muster_model::{
    api::{Admin, Role},
    problem::Code,
};

/// What a rule demands of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Anyone, without credentials.
    Anyone,
    /// An administrator of any role.
    See,
    /// A full administrator.
    Change,
    /// An active device, about itself only.
    Device,
}

/// The administrator who may see.
///
/// # Errors
/// `unauthenticated` for whoever is not an administrator.
pub fn see(ctx: &Ctx) -> Result<&Admin, SiteError> {
    match &ctx.caller {
        Caller::Admin(admin) => Ok(admin),
        _ => Err(SiteError::refused(
            Code::Unauthenticated,
            "Sign in first: `muster login`, or `muster console` for a browser.",
        )),
    }
}

/// The administrator who may change things.
///
/// # Errors
/// `unauthenticated`, or `forbidden` for a read-only analyst.
pub fn change(ctx: &Ctx) -> Result<&Admin, SiteError> {
    let admin = see(ctx)?;
    match admin.role {
        Role::FullAdministrator => Ok(admin),
        Role::ReadOnlyAnalyst => Err(SiteError::refused(
            Code::Forbidden,
            "A read-only analyst can see everything and change nothing; ask a full administrator.",
        )),
    }
}

/// The device that speaks. Whether it is active is asked where its row is read.
///
/// # Errors
/// `unauthenticated` for whoever is not a device.
pub fn device(ctx: &Ctx) -> Result<&DeviceCaller, SiteError> {
    match &ctx.caller {
        Caller::Device(device) => Ok(device),
        _ => Err(SiteError::refused(Code::Unauthenticated, "Only a device may ask this.")),
    }
}

/// The site itself: what its own background work hands in.
///
/// # Errors
/// `unauthenticated` for everybody else.
pub fn site(ctx: &Ctx) -> Result<(), SiteError> {
    match &ctx.caller {
        Caller::Site => Ok(()),
        _ => Err(SiteError::refused(Code::Unauthenticated, "Only the site itself does this.")),
    }
}
