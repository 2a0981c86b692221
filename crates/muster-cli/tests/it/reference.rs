//! `docs/reference/muster.txt` is what `muster --help` says, for every command. `MUSTER_BLESS=1` writes it anew.

use std::path::Path;

#[test]
fn the_committed_help_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/muster.txt");
    let now = muster_cli::command::reference();
    if std::env::var_os("MUSTER_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == now, "the help changed: MUSTER_BLESS=1 cargo nextest run -p muster-cli reference");
}
