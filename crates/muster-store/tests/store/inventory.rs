//! Interned rows, and the views that reporting tools read.

use crate::fleet::devices;
use muster_model::{
    catalogue::Catalogue,
    id::Hash,
    inventory::{Row as InventoryRow, Value},
    time::UnixMillis,
};
use muster_store::{
    StoreError,
    db::{
        inventory::{self, NewRow, SectionRow},
        inventory_history::{self, ChangeRow},
        inventory_sweep,
    },
    testing::stores,
    transaction,
};

fn bios(name: &str) -> InventoryRow {
    let text = |text: &str| Value::Text(text.to_owned());
    [("Name".to_owned(), text(name)), ("Version".to_owned(), text("1"))].into()
}

#[tokio::test]
async fn a_row_is_stored_once_and_the_views_show_it() {
    let bios_class = Catalogue::built_in().class("PC_BIOS").unwrap();
    for test in stores().await {
        let store = &test.store;
        let ids = devices(store, 2).await;
        let rows = [bios("one"), bios("two")];
        let new = [NewRow { hash: "h1", key: 1, row: &rows[0] }, NewRow { hash: "h2", key: 2, row: &rows[1] }];
        let done: Result<_, StoreError> = transaction!(store, "t", |tx| {
            let first = inventory::intern(tx, bios_class, &new).await?;
            let again = inventory::intern(tx, bios_class, &new[..1]).await?;
            assert_eq!((first.len(), again["h1"]), (2, first["h1"]));
            assert_eq!(inventory::with_keys(tx, bios_class, &[2, 3], &[]).await?, [(first["h2"], 2)]);
            let section = |device, row_ids| SectionRow {
                device,
                class: "PC_BIOS".to_owned(),
                digest: Hash([1; 32]),
                row_ids,
                changed: UnixMillis(5),
            };
            let sections = [section(ids[0], vec![first["h1"], first["h2"]]), section(ids[1], vec![first["h1"]])];
            inventory::put(tx, &sections).await?;
            assert_eq!(inventory::sections(tx, &ids, &["PC_BIOS"]).await?.len(), 2);
            assert!(inventory::sections(tx, &ids, &["DISK"]).await?.is_empty());
            Ok(sections[0].row_ids.clone())
        });
        let had = done.unwrap();
        let mut reader = store.reader().await.unwrap();
        // As a reporting tool writes it, without quoting, on either database.
        let statement = "SELECT Name0 FROM v_GS_PC_BIOS WHERE ResourceID = $1 ORDER BY Name0";
        let names: Vec<String> =
            sqlx::query_scalar(statement).bind(16_777_217_i64).fetch_all(&mut *reader).await.unwrap();
        assert_eq!(names, ["one", "two"]);
        let class = Catalogue::built_in().class("PC_BIOS").unwrap();
        let page = inventory::rows(&mut reader, store.dialect(), ids[0], class, 1, 5).await.unwrap();
        assert_eq!(page, Some((vec![bios("two")], 2)));
        drop(reader);
        let sweep = async |name: &'static str| {
            let mut reader = store.reader().await.unwrap();
            let (last, mut used) = inventory_sweep::of_devices(&mut reader, "", 10).await.unwrap().unwrap();
            assert!(inventory_sweep::of_devices(&mut reader, &last, 10).await.unwrap().is_none());
            used.extend(
                inventory_sweep::of_history(&mut reader, 0, 10).await.unwrap().into_iter().flat_map(|some| some.1),
            );
            let rows = inventory_sweep::after(&mut reader, store.dialect(), class, 0, 10).await.unwrap();
            drop(reader);
            let is_used = |id: &i64| used.iter().any(|(of, ids)| of == "PC_BIOS" && ids.contains(id));
            let free: Vec<i64> = rows.into_iter().filter(|id| !is_used(id)).collect();
            let since = (UnixMillis(100), i64::MAX);
            transaction!(store, "t", |tx| { inventory_sweep::remove(tx, class, &free, since, name).await }).unwrap()
        };
        assert_eq!(sweep("first").await, 0);
        let gone = SectionRow {
            device: ids[0],
            class: "PC_BIOS".to_owned(),
            digest: Hash([1; 32]),
            row_ids: Vec::new(),
            changed: UnixMillis(6),
        };
        let change = ChangeRow {
            device: ids[0],
            class: "PC_BIOS".to_owned(),
            happened: UnixMillis(6),
            since: Some(UnixMillis(5)),
            added: Vec::new(),
            removed: had,
            count: 0,
        };
        transaction!(store, "t", |tx| {
            inventory_history::insert(tx, std::slice::from_ref(&change)).await?;
            inventory::put(tx, std::slice::from_ref(&gone)).await
        })
        .unwrap();
        let statement = "SELECT Name0 FROM v_HS_PC_BIOS WHERE ResourceID = $1 AND TimeStamp = 6 ORDER BY Name0";
        let mut reader = store.reader().await.unwrap();
        let names: Vec<String> =
            sqlx::query_scalar(statement).bind(16_777_217_i64).fetch_all(&mut *reader).await.unwrap();
        assert_eq!(names, ["one", "two"]);
        drop(reader);
        assert_eq!(sweep("history").await, 0, "history names both");
        let gone = transaction!(store, "t", |tx| { inventory_history::remove_old(tx, UnixMillis(7), 10).await });
        assert_eq!(gone.unwrap(), 1);
        assert_eq!(sweep("second").await, 1, "the other device still has one of the two");
        let sweeps = transaction!(store, "t", |tx| { inventory::sweeps(tx).await }).unwrap();
        assert_eq!(sweeps, "second");
    }
}
