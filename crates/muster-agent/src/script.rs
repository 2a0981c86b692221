//! Whether a command is a script: what the script policy decides about. Found by what would run, and not by what it is called alone.
//!
//! When in doubt it is one. A copy of an interpreter under another name is not found: it is a program that authors signed.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Programs that run what they are given as text. What makes a version (`python3.11`) is taken off before.
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
    "expect",
    "fish",
    "gawk",
    "gdb",
    "guile",
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
    "octave",
    "osascript",
    "perl",
    "php",
    "powershell",
    "pwsh",
    "pypy",
    "python",
    "rbash",
    "rscript",
    "ruby",
    "sed",
    "sh",
    "tclsh",
    "tcsh",
    "toybox",
    "vi",
    "vim",
    "wish",
    "wscript",
    "zsh",
];

/// Programs that start another one, which stands among their arguments.
const LAUNCHERS: &[&str] = &[
    "chroot",
    "chrt",
    "env",
    "find",
    "flock",
    "ionice",
    "nice",
    "nohup",
    "nsenter",
    "parallel",
    "runuser",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "taskset",
    "time",
    "timeout",
    "unshare",
    "watch",
    "xargs",
];

/// The last part of a path as it stands in the lists.
fn plain(path: &Path) -> String {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    // Debian's `bash-static`, and what others call `busybox.static`.
    let name = name.strip_suffix("-static").or_else(|| name.strip_suffix(".static")).unwrap_or(name);
    // Of a name that is nothing else, nothing is taken off.
    let short = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    if short.is_empty() { name.to_owned() } else { short.to_owned() }
}

fn is_of(list: &[&str], path: &Path) -> bool {
    let name = plain(path);
    list.contains(&name.as_str()) || list.iter().any(|known| path.file_name().is_some_and(|name| name == *known))
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
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("ld-") && name.contains(".so"))
}

/// Whether what would run is a script, or a program that runs what it is told.
pub(crate) fn is_script(program: &Path, arguments: &[String]) -> bool {
    if is_interpreter(program) || program.exists() && !is_binary(program) {
        return true;
    }
    // What begins with a line for an interpreter is for one, whatever it is called that reads it.
    if arguments.iter().any(|argument| has_interpreter_line(Path::new(argument))) {
        return true;
    }
    let launches = [program, &real(program)].into_iter().any(|path| is_of(LAUNCHERS, path) || is_loader(path));
    // `-Ssh`, `--exec=sh` and `env "sh -c x"` are words of their own here.
    let words = arguments.iter().flat_map(|argument| argument.split([' ', '\t', '\n', '=', ';', '\'', '"']));
    let words = words.chain(arguments.iter().filter_map(|argument| argument.strip_prefix("-S")));
    launches && words.into_iter().any(|word| is_interpreter(Path::new(word)) || is_text(Path::new(word)))
}

/// An existing file that the kernel itself does not run.
fn is_text(path: &Path) -> bool {
    path.is_absolute() && head(path).is_some() && !is_binary(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn asked(line: &[&str]) -> bool {
        let arguments: Vec<String> = line[1..].iter().map(|argument| (*argument).to_owned()).collect();
        is_script(Path::new(line[0]), &arguments)
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
            &[&line],
            &[&bare],
            &[&empty],
            &[&link, "x"],
            &[&again, "x"],
            &[&elf, &line],
        ] {
            assert!(asked(script), "{script:?}");
        }
        for program in [&[elf.as_str(), "--quiet"][..], &[&elf, "sh"], &[&elf, &elf], &[&elf, &bare]] {
            assert!(!asked(program), "{program:?}");
        }
    }
}
