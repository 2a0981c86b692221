//! A directory server in the hands of an attacker: endless, huge, elsewhere, and of the wrong form.

use super::{connection::Connection, reader};
use muster_model::api::{DirectorySettings, DiscoveryRun, ResourceQuery};
use muster_site::{
    Ctx, directory_due, directory_end, discovery_run, discovery_set, discovery_show, resource_list, site::Sources,
    testing::TestSite,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82][..], &length, content].concat()
}

fn message(id: u8, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&[2, 1, id][..], operation, controls].concat())
}

fn entry(id: u8, name: &str, attributes: &[(&str, &[&[u8]])]) -> Vec<u8> {
    let attribute = |(name, values): &(&str, &[&[u8]])| {
        let values: Vec<u8> = values.iter().flat_map(|value| tlv(4, value)).collect();
        tlv(0x30, &[tlv(4, name.as_bytes()), tlv(0x31, &values)].concat())
    };
    let attributes: Vec<u8> = attributes.iter().flat_map(attribute).collect();
    message(id, &tlv(0x64, &[tlv(4, name.as_bytes()), tlv(0x30, &attributes)].concat()), &[])
}

/// The end of a search, with the place of the next page where there is one.
fn done(id: u8, code: u8, cookie: &[u8]) -> Vec<u8> {
    let page = tlv(0x30, &[&[2, 1, 0][..], &tlv(4, cookie)].concat());
    let control = tlv(0x30, &[tlv(4, b"1.2.840.113556.1.4.319"), tlv(4, &page)].concat());
    message(id, &tlv(0x65, &[&[10, 1, code, 4, 0, 4, 0][..]].concat()), &tlv(0xa0, &control))
}

fn computer(id: u8, number: u8, name: &[u8]) -> Vec<u8> {
    let sid =
        [&[1, 5, 0, 0, 0, 0, 0, 5][..], &[21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, number, 4, 0, 0]].concat();
    let attributes: [(&str, &[&[u8]]); 3] =
        [("objectGUID", &[&[number; 16]]), ("objectSid", &[&sid]), ("sAMAccountName", &[name])];
    entry(id, "CN=PC,DC=lab", &attributes)
}

/// What every server says of itself first, as the attacker's does too.
fn introduction(id: u8) -> Vec<u8> {
    let said: &[(&str, &[&[u8]])] = match id {
        1 => &[
            ("defaultNamingContext", &[b"DC=lab"]),
            ("configurationNamingContext", &[b"CN=Configuration,DC=lab"]),
            ("highestCommittedUSN", &[b"7"]),
            ("dsServiceName", &[b"CN=NTDS Settings,CN=DC1"]),
        ],
        2 => &[("invocationId", &[&[7; 16]])],
        _ => &[("nETBIOSName", &[b"LAB"]), ("dnsRoot", &[b"lab.example"])],
    };
    [entry(id, "", said), done(id, 0, b"")].concat()
}

/// Answers each request: the first three as a directory does, the others by `answer`, until nobody listens.
async fn serve(mut stream: DuplexStream, answer: impl Fn(u8) -> Vec<u8>) {
    let mut buffer = vec![0; 1 << 16];
    let mut id = 0_u8;
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        assert_eq!(buffer[0], 0x30, "{read} bytes of something else");
        id = id.wrapping_add(1);
        let said = if id <= 3 { introduction(id) } else { answer(id) };
        if stream.write_all(&said).await.is_err() {
            return;
        }
    }
}

/// What a run against such a server comes to: its error, and the names of what was found.
async fn run(answer: impl Fn(u8) -> Vec<u8> + Send + 'static) -> (Option<String>, Vec<String>) {
    let test = TestSite::new().await;
    let settings = DirectorySettings {
        enabled: true,
        containers: vec!["OU=a,DC=lab".to_owned()],
        kinds: vec![muster_model::api::ResourceKind::System],
        ..DirectorySettings::default()
    };
    discovery_set(&test.full(), &test.site, "lab", settings).await.unwrap();
    discovery_run(&test.full(), &test.site, "lab", DiscoveryRun { full: true }).await.unwrap();
    let ctx = Ctx::site(test.sources.now());
    let mut due = directory_due(&ctx, &test.site).await.unwrap().unwrap();
    assert_eq!(directory_due(&ctx, &test.site).await.unwrap(), None, "a run is one process's");
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let server = tokio::spawn(serve(theirs, answer));
    let mut connection = Connection::new(ours);
    let outcome = reader::read(&test.site, &mut due, &mut connection).await;
    drop(connection);
    server.await.unwrap();
    directory_end(&ctx, &test.site, due, outcome).await.unwrap();
    let error = discovery_show(&test.full(), &test.site, "lab").await.unwrap().error;
    let query = ResourceQuery { limit: 50, ..ResourceQuery::default() };
    let found = resource_list(&test.full(), &test.site, query).await.unwrap().items;
    (error, found.into_iter().map(|one| one.name).collect())
}

#[tokio::test]
async fn a_server_that_keeps_to_the_form_is_read() {
    let reference = |id| message(id, &tlv(0x73, &tlv(4, b"ldap://192.0.2.77/DC=elsewhere")), &[]);
    let (error, found) = run(move |id| match id {
        4 => [computer(4, 1, b"PC1$"), reference(4), done(4, 0, b"next")].concat(),
        _ => [computer(id, 2, b"PC2$"), done(id, 0, b"")].concat(),
    })
    .await;
    assert_eq!((error, found), (None, vec!["PC1".to_owned(), "PC2".to_owned()]), "a reference leads nowhere");
}

#[tokio::test]
async fn what_is_endless_huge_or_of_the_wrong_form_ends_the_run_and_not_the_server() {
    // proves P2: no answer of a directory leads the site anywhere else.
    let (error, _) = run(|id| done(id, 0, b"again")).await;
    assert!(error.unwrap().contains("without end"), "pages without anything in them");
    let (error, _) = run(|_| [&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff][..], &[0; 64]].concat()).await;
    assert!(error.unwrap().contains("a message of more than"), "its length is refused before it is read");
    let (error, _) = run(|id| done(id, 10, b"")).await;
    assert!(error.unwrap().contains("not followed"), "elsewhere");
    let (error, _) = run(|id| done(id.wrapping_add(1), 0, b"")).await;
    assert!(error.unwrap().contains("not LDAP"), "an answer to another question");
    let (error, _) = run(|_| b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).await;
    assert!(error.unwrap().contains("not LDAP"));
    let (error, found) = run(|id| {
        let many: Vec<u8> = (0..600).flat_map(|_| computer(id, 1, b"PC1$")).collect();
        [many, done(id, 0, b"")].concat()
    })
    .await;
    assert!(error.unwrap().contains("more entries") && found.is_empty(), "a page is taken whole or not at all");
    let (error, found) = run(|id| {
        let odd = entry(id, "CN=x", &[("objectGUID", &[b"x"]), ("objectSid", &[b"S-1-5"]), ("sAMAccountName", &[])]);
        let hidden = computer(id, 9, "P\u{0}C\u{202e}$".as_bytes());
        [odd, hidden, computer(id, 1, b"PC1$"), done(id, 0, b"")].concat()
    })
    .await;
    assert_eq!((error, found.len()), (None, 2), "one object that is none keeps no other away: {found:?}");
}
