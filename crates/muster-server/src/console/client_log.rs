//! The log of a device, on its page.

use super::{
    device::{Tab, show},
    shell::Done,
    visit::{Answer, Named, Visit, go_done},
};
use axum::response::IntoResponse as _;
use http::header;
use muster_model::{
    api::LogCollect,
    id::{DeviceId, LogRequestId},
};

/// `GET /devices/{id}/logs`
pub(crate) async fn client_log_show(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    let log = visit.ask(muster_site::client_log_show(&visit.ctx, visit.site(), id).await)?;
    show(visit, id, Tab::Logs(log)).await
}

/// `POST /devices/{id}/logs`
pub(crate) async fn client_log_collect(visit: Visit, Named(id): Named<DeviceId>) -> Answer {
    let wanted = LogCollect::default();
    visit.ask(muster_site::client_log_collect(&visit.ctx, visit.site(), id, wanted).await)?;
    Ok(go_done(&format!("/devices/{id}/logs"), Done::LogCollected))
}

/// `POST /devices/{id}/logs/{piece}`: that it was read is in the audit log.
pub(crate) async fn client_log_download(visit: Visit, Named((id, piece)): Named<(DeviceId, LogRequestId)>) -> Answer {
    let lines = visit.ask(muster_site::client_log_download(&visit.ctx, visit.site(), id, piece).await)?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{piece}.jsonl\"")),
    ];
    Ok((headers, lines).into_response())
}
