//! Whether a command is a script: what the script policy decides about. Found by what would run, and not by what it is called alone.
//!
//! When in doubt it is one. A copy of an interpreter under another name is not found, nor a program that only some of its options make an
//! interpreter of: authors who sign such a thing could sign a program of their own as well.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

/// Programs that run what they are given as text, or as a list of names that nobody here sees. What follows a name and does not go on with a
/// letter (`python3.11`, `vim.basic`, `perl5.36-x86_64-linux-gnu`) makes no other program of it.
const INTERPRETERS: &[&str] = &[
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "cscript",
    "csh",
    "dash",
    "deno",
    "ed",
    "elixir",
    "emacs",
    "erl",
    "escript",
    "ex",
    "expect",
    "fish",
    "gawk",
    "gdb",
    "gforth",
    "guile",
    "gvim",
    "irb",
    "jshell",
    "julia",
    "ksh",
    "lua",
    "luajit",
    "m4",
    "make",
    "mawk",
    "mksh",
    "mshta",
    "nawk",
    "node",
    "nodejs",
    "nvim",
    "octave",
    "osascript",
    "parallel",
    "perl",
    "php",
    "powershell",
    "psql",
    "pwsh",
    "pypy",
    "python",
    "rbash",
    "rscript",
    "ruby",
    "run-parts",
    "rview",
    "rvim",
    "scheme",
    "sed",
    "sh",
    "sqlite3",
    "tclsh",
    "tcsh",
    "toybox",
    "vi",
    "view",
    "vim",
    "vimdiff",
    "wish",
    "wscript",
    "xargs",
    "zsh",
];

/// Those of them that take one file or one text for their program, and whatever follows it for what that works with. Others go on to read
/// code: `make` in each target, `sqlite3` in each argument.
const RUN_A_FILE: &[&str] = &[
    "ash", "bash", "dash", "ksh", "mksh", "node", "nodejs", "perl", "php", "pypy", "python", "ruby", "sh", "tclsh",
    "zsh",
];

/// Programs that start another one, which stands among their arguments.
const LAUNCHERS: &[&str] = &[
    "cgexec",
    "choom",
    "chroot",
    "chrt",
    "dbus-run-session",
    "doas",
    "env",
    "fakeroot",
    "find",
    "flock",
    "ionice",
    "ltrace",
    "nice",
    "nohup",
    "nsenter",
    "numactl",
    "perf",
    "pkexec",
    "prlimit",
    "runuser",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "ssh-agent",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "tar",
    "taskset",
    "time",
    "timeout",
    "uclampset",
    "unbuffer",
    "unshare",
    "valgrind",
    "watch",
];

fn is_of(list: &[&str], path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let is = |known: &&str| {
        name.strip_prefix(known).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    list.iter().any(is)
}

/// Whether a program takes a file or a text for its program, and nothing else for code.
#[must_use]
pub(crate) fn runs_a_file(program: &Path) -> bool {
    is_of(RUN_A_FILE, program) && !is_launcher(program)
}

/// Whether a program starts another one that stands among its arguments.
#[must_use]
pub(crate) fn is_launcher(program: &Path) -> bool {
    is_of(LAUNCHERS, program)
}

/// The first bytes of a file; `None`: it is no file, or cannot be read.
fn head(path: &Path) -> Option<[u8; 4]> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|data| data.is_file()))?;
    let mut head = [0; 4];
    let mut part = Vec::new();
    file.take(4).read_to_end(&mut part).ok()?;
    head[..part.len()].copy_from_slice(&part);
    Some(head)
}

/// What the kernel itself runs, and no interpreter for it. A file without any mark is handed to a shell by the C library.
fn is_binary(path: &Path) -> bool {
    head(path).is_some_and(|head| &head == b"\x7fELF")
}

fn has_interpreter_line(path: &Path) -> bool {
    head(path).is_some_and(|head| head.starts_with(b"#!"))
}

/// Where links end.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn is_interpreter(path: &Path) -> bool {
    is_of(INTERPRETERS, path) || is_of(INTERPRETERS, &real(path))
}

/// The loader of programs of any machine, which starts the one that it is given.
fn is_loader(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("ld.so") || name.starts_with("ld-") && name.contains(".so"))
}

/// Whether what would run in this directory (an empty path: in none) is a script, or a program that runs what it is told.
pub(crate) fn is_script(program: &Path, arguments: &[String], directory: &Path) -> bool {
    if is_interpreter(program) || program.exists() && !is_binary(program) {
        return true;
    }
    // What begins with a line for an interpreter is for one, whatever it is called that reads it.
    if arguments.iter().any(|argument| has_interpreter_line(&directory.join(argument))) {
        return true;
    }
    let launches = [program, &real(program)].into_iter().any(|path| is_of(LAUNCHERS, path) || is_loader(path));
    launches && (says_what(arguments) || starts_text(arguments, directory) || holds_text(directory))
}

/// Whether the arguments of a launcher say what to start in another way than by its name: `env -S "s''h -c x"`, `find -exec {}`.
fn says_what(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| {
        let short = argument.starts_with('-') && !argument.starts_with("--") && argument.contains('S');
        short || ["--split", "-exec", "-ok"].iter().any(|option| argument.starts_with(option))
    })
}

/// Whether an argument of a launcher names an interpreter, or a text. `--exec=sh` and `sh -c x` are words of their own here.
fn starts_text(arguments: &[String], directory: &Path) -> bool {
    let words = arguments.iter().flat_map(|argument| argument.split([' ', '\t', '\n', '=', ';', '\'', '"']));
    words.into_iter().any(|word| is_interpreter(Path::new(word)) || !word.is_empty() && is_text(&directory.join(word)))
}

/// Whether the directory of the job has a text, which a launcher may find there without its being named.
fn holds_text(directory: &Path) -> bool {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.any(|entry| entry.map_or(true, |entry| is_text(&entry.path()))),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// An existing file that the kernel itself does not run.
fn is_text(path: &Path) -> bool {
    head(path).is_some() && !is_binary(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn asked(line: &[&str]) -> bool {
        let arguments: Vec<String> = line[1..].iter().map(|argument| (*argument).to_owned()).collect();
        is_script(Path::new(line[0]), &arguments, tempfile::tempdir().unwrap().path())
    }

    // proves S19: whatever runs text is found, by name, by link, by what stands in the file, and behind what starts it
    #[test]
    fn whatever_runs_text_is_a_script() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name).display().to_string();
        for (name, bytes) in
            [("line", &b"#!/bin/sh\nid\n"[..]), ("bare", b"id\n"), ("empty", b""), ("elf", b"\x7fELF\x02\x01\x01")]
        {
            std::fs::write(place(name), bytes).unwrap();
        }
        symlink("/bin/sh", place("setup")).unwrap();
        symlink(place("setup"), place("setup-again")).unwrap();
        let (line, bare, empty, elf) = (place("line"), place("bare"), place("empty"), place("elf"));
        let (link, again) = (place("setup"), place("setup-again"));
        for script in [
            &["/bin/sh", "x"][..],
            &["/bin/sh", "-c", "id"],
            &["/usr/bin/python3.11", "-c", "1"],
            &["/opt/gone/perl5.36.0", "-e", "1"],
            &["/usr/bin/busybox", "true"],
            &["/opt/gone/busybox.static", "true"],
            &["/bin/bash-static", "-c", "id"],
            &["/lib/ld-linux-aarch64.so.1", "/bin/sh"],
            &["/lib/ld-musl-x86_64.so.1", "/bin/sh"],
            &["/usr/bin/env", "sh", "-c", "id"],
            &["/usr/bin/env", "-S", "sh -c id"],
            &["/usr/bin/env", "-Ssh"],
            &["/usr/bin/env", "A=b", "/bin/../bin/sh"],
            &["/usr/bin/nice", "-n", "5", "bash"],
            &["/usr/bin/timeout", "5", &bare],
            &["/usr/bin/find", "/", "-exec", "sh", "-c", "id", ";"],
            &["/usr/bin/xargs", "node"],
            &["C:\\Windows\\System32/CScript.EXE", "x"],
            &["/x/pwsh", "-File", "x"],
            &["/usr/bin/perl5.36-x86_64-linux-gnu", "-e", "1"],
            &["/usr/bin/vim.basic", "-c", "!id"],
            &["/usr/bin/ex", "-c", "!id"],
            &["/usr/bin/env", "-S", "/bin/s''h -c id"],
            &["/usr/bin/env", "-iS", "/bin/s''h -c id"],
            &["/usr/bin/env", "--split-string=/bin/s''h"],
            &["/usr/bin/run-parts", "."],
            &["/usr/bin/ld.so", "/bin/sh"],
            &["/sbin/start-stop-daemon", "--start", "--exec", "/bin/sh"],
            &["/usr/bin/ssh-agent", "sh", "-c", "id"],
            &["/usr/bin/find", "/opt", "-name", "x", "-exec", "{}", ";"],
            &[&line],
            &[&bare],
            &[&empty],
            &[&link, "x"],
            &[&again, "x"],
            &[&elf, &line],
        ] {
            assert!(asked(script), "{script:?}");
        }
        for program in [
            &[elf.as_str(), "--quiet"][..],
            &[&elf, "sh"],
            &[&elf, &elf],
            &[&elf, &bare],
            &["/opt/gone/shutter", "x"],
            &["/usr/bin/env", "A=b", &elf],
        ] {
            assert!(!asked(program), "{program:?}");
        }
    }

    // proves S19: a job's own files, by a name from where it runs, or by none
    #[test]
    fn a_text_among_the_files_of_the_job_is_found_behind_what_starts_it() {
        let directory = tempfile::tempdir().unwrap();
        let asks = |program: &str, arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            is_script(Path::new(program), &arguments, directory.path())
        };
        std::fs::write(directory.path().join("tool"), b"\x7fELF\x02\x01\x01").unwrap();
        assert!(!asks("/usr/bin/env", &["./tool"]));
        std::fs::write(directory.path().join("setup"), b"#!/bin/sh\nid\n").unwrap();
        assert!(asks("/usr/bin/env", &["./setup"]));
        assert!(asks("/usr/bin/timeout", &["9", "setup"]));
        assert!(asks("/opt/gone/tool", &["setup"]), "whatever reads it");
        std::fs::write(directory.path().join("setup"), b"id\n").unwrap();
        assert!(asks("/usr/bin/env", &["./setup"]));
        assert!(asks("/usr/bin/env", &["./tool"]), "what it starts may be found without a name");
        assert!(!asks("/opt/gone/tool", &["setup"]), "a program of its own reads what it likes");
    }
}
