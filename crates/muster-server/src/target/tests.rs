//! Targets as others meet them: a mail server of another hand, a program, and a webhook that checks the signature by another library.

use super::{Targets, file::TargetFile, mail, program, webhook};
use muster_model::{
    api::{ActionState, StatusActionQuery, StatusRule, TargetKind},
    report::{Channel, REPORT_TYPE},
};
use muster_site::{
    Ctx, Sending, status_action_claim, status_action_list, status_rule_create, target_list, testing::TestSite,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// What a device might say to get out of its place.
const HOSTILE: &str = "x\"; $(touch /tmp/never) `id` | sh\r\nBcc: evil@example.org\r\n\r\n.\r\nDATA";

fn python() -> Command {
    Command::new(std::env::var_os("MUSTER_PYTHON").unwrap_or_else(|| "python3".into()))
}

fn put(dir: &TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// Something to be sent, as a rule of a site has it.
async fn sending(test: &TestSite) -> Sending {
    let ctx = Ctx::site(test.now());
    let target = muster_model::api::StatusTarget { name: name("siem"), kind: Some(TargetKind::Webhook), problem: None };
    muster_site::target_known(&ctx, &test.site, vec![target]).unwrap();
    let rule: StatusRule = serde_json::from_value(serde_json::json!({"name": "All", "targets": ["siem"]})).unwrap();
    status_rule_create(&test.full(), &test.site, rule).await.unwrap();
    let device = test.enrol("alpha").await;
    let said = format!(
        "{{\"component\":\"policy\",\"id\":\"policy_refused\",\"severity\":\"error\",\"values\":{{\"reason\":{}}}}}",
        serde_json::to_string(HOSTILE).unwrap()
    );
    let message = format!("{{\"time\":1790000000000,\"body\":{{\"status\":{said}}}}}");
    let batch = serde_json::json!({
        "site": "TST", "channel": Channel::Status, "time": 1_790_000_000_000_i64, "first": 1,
        "previous": muster_model::id::Hash::ZERO, "resume_after_loss": false, "messages": ["MESSAGE"],
    });
    let json = batch.to_string().replace("\"MESSAGE\"", &message);
    let packed = zstd::encode_all(json.as_bytes(), 3).unwrap();
    let envelope = muster_trust::envelope::sign1(&device.key, REPORT_TYPE, packed).unwrap();
    muster_site::report_submit(&test.device(&device), &test.site, &envelope).await.unwrap();
    status_action_claim(&ctx, &test.site, &name("siem")).await.unwrap().unwrap()
}

fn name(text: &str) -> muster_model::id::Name {
    text.parse().unwrap()
}

#[tokio::test]
async fn words_of_a_device_are_text_in_a_mail_and_input_of_a_program_and_nothing_else() {
    // proves I1: no word of a message becomes a command, an argument or a header.
    let test = TestSite::new().await;
    let sending = sending(&test).await;
    let mail = mail::message("muster@corp.example", &["desk@corp.example".to_owned()], &sending).unwrap();
    let bytes = String::from_utf8(mail.formatted()).unwrap();
    let (head, _) = bytes.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("Bcc") && !head.contains("evil") && head.contains("Subject: [Muster] All"), "{head}");
    // The same where nothing was cleaned before.
    let mut raw = sending.clone();
    (raw.text, raw.name) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    raw.device_name = Some(HOSTILE.to_owned());
    if let Ok(mail) = mail::message("muster@corp.example", &["desk@corp.example".to_owned()], &raw) {
        let bytes = String::from_utf8(mail.formatted()).unwrap();
        let (head, _) = bytes.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    }
    // A program gets its own arguments, a clean environment, and the JSON.
    let temp = tempfile::tempdir().unwrap();
    let arguments = ["-c".to_owned(), "import json,os,sys; m=json.load(sys.stdin); print(len(sys.argv), sorted(os.environ)[:1], m['message']['text'])".to_owned()];
    let python = Path::new("/usr/bin/python3");
    let said = program::run(python, &arguments, 20, &sending.body).await.unwrap();
    assert!(said.starts_with("1 ['LANG']") && said.contains("$(touch /tmp/never)"), "{said}");
    assert!(!Path::new("/tmp/never").exists());
    let slow = put(&temp, "slow", "#!/bin/sh\nsleep 600 & sleep 600\n", 0o700);
    let error = program::run(&slow, &[], 1, b"{}").await.unwrap_err();
    assert!(error.contains("longer than 1 seconds"), "{error}");
    let loud = put(&temp, "loud", "#!/bin/sh\nexec cat /dev/zero\n", 0o700);
    let error = program::run(&loud, &[], 5, b"{}").await.unwrap_err();
    assert!(error.contains("ended with"), "what is not read any more ends who says it: {error}");
}

#[test]
fn a_file_that_others_can_replace_names_no_target() {
    let temp = tempfile::tempdir().unwrap();
    let own = put(&temp, "own", "#!/bin/sh\n", 0o700);
    let open = put(&temp, "open", "#!/bin/sh\n", 0o722);
    let read = |text: String| {
        put(&temp, "one.toml", &text, 0o600);
        TargetFile::read(temp.path(), &name("one")).map(|file| file.kind())
    };
    assert_eq!(read(format!("kind = \"program\"\nprogram = {own:?}\n")), Ok(TargetKind::Program));
    for (text, why) in [
        (format!("kind = \"program\"\nprogram = {open:?}\n"), "others can write"),
        ("kind = \"program\"\nprogram = \"sh\"\n".to_owned(), "whole path"),
        (format!("kind = \"program\"\nprogram = {own:?}\nseconds = 600\n"), "seconds"),
        (format!("kind = \"program\"\nprogram = {own:?}\nshell = true\n"), "shell"),
        ("kind = \"webhook\"\nurl = \"http://x\"\nauthorities = \"a\"\nsecret_file = \"s\"\n".to_owned(), "https"),
        (
            "kind = \"mail\"\nserver = \"smtps://x\"\nauthorities = \"a\"\nfrom = \"a@b\"\nto = []\n".to_owned(),
            "to names",
        ),
    ] {
        let error = read(text.clone()).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(TargetFile::read(temp.path(), &name("../one")).is_err());
}

/// A certificate of its own for this machine, and its key.
fn certificate(dir: &TempDir) {
    let done = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj"])
        .args([
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-keyout", "key.pem", "-out", "ca.pem"])
        .current_dir(dir.path())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
}

/// A server in Python on a free port, which prints its port first and then one line for each thing it took.
async fn peer(
    dir: &TempDir,
    program: &str,
) -> (tokio::process::Child, u16, tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>) {
    use tokio::io::AsyncBufReadExt;
    let path = put(dir, "peer.py", program, 0o600);
    let mut child = tokio::process::Command::from(python())
        .arg(path)
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.next_line().await.unwrap().unwrap().parse().unwrap();
    (child, port, lines)
}

const HOOK: &str = r#"
import hashlib, hmac, http.server, json, ssl
secret = open("secret", "rb").read().strip()
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        signed = self.headers["muster-timestamp"].encode() + b"." + body
        good = hmac.compare_digest("v1=" + hmac.new(secret, signed, hashlib.sha256).hexdigest(), self.headers["muster-signature"])
        print(json.dumps([good, json.loads(body)["message"]["id"], self.headers["muster-action"]]), flush=True)
        self.send_response(204 if good else 401)
        self.end_headers()
    def log_message(self, *a): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("ca.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

#[tokio::test]
async fn a_webhook_is_signed_as_another_library_checks_it_and_its_secret_is_nowhere() {
    // proves I1: what leaves the site is signed, and the secret stays in its file.
    const SECRET: &str = "a-secret-of-both-sides";
    let (temp, test) = (tempfile::tempdir().unwrap(), TestSite::new().await);
    certificate(&temp);
    put(&temp, "secret", SECRET, 0o600);
    let (_child, port, mut lines) = peer(&temp, HOOK).await;
    let first = sending(&test).await;
    let now = test.now();
    let authorities = super::file::authorities(temp.path(), Path::new("ca.pem")).unwrap();
    let url = format!("https://localhost:{port}/hook");
    assert_eq!(webhook::send(&url, &authorities, SECRET.as_bytes(), &first, now).await.as_deref(), Ok("204"));
    let line: serde_json::Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(line, serde_json::json!([true, "policy_refused", first.id.to_string()]));
    let error = webhook::send(&url, &authorities, b"another-secret-of-nobody", &first, now).await.unwrap_err();
    assert!(error.contains("401"), "{error}");
    // Whom nobody vouches for gets nothing.
    let other = tempfile::tempdir().unwrap();
    certificate(&other);
    let stranger = super::file::authorities(other.path(), Path::new("ca.pem")).unwrap();
    let error = webhook::send(&url, &stranger, SECRET.as_bytes(), &first, now).await.unwrap_err();
    assert!(error.contains("not trusted"), "{error}");
    // Through the queue, by its registered name.
    let text = format!("kind = \"webhook\"\nurl = {url:?}\nauthorities = \"ca.pem\"\nsecret_file = \"secret\"\n");
    put(&temp, "siem.toml", &text, 0o600);
    test.sources.pass(10 * 60 * 1_000);
    let targets = Targets::new(temp.path());
    assert_eq!(targets.send_all(&test.site, &name("siem")).await.unwrap(), 1);
    let query = StatusActionQuery { limit: 5, ..StatusActionQuery::default() };
    let shown = status_action_list(&test.full(), &test.site, query).await.unwrap();
    assert_eq!((shown.items[0].state, shown.items[0].outcome.as_str()), (ActionState::Done, "204"));
    muster_site::target_known(&Ctx::site(now), &test.site, targets.known()).unwrap();
    let told = serde_json::to_string(&(&shown, target_list(&test.full(), &test.site).unwrap())).unwrap();
    assert!(!told.contains(SECRET) && !format!("{targets:?} {first:?}").contains(SECRET) && told.contains("siem"));
    fs::set_permissions(temp.path().join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(super::file::webhook_secret(temp.path(), Path::new("secret")).unwrap_err().contains("chmod"));
}

const MAIL: &str = r#"
import base64, json, socket, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("ca.pem", "key.pem")
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    plain, _ = listener.accept()
    said = []
    try:
        stream = plain.makefile("rwb", 0)
        stream.write(b"220 peer\r\n")
        tls = False
        while line := stream.readline():
            word = line.strip().decode().upper()
            said.append(line.strip().decode())
            if word.startswith("EHLO"):
                stream.write(b"250-peer\r\n250 AUTH PLAIN\r\n" if tls else b"250-peer\r\n250 STARTTLS\r\n")
            elif word == "STARTTLS":
                stream.write(b"220 go\r\n")
                stream = context.wrap_socket(plain, server_side=True).makefile("rwb", 0)
                tls, said = True, []
            elif word.startswith("AUTH PLAIN"):
                ok = base64.b64decode(line.split()[2]) == b"\0muster\0hush"
                stream.write(b"235 in\r\n" if ok else b"535 no\r\n")
            elif word == "DATA":
                stream.write(b"354 go\r\n")
                data = b""
                while (line := stream.readline()) != b".\r\n":
                    data += line
                print(json.dumps([[s for s in said if s[:4] in ("MAIL", "RCPT")], data.decode()]), flush=True)
                stream.write(b"250 taken\r\n")
            elif word == "QUIT":
                stream.write(b"221 bye\r\n")
                break
            else:
                stream.write(b"250 ok\r\n")
    except OSError:
        pass
"#;

#[tokio::test]
async fn a_mail_server_of_another_hand_gets_one_mail_to_whom_the_file_says() {
    let (temp, test) = (tempfile::tempdir().unwrap(), TestSite::new().await);
    certificate(&temp);
    put(&temp, "password", "hush\n", 0o600);
    let (_child, port, mut lines) = peer(&temp, MAIL).await;
    drop(sending(&test).await);
    test.sources.pass(10 * 60 * 1_000);
    let text = format!(
        "kind = \"mail\"\nserver = \"smtp://localhost:{port}\"\nauthorities = \"ca.pem\"\nfrom = \"muster@corp.example\"\n\
         to = [\"desk@corp.example\"]\nuser = \"muster\"\npassword_file = \"password\"\n"
    );
    put(&temp, "siem.toml", &text, 0o600);
    assert_eq!(Targets::new(temp.path()).send_all(&test.site, &name("siem")).await.unwrap(), 1);
    let line: serde_json::Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(line[0].as_array().unwrap().len(), 2, "one sender, one recipient: {line}");
    let mail = line[1].as_str().unwrap();
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Subject: [Muster] All") && !head.contains("evil"), "{head}");
    let query = StatusActionQuery { limit: 5, ..StatusActionQuery::default() };
    let shown = status_action_list(&test.full(), &test.site, query).await.unwrap().items.remove(0);
    assert_eq!(shown.state, ActionState::Done, "{shown:?}");
}

#[tokio::test]
async fn a_target_that_hangs_or_talks_plainly_is_given_up_for_now() {
    let (temp, test) = (tempfile::tempdir().unwrap(), TestSite::new().await);
    certificate(&temp);
    drop(sending(&test).await);
    test.sources.pass(10 * 60 * 1_000);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // It offers no TLS: nothing is said there.
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 peer\r\n").await.unwrap();
        let mut heard = vec![0; 4_096];
        let mut all = String::new();
        while let Ok(read @ 1..) = stream.read(&mut heard).await {
            all.push_str(&String::from_utf8_lossy(&heard[..read]));
            if stream.write_all(b"250 peer\r\n").await.is_err() {
                break;
            }
        }
        all
    });
    let text = format!(
        "kind = \"mail\"\nserver = \"smtp://localhost:{port}\"\nauthorities = \"ca.pem\"\nfrom = \"a@corp.example\"\n\
         to = [\"b@corp.example\"]\n"
    );
    put(&temp, "siem.toml", &text, 0o600);
    let (targets, siem) = (Targets::new(temp.path()), name("siem"));
    let sent = tokio::time::timeout(Duration::from_secs(30), targets.send_all(&test.site, &siem));
    assert_eq!(sent.await.unwrap().unwrap(), 0);
    let heard = server.await.unwrap();
    assert!(!heard.contains("MAIL") && !heard.contains("policy"), "{heard}");
    let query = StatusActionQuery { limit: 5, ..StatusActionQuery::default() };
    let shown = status_action_list(&test.full(), &test.site, query).await.unwrap().items.remove(0);
    assert_eq!((shown.state, shown.tries), (ActionState::Waiting, 2));
}
