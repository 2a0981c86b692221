//! `muster-bench`, the benchmarks.

fn main() -> std::process::ExitCode {
    muster_tests::bench::command::main()
}
