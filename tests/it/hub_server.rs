//! A server that stands for the Hugging Face hub.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A server that speaks as much of the hub's protocol as downloads of small files need.
pub struct HubServer {
    pub endpoint: String,
    /// Method and path of each request, in their order.
    requests: Arc<Mutex<Vec<String>>>,
    /// The headers `Authorization` that came.
    tokens: Arc<Mutex<Vec<String>>>,
}

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

impl HubServer {
    /// Serves `files`: names under `/tests/tiny/resolve/main/`, and contents.
    pub fn start(files: Vec<(String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let tokens = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let seen_tokens = Arc::clone(&tokens);
        // The thread ends with the tests' process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &files, &seen, &seen_tokens);
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            requests,
            tokens,
        }
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("requests").clone()
    }

    pub fn tokens(&self) -> Vec<String> {
        self.tokens.lock().expect("tokens").clone()
    }
}

fn answer(
    mut stream: TcpStream,
    files: &[(String, Vec<u8>)],
    requests: &Mutex<Vec<String>>,
    tokens: &Mutex<Vec<String>>,
) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else {
        return;
    };
    for header in lines.take_while(|line| !line.is_empty()) {
        if let Some((name, token)) = header.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            tokens.lock().expect("tokens").push(token.into());
        }
    }
    let mut words = request.split(' ');
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return;
    };
    let mut requests = requests.lock().expect("requests");
    requests.push(format!("{method} {path}"));
    let name = path.strip_prefix("/tests/tiny/resolve/main/");
    let file = files.iter().find(|(file, _)| Some(file.as_str()) == name);
    let (head, body) = match file {
        Some((name, content)) => (
            format!(
                "HTTP/1.1 200 OK\r\nETag: \"etag-{name}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                content.len()
            ),
            if method == "HEAD" {
                &[]
            } else {
                content.as_slice()
            },
        ),
        None => (
            format!(
                "HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ),
            [].as_slice(),
        ),
    };
    // A client that has gone away is no matter of the server.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}
