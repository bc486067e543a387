//! A member's event stream, as text.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::ConnectionError;

/// One event: its type and its JSON.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: String,
    pub what: String,
    pub data: String,
}

/// Follows `path` until the node or the receiver ends it.
///
/// # Errors
/// The connection could not be made.
pub async fn follow(address: SocketAddr, path: String, last: Option<String>) -> Result<mpsc::Receiver<Event>, ConnectionError> {
    let stream = TcpStream::connect(address).await?;
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::get(path).header(header::HOST, address.to_string());
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut body = send.send_request(request.body(Empty::<Bytes>::new())?).await?.into_body();
    let (events, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let _open = send;
        let mut text = String::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(bytes) = frame.into_data() else { continue };
            text.push_str(&String::from_utf8_lossy(&bytes));
            while let Some(end) = text.find("\n\n") {
                let event = parse(&text[..end]);
                text.drain(..end + 2);
                if let Some(event) = event
                    && events.send(event).await.is_err()
                {
                    return;
                }
            }
        }
    });
    Ok(receiver)
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    Some(Event { id: field("id: ")?, what: field("event: ")?, data: field("data: ")? })
}
