//! `posedata serve`, with the official library of OpenAI as its client.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::questions::folder_with_adapter;
use crate::support::command;

const KEY: &str = "key-of-the-test";

/// A server that ends with the test.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path, key: Option<&str>) -> Self {
        let questions = format!("{}/queries/ask", env!("CARGO_MANIFEST_DIR"));
        let mut command = command(folder);
        command.args([
            "serve",
            "--base",
            "./base",
            "--port",
            "0",
            "--questions",
            &questions,
        ]);
        command.env_remove("POSEDATA_SERVE_KEY");
        if let Some(key) = key {
            command.env("POSEDATA_SERVE_KEY", key);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().expect("a server");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut url).expect("a line");
        Self {
            process,
            url: url.trim().into(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_official_library_of_openai_is_understood() {
    let target = Path::new(env!("CARGO_BIN_EXE_posedata"))
        .ancestors()
        .nth(2)
        .expect("a folder");
    let libraries = target.join("interop/sdks");
    assert!(
        libraries.join("openai").is_dir(),
        "the libraries are not installed; run `make test`"
    );
    let folder = folder_with_adapter();
    let server = Server::start(folder.path(), Some(KEY));
    let mut client = Command::new("python3");
    client
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/interop/serve_client.py"
        ))
        .args(["--url", &server.url, "--key", KEY, "--base", "./base"])
        .env("PYTHONPATH", &libraries);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        client.env_remove(variable);
    }
    let run = client.output().expect("python3");
    assert!(
        run.status.success(),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
fn a_port_that_is_taken_is_told_and_a_signal_ends_the_server() {
    let folder = folder_with_adapter();
    let mut server = Server::start(folder.path(), None);
    let port = server
        .url
        .trim_end_matches("/v1")
        .rsplit(':')
        .next()
        .expect("a port");
    let other = command(folder.path())
        .args(["serve", "--base", "./base", "--port", port])
        .output()
        .expect("a command");
    assert_eq!(other.status.code(), Some(1));
    let told = String::from_utf8_lossy(&other.stderr);
    assert!(told.contains("give another --port"), "{told}");
    let killed = Command::new("kill")
        .arg(server.process.id().to_string())
        .status();
    assert!(killed.expect("kill").success());
    assert_eq!(server.process.wait().expect("an end").code(), Some(143));
}
