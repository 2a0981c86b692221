//! Databases with the schema made, once for a test program: each test gets a copy, because making it takes most of a short test's time.

use super::command;
use crate::db::Store;
use sqlx::{AnyConnection, Connection, Row};
use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

/// The advisory lock of whoever makes a template; any number that nothing else takes.
const MAKING: i64 = 0x6d75_7374_6572;

/// Differs for each build of a test program, and so for each schema.
#[expect(clippy::expect_used, reason = "a test without its database has to stop")]
fn build() -> (PathBuf, String) {
    let exe = std::env::current_exe().expect("the test program has a path");
    let about = exe.metadata().expect("the test program is there");
    let mut hasher = DefaultHasher::new();
    (&exe, about.len(), about.modified().expect("a file system with times")).hash(&mut hasher);
    (exe, format!("{:016x}", hasher.finish()))
}

/// Puts a new site's database there.
#[expect(clippy::expect_used, reason = "a test without its database has to stop")]
pub(super) async fn sqlite(path: &Path) {
    let (exe, build) = build();
    let name = exe.with_extension("site");
    let template = name.with_extension(format!("{build}.db"));
    if !template.exists() {
        let lock = File::create(name.with_extension("lock")).expect("a lock beside the test program");
        lock.lock().expect("the lock is had");
        if !template.exists() {
            let partial = name.with_extension("partial");
            drop(std::fs::remove_file(&partial));
            remove_older(&name);
            let store = Store::open(&format!("sqlite:{}", partial.display())).await.expect("the template opens");
            store.close().await;
            std::fs::rename(&partial, &template).expect("the template gets its name");
        }
    }
    std::fs::copy(&template, path).expect("the template is copied");
}

/// Those of earlier builds.
#[expect(clippy::expect_used, reason = "a test without its database has to stop")]
fn remove_older(name: &Path) {
    let stem = format!("{}.", name.file_stem().expect("a program has a name").to_string_lossy());
    let beside = std::fs::read_dir(name.parent().expect("a program is in a directory")).expect("the directory is read");
    let older = |path: &Path| {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
        file.is_some_and(|file| file.starts_with(&stem) && file.ends_with(".db"))
    };
    for path in beside.flatten().map(|entry| entry.path()).filter(|path| older(path)) {
        drop(std::fs::remove_file(path));
    }
}

/// Makes a new site's database of this name.
#[expect(clippy::expect_used, reason = "a test without its database has to stop")]
pub(super) async fn postgres(server: &str, url: &dyn Fn(&str) -> String, name: &str) {
    let template = format!("muster_template_{}", build().1);
    let mut admin = AnyConnection::connect(server).await.expect("MUSTER_TEST_POSTGRES can be reached");
    if !exists(&mut admin, &template).await {
        // Held by the connection, so that it ends with whoever is killed.
        sqlx::query("SELECT CAST(pg_advisory_lock($1) AS TEXT)")
            .bind(MAKING)
            .execute(&mut admin)
            .await
            .expect("the lock");
        if !exists(&mut admin, &template).await {
            let partial = format!("{template}_partial");
            for statement in [format!("DROP DATABASE IF EXISTS {partial}"), format!("CREATE DATABASE {partial}")] {
                command(server, &statement).await.expect("a database can be made");
            }
            Store::open(&url(&partial)).await.expect("the template opens").close().await;
            let rename = format!("ALTER DATABASE {partial} RENAME TO {template}");
            command(server, &rename).await.expect("the template gets its name");
        }
    }
    admin.close().await.expect("the connection closes");
    command(server, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await.expect("the template is copied");
}

#[expect(clippy::expect_used, reason = "a test without its database has to stop")]
async fn exists(admin: &mut AnyConnection, name: &str) -> bool {
    let found =
        sqlx::query("SELECT COUNT(*) FROM pg_database WHERE datname = $1").bind(name.to_owned()).fetch_one(admin).await;
    found.expect("the server lists its databases").get::<i64, _>(0) > 0
}
