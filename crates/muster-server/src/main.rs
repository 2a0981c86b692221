//! `musterd`, the site server.

fn main() -> std::process::ExitCode {
    muster_server::command::main()
}
