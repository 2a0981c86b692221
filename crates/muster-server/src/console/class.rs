//! Inventory classes on one page: what administrators added, what waits, a form that adds, and what is asked before one is retired.

use super::{
    confirm::ConfirmPage,
    format,
    shell::{Done, Shell},
    visit::{Answer, Fields, Named, Visit, go_done},
};
use askama::Template;
use muster_model::{
    api::{Classes, InventoryClass},
    catalogue,
    problem::Code,
};

/// `GET /classes`.
#[derive(Debug, Template)]
#[template(path = "classes.html")]
pub(crate) struct ClassesPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The classes.
    pub(crate) classes: Classes,
    /// What was wrong with the form, where something was.
    pub(crate) problem: Option<String>,
    /// What was in the form.
    pub(crate) fields: ClassFields,
}

/// `GET /classes/{name}`.
#[derive(Debug, Template)]
#[template(path = "class.html")]
pub(crate) struct ClassPage {
    /// What surrounds the page.
    pub(crate) shell: Shell,
    /// The class.
    pub(crate) class: InventoryClass,
}

/// The form: definitions in JSON or MOF.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct ClassFields {
    #[serde(default)]
    pub(crate) definition: String,
}

async fn show(visit: Visit, problem: Option<String>, fields: ClassFields) -> Answer {
    let classes = visit.ask(muster_site::class_list(&visit.ctx, visit.site()).await)?;
    let shell = visit.shell("classes").await?;
    visit.page(&ClassesPage { shell, classes, problem, fields })
}

/// `GET /classes`
pub(crate) async fn class_list(visit: Visit) -> Answer {
    show(visit, None, ClassFields::default()).await
}

/// `GET /classes/{name}`
pub(crate) async fn class_show(visit: Visit, Named(name): Named<String>) -> Answer {
    let class = visit.ask(muster_site::class_show(&visit.ctx, visit.site(), &name).await)?;
    let shell = visit.shell("classes").await?;
    visit.page(&ClassPage { shell, class })
}

/// `POST /classes`
pub(crate) async fn class_add(visit: Visit, Fields(fields): Fields<ClassFields>) -> Answer {
    let definitions = match catalogue::definitions(&fields.definition) {
        Ok(definitions) => definitions,
        Err(error) => return show(visit, Some(format!("No class was added: {error}.")), fields).await,
    };
    for definition in definitions {
        match muster_site::class_add(&visit.ctx, visit.site(), definition).await {
            Ok(_) => {}
            Err(error) if matches!(error.code(), Code::Malformed | Code::Conflict | Code::Unavailable) => {
                return show(visit, Some(error.problem().detail), fields).await;
            }
            Err(error) => return Err(visit.refuse(error)),
        }
    }
    Ok(go_done("/classes", Done::ClassAdded))
}

/// `GET /classes/{name}/retire`
pub(crate) async fn retire_confirm(visit: Visit, Named(name): Named<String>) -> Answer {
    let class = visit.ask(muster_site::class_show(&visit.ctx, visit.site(), &name).await)?;
    visit.page(&ConfirmPage {
        shell: visit.shell("classes").await?,
        title: "Retire class".to_owned(),
        object: class.name.clone(),
        consequences: vec![
            "Devices' reports of this class are refused from now on.".to_owned(),
            "What was reported stays, and so does its view. Adding the class again takes reports up again.".to_owned(),
        ],
        reason: false,
        action: format!("/classes/{}/retire", class.name),
        button: "Retire class".to_owned(),
        danger: true,
        back: "/classes".to_owned(),
        hidden: vec![],
    })
}

/// `POST /classes/{name}/retire`
pub(crate) async fn class_retire(visit: Visit, Named(name): Named<String>) -> Answer {
    visit.ask(muster_site::class_retire(&visit.ctx, visit.site(), &name).await)?;
    Ok(go_done("/classes", Done::ClassRetired))
}
