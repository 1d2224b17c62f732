//! Who may ask: the token that lets a browser in, the cookie that it shows from then on, and the
//! names under which the server may be asked.
//!
//! Pages of other sites cannot reach the server by a name of their own that they let lead here (DNS
//! rebinding), nor send requests from where they are: the names of hosts and origins are looked at
//! before anything else, and the cookie goes along with requests of the page alone.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HOST, ORIGIN};

/// Bytes of a secret: as many as nobody guesses.
const SECRET_BYTES: usize = 32;
const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It was sent to a host that is not this one.
    Host,
    /// The page of another site sent it.
    Origin,
    /// It shows no cookie, or a wrong one.
    Cookie,
}

impl Refusal {
    /// For people who see it.
    pub fn message(self) -> &'static str {
        match self {
            Self::Host => "this server is not known by that name",
            Self::Origin => "pages of other sites may not ask here",
            Self::Cookie => "this browser was not let in",
        }
    }

    /// What they can do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Host => {
                "open the address that `posedata view` printed; behind a tunnel, use the same port on both ends"
            }
            Self::Origin => "open the address that `posedata view` printed",
            Self::Cookie => {
                "open the address that `posedata view` printed; it lets one browser in, so for another one end it with Ctrl-C and start it again"
            }
        }
    }
}

/// The hosts by which the server may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// `None` for the machine itself alone.
    pub given: Option<String>,
    /// Where the server listens.
    pub ip: IpAddr,
    /// Where the server listens.
    pub port: u16,
}

impl Hosts {
    /// Whether a `Host` header names this server: by a number, by `localhost`, or by the name that
    /// the user gave. Other names may lead here by somebody's doing.
    fn contain(&self, authority: &str) -> bool {
        let Some((host, port)) = split_authority(authority) else {
            return false;
        };
        if port != self.port {
            return false;
        }
        if let Ok(ip) = host.parse::<IpAddr>() {
            // A number cannot be made to lead elsewhere.
            return ip.is_loopback() || ip == self.ip || self.ip.is_unspecified();
        }
        let is_given = |given: &String| given.eq_ignore_ascii_case(host);
        host.eq_ignore_ascii_case("localhost") || self.given.as_ref().is_some_and(is_given)
    }
}

/// A host without the brackets around a number of IPv6, and a port.
fn split_authority(authority: &str) -> Option<(&str, u16)> {
    /// Of HTTP, which is left out.
    const DEFAULT_PORT: u16 = 80;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        // A number with a sign is none.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
        None => DEFAULT_PORT,
    };
    Some((host, port))
}

/// What lets a browser in, and in again.
pub struct Access {
    token: String,
    is_token_used: AtomicBool,
    cookie_name: String,
    cookie_value: String,
    hosts: Hosts,
}

impl Access {
    /// New secrets for a server.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(hosts: Hosts) -> Result<Self, getrandom::Error> {
        Ok(Self {
            token: secret()?,
            is_token_used: AtomicBool::new(false),
            // Cookies do not tell ports apart, and several viewers may run.
            cookie_name: format!("posedata_view_{}", hosts.port),
            cookie_value: secret()?,
            hosts,
        })
    }

    /// What the address that is opened has behind `?token=`.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Looks at where a request was sent, and from where. `is_navigation` for requests that any page
    /// may lead a browser to: of the token.
    ///
    /// # Errors
    /// The reason why it is not answered.
    pub fn check_site(&self, headers: &HeaderMap, is_navigation: bool) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        if hosts.next().is_some() || !host.is_some_and(|host| self.hosts.contain(host)) {
            return Err(Refusal::Host);
        }
        for origin in headers.get_all(ORIGIN) {
            let authority = origin.to_str().ok().and_then(|o| o.strip_prefix("http://"));
            if authority != host {
                return Err(Refusal::Origin);
            }
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        match text(SEC_FETCH_SITE) {
            // Old browsers and other programs say nothing.
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) if is_navigation && text(SEC_FETCH_MODE) == Some("navigate") => Ok(()),
            Some(_) => Err(Refusal::Origin),
        }
    }

    /// Whether a request shows the cookie.
    ///
    /// # Errors
    /// The reason why it is not answered.
    pub fn check_cookie(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let cookies = headers.get_all(COOKIE).iter();
        let cookies = cookies.filter_map(|header| header.to_str().ok());
        let shown = cookies
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| {
                name == self.cookie_name && is_same_secret(value, &self.cookie_value)
            });
        shown.then_some(()).ok_or(Refusal::Cookie)
    }

    /// Takes the token, once; gives the cookie to be set.
    ///
    /// # Errors
    /// When it is wrong, or was taken before.
    pub fn exchange(&self, token: &str) -> Result<String, Refusal> {
        if !is_same_secret(token, &self.token) || self.is_token_used.swap(true, Ordering::SeqCst) {
            return Err(Refusal::Cookie);
        }
        let (name, value) = (&self.cookie_name, &self.cookie_value);
        Ok(format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/"))
    }
}

/// Takes as long whatever the text is.
fn is_same_secret(text: &str, secret: &str) -> bool {
    let (text, secret) = (
        blake3::hash(text.as_bytes()),
        blake3::hash(secret.as_bytes()),
    );
    // Hashes are compared in constant time.
    text == secret
}

fn secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(given: Option<&str>, ip: &str) -> Access {
        let hosts = Hosts {
            given: given.map(str::to_owned),
            ip: ip.parse().expect("a number"),
            port: 8100,
        };
        Access::new(hosts).expect("random numbers")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn the_machine_is_known_by_its_own_names_alone() {
        let access = access(None, "127.0.0.1");
        let check = |host: &str| access.check_site(&headers(&[("host", host)]), false);
        for host in [
            "127.0.0.1:8100",
            "localhost:8100",
            "LOCALHOST:8100",
            "[::1]:8100",
        ] {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example:8100",
            "127.0.0.1",
            "127.0.0.1:8101",
            "localhost.evil.example:8100",
            "127.0.0.1.evil.example:8100",
            "192.168.0.7:8100",
            "localhost:+8100",
            "[::1:8100",
            "user@localhost:8100",
            "",
        ] {
            assert_eq!(check(host), Err(Refusal::Host), "{host}");
        }
        let none = access.check_site(&HeaderMap::new(), false);
        assert_eq!(none, Err(Refusal::Host));
        let two = headers(&[("host", "localhost:8100"), ("host", "localhost:8100")]);
        assert_eq!(access.check_site(&two, false), Err(Refusal::Host));
    }

    #[test]
    fn an_open_server_is_known_by_numbers_and_its_given_name() {
        let access = access(Some("lab-pc"), "0.0.0.0");
        let check = |host: &str| access.check_site(&headers(&[("host", host)]), false);
        for host in ["192.168.0.7:8100", "lab-pc:8100", "localhost:8100"] {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        assert_eq!(check("evil.example:8100"), Err(Refusal::Host));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let access = access(None, "127.0.0.1");
        let host = ("host", "localhost:8100");
        let check = |pair, navigates| access.check_site(&headers(&[host, pair]), navigates);
        assert_eq!(check(("origin", "http://localhost:8100"), false), Ok(()));
        for origin in [
            "http://evil.example",
            "https://localhost:8100",
            "http://localhost:3000",
            "http://127.0.0.1:8100",
            "null",
        ] {
            let refused = Err(Refusal::Origin);
            assert_eq!(check(("origin", origin), true), refused, "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            let refused = Err(Refusal::Origin);
            assert_eq!(check(("sec-fetch-site", site), false), refused, "{site}");
        }
        assert_eq!(check(("sec-fetch-site", "none"), false), Ok(()));
        let link = headers(&[
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ]);
        assert_eq!(access.check_site(&link, true), Ok(()));
        assert_eq!(access.check_site(&link, false), Err(Refusal::Origin));
    }

    #[test]
    fn a_token_is_taken_once_and_the_cookie_again_and_again() {
        let access = access(None, "127.0.0.1");
        assert_eq!(access.exchange("wrong"), Err(Refusal::Cookie));
        let token = access.token().to_owned();
        let cookie = access.exchange(&token).expect("a cookie");
        assert_eq!(access.exchange(&token), Err(Refusal::Cookie));
        let (pair, flags) = cookie.split_once("; ").expect("flags");
        assert!(pair.starts_with("posedata_view_8100="));
        assert_eq!(flags, "HttpOnly; SameSite=Strict; Path=/");
        assert!(!cookie.contains(&token));
        let among_others = format!("a=b; {pair}; c=d");
        for _ in 0..2 {
            let shown = access.check_cookie(&headers(&[("cookie", &among_others)]));
            assert_eq!(shown, Ok(()));
        }
        let wrong = format!("posedata_view_8100={token}");
        for cookie in ["", "posedata_view_8100=", &wrong, "a=b"] {
            let shown = access.check_cookie(&headers(&[("cookie", cookie)]));
            assert_eq!(shown, Err(Refusal::Cookie), "{cookie}");
        }
    }
}
