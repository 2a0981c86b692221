//! CMS against OpenSSL, both ways: what it signs and seals is read here, what is made here it verifies and opens, and what was altered is
//! refused with one error.

use muster_trust::{
    PrivateKey,
    cms::{
        CmsError, RsaKey, certificate,
        der::{self, Reader},
        enveloped::{Cipher, open, seal},
        oid,
        request::SigningRequest,
        signed::{Attribute, Content, Sha1, SignAs, SignedData, SigningKey, certificates_only, sign},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const TEXT: &[u8] = b"<plist version=\"1.0\"><dict/></plist>";

/// A folder of one test, and OpenSSL at work in it.
struct Judge(PathBuf);

impl Judge {
    fn new(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cms-{test}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("text"), TEXT).unwrap();
        Self(folder)
    }

    fn try_run(&self, arguments: &str) -> Result<Vec<u8>, String> {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(&self.0).stdin(Stdio::null());
        let done = command.output().unwrap_or_else(|error| panic!("OpenSSL does not start: {error}"));
        if done.status.success() { Ok(done.stdout) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }

    fn run(&self, arguments: &str) -> Vec<u8> {
        self.try_run(arguments).unwrap_or_else(|error| panic!("openssl {arguments}: {error}"))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    /// A key of ours in OpenSSL's hands too, with a certificate that OpenSSL made: `NAME.key`, `NAME.pem`.
    fn identity(&self, name: &str, pkcs8: &[u8]) -> Vec<u8> {
        self.write(&format!("{name}.p8"), pkcs8);
        self.run(&format!("pkey -inform DER -in {name}.p8 -out {name}.key"));
        self.run(&format!("req -x509 -new -key {name}.key -subj /CN={name} -days 2 -out {name}.pem"));
        self.run(&format!("x509 -in {name}.pem -outform DER"))
    }
}

/// Every byte of it altered once, at some distance from each other.
fn altered(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).step_by(7).map(|at| {
        let mut other = bytes.to_vec();
        other[at] ^= 0x11;
        other
    })
}

/// The same message with every length left open that can be, as Apple's devices write it.
fn indefinite(der: &[u8]) -> Vec<u8> {
    let (mut inside, mut out) = (Reader::new(der), Vec::new());
    while !inside.is_empty() {
        let value = inside.value().unwrap();
        // A certificate stays as it was signed.
        if value.tag & 0x20 == 0 || value.tag == 0x30 && certificate::parts(value.raw).is_ok() {
            out.extend_from_slice(value.raw);
        } else {
            out.extend([&[value.tag, 0x80][..], &indefinite(value.content), &[0, 0]].concat());
        }
    }
    out
}

#[test]
fn what_openssl_signs_is_verified() {
    let judge = Judge::new("signed");
    let (rsa, p256) = (RsaKey::generate().unwrap(), PrivateKey::generate().unwrap());
    for (name, pkcs8) in [("rsa", rsa.pkcs8()), ("ec", p256.pkcs8())] {
        let certificate = judge.identity(name, pkcs8);
        for options in
            ["", "-noattr", "-md sha512", "-keyid", "-nodetach", "-nodetach -stream", "-nodetach -noattr -stream"]
        {
            let with =
                format!("cms -sign -binary -in text -outform DER -signer {name}.pem -inkey {name}.key {options}");
            let message = judge.run(&with);
            let read = SignedData::read(&message).unwrap();
            let detached = (!options.contains("nodetach")).then_some(TEXT);
            assert_eq!(read.content().is_none(), detached.is_some(), "{options}");
            let by = read.verify(detached, &[], Sha1::Refused).unwrap_or_else(|_| panic!("{name} {options}"));
            assert_eq!((by.certificate, by.attributes.is_empty()), (certificate.clone(), options.contains("noattr")));
            if let Some(text) = detached {
                assert_eq!(read.verify(Some(&text[1..]), &[], Sha1::Refused), Err(CmsError::NotVerified));
                assert_eq!(read.verify(None, &[], Sha1::Refused), Err(CmsError::NotVerified));
            } else {
                assert_eq!(read.verify(Some(TEXT), &[], Sha1::Refused), Err(CmsError::NotVerified), "two contents");
            }
        }
    }
    let bare = judge.run("cms -sign -binary -in text -outform DER -signer rsa.pem -inkey rsa.key -nocerts");
    let bare = SignedData::read(&bare).unwrap();
    assert_eq!(bare.verify(Some(TEXT), &[], Sha1::Refused), Err(CmsError::NotVerified), "nobody known signed it");
    let known = judge.run("x509 -in rsa.pem -outform DER");
    assert!(bare.verify(Some(TEXT), &[known], Sha1::Refused).is_ok());
    let twice = "cms -sign -binary -in text -outform DER -signer rsa.pem -inkey rsa.key -signer ec.pem -inkey ec.key";
    let twice = SignedData::read(&judge.run(twice)).unwrap();
    assert_eq!(twice.verify(Some(TEXT), &[], Sha1::Refused), Err(CmsError::NotVerified), "two signers");
}

#[test]
fn sha_1_is_taken_for_the_header_of_apple_s_devices_and_nowhere_else() {
    let judge = Judge::new("sha1");
    let certificate = judge.identity("device", RsaKey::generate().unwrap().pkcs8());
    // As a device writes it: BER, no attributes, no content, SHA-1.
    let header =
        judge.run("cms -sign -binary -in text -outform DER -signer device.pem -inkey device.key -md sha1 -noattr");
    let header = SignedData::read(&indefinite(&header)).unwrap();
    assert_eq!(header.verify(Some(TEXT), &[], Sha1::TakenForMdmSignature).unwrap().certificate, certificate);
    assert_eq!(header.verify(Some(TEXT), &[], Sha1::Refused), Err(CmsError::NotVerified));
    let mut other = TEXT.to_vec();
    other[3] ^= 1;
    assert_eq!(header.verify(Some(&other), &[], Sha1::TakenForMdmSignature), Err(CmsError::NotVerified));
}

#[test]
fn signed_attributes_are_not_taken_for_a_content() {
    let judge = Judge::new("attributes");
    let key = RsaKey::generate().unwrap();
    let certificate = judge.identity("signer", key.pkcs8());
    // A signature over attributes is one over these bytes; without its attributes it would be a signature over them as content.
    let attributes = [&[0x31, 0x02][..], &[5, 0]].concat();
    let by = SignAs { certificate: &certificate, key: SigningKey::Rsa(&key) };
    let message = sign(Content::Detached(&attributes), by, None, &[]).unwrap();
    let read = SignedData::read(&message).unwrap();
    assert_eq!(read.verify(Some(&attributes), &[], Sha1::Refused), Err(CmsError::NotVerified));
}

#[test]
fn openssl_verifies_what_is_signed_here_and_alterations_are_refused() {
    let judge = Judge::new("own");
    let (rsa, p256) = (RsaKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let certificates = [judge.identity("rsa", rsa.pkcs8()), judge.identity("ec", p256.pkcs8())];
    let keys = [SigningKey::Rsa(&rsa), SigningKey::P256(&p256)];
    let extra = [Attribute { kind: vec![0x2a, 3, 4], value: vec![0x13, 1, b'3'] }];
    for ((name, key), certificate) in ["rsa", "ec"].into_iter().zip(keys).zip(&certificates) {
        for (content, attributes) in [
            (Content::Attached(TEXT), Some(&extra[..])),
            (Content::Attached(TEXT), None),
            (Content::Detached(TEXT), Some(&[][..])),
            (Content::Detached(TEXT), None),
        ] {
            let message = sign(content, SignAs { certificate, key }, attributes, &[]).unwrap();
            judge.write("message", &message);
            let detached = matches!(content, Content::Detached(_)).then_some(TEXT);
            let from = if detached.is_some() { "-content text" } else { "" };
            let shown = judge
                .run(&format!("cms -verify -binary -inform DER -in message -CAfile {name}.pem -purpose any {from}"));
            assert_eq!(shown, TEXT);
            let good = SignedData::read(&message).unwrap().verify(detached, &[], Sha1::Refused).unwrap();
            assert_eq!(good.attribute(&[0x2a, 3, 4]).is_some(), attributes.is_some_and(|extra| !extra.is_empty()));
            for other in altered(&message) {
                // Of what is left believed, nothing that was signed is another than before.
                if let Ok(by) = SignedData::read(&other).and_then(|read| read.verify(detached, &[], Sha1::Refused)) {
                    let spki = |certificate: &[u8]| certificate::parts(certificate).unwrap().spki.to_vec();
                    assert_eq!((spki(&by.certificate), by.attributes), (spki(certificate), good.attributes.clone()));
                }
            }
        }
    }
    judge.write("chain", &certificates_only(&[&certificates[0], &certificates[1]], None));
    let shown = String::from_utf8(judge.run("pkcs7 -inform DER -in chain -print_certs")).unwrap();
    assert!(shown.contains("CN = rsa") && shown.contains("CN = ec"), "{shown}");
    assert_eq!(SignedData::read(&judge.read("chain")).unwrap().certificates(), certificates);
}

#[test]
fn envelopes_open_for_their_recipient_and_nothing_says_why_another_does_not() {
    let judge = Judge::new("envelope");
    let (key, other) = (RsaKey::generate().unwrap(), RsaKey::generate().unwrap());
    let certificate = judge.identity("to", key.pkcs8());
    judge.identity("other", other.pkcs8());
    for (options, cipher) in [
        ("-aes128", Cipher::Aes128),
        ("-aes256", Cipher::Aes256),
        ("-aes256 -stream", Cipher::Aes256),
        ("-aes128 -keyid", Cipher::Aes128),
        ("-aes128 -stream other.pem", Cipher::Aes128),
    ] {
        let message = judge.run(&format!("cms -encrypt -binary -in text -outform DER {options} to.pem"));
        let opened = open(&message, &certificate, &key).unwrap_or_else(|_| panic!("{options}"));
        assert_eq!((&opened.content[..], opened.cipher), (TEXT, cipher));
    }
    for refused in
        ["-des3 to.pem", "-aes192 to.pem", "-aes128 other.pem", "-aes128 -recip to.pem -keyopt rsa_padding_mode:oaep"]
    {
        let message = judge.run(&format!("cms -encrypt -binary -in text -outform DER {refused}"));
        assert_eq!(open(&message, &certificate, &key), Err(CmsError::NotOpened), "{refused}");
    }
    for cipher in [Cipher::Aes128, Cipher::Aes256] {
        let message = seal(TEXT, &certificate, cipher).unwrap();
        judge.write("sealed", &message);
        assert_eq!(judge.run("cms -decrypt -binary -inform DER -in sealed -recip to.pem -inkey to.key"), TEXT);
        // The padding of one in 256 contents that were opened with a random key is good by chance.
        assert!(open(&message, &certificate, &other).map_or(true, |opened| &opened.content[..] != TEXT));
        // A content that opens all the same is another one: CBC lets a block be altered. The error is always this.
        for other in altered(&message) {
            match open(&other, &certificate, &key) {
                Ok(opened) => assert!(opened.content.len() <= TEXT.len() + 16),
                Err(error) => assert_eq!(error, CmsError::NotOpened),
            }
        }
    }
    let p256 = judge.identity("ec", PrivateKey::generate().unwrap().pkcs8());
    assert_eq!(seal(TEXT, &p256, Cipher::Aes128), Err(CmsError::Malformed), "no RSA key to seal to");
}

#[test]
fn a_request_is_by_the_key_in_it_and_its_wishes_stay_unread() {
    let judge = Judge::new("request");
    judge.write(
        "config",
        b"[req]\nprompt=no\ndistinguished_name=n\nattributes=a\nreq_extensions=e\n[n]\nCN=admin\n[a]\n\
          challengePassword=MUSTER-1\n[e]\nbasicConstraints=critical,CA:TRUE\nsubjectAltName=DNS:evil.example\n",
    );
    let p256 = PrivateKey::generate().unwrap();
    let rsa = RsaKey::generate().unwrap();
    for (name, pkcs8, spki) in [("rsa", rsa.pkcs8(), rsa.spki().to_vec()), ("ec", p256.pkcs8(), p256.public().spki())] {
        judge.identity(name, pkcs8);
        let asked = judge.run(&format!("req -new -key {name}.key -config config -outform DER"));
        let read = SigningRequest::read(&asked).unwrap();
        assert_eq!((read.spki, read.is_rsa), (spki.clone(), name == "rsa"));
        assert_eq!(read.challenge.unwrap().as_str(), "MUSTER-1");
        for other in altered(&asked) {
            if let Ok(read) = SigningRequest::read(&other) {
                assert_eq!(read.spki, spki, "only what is no part of the request can be altered");
            }
        }
        let weak = judge.run(&format!("req -new -key {name}.key -config config -outform DER -sha1"));
        assert_eq!(SigningRequest::read(&weak), Err(CmsError::NotVerified));
    }
    judge.run("genrsa -out small.key 1024");
    let small = judge.run("req -new -key small.key -subj /CN=small -outform DER");
    assert_eq!(SigningRequest::read(&small), Err(CmsError::NotVerified), "a key of 1,024 bits");
    assert_eq!(oid::RSA.len(), 9);
}

#[test]
fn an_rsa_key_is_taken_in_one_encoding() {
    let key = RsaKey::generate().unwrap();
    let ask = |spki: &[u8]| {
        let inside = der::sequence(&[&der::small(0), &der::sequence(&[]), spki]);
        let signature = der::value(der::BIT_STRING, &[&[0], &key.sign(&inside).unwrap()]);
        let algorithm = der::sequence(&[&der::oid(oid::RSA_SHA256), &[der::NULL, 0]]);
        SigningRequest::read(&der::sequence(&[&inside, &algorithm, &signature])).map(|read| read.spki)
    };
    let around = |null: &[u8], key: &[u8]| {
        let algorithm = der::sequence(&[&der::oid(oid::RSA), null]);
        der::sequence(&[&algorithm, &der::value(der::BIT_STRING, &[&[0], key])])
    };
    let mut parts = Reader::new(der::only(key.spki(), der::SEQUENCE).unwrap());
    parts.value().unwrap();
    let public = &parts.expect(der::BIT_STRING).unwrap()[1..];
    let mut numbers = Reader::new(der::only(public, der::SEQUENCE).unwrap());
    let (modulus, exponent) = (numbers.value().unwrap(), numbers.value().unwrap());
    let null = [der::NULL, 0];
    assert_eq!(ask(&around(&null, public)).unwrap(), key.spki());
    let longer = |number: &[u8]| der::value(der::INTEGER, &[&[0], number]);
    let odd = [
        around(&[der::NULL, 1, 7], public),
        around(&[], public),
        around(&[null, null].concat(), public),
        around(&null, key.spki()),
        around(&null, &[public, &[0]].concat()),
        around(&null, &[public, &null].concat()),
        around(&null, &der::sequence(&[modulus.raw, exponent.raw, &der::small(1)])),
        around(&null, &der::sequence(&[&longer(modulus.content), exponent.raw])),
        around(&null, &der::sequence(&[modulus.raw, &longer(exponent.content)])),
        around(&null, &[&[0x30, 0x83, 0], &public[2..]].concat()),
        der::sequence(&[&key.spki()[4..], &null]),
    ];
    for (at, spki) in odd.iter().enumerate() {
        assert_eq!(ask(spki), Err(CmsError::Malformed), "{at}");
    }
}
