//! One kept-alive connection. No retries here: whoever sends knows whether the same again is harmless.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An HTTP/1.1 connection to one node.
pub struct Connection {
    send: SendRequest<Full<Bytes>>,
    host: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// Done by an earlier request.
    pub replayed: bool,
    pub body: Bytes,
}

/// The connection could not be made, or broke: what was sent last is in doubt.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("not a request: {0}")]
    Request(#[from] http::Error),
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// `Connect` or `Broken`.
    pub async fn open(address: SocketAddr) -> Result<Self, ConnectionError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // How it ends is told to the sender.
        tokio::spawn(connection);
        Ok(Self { send, host: address.to_string() })
    }

    /// Sends one request and reads the answer. `key` is the `Idempotency-Key`.
    ///
    /// # Errors
    /// `Broken`: open another connection.
    pub async fn send(&mut self, method: Method, path: &str, key: Option<&str>, body: Bytes) -> Result<Answer, ConnectionError> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.host);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send.ready().await?;
        let answer = self.send.send_request(request.body(Full::new(body))?).await?;
        let (head, body) = answer.into_parts();
        let replayed = head.headers.contains_key("idempotent-replayed");
        Ok(Answer { status: head.status, replayed, body: body.collect().await?.to_bytes() })
    }

    /// As [`Self::send`], with a GET.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&mut self, path: &str) -> Result<Answer, ConnectionError> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }

    /// As [`Self::send`], with a POST.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn post(&mut self, path: &str, key: Option<&str>, body: Bytes) -> Result<Answer, ConnectionError> {
        self.send(Method::POST, path, key, body).await
    }
}
