//! What a measurement is made of: bodies, members, child processes, the bare server, the bare flush.

use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tessera_api::request::Who;
use tessera_client::Connection;
use tessera_client::journey::Baskets;
use tessera_client::load::{Make, Measured};

use crate::bench::report::Phase;
use crate::child::Child;

/// Fills the place of a member's id and of a transaction's.
const MEMBER: &str = "mem_00000000000000000000000000";
const TRANSACTION: &str = "transaction-0000";

/// A member for the n-th request: all of them in turn, in no order that a basket's turn could share.
pub(super) fn pick(members: &[String], n: u64) -> &str {
    let place = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % members.len().max(1) as u64;
    members.get(usize::try_from(place).unwrap_or(0)).map_or("", String::as_str)
}

/// Bodies of purchases, with room for the member and a transaction id.
pub(super) struct Bodies(Vec<(Vec<u8>, usize, usize)>);

impl Bodies {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let body = |basket: Result<tessera_api::request::Purchase, String>| {
            let mut basket = basket?;
            basket.member = Who::Id(MEMBER.into());
            basket.transaction_id = Some(TRANSACTION.into());
            let text = serde_json::to_string(&basket).map_err(|e| e.to_string())?;
            let place = |what: &str| text.find(what).ok_or_else(|| format!("a body without {what}"));
            let (member, transaction) = (place(MEMBER)?, place(TRANSACTION)?);
            Ok((text.into_bytes(), member, transaction))
        };
        let bodies: Vec<_> = Baskets::open(path)?.map(body).collect::<Result<_, String>>()?;
        if bodies.is_empty() { Err(format!("{} has no baskets", path.display())) } else { Ok(Self(bodies)) }
    }

    /// Purchases, each of another transaction.
    pub(super) fn posts(self: &Arc<Self>, path: String, members: Arc<Vec<String>>) -> Arc<Make> {
        let bodies = self.clone();
        Arc::new(move |n| {
            let place = usize::try_from(n % bodies.0.len() as u64).unwrap_or(0);
            let (body, member, transaction) = &bodies.0[place];
            let mut body = body.clone();
            body[*member..member + MEMBER.len()].copy_from_slice(pick(&members, n).as_bytes());
            body[*transaction..transaction + TRANSACTION.len()].copy_from_slice(format!("{n:016}").as_bytes());
            (Method::POST, path.clone(), None, Bytes::from(body))
        })
    }
}

/// Enrols members and answers their ids.
pub(super) async fn enrol(address: SocketAddr, count: usize, connections: usize) -> Result<Vec<String>, String> {
    let mut tasks = Vec::with_capacity(connections);
    for first in 0..connections {
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(address).await.map_err(|e| e.to_string())?;
            let mut ids = Vec::new();
            for number in (first..count).step_by(connections) {
                let answer = connection.post("/v1/members", Some(&format!("bench-{number}")), Bytes::from_static(b"{}")).await.map_err(|e| e.to_string())?;
                let made: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
                let id = made["member"].as_str().filter(|id| id.len() == MEMBER.len());
                ids.push(id.ok_or_else(|| format!("an enrolment was answered {}", answer.status))?.to_owned());
            }
            Ok::<_, String>(ids)
        }));
    }
    let mut all = Vec::with_capacity(count);
    for task in tasks {
        all.extend(task.await.map_err(|e| e.to_string())??);
    }
    Ok(all)
}

/// Runs a measurement and notes what CPU a process took for it.
pub(super) async fn measure(child: &Child, run: impl Future<Output = Result<Measured, String>>) -> Result<Phase, String> {
    let before = child.cpu_seconds();
    let measured = run.await?;
    #[expect(clippy::cast_precision_loss)]
    let answers = measured.answers.max(1) as f64;
    Ok(Phase { rate: measured.rate(), cpu_us: (child.cpu_seconds() - before) * 1e6 / answers })
}

/// p99 of writing 64 KiB at the end of a file and flushing it, on the disk that is measured.
pub(super) fn flush_p99_ms(folder: &Path) -> Result<f64, String> {
    let told = |e: std::io::Error| format!("{}: {e}", folder.display());
    let path = folder.join("flush");
    let mut file = File::create(&path).map_err(told)?;
    let block = vec![7_u8; 64 << 10];
    let mut took = Vec::new();
    for _ in 0..2_000 {
        let begun = Instant::now();
        file.write_all(&block).map_err(told)?;
        file.sync_data().map_err(told)?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(path).map_err(told)?;
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() * 99 / 100])
}

/// `tessera bare`: hyper alone; reads the body and answers as many bytes as the path says.
pub(crate) fn bare() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
        eprintln!("bare is ready on http://{}", listener.local_addr().map_err(|e| e.to_string())?);
        loop {
            let (stream, _) = listener.accept().await.map_err(|e| e.to_string())?;
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
                let bytes = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
                drop(request.into_body().collect().await);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b' '; bytes]))))
            });
            tokio::spawn(async move { drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) });
        }
    })
}
