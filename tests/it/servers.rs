//! Real servers for tests, on loopback and free ports: PostgreSQL and an object store that speaks
//! S3's protocol. They end with the value that started them, by their process ids.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Shared, command, stderr};

/// The users and passwords that no output may show.
pub const PG_USER: &str = "posedata";
pub const PG_PASSWORD: &str = "not-to-be-seen-pg";
pub const S3_KEY_ID: &str = "TESTKEYID";
pub const S3_SECRET: &str = "not-to-be-seen-s3";
pub const BUCKET: &str = "lakes";

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const START_TIMEOUT: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 4;

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn answers_within(port: u16, timeout: Duration) -> bool {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if began.elapsed() > timeout {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// A PostgreSQL server with one role and one empty database.
pub struct Postgres {
    folder: TempDir,
    is_durable: bool,
    pub port: u16,
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// With `is_durable`, commits wait for the disk, as where it is run in earnest.
    pub fn start_with(is_durable: bool) -> Self {
        static DATA: Shared<()> = Shared::new();
        let data = DATA.once((), |folder| {
            let made = folder.join("data");
            Self::new(false).make_data(&made);
            made
        });
        let server = Self::new(is_durable);
        copy_with_owners(&data, Path::new(&server.data()));
        server.start_again();
        server
    }

    fn new(is_durable: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Self {
            folder,
            is_durable,
            port: free_port(),
        };
        // The server refuses to run as root, and whoever it runs as needs the folder.
        if is_root() {
            let mut chown = Command::new("chown");
            chown.arg("postgres").arg(server.folder.path());
            run(chown);
        }
        server
    }

    /// Fills a folder of data for servers, whose making takes seconds, and copies it to `target`.
    fn make_data(&self, target: &Path) {
        let password = self.folder.path().join("password");
        fs::write(&password, "superuser").expect("a file");
        fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).expect("a mode");
        let data = self.data();
        self.run_tool(
            "initdb",
            &["-D", &data, "-A", "scram-sha-256", "-U", "postgres", "-N"],
            &["--pwfile", &password.display().to_string()],
        );
        self.start_again();
        self.sql(
            "postgres",
            &format!("CREATE ROLE {PG_USER} LOGIN PASSWORD '{PG_PASSWORD}'"),
        );
        self.sql("postgres", &format!("CREATE DATABASE lake OWNER {PG_USER}"));
        self.run_tool("pg_ctl", &["-D", &data], &["-m", "fast", "-w", "stop"]);
        copy_with_owners(Path::new(&data), target);
    }

    /// The address of a lake in the database.
    pub fn lake(&self) -> String {
        format!("postgres://{PG_USER}@127.0.0.1:{}/lake", self.port)
    }

    pub fn start_again(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync={}",
            self.port,
            if self.is_durable { "on" } else { "off" }
        );
        let log = self.folder.path().join("log").display().to_string();
        self.run_tool(
            "pg_ctl",
            &["-D", &self.data(), "-o", &options, "-l", &log],
            &["-w", "start"],
        );
    }

    /// Ends the server as a machine that fails does.
    pub fn stop_at_once(&self) {
        self.run_tool(
            "pg_ctl",
            &["-D", &self.data()],
            &["-m", "immediate", "-w", "stop"],
        );
    }

    /// Runs SQL as the superuser; gives what it prints.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = Command::new("psql")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", "postgres", "-d", database, "-At", "-c", sql])
            .env("PGPASSWORD", "superuser")
            .output()
            .expect("psql; run `make test`");
        assert!(output.status.success(), "{sql}: {}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run_tool(&self, tool: &str, first: &[&str], rest: &[&str]) {
        let tool = tools().join(tool);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(tool);
                command
            }
            false => Command::new(tool),
        };
        command.args(first).args(rest);
        run(command);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let pid = self.folder.path().join("data/postmaster.pid");
        let Ok(text) = fs::read_to_string(pid) else {
            return;
        };
        if let Some(pid) = text.lines().next() {
            let _ = Command::new("kill").args(["-QUIT", pid]).status();
        }
    }
}

fn copy_with_owners(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(from).arg(to);
    run(copy);
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id");
    output.stdout.starts_with(b"0\n")
}

/// The folder of the server's programs, which Debian keeps out of the PATH.
fn tools() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL; run `make test`");
    let mut folders: Vec<PathBuf> = versions.flatten().map(|e| e.path().join("bin")).collect();
    folders.sort();
    folders.pop().expect("a version of PostgreSQL")
}

fn run(mut command: Command) {
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .expect("the program starts; run `make test`");
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
}

/// A store of objects with one bucket.
pub struct ObjectStore {
    server: Child,
    _folder: TempDir,
    pub port: u16,
}

impl ObjectStore {
    /// Starts again where another process took a port that was free a moment ago.
    pub fn start() -> Self {
        let store = (0..START_ATTEMPTS)
            .map(|_| Self::spawn())
            .find(|store| answers_within(store.port, START_TIMEOUT))
            .expect("the object store answers");
        store.make_bucket();
        store
    }

    fn spawn() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("ids.json");
        let identity = serde_json::json!({ "identities": [{
            "name": "tests",
            "credentials": [{ "accessKey": S3_KEY_ID, "secretKey": S3_SECRET }],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        fs::write(&config, identity.to_string()).expect("a file");
        let port = free_port();
        let mut command = Command::new(weed());
        command
            .env("GOMEMLIMIT", "128MiB")
            .args([
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-filer",
                "-s3",
            ])
            .arg(format!("-dir={}", folder.path().display()))
            .arg(format!("-s3.port={port}"))
            .arg(format!("-s3.config={}", config.display()))
            .args([
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
            ])
            .args(["-master.volumeSizeLimitMB=32", "-volume.max=10"]);
        for name in ["master", "volume", "filer"] {
            command.arg(format!("-{name}.port={}", free_port()));
        }
        for name in ["master", "volume", "filer", "s3"] {
            command.arg(format!("-{name}.port.grpc={}", free_port()));
        }
        let server = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the object store; run `make test`");
        Self {
            server,
            _folder: folder,
            port,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn make_bucket(&self) {
        let began = Instant::now();
        // The gateway answers before the rest of the server does.
        while !self.curl(&["-X", "PUT"], "").status.success() {
            assert!(began.elapsed() < READY_TIMEOUT, "no bucket can be made");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Puts a file into the bucket.
    pub fn put(&self, key: &str, file: &Path) {
        let file = file.display().to_string();
        let put = self.curl(&["-T", &file], key);
        assert!(put.status.success(), "{}", stderr(&put));
    }

    /// Puts an empty object there, by which consoles show a folder; the key ends with a slash.
    pub fn make_folder(&self, key: &str) {
        let put = self.curl(&["-X", "PUT", "-d", ""], key);
        assert!(put.status.success(), "{}", stderr(&put));
    }

    /// The bytes that the bucket has.
    pub fn get(&self, key: &str) -> Vec<u8> {
        let got = self.curl(&[], key);
        assert!(got.status.success(), "{key}: {}", stderr(&got));
        got.stdout
    }

    pub fn has(&self, key: &str) -> bool {
        self.curl(&["-I"], key).status.success()
    }

    pub fn delete(&self, key: &str) {
        // The signature is that of the address as it is sent.
        let deleted = self.curl(&["-X", "DELETE"], &key.replace('=', "%3D"));
        assert!(deleted.status.success(), "{}", stderr(&deleted));
    }

    fn curl(&self, arguments: &[&str], key: &str) -> Output {
        Command::new("curl")
            .args([
                "-sS",
                "-f",
                "--noproxy",
                "*",
                "--aws-sigv4",
                "aws:amz:us-east-1:s3",
            ])
            .args(["-u", &format!("{S3_KEY_ID}:{S3_SECRET}")])
            .args(arguments)
            .arg(format!("{}/{BUCKET}/{key}", self.endpoint()))
            .output()
            .expect("curl; run `make test`")
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        // A graceful end takes half a minute.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn weed() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_posedata"))
        .ancestors()
        .nth(2)
        .expect("a folder");
    let weed = target.join("interop/seaweedfs/bin/weed");
    assert!(
        weed.is_file(),
        "the object store is not installed; run `make test`"
    );
    weed
}

/// The program, with what it needs to reach the servers.
pub fn command_with(folder: &Path, postgres: &Postgres, store: Option<&ObjectStore>) -> Command {
    let mut command = command(folder);
    command
        .env("PGPASSWORD", PG_PASSWORD)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .env("POSEDATA_LAKE", postgres.lake());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    if let Some(store) = store {
        command
            .env("AWS_ACCESS_KEY_ID", S3_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", S3_SECRET)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", store.endpoint());
    }
    command
}
