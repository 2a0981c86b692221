//! A client of SCEP in the test's hands: OpenSSL makes its key, request and certificate, and reads the answers.

use super::{
    Answer, Asked, Authority, FailInfo, MessageType, Operation, Request, ScepError, attribute::Kind, operation,
};
use muster_trust::cms::{
    RsaKey,
    enveloped::{Cipher, open, seal},
    signed::{Content, Sha1, SignAs, SignedData, SigningKey, sign},
};
use std::{
    fs,
    process::{Command, Stdio},
};
use tempfile::TempDir;

struct Client {
    dir: TempDir,
    key: RsaKey,
    certificate: Vec<u8>,
    csr: Vec<u8>,
}

fn openssl(dir: &TempDir, arguments: &str) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace()).current_dir(dir.path()).stdin(Stdio::null());
    let done = command.output().unwrap_or_else(|error| panic!("OpenSSL does not start: {error}"));
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

fn client(name: &str) -> Client {
    let (dir, key) = (tempfile::tempdir().unwrap(), RsaKey::generate().unwrap());
    fs::write(dir.path().join("p8"), key.pkcs8()).unwrap();
    let config = format!(
        "[req]\nprompt=no\ndistinguished_name=n\nattributes=a\n[n]\nCN={name}\n[a]\nchallengePassword=secret\n"
    );
    fs::write(dir.path().join("config"), config).unwrap();
    openssl(&dir, "pkey -inform DER -in p8 -out key");
    openssl(&dir, "req -x509 -new -key key -config config -days 2 -out pem");
    let certificate = openssl(&dir, "x509 -in pem -outform DER");
    let csr = openssl(&dir, "req -new -key key -config config -outform DER");
    Client { dir, key, certificate, csr }
}

impl Client {
    fn authority(&self) -> Authority<'_> {
        Authority { certificate: &self.certificate, key: &self.key }
    }

    fn message(&self, kind: &[u8], content: &[u8]) -> Vec<u8> {
        let attributes = [
            Kind::Message.printable(kind),
            Kind::Transaction.printable(b"0123456789abcdef"),
            Kind::SenderNonce.octet_string(&[7; 16]),
        ];
        let by = SignAs { certificate: &self.certificate, key: SigningKey::Rsa(&self.key) };
        sign(Content::Attached(content), by, Some(&attributes), &[]).unwrap()
    }
}

#[test]
fn a_request_is_read_and_its_answer_opens_for_its_sender_alone() {
    let (client, ra) = (client("phone"), client("ra"));
    let sealed = seal(&client.csr, &ra.certificate, Cipher::Aes256).unwrap();
    let message = client.message(b"19", &sealed);
    let request = Request::read(&message).unwrap();
    let (Asked::Certificate(asked), cipher) = request.open(ra.authority()).unwrap() else { panic!("another request") };
    assert_eq!((request.kind, cipher), (MessageType::PkcsReq, Cipher::Aes256));
    assert_eq!((asked.spki.as_slice(), asked.challenge.unwrap().as_str()), (client.key.spki(), "secret"));
    assert!(request.is_by(client.key.spki()) && !request.is_by(ra.key.spki()));

    let granted = Answer::Granted(&[&client.certificate, &ra.certificate]);
    let answer = request.answer(ra.authority(), cipher, &[9; 16], granted).unwrap();
    let read = SignedData::read(&answer).unwrap();
    let by = read.verify(None, &[], Sha1::Refused).unwrap();
    assert_eq!(by.certificate, ra.certificate);
    assert_eq!((Kind::Message.text(&by).unwrap(), Kind::Status.text(&by).unwrap()), (&b"3"[..], &b"0"[..]));
    assert_eq!(Kind::Transaction.text(&by).unwrap(), b"0123456789abcdef");
    assert_eq!(
        (Kind::RecipientNonce.octets(&by).unwrap(), Kind::SenderNonce.octets(&by).unwrap()),
        (&[7; 16][..], &[9; 16][..])
    );
    let opened = open(read.content().unwrap(), &client.certificate, &client.key).unwrap();
    let inside = SignedData::read(&opened.content).unwrap();
    assert_eq!(inside.certificates(), [client.certificate.clone(), ra.certificate.clone()]);

    // OpenSSL says the same of all three covers.
    fs::write(client.dir.path().join("answer"), &answer).unwrap();
    fs::write(client.dir.path().join("ra.der"), &ra.certificate).unwrap();
    openssl(&client.dir, "x509 -inform DER -in ra.der -out ra.pem");
    openssl(&client.dir, "cms -verify -binary -inform DER -in answer -CAfile ra.pem -purpose any -out sealed");
    openssl(&client.dir, "cms -decrypt -binary -inform DER -in sealed -recip pem -inkey key -out chain");
    let shown = String::from_utf8(openssl(&client.dir, "pkcs7 -inform DER -in chain -print_certs")).unwrap();
    assert!(shown.contains("CN = phone") && shown.contains("CN = ra"), "{shown}");
}

#[test]
fn what_cannot_be_read_is_refused_in_one_way_and_the_answer_to_it_is_signed() {
    let (client, ra) = (client("phone"), client("ra"));
    let sealed = seal(&client.csr, &ra.certificate, Cipher::Aes128).unwrap();
    let for_another = seal(&client.csr, &client.certificate, Cipher::Aes128).unwrap();
    let nothing = seal(b"nothing", &ra.certificate, Cipher::Aes128).unwrap();
    let mut altered = sealed.clone();
    let last = altered.len() - 1;
    altered[last] ^= 1;
    for content in [&for_another, &nothing, &altered, &b"nothing".to_vec()] {
        let request = Request::read(&client.message(b"19", content)).unwrap();
        assert_eq!(request.open(ra.authority()).unwrap_err(), ScepError::NotReadable);
        let failed = Answer::Failed(FailInfo::BadRequest);
        let answer =
            SignedData::read(&request.answer(ra.authority(), Cipher::Aes128, &[9; 16], failed).unwrap()).unwrap();
        assert_eq!(answer.content(), None);
        let by = answer.verify(Some(b""), &[], Sha1::Refused).unwrap();
        assert_eq!((Kind::Status.text(&by).unwrap(), Kind::FailInfo.text(&by).unwrap()), (&b"2"[..], &b"2"[..]));
    }
    for message in [client.message(b"3", &sealed), client.message(b"99", &sealed), sealed.clone(), Vec::new()] {
        assert_eq!(Request::read(&message), Err(ScepError::NotARequest));
    }
    let good = client.message(b"19", &sealed);
    for at in (0..good.len()).step_by(11) {
        let mut other = good.clone();
        other[at] ^= 0x21;
        if let Ok(request) = Request::read(&other) {
            assert_eq!((request.envelope.as_slice(), request.transaction.len()), (sealed.as_slice(), 16), "byte {at}");
        }
    }
}

#[test]
fn an_address_is_read_as_clients_write_it() {
    let plain = "operation=PKIOperation&message=MIAG+/8=";
    let escaped = "operation=PKIOperation&message=MIAG%2B%2F8%3D";
    let lines = "message=MIAG%0A%2b/8&operation=PKIOperation";
    for query in [plain, escaped, lines] {
        assert_eq!(operation(query, None), Ok(Operation::PkiOperation(vec![0x30, 0x80, 0x06, 0xfb, 0xff])), "{query}");
    }
    assert_eq!(operation(plain, Some(vec![1])), Ok(Operation::PkiOperation(vec![1])));
    assert_eq!(operation("operation=GetCACaps&message=x", None), Ok(Operation::GetCaCaps));
    assert_eq!(operation("operation=GetCACert", None), Ok(Operation::GetCaCert));
    let bad = [
        "",
        "operation=",
        "operation=GetNextCACert",
        "operation=PKIOperation",
        "operation=GetCACert&operation=GetCACaps",
        "operation=PKIOperation&message=%",
        "operation=PKIOperation&message=*",
    ];
    for query in bad {
        assert_eq!(operation(query, None), Err(ScepError::NotARequest), "{query}");
    }
}

#[test]
fn a_recorded_request_of_strongswan_is_read_and_no_byte_of_it_can_be_another() {
    let recorded = include_bytes!("../../data/scep/strongswan-5.9.8.der");
    let request = Request::read(recorded).unwrap();
    assert_eq!((request.kind, request.transaction.len(), request.nonce.len()), (MessageType::PkcsReq, 40, 16));
    for at in 0..recorded.len() {
        let mut other = recorded.to_vec();
        other[at] ^= 0x04;
        // Left out of the signature are versions, and of the sender's certificate what is beside its key.
        if let Ok(other) = Request::read(&other) {
            assert_eq!(
                (other.kind, &other.envelope, &other.transaction),
                (request.kind, &request.envelope, &request.transaction)
            );
        }
    }
}
