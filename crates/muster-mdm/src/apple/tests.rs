//! Messages as Python's `plistlib` writes them, and ours as it reads them; and what is hostile.

use super::{
    AppleError, CheckIn, Command, DEPTH, Message, Report, Sender, Status, VALUES, Value, answer_bootstrap_token, read,
    signed_by,
};
use std::{
    io::Write,
    process::{Command as Program, Stdio},
};

/// What a line of Python prints, with `input` as its standard input; `p` is `plistlib`.
fn python(line: &str, input: &[u8]) -> Vec<u8> {
    let text = format!("import sys, plistlib as p, datetime\n{line}");
    let mut program = Program::new("python3");
    program.args(["-c", &text]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap_or_else(|error| panic!("Python does not start: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{line}");
    done.stdout
}

fn written(value: &str) -> Vec<u8> {
    python(&format!("sys.stdout.buffer.write(p.dumps({value}))"), b"")
}

#[test]
fn messages_of_another_writer_are_read() {
    let update = "{'MessageType': 'TokenUpdate', 'UDID': 'A-1', 'Topic': 'com.apple.mgmt.x', 'PushMagic': 'm<&>', \
                  'Token': bytes(range(200))[:32], 'AwaitingConfiguration': True, 'NotOnConsole': False, 'When': datetime.datetime(2026, 1, 2)}";
    let message = Message::read(&written(update)).unwrap();
    assert_eq!(message.sender, Sender::Device("A-1".to_owned()));
    let CheckIn::TokenUpdate { push, unlock, awaits } = message.kind else { panic!("another kind") };
    assert_eq!((push.magic.as_str(), push.token, unlock, awaits), ("m<&>", (0..32).collect(), None, true));

    let report = "{'CommandUUID': 'c-1', 'Status': 'Error', 'UDID': 'A-1', 'UserID': 'u', 'ErrorChain': [{'ErrorCode': -12, \
                  'ErrorDomain': 'd', 'LocalizedDescription': 'kaputt', 'USEnglishDescription': 'broken'}, 7], 'Load': 0.5}";
    let report = Report::read(&written(report)).unwrap();
    assert_eq!((report.status, report.command.as_deref()), (Status::Error, Some("c-1")));
    assert_eq!(report.sender, Sender::User("A-1".to_owned(), "u".to_owned()));
    assert_eq!((report.errors.len(), report.errors[0].code, report.errors[0].text.as_str()), (1, -12, "broken"));
    assert_eq!(report.answer["Load"], Value::Real(0.5));

    let sender =
        |text: &str| Report::read(&written(&format!("{{'Status': 'Idle', {text}}}"))).map(|report| report.sender);
    let own = |text: &str| text.to_owned();
    assert_eq!(sender("'EnrollmentID': 'e'"), Ok(Sender::Enrolment(own("e"))));
    assert_eq!(sender("'EnrollmentID': 'e', 'EnrollmentUserID': 'u'"), Ok(Sender::EnrolmentUser(own("e"), own("u"))));
    let shared = "'UDID': 'd', 'UserID': 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'";
    assert_eq!(sender(&format!("{shared}, 'UserShortName': 'grace'")), Ok(Sender::SharedUser(own("d"), own("grace"))));
    for bad in [shared, "'UDID': 7", "'UDID': ''", "'x': 1"] {
        assert!(sender(bad).is_err(), "{bad}");
    }
    assert_eq!(Report::read(&written("{'Status': 'NotNow', 'UDID': 'd'}")), Err(AppleError::Missing("CommandUUID")));
    assert_eq!(Message::read(&written("{'MessageType': 'Other', 'UDID': 'd'}")), Err(AppleError::Unknown));
    assert_eq!(
        read(&python("sys.stdout.buffer.write(p.dumps({'a': 1}, fmt=p.FMT_BINARY))", b"")),
        Err(AppleError::Malformed)
    );
}

#[test]
fn another_reader_reads_what_is_written() {
    let shown = |bytes: &[u8]| String::from_utf8(python("print(p.loads(sys.stdin.buffer.read()))", bytes)).unwrap();
    let command = Command::DeviceInformation(vec!["UDID".to_owned(), "a<&>\"'".to_owned()]);
    assert_eq!(
        shown(&command.message("c-1")).trim(),
        "{'Command': {'Queries': ['UDID', 'a<&>\"\\''], 'RequestType': 'DeviceInformation'}, 'CommandUUID': 'c-1'}"
    );
    let lock = Command::DeviceLock(Some("lost".to_owned()), Some("123456".to_owned()));
    assert!(shown(&lock.message("c-2")).contains("{'Message': 'lost', 'PIN': '123456', 'RequestType': 'DeviceLock'}"));
    assert_eq!(shown(&answer_bootstrap_token(b"\x00\xff")).trim(), "{'BootstrapToken': b'\\x00\\xff'}");
    let own = Command::InstallProfile(vec![1, 2, 3]).message("c-3");
    let Some(Value::Dictionary(inside)) = read(&own).unwrap().remove("Command") else { panic!("no command") };
    assert_eq!(inside["Payload"].data(), Some(&[1, 2, 3][..]));
}

#[test]
fn what_is_hostile_is_refused() {
    let plist = |inside: &str| format!("<plist version=\"1.0\">{inside}</plist>").into_bytes();
    let deep = |levels: usize| {
        plist(&format!("<dict><key>a</key>{}{}</dict>", "<array>".repeat(levels), "</array>".repeat(levels)))
    };
    assert!(read(&deep(DEPTH - 1)).is_ok());
    assert_eq!(read(&deep(DEPTH)), Err(AppleError::TooLarge));
    assert_eq!(read(&deep(100_000)), Err(AppleError::TooLarge));
    let wide = |values: usize| plist(&format!("<dict><key>a</key><array>{}</array></dict>", "<true/>".repeat(values)));
    assert!(read(&wide(VALUES - 3)).is_ok());
    assert_eq!(read(&wide(VALUES)), Err(AppleError::TooLarge));
    assert_eq!(read(&vec![b' '; super::MESSAGE_BYTES + 1]), Err(AppleError::TooLarge));
    let bomb = "<!DOCTYPE plist [<!ENTITY a \"aaaa\">]><plist><dict/></plist>";
    let other = "<!DOCTYPE plist SYSTEM \"http://evil.example/x.dtd\"><plist><dict/></plist>";
    let entity = "<plist><dict><key>&a;</key><true/></dict></plist>";
    for text in [bomb, other, entity, "<?php x ?><plist><dict/></plist>"] {
        assert_eq!(read(text.as_bytes()), Err(AppleError::Forbidden), "{text}");
    }
    for inside in [
        "",
        "<string>a</string>",
        "<dict/><dict/>",
        "<dict>text</dict>",
        "<dict><key>a</key></dict>",
        "<dict><true/></dict>",
        "<dict><key>a</key><key>b</key><true/></dict>",
        "<dict><key>a</key><true/><key>a</key><false/></dict>",
        "<dict><key>a</key><true>yes</true></dict>",
        "<dict><key>a</key><integer>x</integer></dict>",
        "<dict><key>a</key><real>nan</real></dict>",
        "<dict><key>a</key><data>*</data></dict>",
        "<dict><key>a</key><other/></dict>",
        "<dict><key>a</key><string><b/></string></dict>",
        "<plist><dict/></plist>",
    ] {
        assert_eq!(read(&plist(inside)), Err(AppleError::Malformed), "{inside}");
    }
    assert_eq!(read(b"<dict/>"), Err(AppleError::Malformed));
    assert_eq!(read(b"<plist><dict/>"), Err(AppleError::Malformed));
}

#[test]
fn the_signature_of_a_body_is_over_that_body_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let body = written("{'UDID': 'd', 'Status': 'Idle'}");
    std::fs::write(dir.path().join("body"), &body).unwrap();
    let openssl = |arguments: &str| {
        let mut program = Program::new("openssl");
        program.args(arguments.split_whitespace()).current_dir(dir.path()).stdin(Stdio::null());
        let done = program.output().unwrap_or_else(|error| panic!("OpenSSL does not start: {error}"));
        assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout key -out pem -subj /CN=device -days 2");
    let certificate = openssl("x509 -in pem -outform DER");
    // As devices do it, and as simulators do.
    for options in ["-md sha1 -noattr", "-md sha256"] {
        let message = openssl(&format!("cms -sign -binary -in body -outform DER -signer pem -inkey key {options}"));
        std::fs::write(dir.path().join("message"), &message).unwrap();
        let header = String::from_utf8(openssl("base64 -A -in message")).unwrap();
        assert_eq!(signed_by(&header, &body), Ok(certificate.clone()), "{options}");
        assert_eq!(signed_by(&header, &body[1..]), Err(AppleError::Signature));
        assert_eq!(signed_by(&header[4..], &body), Err(AppleError::Signature));
    }
    assert_eq!(signed_by(&"A".repeat(super::SIGNATURE_BYTES + 4), &body), Err(AppleError::Signature));
    assert_eq!(signed_by("", &body), Err(AppleError::Signature));
}
