//! Administrators: added by a full administrator, each with a name and key of their own.

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
