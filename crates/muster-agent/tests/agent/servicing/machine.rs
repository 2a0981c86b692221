//! A virtual machine with the same disks: its power goes in each step, with everything that its kernel had not written yet.

use super::Lab;
use crate::actor::machine::skip;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const QEMU: &str = "/usr/bin/qemu-system-x86_64";
/// Where `./test` unpacks a kernel of the system.
const KERNEL: &str = "MUSTER_TEST_KERNEL";
/// What a machine says that waits for its end in a step.
pub(super) const WAITS: &str = "muster: waits in step";
/// How long one may run; it is emulated.
const LIMIT: Duration = Duration::from_secs(120);

/// The disks of a virtual machine.
pub(super) struct Machine {
    lab: Lab,
    kernel: PathBuf,
}

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    /// `None`: this machine cannot start one, and says so; or it is one, and the test's part was played.
    pub(super) fn new(what: &'static str) -> Option<Self> {
        let lab = Lab::new(what)?;
        let kernel = std::env::var_os(KERNEL).map(PathBuf::from).filter(|kernel| kernel.join("lib/modules").exists());
        let missing = [QEMU, "/bin/busybox"].into_iter().find(|program| !Path::new(program).exists());
        let (Some(kernel), None) = (kernel, missing) else {
            skip(what, &format!("it needs {} and a kernel in {KERNEL}, as ./test gets them", missing.unwrap_or(QEMU)));
            return None;
        };
        for (name, text) in [
            ("machine.sh", include_str!("machine.sh")),
            ("init.sh", include_str!("init.sh")),
            ("inside.sh", include_str!("inside.sh")),
        ] {
            std::fs::write(lab.0.path().join(name), text).unwrap();
        }
        let mut make = Command::new("/bin/sh");
        make.args([lab.0.path().join("machine.sh"), lab.0.path().to_owned(), std::env::current_exe().unwrap()]);
        let output = make.arg(&kernel).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let boot = kernel.join("boot").read_dir().unwrap().map(|entry| entry.unwrap().path());
        let kernel = boot.into_iter().find(|path| path.to_string_lossy().contains("vmlinuz")).unwrap();
        Some(Self { lab, kernel })
    }

    /// Starts it, and has it play a part. `die`: in which step its power goes; else it ends by itself.
    pub(super) fn start(&self, part: &str, die: &str) {
        let work = self.lab.0.path();
        let disk = |name: &str| format!("file={},format=raw,if=virtio", work.join(name).display());
        let line =
            format!("console=ttyS0 quiet panic=-1 muster.test={} muster.part={part} muster.die={die}", self.lab.1);
        let mut machine = Command::new(QEMU);
        machine.args(["-accel", "tcg", "-m", "512", "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"]);
        machine.args(["-net", "none", "-append", &line, "-kernel"]).arg(&self.kernel);
        machine.arg("-initrd").arg(work.join("start.img"));
        for name in ["root.img", "state.img", "usr.img"] {
            machine.args(["-drive", &disk(name)]);
        }
        let machine = machine.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running(machine.spawn().unwrap());
        let lines = BufReader::new(running.0.stdout.take().unwrap()).split(b'\n');
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        });
        let (since, mut said) = (Instant::now(), Vec::new());
        while let Ok(line) = receiver.recv_timeout(LIMIT.saturating_sub(since.elapsed())) {
            said.push(line);
            let line = said.last().unwrap();
            if !die.is_empty() && line.contains(&format!("{WAITS} {die}")) {
                // Its power goes.
                return;
            }
            if line.contains("muster: ended with 0") && die.is_empty() {
                return;
            }
        }
        panic!("{part} {die}:\n{}", said.join("\n"));
    }
}
