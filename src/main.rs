//! The `posedata` program: parses its arguments, runs one command, tells how it ended.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "video")]
    // SAFETY: this is the first statement of the program, so no other thread runs yet.
    unsafe {
        posedata::video::silence_decoder_logs();
        posedata::pose::refuse_telemetry();
    };
    posedata::cli::main()
}
