//! A client of HTTP/1.1 that keeps its connection, and never tries a request again by itself. It knows no address of the
//! product.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// A way to one listener.
pub struct Http {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let value = serde_json::from_slice(&self.body);
        value.unwrap_or_else(|error| panic!("{} {:?}: {error}", self.status, self.text()))
    }
}

/// The head of a request with a body of that many bytes.
#[must_use]
pub fn head(method: &str, path: &str, headers: &[(&str, &str)], body_bytes: usize) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: waybill\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("Content-Length: {body_bytes}\r\n"));
    }
    head.push_str("\r\n");
    head
}

impl Http {
    /// A way to this listener. Connects with the first request.
    #[must_use]
    pub fn new(address: SocketAddr) -> Http {
        Http {
            address,
            stream: None,
        }
    }

    /// Gets a path.
    ///
    /// # Errors
    /// As [`Http::request`].
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.request("GET", path, &[], b"")
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When the connection cannot be made or breaks. Whether the request was done is then unknown. The next request begins
    /// with a new connection.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut bytes = head(method, path, headers, body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.exchange(&bytes)
    }

    /// Sends these bytes and waits for an answer.
    ///
    /// # Errors
    /// As [`Http::request`].
    pub fn exchange(&mut self, bytes: &[u8]) -> io::Result<Response> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => BufReader::new(connect(self.address)?),
        };
        let sent = stream.get_mut().write_all(bytes);
        // A server that refuses early may close before it has taken everything, and has answered all the same.
        let response = match (read_response(&mut stream), sent) {
            (Ok(response), _) => response,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(error),
        };
        if response.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(response)
    }
}

/// A connection that never waits for ever.
pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads one answer. Interim ones (1xx) are skipped.
pub(super) fn read_response(stream: &mut impl BufRead) -> io::Result<Response> {
    loop {
        let status = status(&line(stream)?)?;
        let mut headers = Vec::new();
        loop {
            let line = line(stream)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| odd("a header", &line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if status >= 200 {
            let mut response = Response {
                status,
                headers,
                body: Vec::new(),
            };
            response.body = body(stream, &response)?;
            return Ok(response);
        }
    }
}

fn status(line: &str) -> io::Result<u16> {
    let rest = line
        .strip_prefix("HTTP/1.1 ")
        .ok_or_else(|| odd("a status", line))?;
    let number = rest.get(..3).and_then(|number| number.parse().ok());
    number.ok_or_else(|| odd("a status", line))
}

fn body(stream: &mut impl BufRead, response: &Response) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if response.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = line(stream)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16)
                .map_err(|_| odd("the size of a chunk", &size))?;
            exactly(stream, size, &mut body)?;
            let end = line(stream)?;
            if !end.is_empty() {
                return Err(odd("the end of a chunk", &end));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = response.header("content-length").unwrap_or("0");
    let length = length.parse().map_err(|_| odd("a length", length))?;
    exactly(stream, length, &mut body)?;
    Ok(body)
}

fn exactly(stream: &mut impl BufRead, count: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.take(count as u64).read_to_end(body)?;
    if read < count {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(())
    }
}

/// A line without its end.
fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    String::from_utf8(line.to_vec()).map_err(|error| odd("a line", &error.to_string()))
}

fn odd(what: &str, found: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not {what}: {found:?}"))
}

#[cfg(test)]
mod tests {
    use super::read_response;

    #[test]
    fn answers_are_read_by_length_and_by_chunks() {
        let mut input = &b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
            HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x\r\nf\r\n0\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbroken"[..];
        let mut next = || read_response(&mut input).map(|it| (it.status, it.text()));
        assert_eq!(next().unwrap(), (200, "abc".to_owned()));
        assert_eq!(next().unwrap(), (404, "def".to_owned()));
        assert_eq!(next().unwrap(), (204, String::new()));
        assert!(next().is_err());
        assert!(next().is_err());
    }
}
