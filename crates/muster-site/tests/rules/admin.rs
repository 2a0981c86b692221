//! Administrators: added by a full administrator, each with a name and key of their own.

use crate::reason;
use muster_model::{
    api::{AdminCreate, PageQuery, Role},
    problem::Code,
};
use muster_site::{testing::TestSite, *};
use muster_trust::PrivateKey;

#[tokio::test]
async fn an_administrator_has_a_name_and_a_key_of_their_own() {
    for test in TestSite::all().await {
        let request = AdminCreate {
            name: "Grace".parse().unwrap(),
            role: Role::FullAdministrator,
            public_key: PrivateKey::generate().unwrap().public().pem(),
        };
        let code = async |ctx: Ctx, request| admin_create(&ctx, &test.site, request).await.unwrap_err().code();
        assert_eq!(code(test.analyst(), request.clone()).await, Code::Forbidden);
        let rubbish = AdminCreate { public_key: "-----BEGIN PUBLIC KEY-----".to_owned(), ..request.clone() };
        assert_eq!(code(test.full(), rubbish).await, Code::Malformed);
        let secret = PrivateKey::generate().unwrap().to_pem().to_string();
        assert_eq!(code(test.full(), AdminCreate { public_key: secret, ..request.clone() }).await, Code::Malformed);
        let same_name = AdminCreate { name: "Ada".parse().unwrap(), ..request.clone() };
        assert_eq!(code(test.full(), same_name).await, Code::Conflict);
        let same_key = AdminCreate { public_key: test.admin_key.public().pem(), ..request.clone() };
        assert_eq!(code(test.full(), same_key).await, Code::Conflict);
        admin_create(&test.full(), &test.site, request).await.unwrap();
        let page = admin_list(&test.analyst(), &test.site, PageQuery::default()).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|admin| admin.name.as_str()).collect();
        assert_eq!((names, page.total), (vec!["Ada", "Grace", "Rosalind"], 3));
    }
}

#[tokio::test]
async fn an_administrator_who_is_disabled_can_do_nothing_and_one_always_remains() {
    for test in TestSite::all().await {
        let key = PrivateKey::generate().unwrap();
        let request = AdminCreate {
            name: "Grace".parse().unwrap(),
            role: Role::FullAdministrator,
            public_key: key.public().pem(),
        };
        let grace = admin_create(&test.full(), &test.site, request).await.unwrap();
        let why = || reason("left");
        let code = async |ctx: Ctx, id| admin_disable(&ctx, &test.site, id, why()).await.unwrap_err().code();
        assert_eq!(code(test.analyst(), grace.id).await, Code::Forbidden);
        assert_eq!(code(test.full(), test.admin.id).await, Code::Conflict, "not oneself");
        assert_eq!(
            admin_disable(&test.full(), &test.site, grace.id, reason(" ")).await.unwrap_err().code(),
            Code::Malformed
        );
        admin_disable(&test.full(), &test.site, grace.id, why()).await.unwrap();
        assert_eq!(code(test.full(), grace.id).await, Code::NotFound, "once");
        // A request of hers that was on its way: she is not there any more to decide anything.
        let late = Ctx { caller: Caller::Admin(grace.clone()), ..test.full() };
        assert_eq!(code(late, test.admin.id).await, Code::Unauthenticated);
        let page = admin_list(&test.analyst(), &test.site, PageQuery::default()).await.unwrap();
        assert_eq!(page.total, 2);
        let log = audit_list(&test.full(), &test.site, PageQuery::default()).await.unwrap();
        assert_eq!(log.items[0].action, "admin_disable");
    }
}
