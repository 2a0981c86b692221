//! The database of a site as a thing of its own: looked at, brought up to date, moved. None of it needs a running server, and a move
//! refuses one.

use crate::{Ctx, SiteError, audit, authz};
use muster_model::{id::Hash, problem::Code};
use muster_store::{
    Store, StoreError,
    db::{SchemaState, copy, schema, site_row, sql},
    transaction,
};

pub use copy::{Copied, Progress, Stage, Standing, Watch};
pub use schema::Finding;
pub use sql::Role;

/// SHA-256, for the store, which has no cryptography.
struct Digest(muster_trust::Sha256);

impl copy::Digest for Digest {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    fn finish(self: Box<Self>) -> Hash {
        self.0.finish()
    }
}

fn opened(error: StoreError) -> SiteError {
    SiteError::refused(Code::Conflict, format!("{}.", sentence(&error.to_string())))
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What is wrong with the database at `url`; nothing is changed.
///
/// # Errors
/// `unauthenticated`; `conflict` when it cannot be read.
pub async fn database_check(ctx: &Ctx, url: &str) -> Result<Vec<Finding>, SiteError> {
    authz::site(ctx)?;
    let store = Store::open_as_it_is(url).await.map_err(opened)?;
    let found = schema::check(&store).await.map_err(opened);
    store.close().await;
    found
}

/// What the schema of the database at `url` has and lacks; nothing is changed.
///
/// # Errors
/// `unauthenticated`; `conflict` when it cannot be read.
pub async fn database_show(ctx: &Ctx, url: &str) -> Result<SchemaState, SiteError> {
    authz::site(ctx)?;
    let store = Store::open_as_it_is(url).await.map_err(opened)?;
    let found = store.schema_state().await.map_err(opened);
    store.close().await;
    found
}

/// Brings the schema of the database at `url` up to date; what was done. `with_others`: also while other programs work on it.
///
/// # Errors
/// `unauthenticated`; `conflict` when others work on it, or the database refuses it.
pub async fn database_migrate(ctx: &Ctx, url: &str, with_others: bool) -> Result<SchemaState, SiteError> {
    authz::site(ctx)?;
    if with_others {
        let store = Store::open_as_it_is(url).await.map_err(opened)?;
        let outcome = migrate(ctx, &store).await;
        store.close().await;
        return outcome;
    }
    let (store, alone) = Store::open_alone(url).await.map_err(opened)?;
    let outcome = migrate(ctx, &store).await;
    store.close().await;
    alone.end().await;
    outcome
}

async fn migrate(ctx: &Ctx, store: &Store) -> Result<SchemaState, SiteError> {
    let done = store.migrate().await.map_err(opened)?;
    let changed = !done.pending.is_empty() || done.views;
    if changed && site_row::get(&mut *store.reader().await?).await?.is_some() {
        let numbers: Vec<String> = done.pending.iter().map(|step| step.version.to_string()).collect();
        let detail = match numbers.is_empty() {
            true => "The views of the classes were made anew.".to_owned(),
            false => format!("The schema was brought up to date: {}.", numbers.join(", ")),
        };
        transaction!(store, "database_migrate", |tx| {
            audit::append(tx, ctx, "database_migrate", "database".to_owned(), detail.clone()).await
        })?;
    }
    Ok(done)
}

/// What is in the database at `url`, into which a site is to be copied.
///
/// # Errors
/// `unauthenticated`; `conflict` when it cannot be read.
pub async fn database_standing(ctx: &Ctx, url: &str) -> Result<Standing, SiteError> {
    authz::site(ctx)?;
    copy::standing(url).await.map_err(opened)
}

/// Copies the site in the database `from` into the empty database `to`, and compares every row of both. The audit log says so before,
/// on both sides then.
///
/// # Errors
/// `unauthenticated`; `conflict` when a server runs on a side, the target is not empty, or a side fails. The site stays where it is.
pub async fn database_copy(
    ctx: &Ctx,
    from: &str,
    to: &str,
    again: bool,
    watch: Watch<'_>,
) -> Result<Vec<Copied>, SiteError> {
    authz::site(ctx)?;
    let refused =
        |error: copy::CopyError| SiteError::refused(Code::Conflict, format!("{}.", sentence(&error.to_string())));
    match (database_standing(ctx, to).await?, again) {
        (Standing::Full(what), _) => return Err(refused(copy::CopyError::NotEmpty(what))),
        (Standing::Half(source), false) => return Err(refused(copy::CopyError::Half(source))),
        _ => {}
    }
    let store = Store::open_as_it_is(from).await.map_err(opened)?;
    let noted = note(ctx, &store, to).await;
    store.close().await;
    noted?;
    copy::copy(from, to, again, || Box::new(Digest(muster_trust::Sha256::default())), watch).await.map_err(refused)
}

async fn note(ctx: &Ctx, store: &Store, to: &str) -> Result<(), SiteError> {
    let state = store.schema_state().await.map_err(opened)?;
    if !state.pending.is_empty() || state.too_new.is_some() {
        let text = "The site's database has another schema than this program; run `musterd database migrate` first.";
        return Err(SiteError::refused(Code::Conflict, text));
    }
    let detail = format!("The site is copied into {}.", copy::without_password(to));
    transaction!(store, "database_copy", |tx| {
        audit::append(tx, ctx, "database_copy", "database".to_owned(), detail.clone()).await
    })
}

/// Makes the role as which SQL is asked, where the database permits it, and gives it the views for reports.
///
/// # Errors
/// `unauthenticated`; `conflict` when the database refuses it.
pub async fn database_reader(ctx: &Ctx, url: &str) -> Result<Role, SiteError> {
    authz::site(ctx)?;
    let store = Store::open_as_it_is(url).await.map_err(opened)?;
    let outcome = reader(ctx, &store).await;
    store.close().await;
    outcome
}

async fn reader(ctx: &Ctx, store: &Store) -> Result<Role, SiteError> {
    let made = sql::role(store).await.map_err(opened)?;
    if let Role::There(name) = &made {
        let detail = format!("The role {name} may read the views for reports, and SQL is asked as it.");
        transaction!(store, "database_reader", |tx| {
            audit::append(tx, ctx, "database_reader", "database".to_owned(), detail.clone()).await
        })?;
    }
    Ok(made)
}
