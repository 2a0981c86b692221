//! The store, noun by noun, on both databases. One binary for the crate.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as it should be")]

mod admin;
mod assignment;
mod audit;
mod database;
mod deployment;
mod device;
mod enrolment;
mod fault;
mod fixture;
mod fleet;
mod inventory;
mod issuer;
mod report;
mod resource;
mod schema;
mod session;
mod site_row;
mod sql;
mod token;
mod wql;

/// Runs a block in a transaction of `$store` and takes its value.
macro_rules! commit {
    ($store:expr, |$tx:ident| $work:block) => {
        muster_store::transaction!($store, "test", |$tx| { Ok::<_, muster_store::StoreError>($work) }).unwrap()
    };
}
pub(crate) use commit;
