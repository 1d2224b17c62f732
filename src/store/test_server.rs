//! A server on the loopback for tests of what asks servers.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};

/// What was asked.
pub(super) struct Request {
    pub method: String,
    /// With what stands behind the question mark.
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

/// Answers each connection once, each on a thread of its own, which end with the tests' process; gives
/// the beginning of the server's addresses.
pub(super) fn serve(answer: impl Fn(&Request, TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                if let Some(request) = read(&stream) {
                    answer(&request, stream);
                }
            });
        }
    });
    endpoint
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines.take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_owned(), value.to_owned()))
    });
    Some(Request {
        method,
        path,
        headers: headers.collect(),
    })
}
