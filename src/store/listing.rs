//! Objects that a list of a bucket has and that the client cannot name.
//!
//! Every text is a key on S3. The client names objects by paths: it gives up a whole page of a list for
//! one key with an empty part or a part `..`, and takes slashes away at a key's ends, which names
//! another object. So what it cannot name is taken out of each page before the client reads it, and
//! told of by itself.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use object_store::path::Path;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

use crate::sync::lock;

/// What asks for a page of a list.
const LIST_PARAMETER: &str = "list-type=2";
/// The element of each object in a page, and those in it that are read here.
const OBJECT: &[u8] = b"Contents";
const KEY: &[u8] = b"Key";
const SIZE: &[u8] = b"Size";

/// An object that can be neither read nor written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableObject {
    /// From the bucket's root; never percent-encoded.
    pub key: String,
    /// Length of its content.
    pub byte_size: u64,
}

impl UnusableObject {
    /// Whether it only stands for a folder, as consoles and tools make them.
    pub(super) fn is_folder(&self) -> bool {
        self.key.ends_with('/') && self.byte_size == 0
    }
}

/// The client's path of a key; `None` where it has none.
pub(super) fn path_of(key: &str) -> Option<Path> {
    Path::parse(key).ok().filter(|path| path.as_ref() == key)
}

/// Objects that were taken out of pages since they were asked for last.
pub(super) type Unusable = Arc<Mutex<Vec<UnusableObject>>>;

/// Makes clients that take out of pages what cannot be named.
#[derive(Debug)]
pub(super) struct PageConnector {
    pub unusable: Unusable,
}

impl HttpConnector for PageConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(PageClient {
            client: ReqwestConnector::default().connect(options)?,
            unusable: Arc::clone(&self.unusable),
        }))
    }
}

#[derive(Debug)]
struct PageClient {
    client: HttpClient,
    unusable: Unusable,
}

#[async_trait]
impl HttpService for PageClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        let is_list = query.split('&').any(|part| part == LIST_PARAMETER);
        let response = self.client.execute(request).await?;
        if !is_list || !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let page = body.bytes().await?;
        // What is no page is told by whoever reads it.
        let found = unusable_objects(&page).unwrap_or_default();
        if found.is_empty() {
            return Ok(HttpResponse::from_parts(parts, page.into()));
        }
        let rest = without(&page, found.iter().map(|(_, place)| place));
        lock(&self.unusable).extend(found.into_iter().map(|(object, _)| object));
        Ok(HttpResponse::from_parts(
            parts,
            HttpResponseBody::from(rest),
        ))
    }
}

/// The objects of a page that cannot be named, and where their elements are.
fn unusable_objects(page: &[u8]) -> Result<Vec<(UnusableObject, Range<usize>)>, quick_xml::Error> {
    let mut reader = Reader::from_reader(page);
    let mut found = Vec::new();
    let mut begin = 0;
    let (mut key, mut byte_size) = (String::new(), 0);
    loop {
        let before = reader.buffer_position() as usize;
        match reader.read_event()? {
            Event::Start(start) => match start.local_name().as_ref() {
                OBJECT => (begin, key, byte_size) = (before, String::new(), 0),
                KEY => {
                    let text = reader.read_text(start.name())?;
                    key = unescape(&text.decode()?)?.into_owned();
                }
                SIZE => {
                    let text = reader.read_text(start.name())?;
                    byte_size = text.decode()?.trim().parse().unwrap_or(0);
                }
                _ => {}
            },
            Event::End(end) if end.local_name().as_ref() == OBJECT => {
                let key = std::mem::take(&mut key);
                if path_of(&key).is_none() {
                    let object = UnusableObject { key, byte_size };
                    found.push((object, begin..reader.buffer_position() as usize));
                }
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

/// The page without the parts at `places`, which follow each other.
fn without<'p>(page: &[u8], places: impl Iterator<Item = &'p Range<usize>>) -> Vec<u8> {
    let mut rest = Vec::with_capacity(page.len());
    let mut end = 0;
    for place in places {
        rest.extend_from_slice(&page[end..place.start]);
        end = place.end;
    }
    rest.extend_from_slice(&page[end..]);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(key: &str, byte_size: u64) -> String {
        format!(
            "<Contents>\n <Key>{key}</Key><Owner><ID>Key</ID></Owner><Size>{byte_size}</Size></Contents>"
        )
    }

    #[test]
    fn what_cannot_be_named_is_taken_out_of_a_page_and_the_rest_stays() {
        let page = |elements: &[String]| {
            let elements = elements.concat();
            format!(
                "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Prefix>a/</Prefix>{elements}<IsTruncated>false</IsTruncated></ListBucketResult>"
            )
        };
        let good = [
            element("a/b.mp4", 5),
            element("a/it&apos;s 100 % #1?+&amp;ä.mp4", 6),
            element("a/..b/c.mp4", 7),
        ];
        let bad = [
            element("a//b.mp4", 1),
            element("/a/b.mp4", 2),
            element("a/../b.mp4", 3),
            element("a/b/", 0),
            element("a/&#10;.mp4", 4),
        ];
        let [g0, g1, g2] = good.clone();
        let [b0, b1, b2, b3, b4] = bad;
        let whole = page(&[b0, g0, b1, b2, g1, b3, g2, b4]);
        let found = unusable_objects(whole.as_bytes()).expect("a page");
        let rest = without(whole.as_bytes(), found.iter().map(|(_, place)| place));
        assert_eq!(String::from_utf8_lossy(&rest), page(&good));
        let found = found
            .iter()
            .map(|(object, _)| (object.key.as_str(), object.byte_size));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [
                ("a//b.mp4", 1),
                ("/a/b.mp4", 2),
                ("a/../b.mp4", 3),
                ("a/b/", 0),
                ("a/\n.mp4", 4)
            ]
        );
    }

    #[test]
    fn an_empty_object_with_a_slash_at_its_end_is_a_folder() {
        let is_folder = |key: &str, byte_size| {
            let key = key.into();
            UnusableObject { key, byte_size }.is_folder()
        };
        assert!(is_folder("a/b.mp4/", 0));
        assert!(!is_folder("a/b.mp4/", 1));
        assert!(!is_folder("a//b.mp4", 0));
    }

    #[test]
    fn a_key_is_never_taken_for_another_one() {
        for key in ["/a.mp4", "a//b.mp4", "../a.mp4", "a.mp4/", "a/./b", "a\n"] {
            assert_eq!(path_of(key), None, "{key}");
        }
        let name = "clips/it's 100 % #1?.mp4";
        assert_eq!(path_of(name).expect("a path").as_ref(), name);
    }
}
