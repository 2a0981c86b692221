//! `muster-fleet`, the fleet simulator.

fn main() -> std::process::ExitCode {
    muster_tests::fleet::command::main()
}
