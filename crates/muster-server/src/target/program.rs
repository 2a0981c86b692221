//! A program of the machine is run, without a shell: the file and the arguments are those that the machine's administrator wrote, and a message
//! comes on its standard input alone.

use muster_model::limits::TARGET_ANSWER_BYTES;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

pub(super) async fn run(program: &Path, arguments: &[String], seconds: u64, input: &[u8]) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the program cannot be started: {error}"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let ended = timeout(Duration::from_secs(seconds), async {
        let say = async {
            if let Some(mut stdin) = stdin {
                // A program may end without having read it.
                drop(stdin.write_all(input).await);
            }
        };
        let hear = async {
            let mut said = Vec::new();
            if let Some(stdout) = stdout {
                drop(stdout.take(TARGET_ANSWER_BYTES as u64).read_to_end(&mut said).await);
            }
            said
        };
        let ((), said) = tokio::join!(say, hear);
        (child.wait().await, said)
    })
    .await;
    // Whatever it has started ends with it.
    if let Some(group) = group {
        // There is none any more where all of it has ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    match ended {
        Err(_) => Err(format!("the program took longer than {seconds} seconds, and was ended")),
        Ok((Err(error), _)) => Err(format!("the program was lost: {error}")),
        Ok((Ok(status), said)) if status.success() => Ok(String::from_utf8_lossy(&said).into_owned()),
        Ok((Ok(status), _)) => Err(format!("the program ended with {status}")),
    }
}
