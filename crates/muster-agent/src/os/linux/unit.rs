//! The text of a systemd unit file.

/// Lines of one unit file.
const LINES: usize = 10_000;
/// Bytes of a line that was continued with backslashes.
const LINE_BYTES: usize = 64 << 10;

/// What the collectors ask of a service's unit file and its drop-ins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// What the unit is.
    pub description: Option<String>,
    /// The program that is started; its arguments are left out, because they sometimes carry a password.
    pub program: Option<String>,
    /// The account it runs as.
    pub user: Option<String>,
}

impl Unit {
    /// Reads a unit file, or a drop-in over what is already known.
    pub fn parse_over(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut section = "";
        let mut whole = String::new();
        for line in text.lines().take(LINES) {
            let trimmed = line.trim();
            if trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(part) = trimmed.strip_suffix('\\')
                && whole.len() < LINE_BYTES
            {
                whole.push_str(part);
                whole.push(' ');
                continue;
            }
            whole.push_str(trimmed);
            match whole.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
                Some("Unit") => section = "Unit",
                Some("Service") => section = "Service",
                Some(_) => section = "",
                None => self.assign(section, &whole),
            }
            whole.clear();
        }
    }

    fn assign(&mut self, section: &str, line: &str) {
        let Some((name, value)) = line.split_once('=') else { return };
        let value = Some(value.trim()).filter(|v| !v.is_empty());
        match (section, name.trim()) {
            ("Unit", "Description") => self.description = value.map(str::to_owned),
            ("Service", "User") => self.user = value.map(str::to_owned),
            // Several lines are several commands, the first is the one; an empty line starts the list again.
            ("Service", "ExecStart") => match value {
                None => self.program = None,
                Some(value) if self.program.is_none() => self.program = program(value),
                Some(_) => {}
            },
            _ => {}
        }
    }

    /// Puts the names of the unit for the specifiers `%i`, `%I`, `%j`, `%J`, `%p`, `%P`, `%n`, `%N` and `%%`.
    pub fn name_is(&mut self, name: &str) {
        for text in [&mut self.description, &mut self.program, &mut self.user].into_iter().flatten() {
            if text.contains('%') {
                *text = expand(text, name);
            }
        }
    }
}

/// Reads a unit file.
#[must_use]
pub fn parse_unit(bytes: &[u8]) -> Unit {
    let mut unit = Unit::default();
    unit.parse_over(bytes);
    unit
}

fn program(command: &str) -> Option<String> {
    let command = command.trim_start_matches(['@', '-', ':', '+', '!', '|']).trim_start();
    let quote = command.chars().next().filter(|c| *c == '"' || *c == '\'');
    let word = match quote {
        Some(quote) => command[1..].split(quote).next(),
        None => command.split_whitespace().next(),
    };
    word.filter(|w| !w.is_empty()).map(str::to_owned)
}

fn expand(text: &str, name: &str) -> String {
    let (prefix, instance) = name.split_once('@').unwrap_or((name, ""));
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match (c, (c == '%').then(|| chars.next()).flatten()) {
            ('%', Some('i' | 'I')) => out.push_str(instance),
            ('%', Some('p' | 'P' | 'j' | 'J')) => out.push_str(prefix),
            ('%', Some('n' | 'N')) => out.push_str(name),
            ('%', Some('%')) => out.push('%'),
            ('%', Some(other)) => out.extend(['%', other]),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_its_program_without_arguments() {
        let unit = parse_unit(
            b"[Unit]\nDescription=Getty on %I\n# a comment\n[Service]\nUser=root\nExecStart=-/sbin/agetty -o \\\n  '-p' %I\n\
              ExecStart=/bin/second\n[Install]\nDescription=no\n",
        );
        assert_eq!(unit.program.as_deref(), Some("/sbin/agetty"));
        let mut unit = unit;
        unit.name_is("getty@tty1");
        assert_eq!(unit.description.as_deref(), Some("Getty on tty1"));
    }

    #[test]
    fn a_drop_in_replaces_the_command() {
        let mut unit = parse_unit(b"[Service]\nExecStart=/old --password=x\n");
        unit.parse_over(b"[Service]\nExecStart=\nExecStart=@\"/new dir/x\" y\nUser=www\n");
        assert_eq!((unit.program.as_deref(), unit.user.as_deref()), (Some("/new dir/x"), Some("www")));
    }

    #[test]
    fn rubbish_is_no_unit() {
        assert_eq!(parse_unit(b"\xff[\n]=\\\n=\\\n\\"), Unit::default());
        assert_eq!(expand("100%", "x"), "100%");
    }
}
