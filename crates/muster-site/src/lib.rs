//! The rules of a site. No HTTP, no SQL text: a handler parses, calls one rule here, and encodes its answer.
//!
//! Every public rule takes the caller's context first, and authorises. The wings tell the story in order: `identity` (who may
//! talk), `knowledge` (what is on the devices), `delivery` (what they shall run), `truth` (what happened), `mobile` (what foreign protocols manage). A wing may use
//! the wings before it. Every rule is at the root of the crate under its one name: `muster_site::token_create`.

pub mod audit;
pub mod authz;
pub mod ctx;
pub mod delivery;
pub mod error;
pub mod identity;
pub mod knowledge;
pub mod memory;
pub mod mobile;
pub mod site;
#[cfg(feature = "testing")]
pub mod testing;
pub mod truth;
pub mod worker;

pub use audit::{audit_altered, audit_list, audit_reverify, audit_segment, audit_verify};
pub use ctx::{Caller, Ctx};
pub use delivery::{
    ahead::assignment_ahead,
    application::{application_create, application_list, application_object, application_show},
    baseline::{baseline_create, baseline_delete, baseline_list, baseline_object, baseline_show},
    baseline_deployment::{
        baseline_deploy, baseline_deployment_delete, baseline_deployment_list, baseline_deployment_show,
        baseline_preview,
    },
    chunk::{ChunkFailure, chunk_list_for_device, chunks_for_device, content_chunk},
    chunk_work::ContentWorker,
    content::{Chunks, ContentPath, Uploaded, content_for_device, content_show, content_upload},
    content_peer::{content_peer_announce, content_peer_grant},
    control::{deployment_cancel, deployment_pause, deployment_resume, deployment_retry},
    deployment::{deployment_create, deployment_delete, deployment_devices, deployment_list, deployment_show},
    deployment_approval::{deployment_approval_withdraw, deployment_approve, deployment_order},
    forecast::deployment_forecast,
    phase::{PhaseWork, deployment_create_phased, deployment_phase_begin, deployment_standing, phase_work},
    policy::{Current, assignment_confirmed, assignment_show, body_show},
    preview::deployment_preview,
    rival::deployment_rivals,
    secret::{sealing_key_set, secret_add, secret_list, secret_recipients, secret_remove, secret_wanted},
    settings::{
        device_settings, settings_catalogue, settings_create, settings_delete, settings_list, settings_move,
        settings_preview, settings_show, settings_update, settings_versions,
    },
    update_rule::{
        update_draft_count, update_group_show, update_rule_create, update_rule_delete, update_rule_list,
        update_rule_look, update_rule_show, update_rule_signed, update_rule_work,
    },
};
pub use error::SiteError;
pub use identity::{
    admin::{admin_create, admin_disable, admin_list},
    approval::{approval_show, approval_update},
    attestation::{Channel, attestation_offer},
    boundary::{
        boundary_add, boundary_change, boundary_group_add, boundary_group_change, boundary_group_list,
        boundary_group_remove, boundary_list, boundary_remove,
    },
    certificate::{certificate_list, certificate_renew, certificate_revoke, server_certificate_issue},
    conflict::{conflict_decide, conflict_list, conflict_show},
    connection::{device_connected, device_seen, device_seen_flush},
    database::{database_check, database_copy, database_migrate, database_reader, database_show, database_standing},
    device::{device_block, device_block_many, device_list, device_retire, device_revoke, device_show, device_unblock},
    enrolment::{enrolment_approve, enrolment_list, enrolment_poll, enrolment_refuse, enrolment_request},
    enterprise::{device_identified, enterprise_change},
    hardware::{hardware_list, hardware_remove, hardware_set},
    issuer::{
        Due, issuer_add, issuer_list, issuer_list_due, issuer_list_failed, issuer_list_take, issuer_offer,
        issuer_remove,
    },
    new_site::{NewSite, site_create},
    revocation::{
        ocsp_answer, revocation_list_show, revocation_show, revocation_warnings, server_certificate_is_revoked,
        server_status,
    },
    serial::{serial_import, serial_list, serial_remove},
    session::{
        session_caller, session_challenge, session_code, session_code_redeem, session_create, session_end, session_show,
    },
    sign::{client_signs_flush, device_live},
    token::{token_create, token_list, token_revoke},
    trust::{
        TrustPlace, site_show, trust_accept, trust_bundle_show, trust_bundle_version_show, trust_follow,
        trust_in_force, trust_propose, trust_show,
    },
};
pub use knowledge::collection::{
    CollectionWorker, collection_change, collection_create, collection_delete, collection_evaluate, collection_explain,
    collection_export, collection_import, collection_index, collection_list, collection_members, collection_preview,
    collection_rule_add, collection_rule_remove, collection_show, collection_window_add, collection_window_delete,
    collection_window_list, collection_window_update, collection_work, device_collections, device_windows,
};
pub use knowledge::discovery::{
    DirectoryRun, Taken, directory_due, directory_end, directory_gone, directory_members, directory_method,
    directory_page, discovery_delete, discovery_list, discovery_run, discovery_set, discovery_settings_show,
    discovery_settings_update, discovery_show, discovery_take, discovery_work, network_discovery_due,
    network_discovery_set, network_discovery_show, network_discovery_take, resource_list, resource_remove,
    resource_show,
};
pub use knowledge::{
    class::{class_add, class_list, class_retire, class_show},
    inventory::{
        history::{Purge, history_compare, history_list, history_purge, history_show},
        inventory_show, inventory_summary,
        sweep::{Sweep, inventory_sweep},
    },
    query::{query_check, query_run, query_sql},
    saved_query::{query_delete, query_list, query_run_saved, query_save, query_show},
    title::{TitleWork, title_list, title_rules_show, title_rules_update, title_show, title_test, title_work},
    update::{UpdateWork, update_list, update_work},
};
pub use mobile::{
    authority::{MobileAuthority, mobile_authority_issue},
    device::{mobile_device_block, mobile_device_list},
    est::{est_authorities, est_enrol, est_renew},
    issue::{Granted, mobile_certificate_issue, mobile_certificate_renew},
    scep::{ScepReply, scep_answer},
    token::{mobile_token_create, mobile_token_list, mobile_token_revoke},
};
pub use site::{Site, SiteParts};
pub use truth::{
    alert::{AlertWork, alert_acknowledge, alert_count, alert_devices, alert_list, alert_show, alert_work},
    alert_told::{alert_close, alert_postpone},
    budget::{device_admitted, report_admitted, report_refused},
    client_log::{client_log_collect, client_log_download, client_log_show},
    client_status::{
        ClientStatusWork, HISTORY_DAYS, client_status_list, client_status_settings_show, client_status_settings_update,
        client_status_show, client_status_summary, client_status_threshold_list, client_status_threshold_set,
        client_status_work,
    },
    compliance::{compliance_devices, compliance_results, compliance_settings, device_compliance},
    dashboard::dashboard_show,
    deployment_event::{deployment_history, deployment_state},
    foreign::foreign_submit,
    maintenance::{
        maintenance_history, maintenance_list, maintenance_preview, maintenance_run, maintenance_set, maintenance_show,
    },
    message::{message_catalogue, message_list, message_show},
    quarantine::quarantine_list,
    report::report_submit,
    rule_index::RuleIndex,
    status_action::{
        Sending, status_action_claim, status_action_due, status_action_end, status_action_list, status_action_retry,
        target_known, target_list,
    },
    status_count::{status_hours, status_threshold_list, status_threshold_set},
    status_rule::{status_rule_change, status_rule_create, status_rule_delete, status_rule_list, status_rule_show},
    subscription::{subscription_create, subscription_delete, subscription_list},
    timeline::device_timeline,
};
pub use worker::Worker;

// What a server needs to open a site and to hear its notices. Rows are reached through the rules alone.
pub use muster_store::{
    Store,
    bus::{Notice, Noun},
    content::ContentStore,
};
