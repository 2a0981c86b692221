//! `docs/reference/musterd.txt` and `muster-agent.txt` are what the programs say of themselves. `MUSTER_BLESS=1` writes them anew.
//! (`muster.txt` is checked by its own crate.)

use crate::harness::run;
use std::path::Path;

/// The help of a command and of everything under it.
async fn help(program: &str, path: &mut Vec<String>, out: &mut String) {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let said = run(program, &arguments).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines = said.out.trim_end().lines().map(|line| format!("{}\n", line.trim_end()));
    out.push_str(&format!("{}\n", "=".repeat(80)));
    out.extend(lines);
    out.push('\n');
    let commands = said.out.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    // A name stands two columns in; what follows further in is the rest of a sentence.
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        path.push(name.to_owned());
        Box::pin(help(program, path, out)).await;
        path.pop();
    }
}

#[tokio::test]
async fn the_committed_help_of_server_and_agent_is_current() {
    for program in ["musterd", "muster-agent"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/reference/{program}.txt"));
        let mut now = String::new();
        help(program, &mut Vec::new(), &mut now).await;
        if std::env::var_os("MUSTER_BLESS").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == now,
            "the help changed: MUSTER_BLESS=1 cargo nextest run -p muster-tests --test story reference"
        );
    }
}
