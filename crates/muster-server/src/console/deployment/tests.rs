//! What the form of a deployment becomes.

use super::*;

#[test]
fn a_form_becomes_a_request_or_a_sentence() {
    let form = DeploymentForm {
        application: Some(Hash([1; 32])),
        deadline: "2026-11-25T08:00".into(),
        ..DeploymentForm::default()
    };
    let create = form.create().unwrap();
    assert_eq!((create.available, create.deadline), (None, Some(UnixMillis(1_795_593_600_000))));
    assert_eq!(create.target, Target::AllSystems);
    assert_eq!(DeploymentForm::default().create().unwrap_err(), "Choose an application.");
    assert!(moment("tomorrow").unwrap_err().contains("is not a time"));
}
